// iris::Client: a program's door to an Iris cluster. Installed as <iris/client.h>; link with
// `pkg-config --libs iris-client`. C++20, standard library only: no gRPC type is seen here.
//
// Threads: a Client may be used by any number of threads at once; every call blocks its caller
// until
//   it is answered or its time limit is over. A Listener has a thread of its own, which runs the
//   callbacks one after the other.
// Owns: its connections. They are made when needed, to the addresses in their order, and made again
//   with jittered exponential back-off (50 ms to 2 s) when they break. A call goes to the node that
//   answered last; when that one is gone or says no, to the next that can be reached.
// Errors: Result; never an exception (but std::bad_alloc). A write that failed says whether it is
//   certain that nothing happened (Code::not_done: this library has tried again until the time
//   limit was over) or nobody can know (Code::unknown: never tried again, for it may have
//   happened). Reads are tried again on other nodes in both cases.
// Never: prints, reads the environment, touches signals.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace iris {

class Client;

namespace client {

enum class Code {
  invalid_argument,  // the request is malformed, or an option is; the text says which and why
  not_found,         // an admin call named a member that does not exist
  conflict,          // if_revision did not hold: the value is another one by now
  limit,             // a limit of the cluster was reached; the text names it. Nothing was done
  not_done,          // no node took the call within the time limit. Certainly nothing was done
  unknown,           // the call was sent and its answer lost: it may have been done, or may be yet
  refused,           // TLS, rights; says why
  unsupported,       // this version of the server does not serve the call
  file,              // a file of this machine cannot be written; the text names it and says why
  not_now,           // a membership change that the state of the cluster forbids; says why
  too_long,          // a name or value over its limit; the text names the limit. Nothing was done
};

struct Error {
  Code code;
  std::string text;  // one sentence for people, with the address it came from
};

// A value or an Error, with the names of std::expected.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)  // NOLINT(google-explicit-constructor): as std::expected
      : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error)  // NOLINT(google-explicit-constructor): as std::expected
      : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // REQUIRES: has_value(), else the process ends.
  [[nodiscard]] T& value() { return *need(std::get_if<0>(&state_)); }
  [[nodiscard]] const T& value() const { return *need(std::get_if<0>(&state_)); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // REQUIRES: !has_value(), else the process ends.
  [[nodiscard]] const Error& error() const { return *need(std::get_if<1>(&state_)); }

 private:
  template <class P>
  static P* need(P* pointer) {
    if (pointer == nullptr) std::abort();
    return pointer;
  }
  std::variant<T, Error> state_;
};

struct Done {};  // the value of what answers with nothing but success

// PEM files. All three are needed: the cluster verifies its clients.
struct Tls {
  std::string ca = "ca.crt";
  std::string certificate = "client.crt";
  std::string key = "client.key";
  std::string server_name = "Iris";  // which the certificate of every node must be for
};

