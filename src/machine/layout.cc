#include "src/machine/layout.h"

#include "raft/check.h"

namespace iris::layout {
namespace {

void put_number(std::string& out, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
}

void put_size(std::string& out, std::size_t size) {
  CHECK(size <= UINT32_MAX);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t result = 0;
  for (const char byte : bytes) result = result << 8 | static_cast<std::uint8_t>(byte);
  return result;
}

std::string two_numbers(std::uint64_t first, std::uint64_t second) {
  std::string out;
  out.reserve(16);
  put_number(out, first);
  put_number(out, second);
  return out;
}

}  // namespace

std::string number_key(std::uint64_t number) {
  std::string out;
  put_number(out, number);
  return out;
}

std::uint64_t number(std::string_view bytes) {
  CHECK(bytes.size() >= 8);
  return big_endian(bytes.substr(0, 8));
}

std::string source_record(const SourceRecord& record) {
  return two_numbers(record.generation, record.keys);
}

SourceRecord parse_source_record(std::string_view bytes) {
  CHECK(bytes.size() == source_record_bytes);
  return {number(bytes), number(bytes.substr(8))};
}

std::string value_key(std::uint64_t generation, std::string_view key) {
  std::string out;
  out.reserve(8 + key.size());
  put_number(out, generation);
  out.append(key);
  return out;
}

std::string value_record(const ValueRecord& record) {
  std::string out;
  out.reserve(8 + record.value.size());
  put_number(out, record.revision);
  out.append(record.value);
  return out;
}

ValueRecord parse_value_record(std::string_view bytes) { return {number(bytes), bytes.substr(8)}; }

std::string tombstone_record(const TombstoneRecord& record) {
  std::string out = two_numbers(record.generation, record.keys);
  out.append(record.source);
  return out;
}

TombstoneRecord parse_tombstone_record(std::string_view bytes) {
  CHECK(bytes.size() > 16);
  return {number(bytes), number(bytes.substr(8)), bytes.substr(16)};
}

std::string session_record(const SessionRecord& record) {
  std::string out = two_numbers(record.subscribed, record.subscriptions);
  put_number(out, record.born);
  if (record.bytes) put_number(out, *record.bytes);
  return out;
}

SessionRecord parse_session_record(std::string_view bytes) {
  CHECK(bytes.size() == 16 || bytes.size() == 24 || bytes.size() == 32);
  SessionRecord record{number(bytes), number(bytes.substr(8))};
  if (bytes.size() >= 24) record.born = number(bytes.substr(16));
  if (bytes.size() == 32) record.bytes = number(bytes.substr(24));
  return record;
}

std::string subscription_prefix(std::string_view session) {
  std::string out;
  out.reserve(4 + session.size());
  put_size(out, session.size());
  out.append(session);
  return out;
}

std::string subscription_key(std::string_view session, const SubscriptionKey& subscription) {
  std::string out = subscription_prefix(session);
  put_size(out, subscription.source.size());
  out.append(subscription.source);
  if (subscription.key) {
    out.push_back(1);
    out.append(*subscription.key);
  }
  return out;
}

SubscriptionKey parse_subscription_key(std::string_view bytes, std::size_t prefix_bytes) {
  CHECK(bytes.size() >= prefix_bytes + 4);
  bytes.remove_prefix(prefix_bytes);
  const std::uint64_t source_bytes = big_endian(bytes.substr(0, 4));
  bytes.remove_prefix(4);
  CHECK(bytes.size() >= source_bytes);
  SubscriptionKey subscription{bytes.substr(0, source_bytes), std::nullopt};
  if (bytes.size() > source_bytes) {
    CHECK(bytes[source_bytes] == 1);
    subscription.key = bytes.substr(source_bytes + 1);
  }
  return subscription;
}

}  // namespace iris::layout
