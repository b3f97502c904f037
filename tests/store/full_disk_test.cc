// A disk that is nearly full: a real file system of a few MiB, in memory. Mounting it needs root.
#include <sys/mount.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <string>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

namespace {

constexpr std::uint64_t mebibyte = 1u << 20;

class SmallDisk {
 public:
  // nullptr: nothing can be mounted here.
  static std::unique_ptr<SmallDisk> make(std::uint64_t megabytes) {
    std::unique_ptr<SmallDisk> disk(new SmallDisk());
    if (::mount("tmpfs", disk->folder_.path().c_str(), "tmpfs", 0,
                size_option(megabytes).c_str()) != 0) {
      std::printf("skipped: this mounts a file system, which needs root\n");
      return nullptr;
    }
    disk->mounted_ = true;
    return disk;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), 0);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] std::string raft() const { return folder_.raft(); }
  [[nodiscard]] std::uint64_t free_bytes() const { return test::free_bytes(folder_.path()); }
  // Another program's file, which leaves so much free.
  void fill_up(std::uint64_t left) const {
    std::ofstream file(ballast(), std::ios::binary);
    const std::string block(64u << 10, 'b');
    while (free_bytes() > left && file.write(block.data(), std::ssize(block)).flush()) {
    }
  }
  void clear_up() const { REQUIRE(std::filesystem::remove(ballast())); }
  void grow(std::uint64_t megabytes) const {
    REQUIRE(::mount("tmpfs", folder_.path().c_str(), "tmpfs", MS_REMOUNT,
                    size_option(megabytes).c_str()) == 0);
  }

 private:
  SmallDisk() = default;
  static std::string size_option(std::uint64_t megabytes) {
    return "size=" + std::to_string(megabytes) + "m";
  }
  [[nodiscard]] std::string ballast() const { return folder_.path() + "/ballast"; }
  TempFolder folder_;
  bool mounted_ = false;
};

// Sizes in proportion to a disk of 256 MiB.
constexpr std::uint64_t kept_bytes = 8 * mebibyte;
void small(RocksOptions& options) {
  options.disk_kept_free_bytes = kept_bytes;
  options.log_memtable_bytes = 2 * mebibyte;
  options.data_memtable_bytes = mebibyte;
  options.data_memtables_merged = 2;
}

constexpr std::size_t value_bytes = 16u << 10;
constexpr std::uint64_t values_per_turn = 128;  // 2 MiB
constexpr std::uint64_t log_kept = 4 * values_per_turn;

// Does what a node does with its store: trims, writes entries to the log, applies them.
class Writer {
 public:
  explicit Writer(Opened& node, std::uint64_t kept = log_kept)
      : node_(node), kept_(kept), last_(node.applied) {}

  void turn(const std::function<void(Batch&, std::uint64_t index)>& job, std::size_t entry_bytes) {
    if (last_ > kept_) node_.await_trim(mark(1, last_ - kept_));
    const std::uint64_t first = last_ + 1;
    last_ += values_per_turn;
    std::vector<raft::EntryPtr> entries;
    for (std::uint64_t i = first; i <= last_; ++i)
      entries.push_back(entry(1, i, noise(entry_bytes)));
    node_.await_durable(node_.write(std::move(entries), raft::HardState{{1}, {}}));
    for (std::uint64_t i = first; i <= last_; ++i) {
      node_.apply(1, i, [&job, i](Batch& batch) { job(batch, i); });
    }
    node_.await_applied(last_);
  }
  void put() {
    turn(
        [this](Batch& batch, std::uint64_t i) {
          batch.put(Table::values, std::to_string(i), noise(value_bytes));
        },
        value_bytes);
  }
  // Removes every other value up to `last`.
  void remove_half(std::uint64_t last) {
    for (std::uint64_t done = 0; done < last; done += 2 * values_per_turn) {
      turn(
          [done, before = last_](Batch& batch, std::uint64_t i) {
            batch.remove(Table::values, std::to_string(done + 2 * (i - before)));
          },
          16);
    }
  }
  [[nodiscard]] std::uint64_t last() const { return last_; }

 private:
  std::string noise(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (char& byte : text) byte = static_cast<char>(random_());
    return text;
  }
  Opened& node_;
  const std::uint64_t kept_;
  std::mt19937_64 random_{7};
  std::uint64_t last_;
};

std::size_t tables(const SmallDisk& disk) { return files_in(disk.raft() + "/data", ".sst").size(); }

}  // namespace

