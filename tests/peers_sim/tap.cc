#include "tests/peers_sim/tap.h"

#include <variant>

namespace iris::peers_sim {
namespace {

constexpr std::size_t header_bytes = 12;

std::size_t payload_bytes(std::string_view header) {
  std::size_t bytes = 0;
  for (std::size_t i = 8; i-- > 4;) bytes = bytes << 8 | static_cast<unsigned char>(header[i]);
  return bytes;
}

}  // namespace

std::uint64_t number_of(const PeerBody& body) {
  if (const auto* forward = std::get_if<ForwardRequest>(&body)) return forward->id;
  if (const auto* read = std::get_if<ReadIndexRequest>(&body)) return read->id;
  if (const auto* chunk = std::get_if<SnapshotChunk>(&body)) return chunk->transfer;
  if (const auto* message = std::get_if<raft::Message>(&body)) {
    const auto* append = std::get_if<raft::AppendRequest>(&message->body);
    return append != nullptr ? append->prev.index.value : 0;
  }
  return 0;
}

void Tap::wrote(const Pipe& pipe, std::string_view bytes) {
  Reading& reading = reading_[{pipe.connection, pipe.from_dialler}];
  reading.bytes += bytes;
  std::string_view rest = reading.bytes;
  while (rest.size() >= header_bytes && rest.size() >= header_bytes + payload_bytes(rest)) {
    const std::size_t payload = payload_bytes(rest);
    read_frame(pipe, reading.frames++, rest.substr(header_bytes, payload));
    rest.remove_prefix(header_bytes + payload);
  }
  reading.bytes.erase(0, reading.bytes.size() - rest.size());
}

void Tap::read_frame(const Pipe& pipe, std::uint64_t frame, std::string_view payload) {
  if (pipe.from_dialler) {
    if (frame > 0) return read_batch(hellos_.at(pipe.connection), pipe.connection, payload);
    const auto hello = wire::read_hello(payload);
    if (!hello) return wrong_("the first frame of a dialler is no Hello: " + hello.error().text);
    hellos_[pipe.connection] = *hello;
    return;
  }
  if (frame > 0) return wrong_("an acceptor wrote more than its Welcome");
  const auto welcome = wire::read_welcome(payload);
  if (!welcome) return wrong_("an acceptor's frame is no Welcome: " + welcome.error().text);
  const wire::Hello& hello = hellos_.at(pipe.connection);
  if (welcome->refusal.empty()) {
    latest_[{hello.sender.node, welcome->sender.node, hello.purpose}] = pipe.connection;
  }
}

void Tap::read_batch(const wire::Hello& hello, std::uint64_t connection, std::string_view payload) {
  const Status read =
      wire::read(payload, hello.sender.node, hello.expected, [&](const PeerBody& body) {
        if (number_of(body) == 0) return true;
        const auto [known, added] = left_by_.emplace(number_of(body), connection);
        if (!added) {
          wrong_("message " + std::to_string(known->first) + " was written on connection " +
                 std::to_string(known->second) + " and again on " + std::to_string(connection));
        }
        return true;
      });
  if (!read) wrong_("a frame that was written cannot be read: " + read.error().text);
}

std::optional<std::uint64_t> Tap::connection_of(std::uint64_t number) const {
  const auto found = left_by_.find(number);
  if (found == left_by_.end()) return std::nullopt;
  return found->second;
}

std::uint64_t Tap::latest(raft::NodeId from, raft::NodeId to, wire::Purpose purpose) const {
  const auto found = latest_.find({from, to, purpose});
  return found != latest_.end() ? found->second : 0;
}

}  // namespace iris::peers_sim
