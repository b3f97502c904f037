// Waiters: calls that wait, each with a deadline in ticks, each in at most one queue.
// Loop thread. Owns the calls. Each operation costs O(1), but all(), and expire(), which visits the
// calls of one bucket of its wheel: each call once in 1024 ticks. Once the table has grown to its
// working size, none uses the heap. Knows no clock, and calls back from expire() only. The order is
// that of the calls, never one of addresses, so that the simulator can repeat a run.
//
// Why not standard containers, which do the same in fewer lines: every read and write of a client
// passes through this table, up to NodeOptions::waiters_max at a time, and most are over long
// before their deadline. With a map by handle, a list for each queue and a map by deadline, each
// call would cost three heap nodes and two searches. Here a call is a slot of a vector, and its
// places in a queue and in the hashed timing wheel (Varghese and Lauck 1987, scheme 6) are links
// between slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "raft/check.h"

namespace iris {

// How many calls several tables may hold together. Tables count; their owners ask full() first.
struct WaiterBudget {
  std::size_t used = 0;
  std::size_t max = 0;
  [[nodiscard]] bool full() const { return used >= max; }
};

// Names one call of one table, and never a later one. value 0: none.
//   value = generation of the slot (40 bits), slot (24 bits)
struct WaiterHandle {
  std::uint64_t value = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): the 0 is in comparisons that the compiler makes
  auto operator<=>(const WaiterHandle&) const = default;
  explicit operator bool() const { return value != 0; }
};

template <class Call>
class Waiters {
 public:
  using Handle = WaiterHandle;
  // A queue of calls. Its head is a slot of the table, for as long as the table lives.
  struct Queue {
    std::uint32_t head = 0;
  };

  explicit Waiters(WaiterBudget& budget) : budget_(budget) {
    timers_.resize(bucket_count);
    for (std::uint32_t i = 0; i < bucket_count; ++i) timers_[i] = {i, i};
  }
  Waiters(const Waiters&) = delete;
  Waiters& operator=(const Waiters&) = delete;

  // REQUIRES: deadline > the last tick given to expire(); fewer than 2^24 calls and queues.
  Handle add(Call call, std::uint64_t deadline) {
    CHECK(deadline > now_);
    const std::uint32_t slot = allocate();
    slots_[slot].call = std::move(call);
    slots_[slot].deadline = deadline;
    slots_[slot].used = true;
    insert(timers_, bucket_of(deadline), timer_of(slot));
    ++budget_.used;
    return handle_of(slot);
  }

  // nullptr: taken already, or never a handle of this table. Good until the next add().
  [[nodiscard]] Call* find(Handle handle) {
    const std::uint64_t slot = handle.value & slot_mask;
    if (slot >= slots_.size() || !slots_[slot].used) return nullptr;
    if (slots_[slot].generation != handle.value >> slot_bits) return nullptr;
    return &slots_[slot].call;
  }

  // Removes the call. REQUIRES: find(handle)
  Call take(Handle handle) {
    CHECK(find(handle) != nullptr);
    const std::uint32_t slot = slot_of(handle);
    Call call = std::move(slots_[slot].call);
    slots_[slot].call = Call();
    slots_[slot].used = false;
    remove(timers_, timer_of(slot));
    remove(links_, slot);
    free_.push_back(slot);
    --budget_.used;
    return call;
  }

  // A new deadline. REQUIRES: find(handle), deadline > the last tick given to expire().
  void set_deadline(Handle handle, std::uint64_t deadline) {
    CHECK(find(handle) != nullptr && deadline > now_);
    const std::uint32_t slot = slot_of(handle);
    slots_[slot].deadline = deadline;
    remove(timers_, timer_of(slot));
    insert(timers_, bucket_of(deadline), timer_of(slot));
  }
  // REQUIRES: find(handle)
  [[nodiscard]] std::uint64_t deadline(Handle handle) const {
    return slots_[slot_of(handle)].deadline;
  }