struct Options {
  std::vector<std::string> addresses;        // host:port of gRPC ports; 1 to addresses_max of them
  std::optional<Tls> tls = Tls{};            // nullopt: no TLS
  std::chrono::milliseconds timeout{5'000};  // of a call that names none
  static constexpr std::size_t addresses_max = 64;
};

// --- What calls may be told. A timeout of 0 is the client's. All retries are within it.
struct CallOptions {
  std::chrono::milliseconds timeout{0};
};
struct WriteOptions {
  std::optional<std::uint64_t> if_revision;  // only if the value is of this revision; 0: absent
  std::chrono::milliseconds timeout{0};
};
struct ReadOptions {
  // false: sees every write acknowledged before the call, by whichever node. true: what the node
  // has.
  bool stale = false;
  std::uint64_t min_revision = 0;  // at least as new as this
  std::chrono::milliseconds timeout{0};
};
struct ListOptions {
  bool stale = false;
  std::uint64_t min_revision = 0;
  std::string prefix;
  std::string start_after;   // exclusive
  std::uint64_t limit = 0;   // rows; 0: all
  bool with_values = false;  // keys() only
  std::chrono::milliseconds timeout{0};
};

// --- What calls answer.
struct Written {
  std::uint64_t revision = 0;  // of the command: greater than that of all earlier ones
};
struct Value {
  bool found = false;
  std::string bytes;
  std::uint64_t revision = 0;  // of the set that stored it
};
struct BackupTaken {
  std::uint64_t bytes = 0;
  std::string sha256;  // hex; of all but the last 32 bytes, which are this
};
struct KeyRow {
  std::string key;
  Value value;  // with_values only
};

struct NodeStatus {
  std::string id;  // 16 hex digits, as all ids
  std::string cluster_id;
  std::string role;  // leader, follower, candidate, learner, removed, none (not of a cluster yet)
  std::uint64_t term = 0;
  std::string leader_id;       // empty: none is known
  std::string leader_address;  // raft address
  std::uint64_t commit = 0;
  std::uint64_t applied = 0;
  std::uint64_t log_first = 0;
  std::uint64_t log_last = 0;
  std::uint64_t log_bytes = 0;
  std::uint32_t voters = 0;
  std::uint32_t learners = 0;
  std::uint32_t reachable = 0;           // voters heard lately, the node included; a leader knows
  std::uint32_t tolerates_failures = 0;  // voters that may die now without loss of service
  std::string address;                   // raft address
  std::string version;
  std::uint64_t disk_used_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  std::uint64_t message_bytes_max = 0;
  std::uint64_t value_bytes_max = 0;
  std::uint64_t name_bytes_max = 0;
  std::int64_t certificate_expires_s = 0;  // Unix time; 0: no TLS
  // Feature levels: the highest that the node knows, and that of its cluster. 0: from before them.
  std::uint64_t api_level = 0;
  std::uint64_t cluster_level = 0;
  std::string alarm;                      // empty: none
  std::uint32_t client_connections = 0;   // open on the node, about
  std::uint64_t client_answer_bytes = 0;  // of answers that clients have not taken
  std::uint32_t waiting_calls = 0;        // for a leader, a quorum or a revision
  std::uint32_t listeners = 0;            // streams of Listen on the node
  std::uint64_t queued_update_bytes = 0;  // queued for all of them together
  std::uint32_t listener_states = 0;      // of them, those that are sent a state now
  // --- The last time that members compared their data and the node heard how it ended.
  std::uint64_t state_check_revision = 0;  // 0: not since its start; so are those that follow
  std::string state_check;                 // equal, or no majority: members differ
  std::string state_hash;                  // of the data, 32 hex digits
  std::int64_t state_check_s = 0;          // Unix time
};

struct Member {
  std::string id;
  std::string address;  // raft address
  bool voter = false;   // else a learner
  bool leader = false;
  bool leaving = false;
  bool active = false;      // heard lately; a leader knows
  std::uint64_t match = 0;  // index up to which its log is known to be right; a leader knows
};

// --- Listening.

// The subject of a subscription: a whole source, or one key of it.
struct Topic {
  std::string source;
  std::optional<std::string> key;
};

struct Update {
  enum class Op {
    put,
    remove,
    bookmark,  // nothing more happened up to `revision`
    synced,    // what came since the last resync, or the start, is the state at `revision`
    resync,    // forget what you know of the topics: their state follows, then synced
  };
  Op op = Op::put;
  std::string source;  // empty, like key and value, in bookmark, synced and resync
  std::string key;
  std::string value;
  std::uint64_t revision = 0;
  bool more = false;  // others of this revision may follow; false says nothing
};

// How far a listener got: all of the revisions before `revision`, and of `revision` itself what is
// up to `source` and `key` in byte order, source first (both empty: all of it). Revision 0: nowhere
// yet, or amid a state (between resync and synced): who goes on from there begins with
// send_initial. A position that was kept before there was a `source` has none: it is taken to be in
// the first source of its revision, so that nothing is passed over.
struct Position {
  std::uint64_t revision = 0;
  std::string key;
  std::string source = {};
  bool operator==(const Position&) const = default;
  // Nothing more of `revision` is to come.
  [[nodiscard]] bool is_whole() const { return key.empty() && source.empty(); }
};

struct ListenOptions {
  std::vector<Topic> topics;  // at least one
  Position after;             // go on behind this; revision 0: from now on
  bool send_initial = false;  // the state first, then synced; `after` does not count
  // The node says "nothing new" this often (a bookmark); a stream silent for three of these is
  // given up and opened on another node. 100 ms to 1 h. For as long as what is next does not arrive
  // within that, it is given twice as long each time, up to 10 min: it may be a great value.
  std::chrono::milliseconds heartbeat{5'000};
  std::string session;  // of connect(); empty: a session of its own
};

// Called on the listener's thread, one at a time, in commit order. A slow one slows only this
// stream. An exception that leaves one ends the process.
struct ListenHandlers {
  std::function<void(const Update&)> on_update;                  // needed
  std::function<void(const std::string& address)> on_connected;  // may be empty, as those below
  std::function<void(const Error&)> on_lost;  // the stream broke; the listener goes on elsewhere
  std::function<void(const Error&)> on_end;   // the last call: it was refused, or another took over
};

// A stream of updates that survives the death of its node: it goes on at another node where it
// stopped, without a gap, without a duplicate. Where the cluster does not know any more what
// happened meanwhile, it says so (resync) and delivers the state instead.
class Listener {
 public:
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  // Stops, and waits for the callback that runs. Not from within a callback.
  ~Listener();

