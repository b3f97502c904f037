#include "store/row_batch.h"

#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "store/keys.h"
#include "store/views.h"

namespace iris::store {

namespace {

constexpr std::size_t row_overhead_bytes = 96;  // of a remembered row without its key, about

}  // namespace

// The rows of the family, merged with the overlay. Rows that are written ahead of the cursor are
// seen. The overlay never loses an element while a batch is open, so its iterator stays valid.
class RowBatch::Merged final : public Cursor {
 public:
  Merged(const RowBatch& batch, const std::string& from, const std::string& end)
      : batch_(batch),
        end_(end),
        below_(*batch.family_, *batch.read_, from, end, batch.alarm_),
        above_(batch.overlay_.lower_bound(from)) {
    settle();
  }

  [[nodiscard]] bool valid() const override { return below_.valid() || above_here(); }
  [[nodiscard]] std::string_view key() const override {
    CHECK(valid());
    return on_above() ? std::string_view(above_->first).substr(1) : below_.key();
  }
  [[nodiscard]] std::string_view value() const override {
    CHECK(valid());
    return on_above() ? std::string_view(*above_->second) : below_.value();
  }
  void next() override {
    CHECK(valid());
    const bool above = on_above();
    const bool below = !above || (below_.valid() && order() == 0);
    if (above) ++above_;
    if (below) below_.next();
    settle();
  }

 private:
  [[nodiscard]] bool above_here() const {
    return above_ != batch_.overlay_.end() && above_->first < end_;
  }
  // Compares the overlay's row with the family's. REQUIRES: both are here.
  [[nodiscard]] int order() const { return std::string_view(above_->first).compare(below_.row()); }
  [[nodiscard]] bool on_above() const { return above_here() && (!below_.valid() || order() <= 0); }

  // Moves past removed rows.
  void settle() {
    while (true) {
      if (on_above()) {
        if (above_->second) return;
        if (below_.valid() && order() == 0) below_.next();
        ++above_;
      } else if (below_.valid() && batch_.removed(below_.row())) {
        below_.next();
      } else {
        return;
      }
    }
  }

