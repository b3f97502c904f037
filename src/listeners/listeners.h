// Listeners: the Listen streams that this node serves. Each gets the updates that its session is
// subscribed to: only committed and applied ones, in commit order, each once, and none is left out
// without RESYNC.
// Loop thread only. Owns the queues, borrows store and history. Knows no gRPC: a stream is an
// UpdateStream. Never blocks, and never lets one stream hold up another: one pump() does a bounded
// piece of work, and every queue is bounded.
//
// A stream is served in stages, each in a file of its name:
//   barrier     this node has yet to apply what was acknowledged before the call
//   loading     the session's subscriptions are read
//   live        updates go from on_applied() straight into the queue
//   replay      the stream is behind: after a resume, or since its queue was full. Updates come
//               from the log tail in memory, as fast as the stream takes them
//   tombstones  a replay reached a RemoveSource: its keys come from the store in pages
//   state       the log has not all that was missed, or the client asked for the state: RESYNC in
//               the first case, the rows at one revision in pages, SYNCED, then a replay from there
//   stalled     the stream took nothing for long in the middle of a state
// A stream that asked for no new field of ListenRequest never gets a marker. Where another gets
// RESYNC, it gets the values that changed since, and a removal for each single key of its
// subscriptions that is absent. The removals in a whole source are not known any more: of these
// alone an old client cannot be told.
//
// Rules for a client that resumes exactly, as ours does:
// - RESYNC and SYNCED are about the subscriptions made up to their revision.
// - After the rows of a state, resume from SYNCED's revision, not from theirs. Cut off between
//   RESYNC and SYNCED, ask for the state again.
// - Updates that share a revision, as the removals of one RemoveSource do, come sorted by source,
//   then key; each but the last says that there are more, also to a listener that gets no other.
//   Cut off after one of them, resume after revision - 1 and skip those that came before.
// - A client whose session expired subscribes again and asks, with `earlier`, for the updates that
//   its new subscriptions are too young for.
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

enum class StreamEnd {
  aborted,      // another Listen of the session began at this node
  unavailable,  // this node stops, or hears no leader: listen at another one
  not_found,    // the session is unknown, or expired: subscribe again
};
// The way out of one stream; src/api/listen.cc implements it.
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

// The node as listeners need it.
class History {
 public:
  virtual ~History() = default;
  // Core::entry: nullptr where it is trimmed, or beyond the end.
  [[nodiscard]] virtual raft::EntryPtr entry(raft::Index index) const = 0;
  [[nodiscard]] virtual raft::Index first() const = 0;  // index that entry() has
  [[nodiscard]] virtual raft::Index applied() const = 0;
};

struct ListenersOptions {
  std::uint32_t tick_ms = 10;           // the time between two tick()
  std::size_t buffer_bytes = 4u << 20;  // -listener-buffer-bytes: of updates in one queue
  // Of updates in all queues together; a page for the stream that is served may exceed it. Where it
  // is full, the stream with most bytes gives its queue up: what was in there comes again later.
  std::size_t queued_bytes_max = 256u << 20;
  // Streams that are sent a state at once: each holds a view of the store. Others wait their turn.
  std::size_t states_max = 64;
  // While others wait for their turn, a stream that takes nothing for so long loses its own.
  std::uint32_t state_stall_ms = 1'000;
  std::size_t listeners_max = 100'000;  // -max-listeners: streams at once
  // A client that asks for more frequent heartbeats gets this interval.
  std::uint32_t heartbeat_ms_min = 100;
  // After so long without a leader, streams with heartbeats end.
  std::uint32_t isolation_ms = 5'000;
  // A stream that takes nothing for so long pins nothing in the store any more.
  std::uint32_t stall_ms = 30'000;
  // Of rows read from the store at once for one stream. A queue of so many bytes is filled no
  // further, but by live updates.
  std::size_t page_bytes = 64u << 10;
  std::size_t page_rows = 1'000;    // looked at in one read
  std::size_t reads_max = 2;        // under way at once, for all streams together
  std::size_t purge_records = 100;  // tombstones and no-ops deleted from the store at once
};

struct ListenersHooks {
  // Call pump() once, soon; not from inside this call.
  std::function<void()> schedule_pump;
  // Node::read, linearizable, with a deadline: calls `done`, not from inside this call, once the
  // node has applied all that was acknowledged to any client before.
  std::function<void(std::function<void(Status)> done)> barrier;
  // A session is served from now on; no more (for Leases).
  std::function<void(const std::string& session)> opened;
  std::function<void(const std::string& session)> closed;
};

// The fields of ListenRequest.
struct ListenSpec {
  std::string session;               // REQUIRES: not empty
  std::uint64_t after_revision = 0;  // ignored with send_initial
  bool send_initial = false;
  std::uint32_t heartbeat_ms = 0;
  bool earlier = false;  // with after_revision: as if all subscriptions had been made by then
};

using ListenerId = raft::Number<struct ListenerIdTag>;

struct ListenersStatus {
  std::size_t listeners = 0;
  std::size_t queued_bytes = 0;
  std::size_t queued_bytes_max = 0;
  std::size_t states = 0;       // that are sent now
  std::uint64_t delivered = 0;  // updates written to streams
  std::uint64_t overflows = 0;  // queues that were full
  std::uint64_t given_up = 0;   // queues that were given up because all together were full
  std::uint64_t resyncs = 0;    // states sent in place of updates that were missed (README.md)
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
  // Ends no stream: stop() does.
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
  // Heartbeats, stalled streams: a bounded number of them. `leader_known`: Core::leader() is not 0.
  void tick(bool leader_known);
  // Ends every stream with `unavailable`, and refuses new ones so.
  void stop();

  // NodeHooks::log_kept: the log after this index is needed by a stream that is sent a state;
  // none: by no stream.
  [[nodiscard]] std::optional<raft::Index> keeps_log_after() const;
  [[nodiscard]] ListenersStatus status() const;

 private:
  void publish(const raft::EntryPtr& entry, const CommandView& command);
  void change_sessions(const raft::EntryPtr& entry, const CommandView& command);
  void sweep_piece(bool leader_known);
  // The units of sweep_units that it took.
  std::size_t sweep(listening::Listener& listener, bool leader_known);

  std::unique_ptr<listening::Shared> shared_;
  std::uint64_t leaderless_ms_ = 0;
  // A sweep looks at every listener, in pieces of one tick.
  bool sweeping_ = false;
  ListenerId swept_;              // up to here
  std::uint64_t sweep_tick_ = 0;  // when it began
  std::uint64_t sweep_ms_;        // from the begin of one to that of the next
  bool stopping_ = false;
};

}  // namespace iris
