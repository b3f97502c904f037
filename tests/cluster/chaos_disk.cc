// Real nodes on disks that are full, that lie about a sync, or that changed synced bytes.
#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <thread>

#include "tests/cluster/chaos.h"
#include "tests/cluster/content.h"
#include "tests/cluster/load.h"
#include "tests/cluster/mount.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

namespace {

namespace fs = std::filesystem;

constexpr Milliseconds patience{60000};
// A load of ever new keys, which fills the disk.
const LoadOptions growth = {
    .source = "growth", .writers = 8, .keys_per_writer = 100'000, .value_bytes = 16u << 10};

// The last reason that a node gave for ending: one line of its log.
std::string last_words(const Nodes& nodes, std::size_t i) {
  const std::string text = nodes.log_text(i);
  const std::size_t at = text.rfind("\"level\":\"error\"");
  if (at == std::string::npos) return "";
  const std::size_t begin = text.find("\"event\"", at);
  return text.substr(begin, text.find('\n', begin) - begin);
}

bool ends_with_a_sentence(Nodes& nodes, std::size_t i, const std::string& about) {
  const auto code = nodes.wait_exit(i, patience);
  const std::string words = last_words(nodes, i);
  std::printf("  node %zu %s: %s\n", i,
              code ? ("ended with " + std::to_string(*code)).c_str() : "runs on", words.c_str());
  return expect(code == 1, "the node did not exit with code 1") &&
         expect(words.find(about) != std::string::npos, "it did not say: " + about);
}

bool all_equal(const Nodes& nodes, std::size_t leader, const Load& load) {
  bool good = true;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Compared compared = compare_content(nodes.api(leader), nodes.api(i), patience);
    good =
        expect(compared.equal(), "node " + std::to_string(i) + ": " + compared.difference) && good;
  }
  const Compared kept = compare_source(nodes.api(leader), load.options().source,
                                       load.at(load.last_revision()), load.unclear(), patience);
  std::printf("  %lu rows, %lu writes acknowledged, %lu unknown; all nodes compared\n", kept.rows,
              load.acknowledged(), load.unknown());
  return expect(kept.equal(), kept.difference) && good;
}

// The documented way back: an emptied folder, and -join.
bool comes_back_empty(Nodes& nodes, std::size_t who, std::size_t through) {
  nodes.wipe(who);
  nodes.set_join(who, nodes.address(through));
  nodes.start(who);
  nodes.await_voters(nodes.size());
  return expect(await(patience, [&] { return nodes.role(who) == "follower"; }),
                "the emptied node did not become a follower");
}

void print_skipped() { std::printf("skipped: this round mounts file systems, which needs root\n"); }

// --- A full disk: growth is refused before the end, and taken again once there is room, be it that
// something was removed or that the disk has grown.

class FullDisk {
 public:
  explicit FullDisk(bool tls) : tls_(tls) {}

  // Nothing: cannot mount here.
  std::optional<bool> run() {
    for (std::unique_ptr<Mount>& mount : mounts_) {
      mount = Mount::capped(small_megabytes);
      if (mount == nullptr) return std::nullopt;
    }
    nodes_.emplace(NodesOptions{
        .count = mounts_.size(),
        .tls = tls_,
        .flags = {"-disk-reserve-bytes", "128MiB", "-log-bytes", "16MiB"},
    });
    for (std::size_t i = 0; i < mounts_.size(); ++i) {
      nodes_->keep_data_in(i, mounts_[i]->path() + "/data");
    }
    nodes_->start_all();
    leader_ = nodes_->await_leader();
    load_.emplace(nodes_->api(leader_), growth);
    bool good = store_victims();
    good = fill_and_remove_half() && good;
    load_->start();
    good = removals_made_room() && good;
    good = refuses_growth() && good;
    good = still_serves() && good;
    good = takes_growth_again() && good;
    good = a_follower_without_a_byte() && good;
    load_->stop();
    return all_equal(*nodes_, leader_, *load_) && good;
  }

 private:
  static constexpr std::size_t small_megabytes = 416;
  static constexpr std::size_t large_megabytes = 1024;
  static constexpr std::size_t victims = 200;

  [[nodiscard]] const NodeApi& api() const { return nodes_->api(leader_); }

