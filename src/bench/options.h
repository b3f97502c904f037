// Options: the command line of iris-bench, parsed and checked as a whole. Any thread; plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "raft/result.h"
#include "src/client/client.h"

namespace iris::bench {

enum class Mode { set, get, mix, watch, echo };

struct Options {
  Mode mode = Mode::set;

  // The nodes.
  std::vector<std::string> addresses;
  std::optional<client::Tls> tls;            // of the load; of the echo's own port with mode echo
  std::chrono::milliseconds timeout{5'000};  // of a call

  // How much at once.
  std::uint32_t connections = 8;
  std::uint32_t in_flight = 32;  // calls on each connection
  std::uint32_t threads = 1;
  std::uint32_t rate = 0;  // operations a second, over all; 0: closed loop

  // Which operations.
  std::string source = "bench";
  std::uint64_t keys = 10'000;
  std::uint64_t value_bytes = 256;
  std::uint32_t read_percent = 90;  // of mix
  bool stale = false;
  bool fill = true;  // get and mix: store every key first
  std::uint64_t seed = 1;

  // How long.
  std::chrono::milliseconds warm_up{2'000};
  std::chrono::milliseconds duration{10'000};
  std::uint64_t operations = 0;  // after the warm-up; 0: `duration` counts

  // watch
  std::uint32_t listeners = 100;
  std::uint32_t sources = 10;
  std::uint32_t unread = 0;  // listeners besides, that never read

  // echo
  std::uint16_t port = 33'000;
};

// Limits, each with a flag.
inline constexpr std::uint32_t connections_max = 10'000;
inline constexpr std::uint32_t in_flight_max = 10'000;
inline constexpr std::uint64_t calls_max = 1'000'000;          // connections times in_flight
inline constexpr std::uint64_t values_bytes_max = 4ull << 30;  // that times value_bytes
inline constexpr std::uint32_t threads_max = 64;
inline constexpr std::uint32_t rate_max = 10'000'000;
inline constexpr std::uint64_t keys_max = 1'000'000'000;
inline constexpr std::uint64_t value_bytes_max = 64u << 20;
inline constexpr std::uint32_t listeners_max = 100'000;
inline constexpr std::uint32_t unread_max = 1'000;

struct Parsed {
  Options options;
  std::string help;  // what -h or -version answers; then the options say nothing
};

// The words behind the program's name. Errc::invalid_argument: one sentence.
[[nodiscard]] Result<Parsed> parse_options(std::span<const std::string> words);

[[nodiscard]] const char* mode_name(Mode mode);

}  // namespace iris::bench
