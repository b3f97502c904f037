// Listeners: the Listen streams this node serves. Each gets the updates of what its session is
// subscribed to: committed and applied ones only, in commit order, each once, none left out
// unsaid.
// Loop thread only. Owns the queues, borrows store and history. Knows no gRPC: a stream is a
// UpdateStream. Never blocks, never lets one stream hold up another: what it does in one pump() is
// bounded, and so is every queue.
//
// How a stream is served, by stage:
//   live    matching updates go from on_applied() straight into its queue
//   replay  it is behind: after a resume, or since its queue was full. Updates come from the log
//           tail in memory, as fast as they are taken, until it has caught up
//   grave   a replay that reached a RemoveSource: its keys come from the store in pages
//   state   what it missed is not in the log any more, or it asked for the state: RESYNC where it
//           was behind, the rows at one revision in pages, SYNCED, then replay from there
// A stream that asked for no new field of ListenRequest never gets a mark; where another would be
// told RESYNC it gets the values that changed since, and a removal for each single key it
// subscribed to that is not there now. Which keys of a whole source were removed meanwhile is not
// known any more: this alone an old client cannot be told.
//
// What a client must know to resume exactly (ours does): RESYNC and SYNCED speak of the
// subscriptions made up to their revision. After rows of a state, resume from SYNCED's revision,
// not from theirs; cut off between RESYNC and SYNCED, ask for the state again. The removals of one
// RemoveSource share a revision and come sorted by key: who was cut off after one of them resumes
// after revision - 1 and skips those it has seen. A client whose session expired subscribes anew
// and asks, with `earlier`, for what its new subscriptions are too young for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "src/listeners/update.h"
#include "src/machine/machine.h"
#include "store/store.h"

namespace iris {

// What src/api/listen implements: the way out of one stream.
enum class StreamEnd {
  aborted,      // another Listen took the session over
  unavailable,  // this node stops, or hears no leader: listen at another one
  not_found,    // the session is not known (any more): subscribe again
};
class UpdateStream {
 public:
  virtual ~UpdateStream() = default;
  // Takes one update. True: it takes another now. False: not before Listeners::writable().
  // `more`: another is waiting. Must not call back into Listeners.
  virtual bool write(const UpdatePtr& update, bool more) = 0;
  // Ends the stream once what was written is out. The last call: Listeners has forgotten it.
  // Must not call back into Listeners.
  virtual void close(StreamEnd end, const std::string& text) = 0;
};

// What is needed of the node: its core().entry(), core().status().first and applied().
class History {
 public:
  virtual ~History() = default;
  // nullptr where it is trimmed, or beyond the end.
  [[nodiscard]] virtual raft::EntryPtr entry(raft::Index index) const = 0;
  [[nodiscard]] virtual raft::Index first() const = 0;  // that entry() has
  [[nodiscard]] virtual raft::Index applied() const = 0;
};

struct ListenersOptions {
  std::uint32_t tick_ms = 10;            // what one tick() stands for
  std::size_t buffer_bytes = 4u << 20;   // -listener-buffer-bytes: of one queue
  std::size_t listeners_max = 100'000;   // -max-listeners: streams; more: Errc::limit
  std::uint32_t heartbeat_ms_min = 100;  // a client that asks for less gets this
  std::uint32_t isolation_ms = 5'000;    // without a leader: streams with heartbeats end
  std::uint32_t stall_ms = 30'000;       // a stream that takes nothing for so long pins no state
  std::size_t page_bytes = 64u << 10;    // of rows read from the store at once, for one stream
  std::size_t page_rows = 1'000;         // looked at in one read
  std::size_t reads_max = 2;             // reads of pages under way, all streams together
  std::size_t purge_records = 100;       // graves and voids removed from the store at once
};

struct ListenersHooks {
  // Something can be done: call pump() soon, once.
  std::function<void()> schedule_pump;
  // `done`, not from inside the call, once this node has applied all that was acknowledged to
  // anybody before the call: Node::read, linearizable, with a deadline.
  std::function<void(std::function<void(Status)> done)> barrier;
  // A session is served from now on (for Leases).
  std::function<void(const std::string& session)> opened;
};

// The fields of ListenRequest.
struct ListenSpec {
  std::string session;               // REQUIRES: not empty
  std::uint64_t after_revision = 0;  // ignored with send_initial
  bool send_initial = false;
  std::uint32_t heartbeat_ms = 0;
  bool earlier = false;  // with after_revision: what the subscriptions are too young for, too
};

using ListenerId = raft::Number<struct ListenerIdTag>;

struct ListenersStatus {
  std::size_t listeners = 0;
  std::size_t queued_bytes = 0;
  std::uint64_t delivered = 0;  // updates written to streams
  std::uint64_t overflows = 0;  // queues that were full
  std::uint64_t resyncs = 0;    // streams that lost the log tail
};

namespace listening {
struct Listener;
struct Shared;
}  // namespace listening

class Listeners {
 public:
  // REQUIRES: all references outlive this; the store is started.
  Listeners(ListenersOptions options, store::Store& store, const History& history,
            ListenersHooks hooks);
  // Tells no stream anything: stop() does.
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Once, after Node::start() and before the first on_applied(): learns the log tail.
  void start();

  // --- From src/api/listen. `stream` is borrowed until close() or cancelled().
  // An earlier listener of the session at this node is ended with `aborted`.
  // Errc::limit: listeners_max are open. Errc::unavailable: after stop().
  Result<ListenerId> open(ListenSpec spec, UpdateStream& stream);
  // The stream takes another update. An id that is not open any more is ignored, also below.
  void writable(ListenerId id);
  // The client is gone.
  void cancelled(ListenerId id);

  // --- From the node (NodeHooks).
  void on_applied(const raft::EntryPtr& entry, const Outcome& outcome);
  void on_installed(raft::Index index);
  void on_trimmed(raft::Index floor);

  // As ListenersHooks::schedule_pump asks. Bounded work: a few milliseconds.
  void pump();
  // Heartbeats, stalled streams. `leader_known`: Core::leader() is not 0.
  void tick(bool leader_known);
  // Ends every stream with `unavailable`, and refuses new ones so.
  void stop();

  // Sessions with a stream here, sorted.
  [[nodiscard]] std::vector<std::string> served() const;
  // NodeHooks::log_kept: the log after this index is needed by a stream that is sent a state;
  // none: by no stream.
  [[nodiscard]] std::optional<raft::Index> keeps_log_after() const;
  [[nodiscard]] ListenersStatus status() const;

 private:
  void publish(const raft::EntryPtr& entry, const CommandView& command);
  void change_sessions(const raft::EntryPtr& entry, const CommandView& command);
  void sweep(listening::Listener& listener, bool leader_known);

  std::unique_ptr<listening::Shared> shared_;
  std::uint64_t leaderless_ms_ = 0;
  bool stopping_ = false;
};

}  // namespace iris
