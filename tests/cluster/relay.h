// Relay: a proxy between the raft ports of real nodes, which can cut links. Nodes advertise
// Relay::host; the relay listens there for each of them and forwards to 127.0.0.1. It finds the
// dialling node in /proc, so it works with TLS and without root.
// A thread of its own; the public functions are thread-safe. Never changes a byte. Unlike with a
// cut cable, a new connection is accepted on a cut link, and then carries nothing.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace iris::test {

class Relay {
 public:
  static constexpr const char* host = "127.0.0.2";

  // One raft port a node. Nothing else may listen on them at `host`.
  explicit Relay(const std::vector<std::uint16_t>& raft_ports);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Node `node` is that process from now on.
  void started(std::size_t node, pid_t process);
  // Bytes from `from` to `to` are held back until heal(), as TCP holds back after a lost segment.
  void cut(std::size_t from, std::size_t to);
  void heal();
  // How often bytes were held back.
  [[nodiscard]] std::uint64_t held() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris::test