  // Returns at once. The callback that runs, or is just about to, is the last: wait() and the
  // destructor wait for it. Any thread, callbacks too.
  void stop();
  // How far the callbacks got; what to give as `after` to go on later. Any thread.
  [[nodiscard]] Position position() const;
  // Blocks until it ended (stop() or on_end) or the time is over; true: it ended.
  [[nodiscard]] bool wait(std::chrono::milliseconds timeout) const;

 private:
  friend class iris::Client;
  struct State;
  explicit Listener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace client

class Client {
 public:
  // Reads the PEM files; connects to nobody yet. invalid_argument: an address, a file.
  [[nodiscard]] static client::Result<Client> create(client::Options options);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  // REQUIRES: no call is under way. Listeners go on.
  ~Client();

  // --- Values. A source exists while it has a key.
  client::Result<client::Written> set(const std::string& source, const std::string& key,
                                      const std::string& value,
                                      const client::WriteOptions& options = {});
  client::Result<client::Value> get(const std::string& source, const std::string& key,
                                    const client::ReadOptions& options = {});
  // Removing what is absent is a success.
  client::Result<client::Written> remove(const std::string& source, const std::string& key,
                                         const client::WriteOptions& options = {});
  client::Result<client::Written> remove_source(const std::string& source,
                                                const client::CallOptions& options = {});
  // Sorted by bytes, all at one revision.
  client::Result<std::vector<std::string>> sources(const client::ListOptions& options = {});
  client::Result<std::vector<client::KeyRow>> keys(const std::string& source,
                                                   const client::ListOptions& options = {});

  // --- Sessions and listening. listen() makes session and subscriptions itself; connect() and
  // subscribe() are for those who want them by hand. To subscribe and to unsubscribe are writes:
  // see not_done and unknown. To say it again is right where the outcome is unknown and nothing
  // else was said of the topic since.
  client::Result<std::string> connect(const client::CallOptions& options = {});
  client::Result<client::Done> subscribe(const std::string& session, const client::Topic& topic,
                                         const client::CallOptions& options = {});
  client::Result<client::Done> unsubscribe(const std::string& session, const client::Topic& topic,
                                           const client::CallOptions& options = {});
  // Returns at once; keeps trying until a node serves it. invalid_argument: the options.
  client::Result<client::Listener> listen(client::ListenOptions options,
                                          client::ListenHandlers handlers);

  // --- The cluster. `address`: one of the client's addresses, to ask that very node; empty: any.
  client::Result<client::NodeStatus> status(const std::string& address = {},
                                            const client::CallOptions& options = {});
  // The node's answer to a grpc.health.v1 check: does it serve?
  client::Result<bool> healthy(const std::string& address = {},
                               const client::CallOptions& options = {});
  client::Result<std::vector<client::Member>> members(const client::CallOptions& options = {});
  // Members are named by id or raft address; the answer is the id of the one it was done to.
  // Carried out by whoever leads. These are writes: see not_done and unknown.
  client::Result<client::Done> join(const std::string& raft_address,
                                    const client::CallOptions& options = {});
  // force: although no live majority would be left.
  client::Result<std::string> remove_member(const std::string& id, bool force = false,
                                            const client::CallOptions& options = {});
  client::Result<std::string> promote_member(const std::string& id,
                                             const client::CallOptions& options = {});
  // The whole data, at one revision that contains every write acknowledged before the call, into
  // `file`, which is replaced once the backup is complete, checked and synced. file: it cannot be
  // written, or arrived damaged.
  client::Result<client::BackupTaken> backup(const std::string& file,
                                             const client::CallOptions& options = {});
  // id empty: to the best voter that is connected.
  client::Result<std::string> transfer_leader(const std::string& id = {},
                                              const client::CallOptions& options = {});

  // "1.0.0"
  [[nodiscard]] static const char* version();

 private:
  struct State;
  explicit Client(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace iris
