#include "tests/cluster/faults.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <numeric>
#include <thread>

#include "raft/check.h"
#include "tests/cluster/audit.h"

namespace iris::test {

namespace {

constexpr std::array<const char*, Faults::kinds> names = {"killed",      "stopped",   "isolated",
                                                          "cut one way", "restarted", "all killed"};
constexpr Milliseconds recovery_limit{60'000};

std::vector<std::uint16_t> raft_ports(const Nodes& nodes) {
  std::vector<std::uint16_t> ports;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string address = nodes.raft_address(i);
    ports.push_back(static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1))));
  }
  return ports;
}

}  // namespace

std::vector<std::string> Faults::flags() { return {"-advertise", Relay::host}; }

Faults::Faults(Nodes& nodes, std::uint64_t seed)
    : nodes_(nodes), relay_(raft_ports(nodes)), random_(seed) {}

void Faults::start(std::size_t node) {
  nodes_.start(node);
  relay_.started(node, nodes_.pid(node));
}

void Faults::start_all() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) start(i);
  nodes_.await_voters(nodes_.size());
}

bool Faults::run() {
  if (due_.empty()) {
    for (std::size_t i = 0; i < kinds; ++i) due_.push_back(static_cast<Kind>(i));
    std::shuffle(due_.begin(), due_.end(), random_);
  }
  const Kind kind = due_.back();
  due_.pop_back();
  bool good = true;
  switch (kind) {
    case Kind::kill:
      do_kill(victims());
      break;
    case Kind::pause:
      do_pause();
      break;
    case Kind::isolate:
    case Kind::one_way:
      do_partition(kind == Kind::isolate);
      break;
    case Kind::restart:
      good = do_restart();
      break;
    case Kind::kill_all: {
      std::vector<std::size_t> all(nodes_.size());
      std::iota(all.begin(), all.end(), 0);
      do_kill(all);
      break;
    }
  }
  ++counts_[static_cast<std::size_t>(kind)];
  return recovered() && good;
}

std::vector<std::size_t> Faults::victims() {
  std::vector<std::size_t> all(nodes_.size());
  std::iota(all.begin(), all.end(), 0);
  std::shuffle(all.begin(), all.end(), random_);
  all.resize(1 + random_() % ((nodes_.size() - 1) / 2));
  return all;
}

// The duration is part of a fault: there is no state to wait for.
void Faults::hold(Milliseconds shortest, Milliseconds longest) {
  std::uniform_int_distribution<std::int64_t> choice(shortest.count(), longest.count());
  std::this_thread::sleep_for(Milliseconds(choice(random_)));
}

void Faults::do_kill(const std::vector<std::size_t>& nodes) {
  for (const std::size_t node : nodes) nodes_.kill(node);
  hold(Milliseconds(0), Milliseconds(3'000));
  for (const std::size_t node : nodes) start(node);
}

void Faults::do_pause() {
  const auto nodes = victims();
  for (const std::size_t node : nodes) nodes_.signal(node, SIGSTOP);
  hold(Milliseconds(200), Milliseconds(5'000));
  for (const std::size_t node : nodes) nodes_.signal(node, SIGCONT);
}

void Faults::do_partition(bool both_ways) {
  const auto minority = victims();
  const bool outward = random_() % 2 == 0;
  for (const std::size_t node : minority) {
    for (std::size_t other = 0; other < nodes_.size(); ++other) {
      if (std::find(minority.begin(), minority.end(), other) != minority.end()) continue;
      if (both_ways || outward) relay_.cut(node, other);
      if (both_ways || !outward) relay_.cut(other, node);
    }
  }
  hold(Milliseconds(1'000), Milliseconds(5'000));
  relay_.heal();
}

bool Faults::do_restart() {
  const std::size_t node = random_() % nodes_.size();
  const auto code = nodes_.stop(node);
  if (code != 0) {
    std::printf("node %zu, told to stop, %s; the end of its log:\n%s\n", node,
                code ? ("ended with " + std::to_string(*code)).c_str() : "went on for 10 s",
                nodes_.log_tail(node).c_str());
    nodes_.kill(node);
  }
  start(node);
  return code == 0;
}

// True: there is a leader, and every node applies a new write.
bool Faults::recovered() {
  const auto serves = [&](std::size_t node) {
    return nodes_.running(node) &&
           nodes_.api(node).get(audit::source_name(0), "k", Milliseconds(2'000)).ok;
  };
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (await(recovery_limit, [&] { return serves(i); })) continue;
    const auto code = nodes_.wait_exit(i, Milliseconds(0));
    std::printf("VIOLATION node %zu serves no read within 60 s after the fault%s; its log:\n%s\n",
                i, code ? (": it ended with " + std::to_string(*code)).c_str() : "",
                nodes_.log_tail(i).c_str());
    return false;
  }
  return true;
}

std::uint64_t Faults::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

bool Faults::all_kinds() const {
  return std::find(counts_.begin(), counts_.end(), 0u) == counts_.end();
}

std::string Faults::summary() const {
  std::string text;
  for (std::size_t i = 0; i < kinds; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(counts_[i]) + " " + names[i];
  }
  return text;
}

}  // namespace iris::test
