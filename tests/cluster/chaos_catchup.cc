// A follower is down until the leader has trimmed its log past it. It comes back and gets a
// snapshot while the load goes on. The leader must keep most of its write rate.
#include <cstdio>
#include <thread>

#include "tests/cluster/chaos.h"
#include "tests/cluster/content.h"
#include "tests/cluster/load.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

namespace {

// Of the leader's write rate while a snapshot is on its way, to its rate with all nodes healthy and
// the same data. Healthy is the fair measure here, where all nodes share the processors: a follower
// that is down costs nothing, one that comes back costs at least what a healthy one does.
constexpr double rate_share_min = 0.70;
// A smaller transfer is too short to measure a rate.
constexpr double judged_seconds_min = 3;
constexpr std::size_t large_megabytes = 256;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t times = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++times;
  }
  return times;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Catchup {
 public:
  Catchup(const Arguments& arguments, Nodes& nodes)
      : megabytes_(arguments.megabytes),
        span_(megabytes_ < large_megabytes ? 1000 : 10000),
        nodes_(nodes),
        leader_(nodes.await_leader()),
        follower_((leader_ + 1) % nodes.size()),
        load_(nodes.api(leader_), {}) {}

  bool run() {
    if (!fall_behind()) return false;
    load_.start();
    down_ = load_.rate(span_);
    bool good = come_back();
    healthy_ = load_.rate(span_);
    load_.stop();
    good = expect(load_.unknown() == 0, "writes of unknown outcome") && good;
    good = expect(nodes_.leader() == leader_, "leadership has moved") && good;
    good = same_content() && good;
    print();
    return judge() && good;
  }

 private:
  pb::StatusResponse status(std::size_t node) const {
    pb::StatusResponse response;
    static_cast<void>(nodes_.api(node).status(response, Milliseconds(5000)));
    return response;
  }

  bool fall_behind() {
    const std::uint64_t last = status(follower_).log_last();
    nodes_.kill(follower_);
    const auto start = Clock::now();
    if (!fill(nodes_.api(leader_), megabytes_)) return false;
    std::printf("  %zu MiB written in %.1f s\n", megabytes_, seconds_since(start));
    std::fflush(stdout);
    return expect(
        await(Milliseconds(10000), [&] { return status(leader_).log_first() > last + 1; }),
        "the leader did not trim its log");
  }

  bool come_back() {
    const std::size_t installed = count(nodes_.log_text(leader_), "a snapshot was installed");
    const std::uint64_t before = load_.acknowledged();
    const auto start = Clock::now();
    nodes_.start(follower_);
    const auto limit = Milliseconds(60000 + 200 * megabytes_);
    bool good = expect(await(limit,
                             [&] {
                               pause_between_looks();
                               return count(nodes_.log_text(leader_), "a snapshot was installed") >
                                      installed;
                             }),
                       "no snapshot was installed in time");
    transfer_seconds_ = seconds_since(start);
    during_ = static_cast<double>(load_.acknowledged() - before) / transfer_seconds_;
    const std::uint64_t goal = status(leader_).commit();
    good = expect(await(limit, [&] { return status(follower_).applied() >= goal; }),
                  "the follower did not catch up in time") &&
           good;
    caught_up_seconds_ = seconds_since(start);
    snapshots_ = count(nodes_.log_text(leader_), "sending a snapshot");
    return good;
  }

  bool same_content() {
    const Compared compared =
        compare_content(nodes_.api(leader_), nodes_.api(follower_), Milliseconds(300000));
    rows_ = compared.rows;
    return expect(compared.equal(), compared.difference);
  }

  void print() const {
    std::printf(
        "  writes/s: %.0f with the follower down, %.0f during the transfer, %.0f healthy after it; "
        "share %.2f of healthy, %.2f of down\n"
        "  snapshot installed after %.1f s, caught up after %.1f s; %zu snapshots begun, "
        "%lu rows equal\n",
        down_, during_, healthy_, during_ / healthy_, during_ / down_, transfer_seconds_,
        caught_up_seconds_, snapshots_, rows_);
  }

  [[nodiscard]] bool judge() const {
    if (transfer_seconds_ < judged_seconds_min) {
      std::printf("  too short a transfer to judge its rate\n");
      return true;
    }
    return expect(during_ >= rate_share_min * healthy_,
                  "the leader did not keep its write rate during the transfer");
  }

  const std::size_t megabytes_;
  const Milliseconds span_;  // of one measurement
  Nodes& nodes_;
  const std::size_t leader_;
  const std::size_t follower_;
  Load load_;
  double down_ = 0, during_ = 0, healthy_ = 0;  // acknowledged writes a second
  double transfer_seconds_ = 0, caught_up_seconds_ = 0;
  std::size_t snapshots_ = 0;
  std::uint64_t rows_ = 0;
};

}  // namespace

Tally catchup_rounds(const Arguments& arguments) {
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    std::printf("round %zu\n", round);
    NodesOptions options{.count = 3, .tls = arguments.tls, .flags = {}};
    // A small run trims too.
    if (arguments.megabytes < large_megabytes) options.flags = {"-log-bytes", "4MiB"};
    Nodes nodes(options);
    nodes.start_all();
    const bool good = Catchup(arguments, nodes).run();
    (good ? tally.passed : tally.failed) += 1;
  }
  return tally;
}

}  // namespace iris::test
