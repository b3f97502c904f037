// Snapshot: one state of the data as a stream of bytes. It is sent to a follower that lags behind,
// and in a file it is the backup. The same state gives the same bytes on each node.
// One thread at a time. Owns buffers and a hash; knows no files and no RocksDB.
//
//   header    "IRISSNAP" | u16 format | u32 length | u32 CRC-32C of the mark | Mark (see codec.h)
//   block*    'B' | u32 length | u32 CRC-32C of the rows | rows
//   trailer   'E' | u64 rows | 32 bytes SHA-256 of everything before them
//   row       u8 table | u32 length | key | u32 length | value
//
// Rows are in strictly rising order of (table, key). The store's own table `meta` is not among
// them, as the mark has its contents. Nothing in the stream names a cluster: a restore draws a new
// one. Numbers are big-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "raft/types.h"
#include "store/sha256.h"
#include "store/store.h"

namespace iris::store {

// Format 2 is that of a cluster above level 0, so that builds from before levels refuse it.
inline constexpr std::uint16_t snapshot_format = 2;
// A row that brings a block to this size ends it; a block of a single row may be much larger.
inline constexpr std::size_t snapshot_block_bytes = 64u << 10;
// A larger block is refused before memory is allocated for it. So the limit of a row, too.
inline constexpr std::size_t snapshot_block_bytes_max = 64u << 20;

class SnapshotWriter {
 public:
  explicit SnapshotWriter(const raft::SnapshotMetadata& mark);
  // REQUIRES: above the row before it; not of `meta`; fits into snapshot_block_bytes_max.
  void row(Table table, std::string_view key, std::string_view value);
  // Ends the stream. REQUIRES: the last call but take().
  void finish();
  // Bytes of the stream that are ready and not taken.
  [[nodiscard]] std::size_t ready_bytes() const { return out_.size() - taken_; }
  [[nodiscard]] std::string take(std::size_t bytes_max);

 private:
  void close_block();
  void emit(std::string_view bytes);

  std::string rows_;  // of the block that is not ended
  std::string out_;
  std::size_t taken_ = 0;  // from the front of out_
  std::uint64_t row_count_ = 0;
  Sha256 hash_;
};

// Reads the stream from pieces of any size. Any bytes give a Status, and take no more memory than a
// block and a piece.
class SnapshotReader {
 public:
  struct Events {
    std::function<Status(const raft::SnapshotMetadata& mark)> mark;  // called first, once
    std::function<Status(Table table, std::string_view key, std::string_view value)> row;
  };
  explicit SnapshotReader(Events events) : events_(std::move(events)) {}

  // Errc::corrupt: names the byte. Errc::refused: a newer format. Else what an event has returned.
  // After an error it must not be fed any more.
  Status feed(std::string_view bytes);
  // Succeeds where the whole stream has been fed and its hash holds; else Errc::corrupt.
  Status finish() const;

  [[nodiscard]] std::uint64_t rows() const { return row_count_; }
  [[nodiscard]] std::uint64_t bytes() const { return consumed_; }
  // REQUIRES: finish() succeeded.
  [[nodiscard]] const Digest& digest() const;

 private:
  enum class Part { header, block, done };
  [[nodiscard]] unexpected<Error> damaged(std::string_view how) const;
  // True: a part was consumed. False: it needs more bytes.
  Result<bool> take_part();
  Result<bool> take_header();
  Result<bool> take_block();
  Result<bool> take_trailer();
  Status take_rows(std::string_view rows);
  void consume(std::size_t count);

  const Events events_;
  Part part_ = Part::header;
  std::string pending_;
  std::size_t used_ = 0;        // from the front of pending_
  std::uint64_t consumed_ = 0;  // of the whole stream
  std::uint64_t row_count_ = 0;
  std::string last_row_;  // table + key
  Sha256 hash_;
  std::optional<Digest> digest_;
};

}  // namespace iris::store
