// Waiters: calls that wait for something, each with a deadline in ticks, each in one line at most.
// Loop thread. Owns the calls. Adding, taking, changing line and expiring cost O(1) and, once warm,
// no heap; nothing of a call stays behind when it is taken. Knows no clock and never calls back
// outside expire(). Order is the order of the calls, everywhere: nothing here depends on addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "raft/check.h"

namespace iris {

// What several tables may hold together.
struct WaiterBudget {
  std::size_t used = 0;
  std::size_t max = 0;
  [[nodiscard]] bool full() const { return used >= max; }
};

// Names one call of one table; never names another one later. value 0: none.
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
  // A queue of calls. A slot of the table serves as its head, so it costs one slot.
  struct Line {
    std::uint32_t head = 0;
  };

  explicit Waiters(WaiterBudget& budget) : budget_(budget) {
    timers_.resize(bucket_count);
    for (std::uint32_t i = 0; i < bucket_count; ++i) timers_[i] = {i, i};
  }
  Waiters(const Waiters&) = delete;
  Waiters& operator=(const Waiters&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }

  // REQUIRES: deadline > the last tick given to expire().
  Handle add(Call call, std::uint64_t deadline) {
    CHECK(deadline > now_);
    const std::uint32_t slot = allocate();
    slots_[slot].call = std::move(call);
    slots_[slot].deadline = deadline;
    insert(timers_, bucket_of(deadline), timer_of(slot));
    ++size_;
    ++budget_.used;
    return {slots_[slot].generation << slot_bits | slot};
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
    remove(timers_, timer_of(slot));
    release(slot);
    --size_;
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

  // --- Lines.
  [[nodiscard]] Line open_line() { return {allocate()}; }
  // REQUIRES: empty.
  void close_line(Line line) {
    CHECK(empty(line));
    release(line.head);
  }
  [[nodiscard]] bool empty(Line line) const { return links_[line.head].next == line.head; }
  // Leaves its line, if any, and enters this one at the end. REQUIRES: find(handle)
  void enter(Line line, Handle handle) {
    CHECK(find(handle) != nullptr);
    remove(links_, slot_of(handle));
    insert(links_, line.head, slot_of(handle));
  }
  // Leaves its line, if it is in one. REQUIRES: find(handle)
  void leave(Handle handle) {
    CHECK(find(handle) != nullptr);
    remove(links_, slot_of(handle));
  }
  // The first call of the line; none if it is empty.
  [[nodiscard]] Handle front(Line line) const { return handle_of(line, links_[line.head].next); }
  // The one behind `handle`, which is in `line`.
  [[nodiscard]] Handle next(Line line, Handle handle) const {
    return handle_of(line, links_[slot_of(handle)].next);
  }
  // All of `from` enters `to` at the end, in order.
  void splice(Line to, Line from) {
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
  // REQUIRES: `now` grows by one from call to call.
  template <class Due>
  void expire(std::uint64_t now, Due due) {
    CHECK(now == now_ + 1);
    now_ = now;
    const std::uint32_t head = bucket_of(now);
    std::uint32_t timer = timers_[head].next;
    while (timer != head) {
      const std::uint32_t slot = timer - bucket_count;
      timer = timers_[timer].next;
      if (slots_[slot].deadline > now) continue;  // in a later round of the wheel
      const Handle handle{slots_[slot].generation << slot_bits | slot};
      due(handle);
      CHECK(find(handle) == nullptr);
    }
  }

  // Every call, to be taken (at stop).
  [[nodiscard]] std::vector<Handle> all() const {
    std::vector<Handle> handles;
    handles.reserve(size_);
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
      if (timers_[timer_of(slot)].next != timer_of(slot)) {
        handles.push_back({slots_[slot].generation << slot_bits | slot});
      }
    }
    return handles;
  }

 private:
  struct Link {
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };
  using Links = std::vector<Link>;  // circular; a link to itself is in no list
  struct Slot {
    Call call{};
    std::uint64_t generation = 0;
    std::uint64_t deadline = 0;
    bool used = false;
  };
  static constexpr unsigned slot_bits = 24;
  static constexpr std::uint64_t slot_mask = (1u << slot_bits) - 1;
  static constexpr std::uint32_t bucket_count = 1024;  // ticks a turn of the wheel

  static std::uint32_t slot_of(Handle handle) {
    return static_cast<std::uint32_t>(handle.value & slot_mask);
  }
  static std::uint32_t bucket_of(std::uint64_t tick) {
    return static_cast<std::uint32_t>(tick % bucket_count);
  }
  static std::uint32_t timer_of(std::uint32_t slot) { return bucket_count + slot; }

  [[nodiscard]] Handle handle_of(Line line, std::uint32_t slot) const {
    if (slot == line.head) return {};
    return {slots_[slot].generation << slot_bits | slot};
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
    slots_[slot].used = true;
    ++slots_[slot].generation;
    return slot;
  }
  void release(std::uint32_t slot) {
    remove(links_, slot);
    slots_[slot].used = false;
    free_.push_back(slot);
  }

  WaiterBudget& budget_;
  std::size_t size_ = 0;
  std::uint64_t now_ = 0;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  Links links_;   // by slot: lines
  Links timers_;  // first the buckets, then by slot
};

}  // namespace iris
