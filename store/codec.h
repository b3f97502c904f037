// Codec: the primitives all byte layouts of store/ are made of, and the layouts that several files
// share. Numbers are big-endian; text is its length, then its bytes.
// Any thread; pure functions. Reading takes any bytes and never reads past them.
//
//   Members  u8 layout (1) | voters | outgoing | learners
//            each list: u16 count | count x ( u64 id | u16 length | address )
//   Mark     u64 term | u64 index | u64 members_index | Members
//   sealed   u32 CRC-32C over name and body | body      ("name" says what it is, and is not stored)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "raft/types.h"

namespace iris::store {

void put_u8(std::string& out, std::uint8_t value);
void put_u16(std::string& out, std::uint16_t value);
void put_u32(std::string& out, std::uint32_t value);
void put_u64(std::string& out, std::uint64_t value);
// REQUIRES: at most 65,535 bytes, or entries in each list.
void put_text(std::string& out, std::string_view text);
void put_members(std::string& out, const raft::Members& members);
void put_mark(std::string& out, const raft::SnapshotMark& mark);

// Takes from the front. Once something did not fit, ok() is false and all that follows is zero.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::string_view text() { return bytes(u16()); }
  std::string_view bytes(std::size_t count);
  raft::EntryId entry_id();  // term, index
  raft::Members members();
  raft::SnapshotMark mark();

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  // Everything fitted and nothing is left.
  [[nodiscard]] bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::uint64_t number(std::size_t count);

  std::string_view rest_;
  bool ok_ = true;
};

[[nodiscard]] std::string seal(std::string_view name, std::string_view body);
// False: damaged, or sealed under another name.
[[nodiscard]] bool unseal(std::string_view name, std::string_view bytes, std::string_view& body);

}  // namespace iris::store
