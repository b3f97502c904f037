// A source with many keys is removed: each listener gets every removal, and the calls of other
// clients must not wait long meanwhile.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "tests/cluster/chaos.h"
#include "tests/cluster/nodes.h"

namespace iris::test {
namespace {

using Op = client::Update::Op;

// Times are judged in long runs only, which a person reads: a short run is a test on any machine.
constexpr std::size_t judged_keys_min = 1'000'000;
constexpr Milliseconds begin_limit{30'000};
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
    static_cast<void>(call.release());  // owned by the queue, which gives it back as a tag
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

// Clients that write and read small values, one call at a time each, and keep the times.
class OtherClients {
 public:
  explicit OtherClients(const Nodes& nodes) {
    for (std::size_t i = 0; i < 2 * nodes.size(); ++i) {
      threads_.emplace_back([this, &api = nodes.api(i % nodes.size()), i] { call(api, i); });
    }
  }
  ~OtherClients() {
    stopping_ = true;
    for (auto& thread : threads_) thread.join();
  }
  OtherClients(const OtherClients&) = delete;
  OtherClients& operator=(const OtherClients&) = delete;

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
  void call(const NodeApi& api, std::size_t who) {
    const std::string source = "small " + std::to_string(who);
    for (std::uint64_t turn = 0; !stopping_; ++turn) {
      const auto start = Clock::now();
      const bool good =
          who % 2 == 0 ? api.set(source, "key", std::to_string(turn), Milliseconds(10000)).answer ==
                             CallAnswer::ok
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

// A listener at one node that must get the removal of every key of "great", sorted, under one
// revision.
class RemovalListener {
 public:
  RemovalListener(const Nodes& nodes, std::size_t node) {
    Client client = make_client(nodes, {nodes.address(node)});
    auto listener = client.listen({.topics = {{"great", std::nullopt}}},
                                  {.on_update = [this](const auto& update) { take(update); }});
    CHECK(listener.has_value());
    listener_.emplace(std::move(*listener));
  }
  [[nodiscard]] bool await_begun() {
    return await(begin_limit, [&] { return begun_.load(); });
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

// Writes and syncs a page every few milliseconds, on the file system of the nodes: the wait for the
// disk itself, which a node cannot avoid.
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

using RemovalListeners = std::vector<std::unique_ptr<RemovalListener>>;

// One at each node. True: all have begun.
bool start_listeners(const Nodes& nodes, RemovalListeners& listeners) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    listeners.push_back(std::make_unique<RemovalListener>(nodes, i));
    if (listeners.back()->await_begun()) continue;
    std::printf("VIOLATION the listener at node %zu does not begin\n", i);
    return false;
  }
  return true;
}

// The revision of the removal; nullopt: it failed.
std::optional<std::uint64_t> remove_great(const NodeApi& api) {
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

bool all_complete(const RemovalListeners& listeners, std::uint64_t keys, std::uint64_t revision) {
  bool good = true;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const RemovalListener& one = *listeners[i];
    if (one.removed() == keys && one.wrong() == 0 && one.revision() == revision) continue;
    std::printf("VIOLATION the listener at node %zu saw %lu of %lu keys removed, %lu wrong\n", i,
                one.removed(), keys, one.wrong());
    good = false;
  }
  return good;
}

// Writes until every node has trimmed the removal from its log: then the purge deletes the keys.
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

double longest(const OtherClients::Times& times) {
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
  RemovalListeners listeners;
  if (!start_listeners(nodes, listeners)) return false;
  OtherClients others(nodes);
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
    return std::all_of(listeners.begin(), listeners.end(),
                       [&](const auto& one) { return one->removed() >= arguments.keys; });
  }));
  const double delivery_ms = since(start);
  std::this_thread::sleep_for(
      Milliseconds(1'000));  // for an update too many; there is no state to wait for
  const bool told = all_complete(listeners, arguments.keys, *revision);
  const auto during = others.take();
  const bool outgrown =
      expect(outgrow(nodes, *revision), "a log still has the removal after 300 s");
  std::this_thread::sleep_for(Milliseconds(2'000));  // the purge
  const auto after = others.take();
  const double disk_ms = disk.take_longest_ms();
  print_times("calls of others before", before.ms);
  print_times("calls of others while it is sent", during.ms);
  print_times("calls of others while it is purged", after.ms);
  std::printf(
      "remove-source: %lu keys in %.0f ms, sent to %zu listeners in %.0f ms; longest call of "
      "others %.0f ms, while it was purged %.0f ms (%.0f before), of the disk's own syncs %.0f ms; "
      "%lu failed\n",
      arguments.keys, removal_ms, listeners.size(), delivery_ms, longest(during), longest(after),
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