  bool fill_and_remove_half() {
    LoadOptions options = growth;
    options.source = "ballast";
    Load load(api(), options);
    load.start();
    // While a compaction is under way growth may be refused for a second or two.
    const bool full = await(patience, [&] { return !load.await_progress(1, Milliseconds(2000)); });
    load.stop();
    const std::map<std::string, std::string> rows = load.at(load.last_revision());
    std::printf("  full with %zu rows\n", rows.size());
    removed_ = rows.size() / 2;
    const bool good = expect(full && removed_ > 100, "the disk does not become full");
    return remove_half(rows) && good;
  }

  // Only removals free space here.
  bool removals_made_room() {
    const auto begin = Clock::now();
    const bool good = expect(load_->await_progress(removed_ / 2, patience),
                             "growth stays refused though half of the rows were removed");
    std::printf("  half of them removed, and half as many new ones taken in %.1f s\n",
                std::chrono::duration<double>(Clock::now() - begin).count());
    return good;
  }

  bool remove_half(const std::map<std::string, std::string>& rows) {
    constexpr std::size_t threads_count = 8;
    std::vector<std::string> keys;
    keys.reserve(rows.size());
    for (const auto& [key, value] : rows) keys.push_back(key);
    keys.resize(removed_);
    std::atomic<std::size_t> next{0};
    std::atomic<bool> good{true};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < threads_count; ++i) {
      threads.emplace_back([&] {
        for (std::size_t key = next++; key < keys.size() && good; key = next++) {
          if (api().remove("ballast", keys[key], patience).answer != CallAnswer::ok) good = false;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return expect(good, "a removal was refused");
  }

  bool store_victims() {
    bool good = true;
    for (std::size_t i = 0; i < victims && good; ++i) {
      good = api().set("victims", std::to_string(i), "x", patience).answer == CallAnswer::ok;
    }
    return expect(good, "no write succeeds on an empty disk");
  }

  WriteAnswer one_more() const { return api().set("one", "more", "value", Milliseconds(5000)); }

  bool refuses_growth() {
    WriteAnswer answer;
    const bool refused = await(patience, [&] {
      answer = one_more();
      return answer.answer == CallAnswer::not_done;
    });
    std::printf("  refused after %lu writes with: %s\n", load_->acknowledged(),
                answer.text.c_str());
    bool good = expect(refused, "growth was never refused");
    for (std::size_t i = 0; i < mounts_.size(); ++i) {
      std::printf("  node %zu: %zu MiB free\n", i, mounts_[i]->free_bytes() >> 20);
      good = expect(nodes_->running(i), "node " + std::to_string(i) + " ended") && good;
    }
    // Data in memory may take less on the disk than was reckoned: then growth is taken again,
    // and the load goes on until it is refused for good.
    const bool said = await(patience, [&] {
      pb::StatusResponse status;
      return api().status(status, Milliseconds(5000)) && !status.alarm().empty();
    });
    return expect(said, "no alarm in Status") && good;
  }

  bool still_serves() {
    bool good = expect(api().get("victims", "0", patience).found, "a read fails on a full disk");
    for (std::size_t i = 0; i < victims; ++i) {
      const WriteAnswer removed = api().remove("victims", std::to_string(i), patience);
      good = expect(removed.answer == CallAnswer::ok, "a removal was refused: " + removed.text) &&
             good;
      if (!good) break;
    }
    return good;
  }

  bool takes_growth_again() {
    bool good = true;
    for (const std::unique_ptr<Mount>& mount : mounts_) {
      good = expect(mount->grow(large_megabytes), "a tmpfs does not grow") && good;
    }
    const auto begin = Clock::now();
    good = expect(await(patience, [&] { return one_more().answer == CallAnswer::ok; }),
                  "growth stays refused though there is room") &&
           good;
    std::printf("  taken again after %.1f s\n",
                std::chrono::duration<double>(Clock::now() - begin).count());
    return good;
  }

  // Another program takes all the space, so that no reserve helps. The node says so and ends.
  bool a_follower_without_a_byte() {
    const std::size_t victim = (leader_ + 1) % mounts_.size();
    mounts_[victim]->fill_up();
    bool good = ends_with_a_sentence(*nodes_, victim, "space");
    good = expect(load_->await_progress(100, patience), "the others do not go on") && good;
    mounts_[victim]->clear_up();
    nodes_->start(victim);
    return expect(await(patience, [&] { return nodes_->role(victim) == "follower"; }),
                  "the node does not start once there is room") &&
           good;
  }

  const bool tls_;
  std::array<std::unique_ptr<Mount>, 3> mounts_;  // outlive the processes that write there
  std::optional<Nodes> nodes_;
  std::optional<Load> load_;
  std::size_t leader_ = 0;
  std::size_t removed_ = 0;
};

// --- A sync that fails, for real.

std::optional<bool> lying_disk(bool tls) {
  const std::unique_ptr<Mount> mount = Mount::lying(2048, 160);
  if (mount == nullptr) return std::nullopt;
  Nodes nodes({.count = 3, .tls = tls, .flags = {}});
  constexpr std::size_t victim = 2;  // node 0 founds and leads
  nodes.keep_data_in(victim, mount->path() + "/data");
  nodes.start_all();
  Load load(nodes.api(0), growth);
  load.start();
  bool good = ends_with_a_sentence(nodes, victim, "disk");
  good = expect(load.await_progress(100, patience), "the others do not go on") && good;
  nodes.keep_data_in(victim, "");
  good = comes_back_empty(nodes, victim, nodes.await_leader()) && good;
  load.stop();
  return all_equal(nodes, nodes.await_leader(), load) && good;
}

// --- A flipped bit in synced bytes.

// In the middle of the newest write-ahead file of the node's log.
std::string flip_a_bit(const std::string& data_folder, std::uint64_t random) {
  fs::path newest;
  for (const auto& file : fs::directory_iterator(data_folder + "/log")) {
    if (file.path().extension() == ".log" && file.path() > newest) newest = file.path();
  }
  const std::uint64_t size = fs::file_size(newest);
  const std::uint64_t at = size / 4 + random % (size / 2);
  std::fstream bytes(newest, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekg(static_cast<std::streamoff>(at));
  const int was = bytes.get();
  bytes.seekp(static_cast<std::streamoff>(at));
  bytes.put(static_cast<char>(was ^ (1 << (random >> 32) % 8)));
  return newest.filename().string() + " at byte " + std::to_string(at) + " of " +
         std::to_string(size);
}

std::optional<bool> damaged_log(bool tls, std::uint64_t seed) {
  Nodes nodes({.count = 3, .tls = tls, .flags = {}});
  nodes.start_all();
  const std::size_t leader = nodes.await_leader();
  const std::size_t victim = (leader + 1) % nodes.size();
  Load load(nodes.api(leader), {});
  load.start();
  bool good = expect(load.await_progress(1000, patience), "no progress");
  nodes.kill(victim);
  const std::string where = flip_a_bit(nodes.data_folder(victim), seed);
  std::printf("  one bit flipped in %s\n", where.c_str());
  nodes.start(victim);
  good = ends_with_a_sentence(nodes, victim, nodes.data_folder(victim)) && good;
  good = expect(load.await_progress(100, patience), "the others do not go on") && good;
  good = comes_back_empty(nodes, victim, leader) && good;
  load.stop();
  return all_equal(nodes, leader, load) && good;
}

void count(Tally& tally, const std::optional<bool>& good) {
  if (!good) return print_skipped();
  (*good ? tally.passed : tally.failed) += 1;
}

}  // namespace

Tally disk_rounds(const Arguments& arguments) {
  std::mt19937_64 random(arguments.seed);
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    if (arguments.kind != "disk-error" && arguments.kind != "disk-damage") {
      std::printf("round %zu: a full disk\n", round);
      count(tally, FullDisk(arguments.tls).run());
    }
    if (arguments.kind != "disk-full" && arguments.kind != "disk-damage") {
      std::printf("round %zu: a sync that fails\n", round);
      count(tally, lying_disk(arguments.tls));
    }
    if (arguments.kind != "disk-full" && arguments.kind != "disk-error") {
      std::printf("round %zu: a damaged log\n", round);
      count(tally, damaged_log(arguments.tls, random()));
    }
    std::fflush(stdout);
  }
  return tally;
}

}  // namespace iris::test
