// Update: one thing that is sent to a listener: a change, a row of a state, or a marker. Shared by
// all listeners that get it, and never changed once made.
// Loop thread; rows are made on the read lane and handed over.
// Its texts point into the log entry that caused it, or into bytes of its own: for a live update no
// value is copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "raft/types.h"

namespace iris {

struct Update {
  // Numbers are iris.proto's.
  enum class Op : std::uint8_t { put = 0, remove = 1, bookmark = 2, synced = 3, resync = 4 };

  Update() = default;
  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;

  Op op = Op::put;
  std::string_view source;  // empty in a marker
  std::string_view key;     // empty in a marker
  std::string_view value;   // empty but in a put
  std::uint64_t revision = 0;
  bool more = false;      // others of this revision follow, but for what a filter leaves out
  bool of_state = false;  // a row of a state: may be older than the subscription it is sent for

  // BOOKMARK, SYNCED or RESYNC.
  [[nodiscard]] bool is_marker() const { return source.empty(); }
  // Counted against the bound of a listener's queue.
  [[nodiscard]] std::size_t cost_bytes() const {
    return source.size() + key.size() + value.size() + overhead_bytes;
  }
  static constexpr std::size_t overhead_bytes = 128;

  raft::EntryPtr entry;  // owns the texts,
  std::string bytes;     // unless this does

  // For src/api alone: the wire form of this update, made once however many streams it goes to.
  mutable std::shared_ptr<const void> encoded;
};
using UpdatePtr = std::shared_ptr<const Update>;

// An update of so many bytes is written only in its listener's turn, and made once for all that
// replay it.
inline constexpr std::size_t large_update_bytes = 16u << 10;

// `source`, `key` and `value` point into `entry`.
[[nodiscard]] inline UpdatePtr entry_update(Update::Op op, raft::EntryPtr entry,
                                            std::string_view source, std::string_view key,
                                            std::string_view value) {
  auto update = std::make_shared<Update>();
  update->op = op;
  update->source = source;
  update->key = key;
  update->value = value;
  update->revision = entry->id.index.value;
  update->entry = std::move(entry);
  return update;
}

// Copies its texts.
[[nodiscard]] inline std::shared_ptr<Update> row_update(Update::Op op, std::string_view source,
                                                        std::string_view key,
                                                        std::string_view value,
                                                        std::uint64_t revision) {
  auto update = std::make_shared<Update>();
  update->op = op;
  update->bytes.reserve(source.size() + key.size() + value.size());
  update->bytes.append(source).append(key).append(value);
  const std::string_view all = update->bytes;
  update->source = all.substr(0, source.size());
  update->key = all.substr(source.size(), key.size());
  update->value = all.substr(source.size() + key.size());
  update->revision = revision;
  return update;
}

[[nodiscard]] inline UpdatePtr marker_update(Update::Op op, std::uint64_t revision) {
  return row_update(op, {}, {}, {}, revision);
}

}  // namespace iris
