// Log records: what lies in log/, byte by byte. Every record carries its own CRC-32C over its key
// as well, so that a block that comes back in the wrong place is noticed; an entry's covers the
// checksum of the entry before it too, so that the log is one chain from its floor to its head.
// Any thread; pure functions; knows nothing of RocksDB.
//
//   'e' + u64 index   entry     u32 chain | u64 term | u8 kind | payload
//                               kind 0 NoOp (no payload), 1 command (its bytes), 2 Members
//                               chain = CRC-32C( u32 former's chain | u64 index | term.. payload )
//   "m/head"          sealed    u64 batch | u64 term | u64 vote | u64 last term | u64 last index |
//                               u32 chain of the last entry | u64 led (not there in the oldest)
//                               batch counts the synced batches; each one writes the head anew
//   "m/floor"         sealed    u32 chain at the floor | Mark
//   "m/install"       sealed    Mark | u64 cluster id (where that changes with it)
//                               what the data is about to become: a snapshot, a recovered cluster
//   "m/identity"      sealed    u64 node id | u64 cluster id (0: none yet)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "raft/types.h"

namespace iris::store {

inline constexpr std::string_view head_key = "m/head";
inline constexpr std::string_view floor_key = "m/floor";
inline constexpr std::string_view install_key = "m/install";
inline constexpr std::string_view identity_key = "m/identity";

using Chain = std::uint32_t;

struct Head {
  std::uint64_t batch = 0;
  raft::HardState state;
  raft::EntryId last;
  Chain chain = 0;
  bool operator==(const Head&) const = default;
};

struct Floor {
  raft::SnapshotMark mark;
  Chain chain = 0;  // what the first entry after the floor is chained to
  bool operator==(const Floor&) const = default;
};

struct Install {
  raft::SnapshotMark mark;
  raft::ClusterId cluster;  // that the node is of from then on; 0: the one it was of
  bool operator==(const Install&) const = default;
};

struct Identity {
  raft::NodeId node;
  raft::ClusterId cluster;
  bool operator==(const Identity&) const = default;
};

[[nodiscard]] std::string entry_key(raft::Index index);
// The first key behind all entries.
[[nodiscard]] std::string entries_end();
// 0: `key` is not an entry's.
[[nodiscard]] raft::Index index_of(std::string_view key);

// Writes the record over `out` and returns its link of the chain.
Chain encode_entry(const raft::Entry& entry, Chain former, std::string& out);
// Errc::corrupt with a text that names the index. Moves `chain` on.
[[nodiscard]] Result<raft::EntryPtr> decode_entry(raft::Index index, std::string_view bytes,
                                                  Chain& chain);

[[nodiscard]] std::string encode_head(const Head& head);
[[nodiscard]] std::string encode_floor(const Floor& floor);
[[nodiscard]] std::string encode_install(const Install& install);
[[nodiscard]] std::string encode_identity(const Identity& identity);

// False: damaged.
[[nodiscard]] bool decode_head(std::string_view bytes, Head& head);
[[nodiscard]] bool decode_floor(std::string_view bytes, Floor& floor);
[[nodiscard]] bool decode_install(std::string_view bytes, Install& install);
[[nodiscard]] bool decode_identity(std::string_view bytes, Identity& identity);

}  // namespace iris::store
