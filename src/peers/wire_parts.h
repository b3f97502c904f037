// Functions that the wire files share; no other file includes this one.
// Any thread; pure. A Complaint is the sentence that says what is wrong with some bytes; an empty
// one says that nothing is. parse() fills a default-constructed value and checks it completely.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "raft/message.h"
#include "raft/result.h"
#include "src/node/peer_messages.h"
#include "src/peers/protobuf.h"

namespace iris::wire {

using Complaint = std::string;

// Calls `each` at every field of a message until it complains.
template <class Each>
[[nodiscard]] Complaint walk(const char* kind, std::string_view bytes, Each each) {
  ProtoReader in(bytes);
  while (in.next()) {
    if (Complaint wrong = each(in); !wrong.empty()) return wrong;
  }
  return in.ok() ? Complaint() : std::string(kind) + ": malformed bytes";
}

// Makes the alternative at `position` of a variant and has it parsed.
template <class Variant, class Parse, std::size_t Position = 0>
[[nodiscard]] Complaint parse_alternative(std::size_t position, Variant& variant, Parse parse) {
  if constexpr (Position == std::variant_size_v<Variant>) {
    return "a message of a kind this build does not know";
  } else {
    if (position == Position) return parse(variant.template emplace<Position>());
    return parse_alternative<Variant, Parse, Position + 1>(position, variant, parse);
  }
}

[[nodiscard]] Complaint parse(std::string_view bytes, raft::SnapshotMetadata& mark);
[[nodiscard]] Complaint parse(std::string_view bytes, raft::Message& message);
[[nodiscard]] Complaint parse(std::string_view bytes, SessionsServed& body);
void write_fields(ProtoWriter& out, const SessionsServed& body);
void write_fields(ProtoWriter& out, const raft::Message& message);
void write(ProtoWriter& out, std::uint32_t field, const raft::SnapshotMetadata& mark);

// The limit that these are over, or nullptr.
[[nodiscard]] const char* over_limit(const raft::Message& message);
[[nodiscard]] const char* over_limit(const SessionsServed& body);
[[nodiscard]] const char* over_limit(const raft::Members& members);

// The numbers by which peer.proto names an Errc: position = number. None is ever reused.
inline constexpr std::array<Errc, 12> error_numbers = {Errc::invalid_argument,
                                                       Errc::not_found,
                                                       Errc::condition_failed,
                                                       Errc::limit,
                                                       Errc::not_leader,
                                                       Errc::unavailable,
                                                       Errc::unknown_outcome,
                                                       Errc::refused,
                                                       Errc::busy,
                                                       Errc::io,
                                                       Errc::corrupt,
                                                       Errc::unimplemented};

}  // namespace iris::wire
