// UpdateQueue: the updates that wait for one stream, oldest first.
// Loop thread. Owns its share of the updates, borrows the rest. Sets no bound itself:
// stages add to it only while it is below a page, Live up to -listener-buffer-bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "src/listeners/filter.h"
#include "src/listeners/listeners.h"
#include "src/listeners/queued_bytes.h"
#include "src/listeners/update.h"

namespace iris::listening {

class UpdateQueue {
 public:
  // Of listener `id`. Counts itself in `queued`, and `status.delivered`. `tick`: now.
  UpdateQueue(ListenerId id, UpdateStream& stream, ListenersStatus& status, QueuedBytes& queued,
              std::uint64_t tick)
      : id_(id), stream_(stream), status_(status), queued_(queued), written_tick_(tick) {}
  ~UpdateQueue() { queued_.change(id_, bytes_, 0); }
  UpdateQueue(const UpdateQueue&) = delete;
  UpdateQueue& operator=(const UpdateQueue&) = delete;

  void push(UpdatePtr update);
  // Prunes if that is due, then writes until the stream takes no more, or the budget is spent.
  void write(const Filter& filter, std::uint64_t tick, std::size_t& budget);
  void set_writable() { writable_ = true; }
  // The first update needs no pruning before it, and is small: cheap to encode.
  [[nodiscard]] bool has_small_write() const;

  // A subscription ended: before the next write the queue is gone through once, however many ended
  // until then.
  void prune_later() { prune_due_ = true; }
  // Drops the updates that the filter no longer wants, if a subscription ended. Spares the first
  // one where the stream holds the update before it back, to share a packet with it.
  void prune(const Filter& filter);
  // Rows of a state that are pushed from now on are as of this revision.
  void set_state_revision(std::uint64_t revision) { state_revision_ = revision; }
  // Drops everything from the first RESYNC on.
  void drop_states();
  // Drops the updates at the end that come from single log entries, which a replay can fetch again;
  // the revision of the first of them. Both spare the first update as prune() does.
  std::optional<std::uint64_t> drop_log_updates();
  // Drops the rows of a state at the end. False: there are none.
  bool drop_rows();

  [[nodiscard]] bool empty() const { return updates_.empty(); }
  // The last update is a row of a state.
  [[nodiscard]] bool ends_with_row() const {
    return !updates_.empty() && updates_.back()->of_state;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool writable() const { return writable_; }
  // Updates that are not live may be fetched for it.
  [[nodiscard]] bool may_fetch() const { return writable_ || !queued_.tight(); }
  // The tick of the last write, before the first that of the beginning.
  [[nodiscard]] std::uint64_t written_tick() const { return written_tick_; }
  [[nodiscard]] bool has_written() const { return has_written_; }

 private:
  void count_out(const Update& update);
  // Drops what is at the end, as long as `is_one` is true.
  template <typename Is>
  UpdatePtr drop_last(const Is& is_one);

  const ListenerId id_;
  UpdateStream& stream_;
  ListenersStatus& status_;
  QueuedBytes& queued_;
  std::deque<UpdatePtr> updates_;
  std::size_t bytes_ = 0;
  std::uint64_t written_tick_;
  std::uint64_t state_revision_ = 0;
  bool writable_ = true;
  bool has_written_ = false;
  bool prune_due_ = false;
  bool promised_ = false;  // the stream was told that another update follows
};

}  // namespace iris::listening
