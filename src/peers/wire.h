// Wire: messages between nodes <-> the bytes of proto/peer.proto. Bytes from the network are
// checked here and nowhere else (hazard 107): a message that a read function returns is complete
// and within its limits. A refused one has one sentence as its reason, and its connection must be
// closed. Any thread; pure functions, no state. A command is copied once each way. Never allocates
// more than a small multiple of the bytes it was given. Knows no sockets and no frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "raft/types.h"
#include "src/base/address.h"
#include "src/node/peer_messages.h"

namespace iris::wire {

// Limits, the same in both directions: a message over one of them is neither written nor read.
inline constexpr std::size_t message_bytes_max = 24u << 20;  // one PeerBody, encoded
inline constexpr std::size_t command_bytes_max = 16u << 20;  // REQUIRES of main: >= entry_bytes_max
inline constexpr std::size_t entries_per_message_max = 1u << 18;
inline constexpr std::size_t members_per_list_max = raft::members_per_list_max;
inline constexpr std::size_t session_bytes_max = 64u << 10;
inline constexpr std::size_t sessions_per_message_max = 100'000;
inline constexpr std::size_t silent_nodes_max = 3 * raft::members_per_list_max;
inline constexpr std::size_t snapshot_chunk_bytes_max = 4u << 20;
inline constexpr std::size_t text_bytes_max = 1024;  // a longer sentence is cut when written

// The protocol this build speaks, and the oldest it still does. Raised when an old node would
// misread a new one; two nodes can talk where their ranges overlap (hazard 118).
inline constexpr std::uint32_t version = 1;
inline constexpr std::uint32_t version_oldest = 1;

// Appends one message to `batch`, which may hold others already. Errc::limit names the limit that
// it is over; then `batch` is as before.
Status write(const PeerBody& body, std::string& batch);

// Calls `deliver` for every message of a batch, in order, until it returns false. `from` and `to`
// are the two ends of the connection: a Raft message that names others is refused (hazard 108).
// Errc::invalid_argument where a message is malformed; those before it were delivered.
Status read(std::string_view batch, raft::NodeId from, raft::NodeId to,
            const std::function<bool(PeerBody)>& deliver);

// --- The handshake.
enum class Purpose : std::uint8_t { control = 1, bulk = 2, probe = 3 };

struct Hello {
  std::uint32_t version = wire::version;
  std::uint32_t version_oldest = wire::version_oldest;
  PeerIdentity sender;
  raft::NodeId expected;  // 0: whoever is there
  Purpose purpose = Purpose::control;
};
struct Welcome {
  std::uint32_t version = wire::version;
  std::uint32_t version_oldest = wire::version_oldest;
  PeerIdentity sender;
  std::string refusal;  // empty: come in
};

[[nodiscard]] std::string write(const Hello& hello);
[[nodiscard]] std::string write(const Welcome& welcome);
Result<Hello> read_hello(std::string_view bytes);
Result<Welcome> read_welcome(std::string_view bytes);

// Can this build talk to one that speaks `newest` down to `oldest`?
[[nodiscard]] bool speaks(std::uint32_t newest, std::uint32_t oldest);

}  // namespace iris::wire
