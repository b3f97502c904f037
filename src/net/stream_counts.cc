#include "src/net/stream_counts.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "src/net/acceptor.h"

namespace iris {
namespace {

using Text = std::unique_ptr<char, decltype(&::gpr_free)>;

// gRPC's JSON holds what it made itself, names of connections and numbers in quotes: no text of a
// client's. So it is searched, not parsed.
// What follows `key` in `json` up to the next quote, and moves `json` behind it; empty: it is not
// there.
std::string_view take_quoted(std::string_view& json, std::string_view key) {
  const std::size_t at = json.find(key);
  if (at == std::string_view::npos) return {};
  json.remove_prefix(at + key.size());
  const std::string_view text = json.substr(0, json.find('"'));
  json.remove_prefix(text.size());
  return text;
}

template <class Number>
Number number_of(std::string_view text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

constexpr std::string_view server_key = "\"serverId\":\"";
constexpr std::string_view name_key = "\"name\":\"";
constexpr std::string_view socket_key = "\"socketId\":\"";

// 0 where it is absent, as gRPC leaves out zeros.
std::uint64_t count_of(std::string_view json, std::string_view key) {
  return number_of<std::uint64_t>(take_quoted(json, key));
}

}  // namespace

std::string peer_text(const asio::ip::tcp::endpoint& endpoint) {
  const asio::ip::address address = unmapped(endpoint.address());
  const std::string port = ":" + std::to_string(endpoint.port());
  if (address.is_v4()) return "ipv4:" + address.to_string() + port;
  std::string host = address.to_string();
  if (const std::size_t scope = host.find('%'); scope != std::string::npos) {
    host.replace(scope, 1, "%25");  // as in a URI
  }
  return "ipv6:%5B" + host + "%5D" + port;
}

void list_server_sockets(ChannelzSocket& next, std::size_t count,
                         const std::function<void(std::string_view, ChannelzSocket)>& found) {
  const Text servers(::grpc_channelz_get_servers(0), &::gpr_free);
  std::string_view rest = servers ? servers.get() : "";
  ChannelzSocket greatest = 0;
  bool more = false;
  for (auto id = take_quoted(rest, server_key); !id.empty(); id = take_quoted(rest, server_key)) {
    const Text page(::grpc_channelz_get_server_sockets(number_of<ChannelzSocket>(id), next,
                                                       static_cast<std::intptr_t>(count)),
                    &::gpr_free);
    std::string_view sockets = page ? page.get() : "";
    std::size_t listed = 0;
    // "name" comes before "socketId" in each: the keys are sorted.
    for (auto name = take_quoted(sockets, name_key); !name.empty();
         name = take_quoted(sockets, name_key)) {
      const auto socket = number_of<ChannelzSocket>(take_quoted(sockets, socket_key));
      greatest = std::max(greatest, socket);
      ++listed;
      const std::size_t space = name.find(' ');  // "chttp2 ipv4:..."
      if (space != std::string_view::npos) found(name.substr(space + 1), socket);
    }
    more = more || listed == count;
  }
  next = more ? greatest + 1 : 0;
}

std::optional<StreamFigures> stream_figures(ChannelzSocket socket) {
  const Text text(::grpc_channelz_get_socket(socket), &::gpr_free);
  if (!text) return std::nullopt;
  const std::string_view json = text.get();
  if (json.find(socket_key) == std::string_view::npos) return std::nullopt;  // an error
  const std::uint64_t failed = count_of(json, "\"streamsFailed\":\"");
  const std::uint64_t ended = count_of(json, "\"streamsSucceeded\":\"") + failed;
  const std::uint64_t started = count_of(json, "\"streamsStarted\":\"");
  // They are counted one after the other, by another thread.
  return StreamFigures{
      .started = started, .open = started - std::min(started, ended), .failed = failed};
}

}  // namespace iris
