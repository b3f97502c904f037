#include "store/snapshot.h"

#include <algorithm>

#include "raft/check.h"
#include "src/base/crc32c.h"
#include "store/codec.h"

namespace iris::store {

namespace {

constexpr std::string_view magic = "IRISSNAP";
constexpr std::size_t header_front_bytes = magic.size() + 2 + 4 + 4;
constexpr std::size_t mark_bytes_max = 16u << 20;
constexpr char block_tag = 'B';
constexpr char trailer_tag = 'E';
constexpr std::size_t block_front_bytes = 1 + 4 + 4;
constexpr std::size_t digest_bytes = 32;
constexpr std::size_t trailer_bytes = 1 + 8 + digest_bytes;
constexpr std::size_t row_front_bytes = 1 + 4 + 4;

std::uint16_t format_of(const raft::SnapshotMetadata& mark) {
  return mark.members.level == raft::Level{} ? 1 : snapshot_format;
}

}  // namespace

SnapshotWriter::SnapshotWriter(const raft::SnapshotMetadata& mark) {
  std::string body;
  put_mark(body, mark);
  std::string header(magic);
  put_u16(header, format_of(mark));
  put_u32(header, static_cast<std::uint32_t>(body.size()));
  put_u32(header, crc32c(body));
  emit(header + body);
}

void SnapshotWriter::row(Table table, std::string_view key, std::string_view value) {
  CHECK(table != Table::meta);
  const std::size_t bytes = row_front_bytes + key.size() + value.size();
  CHECK(bytes <= snapshot_block_bytes_max);
  if (!rows_.empty() && rows_.size() + bytes > snapshot_block_bytes_max) close_block();
  put_u8(rows_, static_cast<std::uint8_t>(table));
  put_u32(rows_, static_cast<std::uint32_t>(key.size()));
  rows_.append(key);
  put_u32(rows_, static_cast<std::uint32_t>(value.size()));
  rows_.append(value);
  ++row_count_;
  if (rows_.size() >= snapshot_block_bytes) close_block();
}

void SnapshotWriter::close_block() {
  if (rows_.empty()) return;
  std::string front(1, block_tag);
  put_u32(front, static_cast<std::uint32_t>(rows_.size()));
  put_u32(front, crc32c(rows_));
  emit(front);
  emit(rows_);
  rows_.clear();
}

void SnapshotWriter::finish() {
  close_block();
  std::string trailer(1, trailer_tag);
  put_u64(trailer, row_count_);
  emit(trailer);
  const Digest digest = hash_.finish();
  out_.append(bytes_of(digest));
}

void SnapshotWriter::emit(std::string_view bytes) {
  hash_.add(bytes);
  out_.append(bytes);
}

std::string SnapshotWriter::take(std::size_t bytes_max) {
  std::string taken = out_.substr(taken_, bytes_max);
  taken_ += taken.size();
  if (taken_ == out_.size()) {
    out_.clear();
    taken_ = 0;
  }
  return taken;
}

unexpected<Error> SnapshotReader::damaged(std::string_view how) const {
  return fail(Errc::corrupt, "the snapshot is damaged at byte " + std::to_string(consumed_) + ": " +
                                 std::string(how));
}

Status SnapshotReader::feed(std::string_view bytes) {
  pending_.append(bytes);
  while (used_ < pending_.size()) {
    const Result<bool> taken = take_part();
    if (!taken) return unexpected(taken.error());
    if (!*taken) break;
  }
  pending_.erase(0, used_);
  used_ = 0;
  return Unit{};
}

Result<bool> SnapshotReader::take_part() {
  if (part_ == Part::header) return take_header();
  if (part_ == Part::done) return damaged("bytes follow its end");
  if (pending_[used_] == trailer_tag) return take_trailer();
  if (pending_[used_] == block_tag) return take_block();
  return damaged("neither a block nor the end begins there");
}

Result<bool> SnapshotReader::take_header() {
  Reader reader(std::string_view(pending_).substr(used_));
  const std::string_view found = reader.rest().substr(0, magic.size());
  if (found != magic.substr(0, found.size())) return damaged("this is no snapshot of Iris");
  reader.bytes(magic.size());
  const std::uint16_t format = reader.u16();
  if (reader.ok() && format > snapshot_format) {
    return fail(Errc::refused, "the snapshot was written by a newer version (format " +
                                   std::to_string(format) + ", this binary knows " +
                                   std::to_string(snapshot_format) + ")");
  }
  const std::size_t length = reader.u32();
  const std::uint32_t sum = reader.u32();
  if (!reader.ok()) return false;
  if (format == 0) return damaged("its format is unknown");
  if (length > mark_bytes_max) return damaged("its header is longer than it can be");
  const std::string_view body = reader.bytes(length);
  if (!reader.ok()) return false;
  if (crc32c(body) != sum) return damaged("the checksum of its header does not hold");
  Reader fields(body);
  const raft::SnapshotMetadata mark = fields.mark();
  if (!fields.complete() || format_of(mark) != format) {
    return damaged("its header cannot be read");
  }
  if (Status taken = events_.mark(mark); !taken) {
    return unexpected(taken.error());
  }
  consume(header_front_bytes + length);
  part_ = Part::block;
  return true;
}

Result<bool> SnapshotReader::take_block() {
  Reader reader(std::string_view(pending_).substr(used_ + 1));
  const std::size_t length = reader.u32();
  const std::uint32_t sum = reader.u32();
  if (!reader.ok()) return false;
  if (length > snapshot_block_bytes_max) return damaged("a block is longer than it can be");
  const std::string_view rows = reader.bytes(length);
  if (!reader.ok()) return false;
  if (crc32c(rows) != sum) return damaged("the checksum of a block does not hold");
  if (Status taken = take_rows(rows); !taken) return unexpected(taken.error());
  consume(block_front_bytes + length);
  return true;
}

Status SnapshotReader::take_rows(std::string_view rows) {
  Reader reader(rows);
  while (!reader.complete()) {
    const std::uint8_t table = reader.u8();
    const std::string_view key = reader.bytes(reader.u32());
    const std::string_view value = reader.bytes(reader.u32());
    if (!reader.ok()) return damaged("a row does not fit into its block");
    if (table == static_cast<std::uint8_t>(Table::meta)) return damaged("a row is of no table");
    std::string row(1, static_cast<char>(table));
    row += key;
    if (row <= last_row_) return damaged("a row is not behind the one before it");
    last_row_ = std::move(row);
    if (Status taken = events_.row(Table{table}, key, value); !taken) return taken;
    ++row_count_;
  }
  return Unit{};
}

Result<bool> SnapshotReader::take_trailer() {
  if (pending_.size() - used_ < trailer_bytes) return false;
  Reader reader(std::string_view(pending_).substr(used_ + 1));
  const std::uint64_t rows = reader.u64();
  const std::string_view stored = reader.bytes(digest_bytes);
  consume(trailer_bytes - digest_bytes);
  const Digest digest = hash_.finish();
  if (stored != bytes_of(digest)) {
    return damaged("its SHA-256 does not hold");
  }
  if (rows != row_count_) return damaged("rows are missing");
  used_ += digest_bytes;
  consumed_ += digest_bytes;
  digest_ = digest;
  part_ = Part::done;
  return true;
}

void SnapshotReader::consume(std::size_t count) {
  hash_.add(std::string_view(pending_).substr(used_, count));
  used_ += count;
  consumed_ += count;
}

Status SnapshotReader::finish() const {
  if (part_ != Part::done) return damaged("it ends there, too early");
  return Unit{};
}

const Digest& SnapshotReader::digest() const {
  CHECK(digest_.has_value());
  return *digest_;
}

}  // namespace iris::store
