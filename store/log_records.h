// Log records: the bytes of log/. The CRC-32C of a record covers its key too, so that a record in
// the wrong place is noticed. That of an entry also covers the checksum of the entry before it:
// the log is one chain from its floor to its head.
// Any thread; pure functions; knows nothing of RocksDB.
//
//   'e' + u64 index   entry     u32 chain | u64 term | u8 kind | payload
//                               kind 0 NoOp (no payload), 1 command (its bytes), 2 Members
//                               chain = CRC-32C of u32 chain of the entry before | u64 index |
//                                       this record from its term on
//   "m/head"          sealed    u64 batch | u64 term | u64 vote | u64 last term | u64 last index |
//                               u32 chain of the last entry | u64 led (the oldest lack it)
//                               batch: number of the batch; each batch writes the head anew
//   "m/floor"         sealed    u32 chain at the floor | Mark
//   "m/install"       sealed    Mark | u64 cluster id (only where it changes with the install)
//                               what the data is about to become: a snapshot, or the only node of
//                               a new cluster
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

using Chain = std::uint32_t;  // the checksum of an entry, and through it of all entries before

struct Head {
  std::uint64_t batch = 0;
  raft::HardState state;
  raft::EntryId last;
  Chain chain = 0;
  bool operator==(const Head&) const = default;
};

struct Floor {
  raft::SnapshotMetadata mark;
  Chain chain = 0;  // the first entry after the floor is chained to it
  bool operator==(const Floor&) const = default;
};

struct Install {
  raft::SnapshotMetadata mark;
  raft::ClusterId cluster;  // the cluster of the node from then on; 0: unchanged
  bool operator==(const Install&) const = default;
};

struct Identity {
  raft::NodeId node;
  raft::ClusterId cluster;
  bool operator==(const Identity&) const = default;
};

[[nodiscard]] std::string entry_key(raft::Index index);
// The lowest key above all entries.
[[nodiscard]] std::string entries_end();
// 0: not the key of an entry.
[[nodiscard]] raft::Index index_of(std::string_view key);

// Makes `out` the record of `entry`, chained to `former`. Returns the checksum.
Chain encode_entry(const raft::Entry& entry, Chain former, std::string& out);
// `chain`: of the entry before; on success, of this one. Errc::corrupt with a text that names the
// index.
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
