#include "tests/peers_sim/world.h"

#include <asio/post.hpp>
#include <utility>

#include "raft/check.h"
#include "src/base/address.h"
#include "tests/peers_sim/io.h"

namespace iris::peers_sim {

// --- Host.

std::string Host::address() const {
  const Endpoint at = Network::endpoint_of(number_);
  return address_text(at.address().to_string(), at.port());
}

std::uint64_t Host::seed() const {
  return sim::mix(world_.plan().seed ^ (life_ << 8 | number_)) | 1;
}

void Host::start() {
  CHECK(!runs());
  ++life_;
  world_.network().set_power(number_, true);
  loop_ = std::make_unique<asio::io_context>(1);
  asio::make_service<Kernel>(static_cast<asio::execution_context&>(*loop_), world_.network(),
                             number_);
  guard_.emplace(loop_->get_executor());
  program_ = world_.make()(*this);
}

void Host::end() {
  paused_ = false;
  program_.reset();
  guard_.reset();
  loop_.reset();
}

void Host::after(std::uint64_t wait_us, std::function<void()> work) {
  world_.timeline().after(wait_us, [this, life = life_, work = std::move(work)]() {
    if (life == life_ && runs()) asio::post(*loop_, work);
  });
}

bool Host::turn() {
  if (!runs() || paused_) return false;
  return loop_->poll() > 0;
}

// --- World.

World::World(const Plan& plan, Make make, Network::OnWritten on_written)
    : plan_(plan),
      make_(std::move(make)),
      faults_(plan.seed, static_cast<std::uint64_t>(Stream::faults)),
      network_(timeline_, plan.seed, plan.hosts, plan.weather, std::move(on_written)) {
  io::Clock::timeline = &timeline_;
  for (std::size_t number = 0; number < plan.hosts; ++number) {
    hosts_.push_back(std::make_unique<Host>(*this, number));
  }
}

World::~World() {
  hosts_.clear();
  io::Clock::timeline = nullptr;
}

std::vector<raft::Member> World::members() const {
  std::vector<raft::Member> all;
  for (const auto& host : hosts_) all.push_back(host->member());
  return all;
}

void World::start_all() {
  for (const auto& host : hosts_) host->start();
}

void World::wrong(const std::string& invariant, const std::string& text) {
  if (!violation_.empty()) return;
  violation_ = invariant + ": " + text + " (at " + std::to_string(timeline_.now_us()) + " us)";
}

void World::settle() {
  for (bool moved = true; moved && violation_.empty();) {
    moved = false;
    for (const auto& host : hosts_) moved = host->turn() || moved;
  }
}

bool World::until(const std::function<bool()>& state, std::uint64_t limit_us) {
  const std::uint64_t end_us = timeline_.now_us() + limit_us;
  for (;;) {
    settle();
    if (!violation_.empty()) return false;
    if (state()) return true;
    if (!timeline_.step(end_us)) return false;
  }
}

void World::run_for(std::uint64_t time_us) {
  static_cast<void>(until([] { return false; }, time_us));
}

// --- Faults.

void World::begin_faults() {
  faults_until_us_ = timeline_.now_us() + plan_.faults_us;
  fault_later(plan_.blocks_us, &World::block_a_link);
  fault_later(plan_.crashes_us, &World::crash_a_process);
  fault_later(plan_.pauses_us, &World::pause_a_process);
}

void World::fault_later(std::uint64_t mean_us, void (World::*fault)()) {
  if (mean_us == 0) return;
  timeline_.after(faults_.between(1, 2 * mean_us), [this, mean_us, fault] {
    if (healed_ || timeline_.now_us() >= faults_until_us_) return;
    (this->*fault)();
    fault_later(mean_us, fault);
  });
}

void World::block_a_link() {
  const std::size_t from = faults_.below(size());
  const std::size_t to = (from + faults_.between(1, size() - 1)) % size();
  const bool both = faults_.below(2) == 0;
  network_.block(from, to);
  if (both) network_.block(to, from);
  timeline_.after(faults_.between(1, plan_.block_us_max), [this, from, to, both] {
    if (healed_) return;  // heal() has undone it
    network_.unblock(from, to);
    if (both) network_.unblock(to, from);
  });
}

void World::crash_a_process() {
  Host& host = *hosts_[faults_.below(size())];
  const bool power_fails = faults_.below(2) == 0;
  const std::uint64_t down_us = faults_.between(1, 3'000'000);
  if (!host.runs()) return;
  if (power_fails) network_.set_power(host.number(), false);
  host.end();
  timeline_.after(down_us, [&host] {
    if (!host.runs()) host.start();
  });
}

void World::pause_a_process() {
  Host& host = *hosts_[faults_.below(size())];
  const std::uint64_t pause_us = faults_.between(1, 8'000'000);
  host.pause();
  timeline_.after(pause_us, [&host] { host.resume(); });
}

void World::heal() {
  healed_ = true;
  for (const auto& host : hosts_) {
    host->resume();
    if (!host->runs()) host->start();
  }
  network_.heal();
}

}  // namespace iris::peers_sim
