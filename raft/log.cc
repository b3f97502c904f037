#include "raft/log.h"

#include <algorithm>
#include <utility>

#include "raft/check.h"

namespace iris::raft {

Log::Log(EntryId floor, std::vector<EntryPtr> entries, HardState state)
    : floor_(floor), written_(floor.index), stable_(floor.index), durable_state_(state) {
  for (EntryPtr& entry : entries) append(std::move(entry));
  written_ = stable_ = last();
}

EntryId Log::id_at(Index index) const { return index == floor_.index ? floor_ : at(index)->id; }

const EntryPtr& Log::at(Index index) const {
  CHECK(index > floor_.index && index <= last());
  return entries_[index.value - floor_.index.value - 1];
}

bool Log::holds(EntryId id) const {
  return id.index >= floor_.index && id.index <= last() && id_at(id.index) == id;
}

EntryId Log::last_not_after(EntryId limit) const {
  if (limit.index <= floor_.index) return floor_;
  const auto count = std::min<std::size_t>(entries_.size(), limit.index.value - floor_.index.value);
  // Terms never fall along a log, so the entries with term <= limit.term are a prefix.
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(count);
  const auto after = std::partition_point(entries_.begin(), end, [limit](const EntryPtr& entry) {
    return entry->id.term <= limit.term;
  });
  return after == entries_.begin() ? floor_ : (*std::prev(after))->id;
}

void Log::append(EntryPtr entry) {
  CHECK(entry->id.index == last().next());
  CHECK(entry->id.term >= last_id().term);
  bytes_ += entry_bytes(*entry);
  entries_.push_back(std::move(entry));
}

void Log::truncate_from(Index index) {
  CHECK(index > floor_.index && index <= last());
  while (last() >= index) {
    bytes_ -= entry_bytes(*entries_.back());
    entries_.pop_back();
  }
  written_ = std::min(written_, last());
  lower_claims(last());
}

void Log::trim(Index floor) {
  CHECK(floor >= floor_.index && floor <= last() && floor <= stable_);
  while (floor_.index < floor) {
    bytes_ -= entry_bytes(*entries_.front());
    floor_ = entries_.front()->id;
    entries_.pop_front();
  }
}

void Log::restart(EntryId last, Index committed) {
  CHECK(last.index > committed);
  entries_.clear();
  bytes_ = 0;
  floor_ = last;
  written_ = last.index;
  lower_claims(committed);
}

std::vector<EntryPtr> Log::take_unwritten() {
  const auto from =
      entries_.begin() + static_cast<std::ptrdiff_t>(written_.value - floor_.index.value);
  std::vector<EntryPtr> unwritten(from, entries_.end());
  written_ = last();
  return unwritten;
}

void Log::open(Ticket ticket, HardState state) {
  CHECK(!has_unwritten());
  open_.push_back({ticket, last(), state});
}

void Log::persisted(Ticket ticket) {
  while (!open_.empty() && open_.front().ticket <= ticket) {
    stable_ = std::max(stable_, open_.front().claim);
    durable_state_ = open_.front().state;
    open_.pop_front();
  }
}

void Log::lower_claims(Index limit) {
  stable_ = std::min(stable_, limit);
  for (OpenTicket& open : open_) open.claim = std::min(open.claim, limit);
}

void Log::check_invariants() const {
  CHECK(stable_ <= last());
  CHECK(written_ >= floor_.index && written_ <= last());
  std::size_t bytes = 0;
  EntryId before = floor_;
  for (const EntryPtr& entry : entries_) {
    CHECK(entry->id.index == before.index.next() && entry->id.term >= before.term);
    bytes += entry_bytes(*entry);
    before = entry->id;
  }
  CHECK(bytes == bytes_);
  Ticket earlier;
  for (const OpenTicket& open : open_) {
    CHECK(open.ticket > earlier && open.claim <= last());
    earlier = open.ticket;
  }
}

}  // namespace iris::raft
