#include "tests/peers_sim/network.h"

#include <algorithm>
#include <array>
#include <asio/error.hpp>
#include <utility>

#include "raft/check.h"

namespace iris::peers_sim {

Network::Network(sim::Timeline& timeline, std::uint64_t seed, std::size_t hosts, Weather weather,
                 OnWritten on_written)
    : timeline_(timeline),
      random_(seed),
      weather_(weather),
      on_written_(std::move(on_written)),
      hosts_(hosts),
      links_(hosts * hosts) {}

Endpoint Network::endpoint_of(std::size_t host) {
  return {asio::ip::make_address_v4(0x0a000001u + static_cast<unsigned>(host)), 7001};
}

void Network::begin(Kernel& kernel) { hosts_[kernel.host()].kernel = &kernel; }

void Network::end(const Kernel& kernel) {
  if (hosts_[kernel.host()].kernel == &kernel) hosts_[kernel.host()].kernel = nullptr;
}

void Network::unblock(std::size_t from, std::size_t to) {
  Link& on = link(from, to);
  CHECK(on.blocked > 0);
  if (--on.blocked == 0) release(on);
}

void Network::release(Link& on) {
  for (const auto& each : std::exchange(on.stuck, {})) {
    if (const auto pipe = each.lock()) {
      pipe->stuck = false;
      move_later(pipe, delay_us());
    }
  }
}

void Network::set_power(std::size_t host, bool on) {
  hosts_[host].power = on;
  for (std::size_t from = 0; on && from < hosts_.size(); ++from) release(link(from, host));
}

void Network::heal() {
  healed_ = true;
  for (std::size_t from = 0; from < hosts_.size(); ++from) {
    for (std::size_t to = 0; to < hosts_.size(); ++to) {
      while (link(from, to).blocked > 0) unblock(from, to);
    }
  }
  for (const auto& each : std::exchange(flipped_, {})) {
    const auto pipe = each.lock();
    if (pipe == nullptr) continue;
    reset_later(pipe->writer);
    reset_later(pipe->reader);
  }
}

std::size_t Network::part(std::size_t wanted, std::uint64_t short_chance) {
  return chance(short_chance) ? random_.between(1, wanted) : wanted;
}

std::uint64_t Network::delay_us() {
  return random_.between(weather_.delay_us_min, weather_.delay_us_max);
}

std::size_t Network::space(const Pipe& pipe) const {
  const std::size_t used = pipe.flight.size() + pipe.arrived.size();
  return used < weather_.window_bytes ? weather_.window_bytes - used : 0;
}

// --- Dialling.

void Network::dial(const std::shared_ptr<End>& end, std::size_t from) {
  timeline_.after(delay_us(), [this, end, from] { arrive_at_host(end, from); });
}

void Network::arrive_at_host(const std::shared_ptr<End>& end, std::size_t from) {
  if (end->kernel == nullptr) return;
  const std::size_t to = end->remote.address().to_v4().to_uint() - 0x0a000001u;
  if (to >= hosts_.size() || link(from, to).blocked > 0 || !hosts_[to].power) {
    timeline_.after(dial_again_us, [this, end, from] { arrive_at_host(end, from); });
    return;
  }
  Kernel* kernel = hosts_[to].kernel;
  if (kernel == nullptr || !kernel->listens(end->remote.port()) || chance(weather_.refused_dials)) {
    return answer_dial(end, from, to, asio::error::connection_refused);
  }
  auto other = std::make_shared<End>();
  other->kernel = kernel;
  const auto pipe = [&](const std::shared_ptr<End>& writer, const std::shared_ptr<End>& reader,
                        bool from_dialler) {
    auto made = std::make_shared<Pipe>();
    made->connection = connections_;
    made->from_dialler = from_dialler;
    made->from = from_dialler ? from : to;
    made->to = from_dialler ? to : from;
    made->writer = writer;
    made->reader = reader;
    draw_fate(*made);
    writer->out = reader->in = made;
  };
  ++connections_;
  pipe(end, other, true);
  pipe(other, end, false);
  other->remote = {endpoint_of(from).address(),
                   static_cast<std::uint16_t>(40'000 + connections_ % 20'000)};
  kernel->offer(end->remote.port(), other);
  answer_dial(end, from, to, {});
}

void Network::answer_dial(const std::shared_ptr<End>& end, std::size_t from, std::size_t to,
                          std::error_code error) {
  timeline_.after(delay_us(), [this, end, from, to, error] {
    if (end->kernel == nullptr) return;
    if (link(to, from).blocked > 0) {
      timeline_.after(dial_again_us,
                      [this, end, from, to, error] { answer_dial(end, from, to, error); });
    } else if (!end->broken) {
      end->kernel->connected(*end, error);
    }
  });
}

void Network::draw_fate(Pipe& pipe) {
  using Fate = Pipe::Fate;
  if (!chance(weather_.fates)) return;
  constexpr std::array fates = {Fate::cut, Fate::vanish, Fate::hang_up, Fate::deafen};
  pipe.fate = random_.chance(weather_.flips) ? Fate::flip : fates[random_.below(fates.size())];
  pipe.fate_at = random_.below(weather_.fate_bytes_max);
}

// --- Bytes on their way.

void Network::wrote(const std::shared_ptr<Pipe>& pipe, std::string_view bytes) {
  if (!bytes.empty() && on_written_) on_written_(*pipe, bytes);
  move_later(pipe, delay_us());
}

void Network::move_later(const std::shared_ptr<Pipe>& pipe, std::uint64_t wait_us) {
  if (pipe->dead || pipe->stuck || std::exchange(pipe->moving, true)) return;
  timeline_.after(wait_us, [this, pipe] {
    pipe->moving = false;
    move(pipe);
  });
}

void Network::move(const std::shared_ptr<Pipe>& pipe) {
  if (pipe->dead || pipe->stuck) return;
  if (link(pipe->from, pipe->to).blocked > 0 || !hosts_[pipe->to].power) return hold(pipe);
  const auto reader = pipe->reader.lock();
  if (reader == nullptr || reader->kernel == nullptr) {  // nobody is there any more
    pipe->dead = true;
    return reset_later(pipe->writer);
  }
  const bool fated = pipe->fate != Pipe::Fate::none && (pipe->own_fate || !healed_);
  std::size_t bytes = std::min(pipe->flight.size(), weather_.segment_bytes_max);
  if (fated) bytes = std::min<std::size_t>(bytes, pipe->fate_at - pipe->delivered);
  pipe->arrived.add(pipe->flight.take(bytes));
  pipe->delivered += bytes;
  if (fated && pipe->delivered == pipe->fate_at && (!pipe->flight.empty() || pipe->end_sent)) {
    reader->kernel->serve_read(*reader);
    return meet_fate(pipe);
  }
  // First: a reader that takes bytes makes the writer write more, after the delay of a first byte.
  if (!pipe->flight.empty()) {
    move_later(pipe, random_.below(segment_us_max));
  } else if (pipe->end_sent) {
    pipe->end_arrived = true;
  }
  reader->kernel->serve_read(*reader);
}

void Network::meet_fate(const std::shared_ptr<Pipe>& pipe) {
  const auto reader = pipe->reader.lock();
  const Pipe::Fate fate = std::exchange(pipe->fate, Pipe::Fate::none);
  if (fate == Pipe::Fate::flip) {
    if (!pipe->flight.empty()) {
      pipe->flight.front() = static_cast<char>(pipe->flight.front() ^ (1 << random_.below(8)));
    }
    flipped_.push_back(pipe);
    return move_later(pipe, 0);
  }
  if (fate == Pipe::Fate::vanish) return hold(pipe);
  pipe->dead = true;
  reset_later(pipe->writer);
  if (fate == Pipe::Fate::hang_up) pipe->end_arrived = true;
  if (fate == Pipe::Fate::hang_up) reader->kernel->serve_read(*reader);
  if (fate == Pipe::Fate::cut) reader->kernel->fail(*reader, asio::error::connection_reset);
}

// The writer's kernel sends again and again, and gives up after dead_after_us. A direction that is
// held for its fate has no link that could free it.
void Network::hold(const std::shared_ptr<Pipe>& pipe) {
  pipe->stuck = true;
  link(pipe->from, pipe->to).stuck.push_back(pipe);
  timeline_.after(dead_after_us, [this, pipe, times = ++pipe->times_stuck] {
    if (!pipe->stuck || pipe->times_stuck != times || pipe->dead) return;
    pipe->dead = true;
    const auto writer = pipe->writer.lock();
    if (writer != nullptr && writer->kernel != nullptr) {
      writer->kernel->fail(*writer, asio::error::timed_out);
    }
  });
}

void Network::reset_later(const std::weak_ptr<End>& end) {
  timeline_.after(delay_us(), [this, end] {
    const auto there = end.lock();
    if (there == nullptr || there->kernel == nullptr) return;
    // What is lost comes again: each segment that is sent again is answered with it.
    if (there->out != nullptr && link(there->out->to, there->out->from).blocked > 0) {
      return timeline_.after(reset_again_us, [this, end] { reset_later(end); });
    }
    if (there->in != nullptr && random_.below(2) == 0) there->in->arrived.clear();
    there->kernel->fail(*there, asio::error::connection_reset);
  });
}

void Network::reset_amid_flight(const std::shared_ptr<Pipe>& pipe) {
  pipe->fate = Pipe::Fate::cut;
  pipe->own_fate = true;
  pipe->fate_at = pipe->delivered + random_.between(0, pipe->flight.size());
  pipe->end_sent = true;
  move_later(pipe, delay_us());
}

}  // namespace iris::peers_sim
