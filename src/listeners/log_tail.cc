#include "src/listeners/log_tail.h"

#include <algorithm>
#include <variant>

#include "raft/check.h"

namespace iris::listening {

void LogTail::restart(std::uint64_t after) {
  digests_.clear();
  first_ = after + 1;
}

void LogTail::append(std::uint64_t index, const Digest& digest) {
  CHECK(index > last());
  while (last() + 1 < index) digests_.emplace_back();
  digests_.push_back(digest);
}

void LogTail::prepend(const Digest& digest) {
  CHECK(first_ > 1);
  digests_.push_front(digest);
  --first_;
}

void LogTail::learn(const History& history, std::uint64_t floor,
                    const std::vector<std::uint64_t>& no_ops) {
  for (std::uint64_t index = first_ - 1; index > floor; --index) {
    const raft::EntryPtr entry = history.entry({index});
    if (!entry) return;
    const bool effective = std::holds_alternative<raft::Command>(entry->payload) &&
                           !std::binary_search(no_ops.begin(), no_ops.end(), index);
    prepend(effective ? digest_of(command_of(*entry)) : Digest{});
  }
}

void LogTail::trim(std::uint64_t floor) {
  if (floor > last()) return restart(floor);
  while (first_ <= floor) {
    digests_.pop_front();
    ++first_;
  }
}

std::optional<std::uint64_t> LogTail::find(const Filter& filter, std::uint64_t& after,
                                           std::size_t& looks_max) const {
  CHECK(after + 1 >= first_);
  for (; after < last() && looks_max > 0; ++after, --looks_max) {
    if (filter.may_want(digests_[after + 1 - first_])) return after + 1;
  }
  return std::nullopt;
}

}  // namespace iris::listening
