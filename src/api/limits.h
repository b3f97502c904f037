// Limits: how much a client may send, and the sentences for what is more. One set for a cluster;
// every node should run with the same.
// Any thread; plain values. Checked once, at the door (src/api); what is behind it trusts them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "raft/result.h"

namespace iris {

inline constexpr std::uint64_t default_message_bytes_max = 4u
                                                           << 20;  // as gRPC's own clients have it
inline constexpr std::uint64_t default_name_bytes_max = 64u << 10;

// What an Update's fields cost around source, key and value: five tags, their lengths, revision,
// op.
inline constexpr std::uint64_t update_overhead_bytes = 32;

struct Limits {
  std::uint64_t value_bytes_max = default_message_bytes_max;  // -max-value-bytes
  std::uint64_t name_bytes_max = default_name_bytes_max;  // -max-name-bytes: source, key, session

  // No message to a client is greater. 4 MiB, which every gRPC client takes unasked, unless greater
  // values were asked for.
  [[nodiscard]] std::uint64_t message_bytes_max() const {
    if (value_bytes_max <= default_message_bytes_max) return default_message_bytes_max;
    return value_bytes_max + 2 * name_bytes_max + update_overhead_bytes;
  }
};

// Errc::invalid_argument naming the field, where `name` is empty or too long.
[[nodiscard]] Status check_name(const Limits& limits, std::string_view field,
                                std::string_view name);
// Likewise, but an empty one is right.
[[nodiscard]] Status check_optional_name(const Limits& limits, std::string_view field,
                                         std::string_view name);
// Errc::invalid_argument where the value is too big, or its Update would not fit a message: stored,
// it could never be delivered.
[[nodiscard]] Status check_value(const Limits& limits, std::string_view source,
                                 std::string_view key, std::string_view value);

}  // namespace iris
