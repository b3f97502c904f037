// ResetWatch: which connections begin calls and reset them without end (CVE-2023-44487), or have
// more calls open than they may. Each such call costs the node memory and work, and the limits of
// calls do not see it, since it arrives only with its message. gRPC 1.51 has no limit of resets
// (grpc/grpc#34642 came later), and tells the limit of open calls to clients without holding it
// against one that does not acknowledge it. So its counters are watched.
//
// Loop thread. A look is bounded work. Only connections that received much since they were looked
// at last cost more than one call of the kernel.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/net/stream_counts.h"

namespace iris {

struct ResetLimits {
  // Calls of one connection that ended without an answer: so many at once, and so many a second in
  // the long run. A client whose 4,096 open calls all run out of time stays far below.
  std::uint64_t at_once_max = 20'000;
  std::uint64_t per_second_max = 5'000;
  // Calls open at gRPC, Listen streams and half-sent ones too. More than clients are told.
  std::uint64_t open_max = 20'000;
};

// The allowance of one connection.
class ResetBudget {
 public:
  using Clock = std::chrono::steady_clock;
  ResetBudget(const ResetLimits& limits, Clock::time_point now)
      : limits_(limits), left_(limits.at_once_max), refilled_(now) {}
  // `total`: since the connection began. False: it is over a limit.
  [[nodiscard]] bool spend(std::uint64_t total, Clock::time_point now);

 private:
  const ResetLimits limits_;
  std::uint64_t left_;
  Clock::time_point refilled_;
  std::uint64_t spent_ = 0;
};

// Where the figures come from: stream_counts.h, or a test.
struct StreamCounts {
  std::function<std::uint64_t(int descriptor)> received_bytes = iris::received_bytes;
  std::function<void(ChannelzSocket& next, std::size_t count,
                     const std::function<void(std::string_view, ChannelzSocket)>& found)>
      list = list_server_sockets;
  std::function<std::optional<StreamFigures>(ChannelzSocket)> figures = stream_figures;
};

class ResetWatch {
 public:
  using Clock = ResetBudget::Clock;
  static constexpr std::size_t look_connections_max = 500;
  // Less than this is no flood: a reset call is 26 bytes at least.
  static constexpr std::uint64_t look_bytes_min = 32u << 10;
  // What the kernel received gRPC may read much later: so often a connection is looked at again
  // after its last new call.
  static constexpr std::size_t looks_after_call = 40;

  explicit ResetWatch(ResetLimits limits, StreamCounts counts = {})
      : limits_(limits), counts_(std::move(counts)) {}

  // `peer`: as peer_text().
  void add(int descriptor, std::string peer, Clock::time_point now);
  void remove(int descriptor);
  struct Finding {
    int descriptor;
    const char* why;
  };
  // Looks at the next look_connections_max. Those that are over a limit; each is told until it is
  // removed.
  [[nodiscard]] std::vector<Finding> look(Clock::time_point now);

 private:
  struct Connection {
    std::string peer;
    ChannelzSocket socket = 0;
    std::uint64_t seen_bytes = 0;
    std::uint64_t started = 0;   // calls, at the last look
    std::size_t looks_left = 0;  // 0: it is quiet
    ResetBudget budget;
  };
  // What the connection does too much of; nullptr: nothing.
  [[nodiscard]] const char* fault(int descriptor, Connection& connection, Clock::time_point now);
  void search();

  const ResetLimits limits_;
  const StreamCounts counts_;
  std::map<int, Connection> connections_;        // by descriptor
  int looked_at_ = -1;                           // up to this descriptor
  std::unordered_map<std::string, int> sought_;  // busy ones whose socket is not known yet
  ChannelzSocket search_from_ = 0;
};

}  // namespace iris
