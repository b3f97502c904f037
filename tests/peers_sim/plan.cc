#include "tests/peers_sim/plan.h"

#include <algorithm>

#include "tests/sim/random.h"

namespace iris::peers_sim {
namespace {

template <std::size_t Count>
std::uint64_t any(sim::Random& random, const std::uint64_t (&values)[Count]) {
  return values[random.below(Count)];
}

Weather draw_weather(sim::Random& random) {
  Weather weather;
  weather.delay_us_min = any(random, {0, 20, 100, 2000});
  weather.delay_us_max = weather.delay_us_min + any(random, {0, 100, 3000, 60'000});
  weather.segment_bytes_max = any(random, {1, 7, 100, 1460, 64 << 10});
  // A handshake takes several round trips where the window is narrow; its time is limited.
  const std::uint64_t narrow = weather.delay_us_max <= 300 ? 3 : 500;
  weather.window_bytes = any(random, {narrow, 500, 16 << 10, 256 << 10});
  weather.short_writes = any(random, {0, 100'000, 900'000});
  weather.short_reads = any(random, {0, 100'000, 900'000});
  weather.fates = any(random, {0, 20'000, 200'000, 600'000});
  // Near the handshake, or later.
  weather.fate_bytes_max = any(random, {40, 200, 1000, 20'000});
  weather.flips = any(random, {0, 0, 300'000});
  weather.refused_dials = any(random, {0, 0, 100'000});
  weather.failed_accepts = any(random, {0, 0, 0, 200'000});
  return weather;
}

PeersOptions draw_limits(sim::Random& random) {
  PeersOptions options;
  options.port = Network::endpoint_of(0).port();
  options.back_off_ms_min = static_cast<std::uint32_t>(any(random, {1, 10, 50}));
  options.back_off_ms_max = static_cast<std::uint32_t>(any(random, {100, 2000}));
  options.keep_alive_ms = static_cast<std::uint32_t>(any(random, {200, 1000}));
  options.linger_ms = static_cast<std::uint32_t>(any(random, {50, 1000, 5000}));
  options.queue_bytes_max = (24u << 20) + 4096;
  return options;
}

}  // namespace

Plan draw_plan(std::uint64_t seed) {
  sim::Random random(seed, static_cast<std::uint64_t>(Stream::plan));
  Plan plan;
  plan.seed = seed;
  plan.hosts = random.between(2, 4);
  plan.weather = draw_weather(random);
  plan.peers = draw_limits(random);
  // Each byte that arrives by itself is an event, and a narrow window carries little.
  const bool pieces = plan.weather.segment_bytes_max < 100 || plan.weather.window_bytes < 1000;
  if (plan.weather.segment_bytes_max == 1 || plan.weather.window_bytes == 3) plan.hosts = 2;
  plan.message_every_us = pieces ? 100'000 : any(random, {10'000, 30'000, 100'000});
  plan.message_bytes_max = pieces ? 60 : any(random, {60, 1000, 10'000});
  if (!pieces) plan.large_messages = any(random, {0, 0, 5'000});
  plan.blocks_us = any(random, {0, 500'000, 3'000'000});
  plan.block_us_max = any(random, {300'000, 8'000'000});
  plan.crashes_us = any(random, {0, 0, 1'500'000});
  plan.pauses_us = any(random, {0, 0, 2'000'000});
  return plan;
}

Plan draw_node_plan(std::uint64_t seed) {
  Plan plan = draw_plan(seed);
  plan.hosts = 3;
  if (plan.weather.segment_bytes_max < 100) plan.weather.segment_bytes_max = 100;
  if (plan.weather.window_bytes < 16 << 10) plan.weather.window_bytes = 16 << 10;
  plan.weather.delay_us_max = std::min<std::uint64_t>(plan.weather.delay_us_max, 10'000);
  plan.message_every_us = 20'000;
  plan.message_bytes_max = 300;
  plan.large_messages = 0;
  return plan;
}

}  // namespace iris::peers_sim
