// Codec: the primitives of all byte layouts in store/, and the layouts that several files share.
// Numbers are big-endian, so that byte order is number order; a text is a u16 length, then its
// bytes.
// Any thread; pure functions.
// Any bytes may be read: damage is reported, and nothing past their end is touched.
//
//   Members  u8 layout | [u64 level] | voters | outgoing | learners
//            layout 1: level 0, which is not written; layout 2: a higher level
//            each list: u16 count | count x ( u64 id | u16 length | address )
//   Mark     u64 term | u64 index | u64 members_index | Members        (raft::SnapshotMetadata)
//   sealed   u32 CRC-32C of name and body | body
//            The name says which record it is. It is not stored, so that a record in the place of
//            another one fails.
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
// REQUIRES, of these three: at most 65,535 bytes in a text and members in a list.
void put_text(std::string& out, std::string_view text);
void put_members(std::string& out, const raft::Members& members);
void put_mark(std::string& out, const raft::SnapshotMetadata& mark);

// Takes values from the front of `bytes`, which outlive it. Once a value did not fit, ok() is false
// and all further values are zero or empty.
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
  raft::SnapshotMetadata mark();

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  // All values fitted, and no byte is left.
  [[nodiscard]] bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::uint64_t number(std::size_t count);

  std::string_view rest_;
  bool ok_ = true;
};

[[nodiscard]] std::string seal(std::string_view name, std::string_view body);
// False: damaged, or sealed under another name. `body` is a part of `bytes`.
[[nodiscard]] bool unseal(std::string_view name, std::string_view bytes, std::string_view& body);

}  // namespace iris::store
