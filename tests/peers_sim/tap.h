// Tap: reads along what hosts write on plain connections, by the description of the bytes alone
// (framing.h, proto/peer.proto), and knows so by which connection each message left.
// One thread. Owns what it has read of frames that are not whole yet.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "src/peers/wire.h"
#include "tests/peers_sim/kernel.h"

namespace iris::peers_sim {

// The number that a test put into a message; 0: none.
[[nodiscard]] std::uint64_t number_of(const PeerBody& body);

class Tap {
 public:
  // `wrong` is told the first sentence about what should not have been written.
  using OnWrong = std::function<void(const std::string& text)>;
  explicit Tap(OnWrong wrong) : wrong_(std::move(wrong)) {}

  void wrote(const Pipe& pipe, std::string_view bytes);

  // By which connection the message left; none: not whole yet.
  [[nodiscard]] std::optional<std::uint64_t> connection_of(std::uint64_t number) const;
  // The latest connection that `to` welcomed, from node `from` and for this purpose.
  [[nodiscard]] std::uint64_t latest(raft::NodeId from, raft::NodeId to,
                                     wire::Purpose purpose) const;

 private:
  struct Reading {
    std::string bytes;  // of frames that are not whole
    std::uint64_t frames = 0;
  };

  void read_frame(const Pipe& pipe, std::uint64_t frame, std::string_view payload);
  void read_batch(const wire::Hello& hello, std::uint64_t connection, std::string_view payload);

  OnWrong wrong_;
  std::map<std::pair<std::uint64_t, bool>, Reading> reading_;  // by connection and direction
  std::map<std::uint64_t, wire::Hello> hellos_;                // by connection
  std::map<std::uint64_t, std::uint64_t> left_by_;             // message -> connection
  std::map<std::tuple<raft::NodeId, raft::NodeId, wire::Purpose>, std::uint64_t> latest_;
};

}  // namespace iris::peers_sim
