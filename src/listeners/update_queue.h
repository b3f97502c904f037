// UpdateQueue: the updates that wait for one stream, oldest first.
// Loop thread. Owns its share of the updates, borrows stream and status. Sets no bound itself:
// stages add to it only while it is below a page, Live up to -listener-buffer-bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "src/listeners/filter.h"
#include "src/listeners/listeners.h"
#include "src/listeners/update.h"

namespace iris::listening {

class UpdateQueue {
 public:
  // Counts queued_bytes and delivered of `status`. `tick`: now.
  UpdateQueue(UpdateStream& stream, ListenersStatus& status, std::uint64_t tick)
      : stream_(stream), status_(status), written_tick_(tick) {}
  ~UpdateQueue() { status_.queued_bytes -= bytes_; }
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

  [[nodiscard]] bool empty() const { return updates_.empty(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool writable() const { return writable_; }
  // The tick of the last write, before the first that of the beginning.
  [[nodiscard]] std::uint64_t written_tick() const { return written_tick_; }
  [[nodiscard]] bool has_written() const { return has_written_; }

 private:
  void count_out(const Update& update);

  UpdateStream& stream_;
  ListenersStatus& status_;
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
