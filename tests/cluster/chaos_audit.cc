// iris-chaos audit: a hundred listeners on real nodes that are killed, stopped, partitioned and
// restarted under load. At quiet points and at the end each stream, rebuilt into a map, must equal
// a linearizable sweep; at the end every stream must have seen every due update, once, in order.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>

#include "raft/check.h"
#include "tests/cluster/audit_load.h"
#include "tests/cluster/audit_reckoning.h"
#include "tests/cluster/audit_stream.h"
#include "tests/cluster/chaos.h"
#include "tests/cluster/faults.h"

namespace iris::test {

namespace audit {
namespace {

constexpr std::size_t fixed_streams = 50;
constexpr std::size_t roaming_streams = 50;
constexpr Milliseconds agree_limit{60'000};  // of all streams with the sweep
// A run below these figures proves too little and counts as failed.
constexpr double acknowledged_share_min = 0.3;  // of the writes that were due
constexpr std::uint64_t seconds_per_fault_max = 20;

// A source, a key within it (its updates still come once), and a key of another source.
std::vector<Topic> topics_of(std::size_t stream) {
  const auto source = static_cast<std::uint16_t>(stream % sources);
  return {{source, std::nullopt},
          {source, std::uint16_t{1}},
          {static_cast<std::uint16_t>((source + 7) % sources), std::uint16_t{2}}};
}

// The whole run; each step prints its failures.
class Audit {
 public:
  explicit Audit(const Arguments& arguments)
      : arguments_(arguments),
        random_(arguments.seed),
        // A short log, so that some streams resume with a state.
        nodes_({.count = arguments.nodes,
                .tls = arguments.tls,
                .flags =
                    [] {
                      auto flags = Faults::flags();
                      flags.insert(flags.end(), {"-log-bytes", "4MiB"});
                      return flags;
                    }()}),
        faults_(nodes_, arguments.seed),
        load_(nodes_, arguments.rate, arguments.seed) {}

  bool run() {
    faults_.start_all();
    open_streams();
    if (!quiet_point()) return finish(false);  // all have begun
    const auto end = Clock::now() + std::chrono::seconds(arguments_.seconds);
    const auto quiet_every =
        std::min(std::chrono::seconds(60), std::chrono::seconds(arguments_.seconds / 2));
    auto next_quiet = Clock::now() + quiet_every;
    load_.start();
    while (Clock::now() < end || !faults_.all_kinds()) {
      if (!faults_.run()) return finish(false);
      for (int i = 0; i < 3; ++i) roam();
      if (Clock::now() < next_quiet) continue;
      next_quiet = Clock::now() + quiet_every;
      if (!quiet_point()) return finish(false);
      load_.start();
    }
    return finish(quiet_point());
  }

 private:
  void open_streams() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      fixed_clients_.push_back(make_client(nodes_, {nodes_.address(i)}));
    }
    for (std::size_t i = 0; i < fixed_streams + roaming_streams; ++i) {
      const bool fixed = i < fixed_streams;
      // Every other stream names its own session, as the programs of 2017 do.
      const std::string session = i % 2 == 0 ? "AUDIT" + std::to_string(i) : "";
      streams_.push_back(std::make_unique<AuditStream>(
          (fixed ? "fixed " : "roaming ") + std::to_string(i), topics_of(i), session));
      if (fixed) {
        streams_.back()->open(fixed_clients_[i % nodes_.size()]);
      } else {
        Client client = roaming_client();
        streams_.back()->open(client);
      }
    }
  }

  Client roaming_client() {
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < nodes_.size(); ++i) addresses.push_back(nodes_.address(i));
    std::shuffle(addresses.begin(), addresses.end(), random_);
    return make_client(nodes_, std::move(addresses));
  }

  // A roaming stream ends, and resumes, perhaps at another node.
  void roam() {
    Client client = roaming_client();
    streams_[fixed_streams + random_() % roaming_streams]->reopen(client);
    ++roamed_;
  }

  // Without writes each stream must become equal to the cluster's data. A write with an unknown
  // outcome may still be applied after the sweep; the next sweep then has it.
  bool quiet_point() {
    load_.pause();
    ++quiet_points_;
    std::vector<AuditStream*> behind;
    for (const auto& stream : streams_) behind.push_back(stream.get());
    std::string difference;
    const bool agreed = await(agree_limit, [&] {
      const auto swept = sweep();
      if (!swept) return false;
      std::erase_if(behind, [&](AuditStream* stream) {
        std::string differs = stream->difference(*swept, load_.last_revision());
        if (!differs.empty()) difference = stream->name() + " " + differs;
        return differs.empty();
      });
      return behind.empty();
    });
    if (!agreed) {
      std::printf("VIOLATION %zu streams differ from the cluster for %lld s; %s\n", behind.size(),
                  static_cast<long long>(agree_limit.count() / 1000), difference.c_str());
    }
    return agreed;
  }