  const RowBatch& batch_;
  const std::string end_;
  RowCursor below_;
  Overlay::const_iterator above_;
};

RowBatch::RowBatch(Alarm& alarm, std::size_t memory_bytes_max)
    : alarm_(alarm),
      memory_bytes_max_(memory_bytes_max),
      read_(std::make_unique<rocksdb::ReadOptions>()) {}

RowBatch::~RowBatch() = default;

void RowBatch::begin(std::shared_ptr<Family> family) {
  family_ = std::move(family);
  overlay_.clear();
  removed_prefixes_.clear();
  bytes_ = 0;
  forget();
}

void RowBatch::written() {
  if (!removed_prefixes_.empty()) {  // rows of these may be remembered
    forget();
    removed_prefixes_.clear();
  }
  while (!overlay_.empty()) {
    auto row = overlay_.extract(overlay_.begin());
    remember(std::move(row.key()), row.mapped());
  }
  bytes_ = 0;
}

void RowBatch::forget() {
  young_.clear();
  old_.clear();
  young_bytes_ = 0;
}

void RowBatch::remember(std::string row, const std::optional<std::string_view>& value) const {
  Front front;
  front.there = value.has_value();
  if (value)
    front.size = static_cast<std::uint8_t>(value->copy(front.bytes.data(), front_bytes_max));
  const std::size_t bytes = row_overhead_bytes + row.size();
  if (young_.insert_or_assign(std::move(row), front).second) young_bytes_ += bytes;
  if (young_bytes_ < memory_bytes_max_ / 2) return;
  old_.swap(young_);
  young_.clear();
  young_bytes_ = 0;
}

// Valid until the next remember().
const RowBatch::Front* RowBatch::recall(std::string_view row) const {
  if (const auto found = young_.find(row); found != young_.end()) return &found->second;
  const auto found = old_.find(row);
  if (found == old_.end()) return nullptr;
  young_bytes_ += row_overhead_bytes + row.size();  // may pass half of the bytes; remember() looks
  return &young_.insert(old_.extract(found)).position->second;
}

bool RowBatch::removed(std::string_view row) const {
  return std::any_of(removed_prefixes_.begin(), removed_prefixes_.end(),
                     [row](const std::string& prefix) { return row.starts_with(prefix); });
}

// The row as this batch has written it. nullptr: the batch has not written it.
const RowBatch::Row* RowBatch::written_here(std::string_view row) const {
  static const Row gone;
  if (const auto found = overlay_.find(row); found != overlay_.end()) return &found->second;
  return removed(row) ? &gone : nullptr;
}

Found RowBatch::get(Table table, std::string_view key, std::string& value) const {
  row_key(key_, table, key);
  if (const Row* row = written_here(key_)) {
    if (*row) value = **row;
    return *row ? Found::yes : Found::no;
  }
  return get_row(*family_, *read_, key_, value, alarm_);
}

Found RowBatch::front(Table table, std::string_view key, std::string& front) const {
  row_key(key_, table, key);
  if (const Row* row = written_here(key_)) {
    if (*row) front.assign(**row, 0, front_bytes_max);
    return *row ? Found::yes : Found::no;
  }
  if (const Front* known = recall(key_)) {
    front.assign(known->bytes.data(), known->size);
    return known->there ? Found::yes : Found::no;
  }
  const Found found = get_row(*family_, *read_, key_, front, alarm_);
  if (found == Found::yes) {
    remember(key_, front);
    if (front.size() > front_bytes_max) front.resize(front_bytes_max);
  } else {
    remember(key_, std::nullopt);
  }
  return found;
}

std::unique_ptr<Cursor> RowBatch::scan(Table table, std::string_view prefix,
                                       std::string_view from) const {
  row_key(key_, table, prefix);
  const std::string end = prefix_end(key_);
  row_key(key_, table, std::max(prefix, from));
  return std::make_unique<Merged>(*this, std::string(key_), end);
}

void RowBatch::write(std::string_view row, std::optional<std::string_view> value) {
  bytes_ += row.size() + (value ? value->size() : 0);
  auto place = overlay_.lower_bound(row);
  if (place == overlay_.end() || place->first != row) {
    place = overlay_.emplace_hint(place, std::string(row), std::nullopt);
  }
  if (value) {
    place->second.emplace(*value);
  } else {
    place->second.reset();
  }
}

void RowBatch::put(Table table, std::string_view key, std::string_view value) {
  row_key(key_, table, key);
  write(key_, value);
}

void RowBatch::remove(Table table, std::string_view key) {
  row_key(key_, table, key);
  write(key_, std::nullopt);
}

void RowBatch::remove_prefix(Table table, std::string_view prefix) {
  std::string begin;
  row_key(begin, table, prefix);
  const std::string end = prefix_end(begin);
  std::vector<std::string> rows;
  for (Merged at(*this, begin, end); at.valid() && rows.size() <= removed_singly_max; at.next()) {
    rows.push_back(begin.front() + std::string(at.key()));
  }
  if (rows.size() <= removed_singly_max) {
    for (const std::string& row : rows) write(row, std::nullopt);
    return;
  }
  for (auto at = overlay_.lower_bound(begin); at != overlay_.end() && at->first < end; ++at) {
    at->second.reset();
  }
  bytes_ += begin.size();
  removed_prefixes_.push_back(std::move(begin));
}

// The ranges come first: a row of the overlay that lies in one was written after its removal.
void RowBatch::write_to(rocksdb::WriteBatch& rows) const {
  for (const std::string& prefix : removed_prefixes_) {
    CHECK(rows.DeleteRange(family_->handle(), prefix, prefix_end(prefix)).ok());
  }
  for (const auto& [row, value] : overlay_) {
    const rocksdb::Status taken =
        value ? rows.Put(family_->handle(), row, *value) : rows.Delete(family_->handle(), row);
    CHECK(taken.ok());
  }
}

}  // namespace iris::store
