// Stream counts: what gRPC counts of each connection of this process's servers (channelz), and what
// the kernel counts. gRPC 1.51 hands out no call whose client reset it before its message came, so
// these counters alone tell of such calls.
// Any thread. A page of 500 connections costs about a millisecond.
#pragma once

#include <asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace iris {

// Of one connection, at gRPC. 0: none.
using ChannelzSocket = std::intptr_t;

// As gRPC names the other end of a connection: "ipv4:192.0.2.1:40000".
[[nodiscard]] std::string peer_text(const asio::ip::tcp::endpoint& endpoint);

// Calls `found(peer, socket)` for at most so many connections of all servers from `next` on, and
// moves `next`: to 0 after the last.
void list_server_sockets(ChannelzSocket& next, std::size_t count,
                         const std::function<void(std::string_view, ChannelzSocket)>& found);

// Calls of a connection, also those whose message has not come yet.
struct StreamFigures {
  std::uint64_t started = 0;
  std::uint64_t open = 0;
  std::uint64_t failed = 0;  // ended without an answer: reset by the client, mostly
};
// Nothing where the connection is gone.
[[nodiscard]] std::optional<StreamFigures> stream_figures(ChannelzSocket socket);

// Of a TCP connection since its begin. 0 where it is none.
[[nodiscard]] std::uint64_t received_bytes(int descriptor);

}  // namespace iris
