// Relay: the way between the raft ports of real nodes, which it can cut. Nodes advertise
// Relay::host; there this listens in place of each of them and passes on to 127.0.0.1 what comes.
// Which node dials is found out in /proc, so TLS is no obstacle and nobody needs to be root.
// A thread of its own; the faces are thread-safe. Never changes a byte. Unlike on a cut cable, a
// new connection is taken while the way is cut, and then hears nothing.
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
  // How often something was held back.
  [[nodiscard]] std::uint64_t held() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris::test
