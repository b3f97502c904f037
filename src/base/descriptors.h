// DescriptorBudget: how many files and connections this process may have open, and which part of
// them is kept back for the store and for the connections between nodes, so that clients can never
// take the last one (a store that cannot open a file ends the node).
// Any thread; plain values. raise_descriptor_limit() is for the start.
#pragma once

#include <algorithm>
#include <cstdint>

namespace iris {

struct DescriptorBudget {
  // With fewer a node does not start.
  static constexpr std::uint64_t limit_min = 64;
  // More than this is never asked for: some libraries walk all of them.
  static constexpr std::uint64_t limit_max = 1u << 20;
  // Kept back where the limit is large: 576 files that RocksDB keeps open and 64 that come and go
  // (logs, snapshots, backups), 256 connections between nodes, 64 of the process itself. A small
  // limit keeps back three quarters, and store and peers make do with less.
  static constexpr std::uint64_t reserve_max = 960;

  std::uint64_t limit = 0;  // the soft limit of the process

  [[nodiscard]] std::uint64_t reserve() const { return std::min(reserve_max, limit / 4 * 3); }
  // What is left for connections of clients.
  [[nodiscard]] std::uint64_t clients() const { return limit - reserve(); }

  // --- Parts of the reserve.
  [[nodiscard]] std::uint64_t data_files() const { return part(512, 32); }
  [[nodiscard]] std::uint64_t log_files() const { return part(64, 20); }
  // On the raft port: accepted connections that have not said yet from whom they are; connections
  // of nodes that are no members; connections under way to ask who is at an address.
  [[nodiscard]] std::uint64_t handshakes() const { return part(64, 4); }
  [[nodiscard]] std::uint64_t handshakes_per_address() const { return part(16, 4); }
  [[nodiscard]] std::uint64_t strangers() const { return part(16, 2); }
  [[nodiscard]] std::uint64_t probes() const { return part(64, 4); }

 private:
  [[nodiscard]] std::uint64_t part(std::uint64_t most, std::uint64_t least) const {
    return std::max(least, most * reserve() / reserve_max);
  }
};

// The budget by the limit as it is now.
[[nodiscard]] DescriptorBudget descriptor_budget();
// Raises the soft limit to the hard one, as far as the system lets it. The budget after that.
DescriptorBudget raise_descriptor_limit();

}  // namespace iris
