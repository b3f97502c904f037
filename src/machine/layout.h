// Layout: keys and values of the data's tables (store::Table), byte by byte.
// Any thread; pure functions. Only bytes that were written here are parsed here: others are damage
// that the checksums of the store have missed, and fail a CHECK.
//
// n8: a number in eight bytes, the most significant first, so that byte order is number order.
// n4: the same in four.
//
//   table          key                                         value
//   sources        source                                      generation n8, keys n8
//   values         generation n8, key                          revision n8, value
//   tombstones     revision n8 of the RemoveSource             generation n8, keys n8, source
//   no_ops         revision n8 of the command without effect   (empty)
//                  0 n8                                        purged n8: tombstones and no-ops up
//                                                              to here are not kept any more
//   sessions       session                                     subscribed n8: revision of its last
//                                                              Subscribe, subscriptions n8, born
//                                                              n8: revision of the Subscribe that
//                                                              made it (the oldest do not have it),
//                                                              bytes n8: of the keys of its rows in
//                                                              subscriptions (rows from before it
//                                                              was kept do not have it)
//                  (empty)                                     sessions n8: how many there are
//   subscriptions  size n4 of session, session,                since n8: revision of the Subscribe
//                  size n4 of source, source, then
//                  1 and key; no key: the whole source
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iris::layout {

// As n8.
[[nodiscard]] std::string number_key(std::uint64_t number);
// REQUIRES: eight bytes at the front.
[[nodiscard]] std::uint64_t number(std::string_view bytes);

struct SourceRecord {
  std::uint64_t generation = 0;  // revision of the command that made the source
  std::uint64_t keys = 0;        // how many it has
};
inline constexpr std::size_t source_record_bytes = 16;
[[nodiscard]] std::string source_record(const SourceRecord& record);
[[nodiscard]] SourceRecord parse_source_record(std::string_view bytes);

[[nodiscard]] std::string value_key(std::uint64_t generation, std::string_view key);
struct ValueRecord {
  std::uint64_t revision = 0;  // of the last SetValue
  std::string_view value;
};
[[nodiscard]] std::string value_record(const ValueRecord& record);
[[nodiscard]] ValueRecord parse_value_record(std::string_view bytes);

struct TombstoneRecord {
  std::uint64_t generation = 0;
  std::uint64_t keys = 0;  // how many it had
  std::string_view source;
};
[[nodiscard]] std::string tombstone_record(const TombstoneRecord& record);
[[nodiscard]] TombstoneRecord parse_tombstone_record(std::string_view bytes);

struct SessionRecord {
  std::uint64_t subscribed = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t born = 0;                             // 0: a record from before it was kept
  std::optional<std::uint64_t> bytes = std::nullopt;  // none: likewise
};
[[nodiscard]] std::string session_record(const SessionRecord& record);
[[nodiscard]] SessionRecord parse_session_record(std::string_view bytes);

[[nodiscard]] std::string subscription_prefix(std::string_view session);
struct SubscriptionKey {
  std::string_view source;
  std::optional<std::string_view> key;
};
[[nodiscard]] std::string subscription_key(std::string_view session,
                                           const SubscriptionKey& subscription);
// REQUIRES: `bytes` begin with a subscription_prefix() of `prefix_bytes` bytes.
[[nodiscard]] SubscriptionKey parse_subscription_key(std::string_view bytes,
                                                     std::size_t prefix_bytes);

}  // namespace iris::layout
