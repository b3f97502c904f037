// Rounds for listeners: the gap after the death of a listener's node, and the effect on other
// clients of removing a source with many keys.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "raft/check.h"
#include "tests/cluster/chaos.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

namespace {

using Op = client::Update::Op;

// --- listener-failover

constexpr double failover_p99_max_ms = 2'000;
// Times are judged in long runs only, which somebody looks at: a short one is a test, on any
// machine.
constexpr std::size_t judged_rounds_min = 100;
constexpr std::size_t judged_keys_min = 1'000'000;
constexpr Milliseconds update_limit{30'000};

// One key that is written all the time, and a listener of it.
class Following {
 public:
  explicit Following(const Nodes& nodes) {
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
  ~Following() {
    stopping_ = true;
    writer_.join();
  }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

  // Where the listener is connected, once it has got something there.
  [[nodiscard]] std::string node() const {
    const std::lock_guard lock(mutex_);
    return node_got_.empty() || node_got_ != node_ ? "" : node_;
  }
  // Nobody writes through this node from now on; apis_.size(): through any.
  void avoid(std::size_t node) { avoided_ = node; }
  // When the first update came from another node than `address`.
  [[nodiscard]] std::optional<Clock::time_point> await_other(const std::string& address) const {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return node_got_ == node_ && node_ != address; };
    if (!changed_.wait_for(lock, update_limit, there)) return std::nullopt;
    return first_there_;
  }
  struct Reckoning {
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;   // acknowledged, and not delivered
    std::uint64_t wrong = 0;  // twice, or out of order, or another value
  };
  [[nodiscard]] Reckoning reckon() const {
    const std::lock_guard lock(mutex_);
    Reckoning all{seen_.size(), 0, wrong_};
    for (const auto& [revision, number] : acknowledged_) {
      if (seen_.empty() || revision > seen_.rbegin()->first) break;  // may be on its way
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
      if (answer.answer != Answer::ok) continue;
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

  std::vector<const Api*> apis_;
  std::atomic<std::size_t> avoided_ = ~std::size_t{0};
  std::atomic<bool> stopping_ = false, synced_ = false;
  std::thread writer_;

  mutable std::mutex mutex_;  // of all below but the listener
  mutable std::condition_variable changed_;
  std::string node_;      // connected there
  std::string node_got_;  // got an update there
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
  Following following(nodes);
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    std::string address;
    bool good = await(update_limit, [&] { return !(address = following.node()).empty(); });
    std::size_t victim = 0;
    while (victim + 1 < nodes.size() && nodes.address(victim) != address) ++victim;
    led += nodes.await_leader() == victim ? 1 : 0;
    following.avoid(victim);
    const auto start = Clock::now();
    nodes.kill(victim);
    const auto next = following.await_other(address);
    const auto all = following.reckon();
    good = good && next && all.lost + all.wrong == 0;
    if (next) {
      times_ms.push_back(std::chrono::duration<double, std::milli>(*next - start).count());
    }
    nodes.start(victim);
    good = await(Milliseconds(30000), [&] { return nodes.role(victim) == "follower"; }) && good;
    following.avoid(nodes.size());
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
  const auto all = following.reckon();
  std::printf("%lu updates delivered, %lu lost, %lu twice or out of order; %zu of the nodes led\n",
              all.delivered, all.lost, all.wrong, led);
  return tally;
}

// --- remove-source

namespace {

constexpr double stall_max_ms = 500;
constexpr std::size_t fill_under_way = 256;
constexpr Milliseconds delivery_limit{900'000};
constexpr std::size_t log_mib = 8, log_mib_million = 64;  // of fewer than a million keys, of more
constexpr std::size_t padding_bytes = 64 << 10;

std::string number_key(std::uint64_t number) {
  char text[16];
  std::snprintf(text, sizeof text, "%010lu", number);
  return text;
}

// Stores `keys` keys in source "great", some at a time. False: a write failed.
bool fill(const Nodes& nodes, std::uint64_t keys) {
  struct Call {
    grpc::ClientContext context;
    pb::SetValueResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<pb::SetValueResponse>> reader;
  };
  grpc::CompletionQueue queue;
  const auto send = [&](std::uint64_t number) {
    auto call = std::make_unique<Call>();
    pb::SetValueRequest request;
    request.set_source("great");
    request.set_key(number_key(number));
    request.set_value("v");
    call->reader =
        nodes.api(number % nodes.size()).iris().AsyncSetValue(&call->context, request, &queue);
    call->reader->Finish(&call->response, &call->status, call.get());
    static_cast<void>(call.release());  // comes back as a tag
  };
  std::uint64_t sent = 0;
  bool good = true;
  for (; sent < std::min<std::uint64_t>(keys, fill_under_way); ++sent) send(sent);
  for (std::uint64_t ended = 0; ended < sent; ++ended) {
    void* tag = nullptr;
    bool ok = false;
    if (!queue.Next(&tag, &ok)) return false;
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    good = good && call->status.ok();
    if (good && sent < keys) send(sent++);
  }
  queue.Shutdown();
  return good;
}

// Clients that write, read and list small things, one call at a time each, and keep the longest.
class Others {
 public:
  explicit Others(const Nodes& nodes) {
    for (std::size_t i = 0; i < 2 * nodes.size(); ++i) {
      threads_.emplace_back([this, &api = nodes.api(i % nodes.size()), i] { call(api, i); });
    }
  }
  ~Others() {
    stopping_ = true;
    for (auto& thread : threads_) thread.join();
  }
  Others(const Others&) = delete;
  Others& operator=(const Others&) = delete;

  struct Times {
    std::vector<double> ms;
    std::uint64_t failed = 0;
  };
  // Since it was last called.
  Times take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(times_, {});
  }

 private:
  void call(const Api& api, std::size_t who) {
    const std::string source = "small " + std::to_string(who);
    for (std::uint64_t turn = 0; !stopping_; ++turn) {
      const auto start = Clock::now();
      const bool good =
          who % 2 == 0 ? api.set(source, "key", std::to_string(turn), Milliseconds(10000)).answer ==
                             Answer::ok
                       : api.get(source, "key", Milliseconds(10000)).ok;
      const double took = since(start);
      {
        const std::lock_guard lock(mutex_);
        times_.ms.push_back(took);
        times_.failed += good ? 0 : 1;
      }
      std::this_thread::sleep_for(Milliseconds(2));  // the pace of the load
    }
  }

  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  Times times_;
  std::vector<std::thread> threads_;
};

// A listener at one node that must see every key of "great" removed, sorted, under one revision.
class Mourner {
 public:
  Mourner(const Nodes& nodes, std::size_t node) {
    Client client = make_client(nodes, {nodes.address(node)});
    auto listener = client.listen({.topics = {{"great", std::nullopt}}},
                                  {.on_update = [this](const auto& update) { take(update); }});
    CHECK(listener.has_value());
    listener_.emplace(std::move(*listener));
  }
  [[nodiscard]] bool await_begun() {
    return await(update_limit, [&] { return begun_.load(); });
  }
  [[nodiscard]] std::uint64_t removed() const { return removed_; }
  [[nodiscard]] std::uint64_t wrong() const { return wrong_; }
  [[nodiscard]] std::uint64_t revision() const { return revision_; }

 private:
  void take(const client::Update& update) {
    begun_ = true;
    if (update.op == Op::bookmark) return;
    const bool right = update.op == Op::remove && update.source == "great" &&
                       update.key == number_key(removed_) &&
                       (removed_ == 0 || update.revision == revision_);
    if (!right) ++wrong_;
    revision_ = update.revision;
    ++removed_;
  }
  std::atomic<bool> begun_ = false;
  std::atomic<std::uint64_t> removed_ = 0, wrong_ = 0, revision_ = 0;
  std::optional<client::Listener> listener_;  // last: it uses all of the above
};

// Writes and syncs a page now and then in a file of its own, where the nodes have theirs: how long
// the disk itself keeps a writer waiting, which no node can do anything about.
class DiskProbe {
 public:
  explicit DiskProbe(const std::string& path)
      : file_(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) {
    CHECK(file_ >= 0);
    thread_ = std::thread([this] { run(); });
  }
  ~DiskProbe() {
    stopping_ = true;
    thread_.join();
    ::close(file_);
  }
  DiskProbe(const DiskProbe&) = delete;
  DiskProbe& operator=(const DiskProbe&) = delete;

  // Since it was last called.
  double take_longest_ms() { return longest_ms_.exchange(0); }

 private:
  void run() {
    const std::string page(4096, 'p');
    while (!stopping_) {
      const auto start = Clock::now();
      CHECK(::pwrite(file_, page.data(), page.size(), 0) == static_cast<ssize_t>(page.size()));
      CHECK(::fdatasync(file_) == 0);
      longest_ms_ = std::max(longest_ms_.load(), since(start));
      std::this_thread::sleep_for(Milliseconds(5));  // the pace of the probe
    }
  }
  const int file_;
  std::atomic<bool> stopping_ = false;
  std::atomic<double> longest_ms_ = 0;
  std::thread thread_;
};

using Mourners = std::vector<std::unique_ptr<Mourner>>;

// One at each node, all listening.
bool gather(const Nodes& nodes, Mourners& mourners) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    mourners.push_back(std::make_unique<Mourner>(nodes, i));
    if (mourners.back()->await_begun()) continue;
    std::printf("VIOLATION the listener at node %zu does not begin\n", i);
    return false;
  }
  return true;
}

// The revision of the removal; nullopt: it failed.
std::optional<std::uint64_t> remove_great(const Api& api) {
  grpc::ClientContext context;
  set_deadline(context, Milliseconds(60'000));
  pb::RemoveSourceRequest request;
  request.set_source("great");
  pb::RemoveSourceResponse response;
  const auto status = api.iris().RemoveSource(&context, request, &response);
  if (status.ok()) return response.revision();
  std::printf("VIOLATION the removal failed: %s\n", status.error_message().c_str());
  return std::nullopt;
}

bool all_told(const Mourners& mourners, std::uint64_t keys, std::uint64_t revision) {
  bool good = true;
  for (std::size_t i = 0; i < mourners.size(); ++i) {
    const Mourner& one = *mourners[i];
    if (one.removed() == keys && one.wrong() == 0 && one.revision() == revision) continue;
    std::printf("VIOLATION the listener at node %zu saw %lu of %lu keys removed, %lu wrong\n", i,
                one.removed(), keys, one.wrong());
    good = false;
  }
  return good;
}

// Writes until no node has the removal in its log any more: then the keys go from the disks.
bool outgrow(const Nodes& nodes, std::uint64_t revision) {
  const std::string padding(padding_bytes, '.');
  return await(Milliseconds(300'000), [&] {
    static_cast<void>(nodes.api(0).set("padding", "key", padding, Milliseconds(5'000)));
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      pb::StatusResponse status;
      if (!nodes.api(i).status(status, Milliseconds(5'000))) return false;
      if (status.log_first() <= revision) return false;
    }
    return true;
  });
}

double longest(const Others::Times& times) {
  return times.ms.empty() ? 0 : *std::max_element(times.ms.begin(), times.ms.end());
}

bool remove_great_source(const Arguments& arguments) {
  const std::size_t log = arguments.keys < 1'000'000 ? log_mib : log_mib_million;
  Nodes nodes(
      {.count = 3, .tls = arguments.tls, .flags = {"-log-bytes", std::to_string(log) + "MiB"}});
  nodes.start_all();
  auto start = Clock::now();
  if (!expect(fill(nodes, arguments.keys), "the source could not be filled")) return false;
  std::printf("%lu keys stored in %.0f s\n", arguments.keys, since(start) / 1000);
  std::fflush(stdout);
  Mourners mourners;
  if (!gather(nodes, mourners)) return false;
  Others others(nodes);
  DiskProbe disk(nodes.folder() + "/probe");
  // The usual times are measured now; there is no state to wait for, here and below.
  std::this_thread::sleep_for(Milliseconds(3'000));
  const auto before = others.take();
  static_cast<void>(disk.take_longest_ms());
  start = Clock::now();
  const auto revision = remove_great(nodes.api(0));
  if (!revision) return false;
  const double removal_ms = since(start);
  static_cast<void>(await(delivery_limit, [&] {
    return std::all_of(mourners.begin(), mourners.end(),
                       [&](const auto& one) { return one->removed() >= arguments.keys; });
  }));
  const double delivery_ms = since(start);
  std::this_thread::sleep_for(Milliseconds(1'000));  // should more come than there is
  const bool told = all_told(mourners, arguments.keys, *revision);
  const auto during = others.take();
  const bool outgrown =
      expect(outgrow(nodes, *revision), "a log still has the removal after 300 s");
  std::this_thread::sleep_for(Milliseconds(2'000));  // the purge
  const auto after = others.take();
  const double disk_ms = disk.take_longest_ms();
  print_times("calls of others before", before.ms);
  print_times("calls of others while it is told", during.ms);
  print_times("calls of others while it is purged", after.ms);
  std::printf(
      "remove-source: %lu keys in %.0f ms, told to %zu listeners in %.0f ms; longest call of "
      "others %.0f ms, while it was purged %.0f ms (%.0f before), of the disk's own syncs %.0f ms; "
      "%lu failed\n",
      arguments.keys, removal_ms, mourners.size(), delivery_ms, longest(during), longest(after),
      longest(before), disk_ms, during.failed + after.failed);
  return told && outgrown && during.failed + after.failed == 0 &&
         expect(arguments.keys < judged_keys_min ||
                    std::max(longest(during), longest(after)) <= stall_max_ms,
                "a call of another client took too long");
}

}  // namespace

Tally remove_source_rounds(const Arguments& arguments) {
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    (remove_great_source(arguments) ? tally.passed : tally.failed) += 1;
  }
  return tally;
}

}  // namespace iris::test