  // --- Queues.
  [[nodiscard]] Queue open_queue() { return {allocate()}; }
  [[nodiscard]] bool empty(Queue queue) const { return links_[queue.head].next == queue.head; }
  // Moves the call from its queue, if it is in one, to the end of this one. REQUIRES: find(handle)
  void enter(Queue queue, Handle handle) {
    CHECK(find(handle) != nullptr);
    remove(links_, slot_of(handle));
    insert(links_, queue.head, slot_of(handle));
  }
  // Removes the call from its queue, if it is in one. REQUIRES: find(handle)
  void leave(Handle handle) {
    CHECK(find(handle) != nullptr);
    remove(links_, slot_of(handle));
  }
  // The first call of the queue; none if it is empty.
  [[nodiscard]] Handle front(Queue queue) const { return after(queue, queue.head); }
  // The call behind `handle`, which is in `queue`; none behind the last.
  [[nodiscard]] Handle next(Queue queue, Handle handle) const {
    return after(queue, slot_of(handle));
  }
  // Moves all calls of `from` to the end of `to`, in order.
  void splice(Queue to, Queue from) {
    if (empty(from)) return;
    Link& source = links_[from.head];
    Link& target = links_[to.head];
    links_[source.next].previous = target.previous;
    links_[target.previous].next = source.next;
    links_[source.previous].next = to.head;
    target.previous = source.previous;
    source = {from.head, from.head};
  }

  // Calls due(handle) for each call whose deadline is `now`; due must take() it and touch no other.
  // REQUIRES: `now` is 1 at the first call, and grows by one from call to call.
  template <class Due>
  void expire(std::uint64_t now, Due due) {
    CHECK(now == now_ + 1);
    now_ = now;
    const std::uint32_t head = bucket_of(now);
    std::uint32_t timer = timers_[head].next;
    while (timer != head) {
      const std::uint32_t slot = timer - bucket_count;
      timer = timers_[timer].next;
      if (slots_[slot].deadline > now) continue;  // due in a later turn of the wheel
      const Handle handle = handle_of(slot);
      due(handle);
      CHECK(find(handle) == nullptr);
    }
  }

  // Every call, to take them all at stop. O(slots).
  [[nodiscard]] std::vector<Handle> all() const {
    std::vector<Handle> handles;
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot].used) handles.push_back(handle_of(slot));
    }
    return handles;
  }

 private:
  // Circular lists by index. A head, and an item that is in no list, link to themselves.
  struct Link {
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };
  using Links = std::vector<Link>;
  struct Slot {
    Call call{};
    std::uint64_t generation = 0;  // how often the slot was allocated
    std::uint64_t deadline = 0;
    bool used = false;  // holds a call: neither free nor the head of a queue
  };
  static constexpr unsigned slot_bits = 24;
  static constexpr std::uint64_t slot_mask = (1u << slot_bits) - 1;
  static constexpr std::uint32_t bucket_count = 1024;  // ticks in a turn of the wheel

  static std::uint32_t slot_of(Handle handle) {
    return static_cast<std::uint32_t>(handle.value & slot_mask);
  }
  static std::uint32_t bucket_of(std::uint64_t tick) {
    return static_cast<std::uint32_t>(tick % bucket_count);
  }
  static std::uint32_t timer_of(std::uint32_t slot) { return bucket_count + slot; }

  [[nodiscard]] Handle handle_of(std::uint32_t slot) const {
    return {slots_[slot].generation << slot_bits | slot};
  }
  [[nodiscard]] Handle after(Queue queue, std::uint32_t slot) const {
    const std::uint32_t next = links_[slot].next;
    return next == queue.head ? Handle{} : handle_of(next);
  }

  static void insert(Links& links, std::uint32_t head, std::uint32_t item) {
    const std::uint32_t last = links[head].previous;
    links[item] = {last, head};
    links[last].next = item;
    links[head].previous = item;
  }
  static void remove(Links& links, std::uint32_t item) {
    links[links[item].previous].next = links[item].next;
    links[links[item].next].previous = links[item].previous;
    links[item] = {item, item};
  }

  std::uint32_t allocate() {
    std::uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(slots_.size());
      CHECK(slot <= slot_mask);
      slots_.emplace_back();
      links_.push_back({slot, slot});
      timers_.push_back({timer_of(slot), timer_of(slot)});
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    ++slots_[slot].generation;
    return slot;
  }

  WaiterBudget& budget_;
  std::uint64_t now_ = 0;  // the last tick given to expire()
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  Links links_;   // by slot: queues
  Links timers_;  // the buckets of the wheel first, then by slot
};

}  // namespace iris