TEST_CASE("removals make space on a disk that is nearly full (hazard 96)") {
  const std::unique_ptr<SmallDisk> disk = SmallDisk::make(256);
  if (disk == nullptr) return;
  Opened node(disk->raft(), small);
  Writer writer(node);
  const std::uint64_t reserve = 2 * kept_bytes;
  const auto refused = [&] { return node.available_bytes() < reserve; };
  const auto taken = [&] { return node.available_bytes() >= reserve / 8 * 9; };
  for (int time = 0; time < 2; ++time) {
    INFO(time);
    // Growth is refused while a compaction is under way, too: fills the disk until the refusal
    // lasts.
    while (!refused() || node.loop().run_until(taken, std::chrono::milliseconds(500))) writer.put();
    REQUIRE(disk->free_bytes() > reserve);
    writer.remove_half(writer.last());
    for (int turn = 0; turn < 5; ++turn) {
      REQUIRE(node.loop().run_until(taken));
      writer.put();
    }
  }
  REQUIRE(node.failures.empty());
}

TEST_CASE("a compaction that was put off runs by itself once there is space (hazard 96)") {
  const std::unique_ptr<SmallDisk> disk = SmallDisk::make(256);
  if (disk == nullptr) return;
  Opened node(disk->raft(), [](RocksOptions& options) {
    small(options);
    options.disk_kept_free_bytes = 255 * mebibyte;
  });
  Writer writer(node);
  while (tables(*disk) < 12) writer.put();
  const std::size_t put_off = tables(*disk);
  disk->grow(4096);
  REQUIRE(node.loop().run_until([&] {
    node->check_disk();
    return tables(*disk) < put_off;
  }));
  REQUIRE(node.failures.empty());
}

TEST_CASE("a start on a full disk is a sentence, and succeeds once there is room (hazard 96)") {
  const std::unique_ptr<SmallDisk> disk = SmallDisk::make(96);
  if (disk == nullptr) return;
  const bool is_new = GENERATE(false, true);
  const auto settings = [](RocksOptions& options) {
    fit_to_reserve(options, disk_reserve_bytes_min);
  };
  if (!is_new) {
    Opened node(disk->raft(), settings);
    Writer writer(node);
    for (int turn = 0; turn < 3; ++turn) writer.put();
  }
  // RocksDB ends the process where the disk refuses it something at the start: with some room left
  // the node starts, and with less it says why not.
  bool refused = false;
  for (const std::uint64_t left : {0u, 64u << 10, 1u << 20, 2u << 20, 4u << 20, 9u << 20}) {
    INFO("left " << left);
    disk->fill_up(left);
    Loop loop;
    RocksOptions options = options_for(disk->raft(), loop);
    settings(options);
    const Result<std::unique_ptr<Store>> store = open_rocks(std::move(options));
    if (!store) {
      INFO(store.error().text);
      REQUIRE(store.error().code == Errc::io);
      refused = refused || store.error().text.find("too full to start") != std::string::npos;
    }
    disk->clear_up();
  }
  REQUIRE(refused);
  Opened node(disk->raft(), settings);
  REQUIRE(node.raft().entries.empty() == is_new);
}

TEST_CASE("what is removed comes back on the smallest disk and reserve, after a restart too (96)") {
  const std::unique_ptr<SmallDisk> disk = SmallDisk::make(160);
  if (disk == nullptr) return;
  constexpr std::uint64_t reserve = disk_reserve_bytes_min;
  const auto settings = [](RocksOptions& options) { fit_to_reserve(options, reserve); };
  const auto taken = [](Opened& node) { return node.available_bytes() >= reserve / 8 * 9; };
  std::uint64_t last = 0;
  for (int time = 0; time < 2; ++time) {
    INFO(time);
    {
      Opened node(disk->raft(), settings);
      Writer writer(node, UINT64_MAX / 2);  // the log is below its limit, and never trimmed
      do {
        writer.put();
      } while (node.available_bytes() >= reserve);
      // Then the disk is nearly full, and the node trims its log as far as it may.
      last = writer.last() + 1;
      node.await_durable(node.write({entry(1, last)}));
      node.apply(1, last, [](Batch& batch) { batch.remove_prefix(Table::values, ""); });
      node.await_applied(last);
      REQUIRE(node.failures.empty());
    }
    Opened node(disk->raft(), settings);
    node.await_trim(mark(1, last));
    REQUIRE(node.loop().run_until([&] { return taken(node); }));
    REQUIRE(node.failures.empty());
  }
}

}  // namespace iris::store::test