  // GetKeys of every source, GetValue of every key, at a random node. nullopt: a call failed.
  std::optional<Map> sweep() {
    const NodeApi& api = nodes_.api(random_() % nodes_.size());
    Map map;
    for (std::uint16_t source = 0; source < sources; ++source) {
      const auto listing = api.list(source_name(source), Milliseconds(5'000));
      if (!listing.ok) return std::nullopt;
      for (const auto& [name, ignored] : listing.rows) {
        const auto answer = api.get(source_name(source), name, Milliseconds(5'000));
        const auto key = leading_number<std::uint16_t>(std::string_view(name).substr(1));
        const auto number = leading_number<std::uint32_t>(answer.value);
        if (!answer.ok || !answer.found || !key || !number) return std::nullopt;
        map[{source, *key}] = {*number, answer.revision};
      }
    }
    return map;
  }

  // The reckoning and the summary.
  bool finish(bool good) {
    load_.pause();
    for (const auto& stream : streams_) stream->close();
    const auto wrong = reckon(streams_, load_.stored(), load_.last_revision());
    for (std::size_t i = 0; i < std::min<std::size_t>(wrong.size(), 20); ++i) {
      std::printf("VIOLATION %s\n", wrong[i].c_str());
    }
    StreamCounts all;
    all.wrong = wrong.size();
    for (const auto& stream : streams_) {
      const auto counts = stream->counts();
      all.updates += counts.updates;
      all.connections += counts.connections;
      all.resyncs += counts.resyncs;
      all.lost += counts.lost;
      all.duplicated += counts.duplicated;
      all.reordered += counts.reordered;
      all.wrong += counts.wrong;
      for (const auto& text : stream->complaints()) std::printf("VIOLATION %s\n", text.c_str());
      if (counts.updates == 0) void_because(stream->name() + " got no update");
    }
    judge_void();
    std::printf(
        "audit: %lu s, %zu nodes, %lu writes acknowledged, %lu not, %lu skipped; %lu faults (%s); "
        "%zu streams, %lu connections, %zu reopened, %lu updates, %lu resyncs; %zu quiet points; "
        "lost %lu, duplicated %lu, reordered %lu, wrong %lu\n",
        arguments_.seconds, nodes_.size(), load_.acknowledged(), load_.unacknowledged(),
        load_.skipped(), faults_.count(), faults_.summary().c_str(), streams_.size(),
        all.connections, roamed_, all.updates, all.resyncs, quiet_points_, all.lost, all.duplicated,
        all.reordered, all.wrong);
    if (!good) nodes_.keep_evidence();
    return good && !void_ && all.lost + all.duplicated + all.reordered + all.wrong == 0;
  }

  void judge_void() {
    const double due = static_cast<double>(arguments_.rate) *
                       static_cast<double>(arguments_.seconds) * acknowledged_share_min;
    if (static_cast<double>(load_.acknowledged()) < due) {
      void_because("fewer than " + std::to_string(static_cast<std::uint64_t>(due)) +
                   " writes were acknowledged");
    }
    if (!faults_.partitions_held()) void_because("the partitions held nothing back");
    if (faults_.count() < arguments_.seconds / seconds_per_fault_max) {
      void_because("there were only " + std::to_string(faults_.count()) + " faults");
    }
  }

  void void_because(const std::string& why) {
    std::printf("VOID %s\n", why.c_str());
    void_ = true;
  }

  const Arguments& arguments_;
  std::mt19937_64 random_;
  Nodes nodes_;
  Faults faults_;
  AuditLoad load_;
  std::vector<Client> fixed_clients_;
  std::vector<std::unique_ptr<AuditStream>> streams_;
  std::size_t roamed_ = 0;
  std::size_t quiet_points_ = 0;
  bool void_ = false;
};

}  // namespace
}  // namespace audit

Tally audit_rounds(const Arguments& arguments) {
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    const bool good = audit::Audit(arguments).run();
    (good ? tally.passed : tally.failed) += 1;
    if (!good) break;
  }
  return tally;
}

}  // namespace iris::test
