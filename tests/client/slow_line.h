// SlowLine: the way to a node, which takes its time. Listens on a port of its own and passes on to
// 127.0.0.1 what comes, so gRPC's own time-outs and flow control are at work. A thread of its own.
// Never changes a byte.
#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace iris::test {

class SlowLine {
 public:
  struct Speed {
    std::chrono::milliseconds until_first{0};  // from a dial to the first byte, to either side
    int bytes_per_s = 0;                       // towards the client; 0: as fast as it goes
  };
  // `port`: the node's.
  SlowLine(int port, Speed speed);
  ~SlowLine();
  SlowLine(const SlowLine&) = delete;
  SlowLine& operator=(const SlowLine&) = delete;

  // For the client.
  [[nodiscard]] std::string address() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris::test
