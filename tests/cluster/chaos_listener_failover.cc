// A listener's node is killed: the listener goes on at another node, without loss, and the time
// until its next update is measured.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "raft/check.h"
#include "tests/cluster/chaos.h"
#include "tests/cluster/nodes.h"

namespace iris::test {
namespace {

using Op = client::Update::Op;

constexpr double failover_p99_max_ms = 2'000;
// Times are judged in long runs only, which a person reads: a short run is a test on any machine.
constexpr std::size_t judged_rounds_min = 100;
constexpr Milliseconds update_limit{30'000};

// A key that is written all the time, and a listener of it.
class FailoverListener {
 public:
  explicit FailoverListener(const Nodes& nodes) {
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < nodes.size(); ++i) addresses.push_back(nodes.address(i));
    Client client = make_client(nodes, addresses);
    auto listener = client.listen({.topics = {{"failover", "key"}}, .send_initial = true},
                                  {.on_update = [this](const auto& update) { take(update); },
                                   .on_connected =
                                       [this](const std::string& address) {
                                         const std::lock_guard lock(mutex_);
                                         node_ = address;
                                       }});
    CHECK(listener.has_value());
    listener_.emplace(std::move(*listener));
    for (std::size_t i = 0; i < nodes.size(); ++i) apis_.push_back(&nodes.api(i));
    CHECK(await(update_limit, [this] { return synced_.load(); }));
    writer_ = std::thread([this] { write(); });
  }
  ~FailoverListener() {
    stopping_ = true;
    writer_.join();
  }
  FailoverListener(const FailoverListener&) = delete;
  FailoverListener& operator=(const FailoverListener&) = delete;

  // The address of the listener's node; empty until an update came from there.
  [[nodiscard]] std::string node() const {
    const std::lock_guard lock(mutex_);
    return node_got_.empty() || node_got_ != node_ ? "" : node_;
  }
  // From now on no write goes through this node; nodes.size(): all nodes are used.
  void avoid(std::size_t node) { avoided_ = node; }
  // The time of the first update from another node than `address`.
  [[nodiscard]] std::optional<Clock::time_point> await_other(const std::string& address) const {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return node_got_ == node_ && node_ != address; };
    if (!changed_.wait_for(lock, update_limit, there)) return std::nullopt;
    return first_there_;
  }
  struct Account {
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;   // acknowledged, and not delivered
    std::uint64_t wrong = 0;  // twice, or out of order, or another value
  };
  [[nodiscard]] Account account() const {
    const std::lock_guard lock(mutex_);
    Account all{seen_.size(), 0, wrong_};
    for (const auto& [revision, number] : acknowledged_) {
      if (seen_.empty() || revision > seen_.rbegin()->first) break;  // may be in transit
      const auto found = seen_.find(revision);
      if (found == seen_.end()) {
        ++all.lost;
      } else if (found->second != std::to_string(number)) {
        ++all.wrong;
      }
    }
    return all;
  }

 private:
  void write() {
    for (std::uint64_t number = 1; !stopping_; ++number) {
      const std::size_t node = number % apis_.size();
      if (node == avoided_) continue;
      const auto answer =
          apis_[node]->set("failover", "key", std::to_string(number), Milliseconds(500));
      if (answer.answer != CallAnswer::ok) continue;
      {
        const std::lock_guard lock(mutex_);
        acknowledged_.emplace(answer.revision, number);
      }
      std::this_thread::sleep_for(Milliseconds(2));  // the pace of the load
    }
  }

  void take(const client::Update& update) {
    if (update.op == Op::synced) synced_ = true;
    if (update.op != Op::put) return;
    const std::lock_guard lock(mutex_);
    if (!seen_.empty() && update.revision <= seen_.rbegin()->first) ++wrong_;
    seen_.emplace(update.revision, update.value);
    if (node_got_ != node_) {
      node_got_ = node_;
      first_there_ = Clock::now();
      changed_.notify_all();
    }
  }

  std::vector<const NodeApi*> apis_;
  std::atomic<std::size_t> avoided_ = ~std::size_t{0};
  std::atomic<bool> stopping_ = false, synced_ = false;
  std::thread writer_;

  mutable std::mutex mutex_;  // of all below but the listener
  mutable std::condition_variable changed_;
  std::string node_;      // the address it is connected to
  std::string node_got_;  // the address of the last update
  Clock::time_point first_there_;
  std::map<std::uint64_t, std::uint64_t> acknowledged_;  // number by revision
  std::map<std::uint64_t, std::string> seen_;            // value by revision
  std::uint64_t wrong_ = 0;
  std::optional<client::Listener> listener_;  // last: it uses all of the above
};

}  // namespace

Tally listener_failover_rounds(const Arguments& arguments) {
  Nodes nodes({.count = 3, .tls = arguments.tls, .flags = {}});
  nodes.start_all();
  Tally tally;
  std::vector<double> times_ms;
  std::size_t led = 0;
  FailoverListener listener(nodes);
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    std::string address;
    bool good = await(update_limit, [&] { return !(address = listener.node()).empty(); });
    std::size_t victim = 0;
    while (victim + 1 < nodes.size() && nodes.address(victim) != address) ++victim;
    led += nodes.await_leader() == victim ? 1 : 0;
    listener.avoid(victim);
    const auto start = Clock::now();
    nodes.kill(victim);
    const auto next = listener.await_other(address);
    const auto all = listener.account();
    good = good && next && all.lost + all.wrong == 0;
    if (next) {
      times_ms.push_back(std::chrono::duration<double, std::milli>(*next - start).count());
    }
    nodes.start(victim);
    good = await(Milliseconds(30000), [&] { return nodes.role(victim) == "follower"; }) && good;
    listener.avoid(nodes.size());
    (good ? tally.passed : tally.failed) += 1;
    if (!good) {
      std::printf("round %zu: BAD, %s\n", round, next ? "" : "no update within 30 s");
      break;
    }
  }
  print_times("SIGKILL of a listener's node to its next update", times_ms);
  std::sort(times_ms.begin(), times_ms.end());
  if (times_ms.size() >= judged_rounds_min && quantile(times_ms, 0.99) > failover_p99_max_ms) {
    std::printf("VIOLATION p99 is above %.0f ms\n", failover_p99_max_ms);
    ++tally.failed;
  }
  const auto all = listener.account();
  std::printf("%lu updates delivered, %lu lost, %lu twice or out of order; %zu of the nodes led\n",
              all.delivered, all.lost, all.wrong, led);
  return tally;
}

}  // namespace iris::test
