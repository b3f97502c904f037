// Network: the hosts' connections as a kernel and a wire make them: bytes, which arrive late, in
// other pieces than they were written in, or not at all; connections that end at any byte, one way
// or both. What was lost is lost with its connection, as with TCP: nothing is lost, repeated or
// put out of order in a connection that stands.
// One thread. Owns nothing but the faults; bytes on their way are owned by their connection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tests/peers_sim/kernel.h"
#include "tests/sim/random.h"
#include "tests/sim/timeline.h"

namespace iris::peers_sim {

// How the network behaves; chances are per million.
struct Weather {
  std::uint64_t delay_us_min = 50;
  std::uint64_t delay_us_max = 500;
  std::size_t segment_bytes_max = 64u << 10;  // that arrive together
  std::size_t window_bytes = 256u << 10;      // on their way or unread, in one direction
  std::uint64_t short_writes = 0;
  std::uint64_t short_reads = 0;
  std::uint64_t fates = 0;              // of a direction of a new connection
  std::uint64_t fate_bytes_max = 1000;  // its byte is among so many
  std::uint64_t flips = 0;              // among the fates
  std::uint64_t refused_dials = 0;
  std::uint64_t failed_accepts = 0;  // for want of descriptors
};

class Network {
 public:
  static constexpr std::uint64_t dead_after_us = 5'000'000;  // TCP_USER_TIMEOUT of stream.cc
  static constexpr std::uint64_t dial_again_us = 1'000'000;
  static constexpr std::uint64_t reset_again_us = 200'000;
  static constexpr std::uint64_t segment_us_max = 20;  // between those on their way together

  // What is written, for those that watch. `bytes` were just taken by the writer's kernel.
  using OnWritten = std::function<void(const Pipe& pipe, std::string_view bytes)>;

  Network(sim::Timeline& timeline, std::uint64_t seed, std::size_t hosts, Weather weather,
          OnWritten on_written);

  [[nodiscard]] static Endpoint endpoint_of(std::size_t host);
  [[nodiscard]] sim::Timeline& timeline() { return timeline_; }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }

  // --- Faults. Blocks are counted.
  void block(std::size_t from, std::size_t to) { ++link(from, to).blocked; }
  void unblock(std::size_t from, std::size_t to);
  // From here on the network does what it should.
  void heal();
  // A machine without power: nothing is sent in its name, also not when its process ends.
  void set_power(std::size_t host, bool on);

  // --- For kernels.
  void begin(Kernel& kernel);
  void end(const Kernel& kernel);
  [[nodiscard]] bool has_power(std::size_t host) const { return hosts_[host].power; }
  void dial(const std::shared_ptr<End>& end, std::size_t from);
  // How much of `wanted` a kernel takes or gives at once.
  [[nodiscard]] std::size_t taken(std::size_t wanted) {
    return part(wanted, weather_.short_writes);
  }
  [[nodiscard]] std::size_t given(std::size_t wanted) { return part(wanted, weather_.short_reads); }
  [[nodiscard]] std::size_t space(const Pipe& pipe) const;
  [[nodiscard]] bool accept_fails() { return chance(weather_.failed_accepts); }
  // `bytes` were appended to its flight, or its end was sent.
  void wrote(const std::shared_ptr<Pipe>& pipe, std::string_view bytes);
  // The writer goes with bytes unread: what is in flight arrives in part, then a reset.
  void reset_amid_flight(const std::shared_ptr<Pipe>& pipe);

 private:
  struct Link {
    std::uint32_t blocked = 0;
    std::vector<std::weak_ptr<Pipe>> stuck;
  };
  struct Host {
    Kernel* kernel = nullptr;
    bool power = true;
  };

  [[nodiscard]] Link& link(std::size_t from, std::size_t to) {
    return links_[from * hosts_.size() + to];
  }
  [[nodiscard]] bool chance(std::uint64_t per_million) {
    return !healed_ && random_.chance(per_million);
  }
  [[nodiscard]] std::size_t part(std::size_t wanted, std::uint64_t short_chance);
  [[nodiscard]] std::uint64_t delay_us();
  void arrive_at_host(const std::shared_ptr<End>& end, std::size_t from);
  void answer_dial(const std::shared_ptr<End>& end, std::size_t from, std::size_t to,
                   std::error_code error);
  void draw_fate(Pipe& pipe);
  void move_later(const std::shared_ptr<Pipe>& pipe, std::uint64_t wait_us);
  void move(const std::shared_ptr<Pipe>& pipe);
  void meet_fate(const std::shared_ptr<Pipe>& pipe);
  void release(Link& on);
  void hold(const std::shared_ptr<Pipe>& pipe);
  void reset_later(const std::weak_ptr<End>& end);

  sim::Timeline& timeline_;
  sim::Random random_;
  Weather weather_;
  OnWritten on_written_;
  std::vector<Host> hosts_;
  std::vector<Link> links_;
  // Where a length was hit the reader waits for a frame of up to 32 MiB: only plain TCP that lets a
  // flipped bit through can do that, and a network that is well ends it.
  std::vector<std::weak_ptr<Pipe>> flipped_;
  std::uint64_t connections_ = 0;
  bool healed_ = false;
};

}  // namespace iris::peers_sim
