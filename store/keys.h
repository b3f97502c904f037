// Keys: the bytes of data/, but for the rows of src/machine (src/machine/layout.h has those). All
// tables share a column family "rows-N" (family.h). Each installed snapshot counts N up, and the
// record "current" says which N is valid.
// Any thread; pure functions; knows nothing of RocksDB.
//
//   family "rows-N":   u8 table + key -> value
//     meta "applied"   sealed   u64 term | u64 index      (all entries up to here are in the rows)
//     meta "members"   sealed   u64 members index | Members
//   family "default":
//     "identity"       sealed   u64 node id
//     "current"        sealed   u64 N
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "raft/types.h"
#include "store/store.h"

namespace iris::store {

inline constexpr std::string_view node_key = "identity";
inline constexpr std::string_view current_key = "current";
inline constexpr std::string_view applied_key = "applied";  // in meta
inline constexpr std::string_view members_key = "members";  // in meta

// Writes table and key over `out`.
void row_key(std::string& out, Table table, std::string_view key);
// The lowest key above all keys that begin with `prefix`. REQUIRES: prefix begins with a table.
[[nodiscard]] std::string prefix_end(std::string_view prefix);

[[nodiscard]] std::string family_name(std::uint64_t number);
// The inverse. 0: not the name of a family of rows.
[[nodiscard]] std::uint64_t family_number(std::string_view name);

[[nodiscard]] std::string encode_applied(raft::EntryId applied);
[[nodiscard]] std::string encode_data_members(const raft::Members& members, raft::Index index);
[[nodiscard]] std::string encode_number(std::string_view name, std::uint64_t number);

// False: damaged; the results mean nothing then.
[[nodiscard]] bool decode_applied(std::string_view bytes, raft::EntryId& applied);
[[nodiscard]] bool decode_data_members(std::string_view bytes, raft::Members& members,
                                       raft::Index& index);
[[nodiscard]] bool decode_number(std::string_view name, std::string_view bytes,
                                 std::uint64_t& number);

}  // namespace iris::store
