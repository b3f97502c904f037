#include "src/machine/state_hash.h"

#include <algorithm>
#include <iterator>

#include "raft/check.h"
#include "src/machine/layout.h"
#include "src/machine/machine.h"

namespace iris {
namespace {

using store::Table;

// A row that is hashed costs about as much as so many bytes besides its own.
constexpr std::size_t row_bytes = 32;
// `subscribed` and `subscriptions` of a session's row; see the card of state_hash.h.
constexpr std::size_t session_bytes = 16;
constexpr std::size_t number_bytes = 8;

void put_size(char* to, std::size_t size) {
  for (int shift = 56; shift >= 0; shift -= 8) *to++ = static_cast<char>(size >> shift);
}

}  // namespace

std::size_t StateHasher::read(const store::View& view, std::size_t bytes_max) {
  CHECK(!done());
  if (!begun_) begin(view);
  std::size_t bytes = 0;
  while (!done() && bytes < bytes_max) {
    auto cursor = view.scan(tables.at(table_), {}, from_);
    for (; cursor->valid() && bytes < bytes_max; cursor->next()) {
      take(cursor->key(), cursor->value());
      bytes += cursor->key().size() + cursor->value().size() + row_bytes;
    }
    if (cursor->valid()) {
      from_ = cursor->key();
    } else {
      next_table();
    }
  }
  return bytes;
}

void StateHasher::begin(const store::View& view) {
  begun_ = true;
  index_ = view.applied();
  purged_ = purged(view);
  has_history_ = purged_ <= history_after_;
}

void StateHasher::next_table() {
  if (tables.at(table_) == Table::tombstones) std::sort(removed_.begin(), removed_.end());
  ++table_;
  from_.clear();
}

void StateHasher::take(std::string_view key, std::string_view value) {
  switch (tables.at(table_)) {
    case Table::tombstones:
      return take_tombstone(key, value);
    case Table::values:
      return take_value(key, value);
    case Table::no_ops:
      return take_no_op(key, value);
    case Table::sessions:
      return add(data_, key, key.empty() ? value : value.substr(0, session_bytes));
    default:
      return add(data_, key, value);
  }
}

// A row that is too short is damage, and no reason to abort: as part of the data it is one more
// difference from other nodes.
void StateHasher::take_tombstone(std::string_view key, std::string_view value) {
  if (key.size() < number_bytes || value.size() < number_bytes) return add(data_, key, value);
  const std::uint64_t revision = layout::number(key);
  removed_.emplace_back(layout::number(value), revision);  // a record begins with the generation
  if (in_history(revision)) add(history_, key, value);
}

void StateHasher::take_value(std::string_view key, std::string_view value) {
  if (key.size() < number_bytes) return add(data_, key, value);
  const std::uint64_t generation = layout::number(key);
  const auto found = std::lower_bound(removed_.begin(), removed_.end(),
                                      std::pair<std::uint64_t, std::uint64_t>{generation, 0});
  if (found == removed_.end() || found->first != generation) return add(data_, key, value);
  if (in_history(found->second)) add(history_, key, value);
}

// The record of purged() is there under 0, which is after nothing.
void StateHasher::take_no_op(std::string_view key, std::string_view value) {
  if (key.size() < number_bytes) return add(data_, key, value);
  if (in_history(layout::number(key))) add(history_, key, value);
}

// The sizes keep apart what the key and what the value is, and one row from the next.
void StateHasher::add(Xxh3& hash, std::string_view key, std::string_view value) const {
  std::array<char, 17> head{};
  head[0] = static_cast<char>(tables.at(table_));
  put_size(&head[1], key.size());
  put_size(&head[9], value.size());
  hash.add({head.data(), head.size()});
  hash.add(key);
  hash.add(value);
}

StateHash StateHasher::result() const {
  CHECK(done());
  StateHash hash{index_, purged_, data_.result(), std::nullopt};
  if (has_history_) hash.history = history_.result();
  return hash;
}

}  // namespace iris
