// A backup in a file, verified and restored into a new cluster; and a node that becomes a new
// cluster after its old one was lost.
#include "store/backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "raft/core.h"
#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* address = "new-host:32001";
constexpr std::uint64_t now_us = clock_from_us + 1'000'000;

// Writes a backup of `node` to `file` and returns its mark.
raft::SnapshotMark back_up(Opened& node, const std::string& file) {
  const std::unique_ptr<Export> pinned = node->pin();
  std::ofstream out(file, std::ios::binary);
  for (bool end = false; !end;) {
    bool answered = false;
    pinned->read(1000, [&](const Result<std::string>& bytes) {
      out << *bytes;
      end = bytes->empty();
      answered = true;
    });
    REQUIRE(node.loop().run_until([&] { return answered; }));
  }
  return pinned->mark();
}

// A member of three at (term 4, index 60), with 60 values and a log of 70 entries.
struct Original {
  Original() {
    Opened node(folder.raft());
    bool adopted = false;
    node->adopt({99}, [&] { adopted = true; });
    std::vector<raft::EntryPtr> entries{entry(4, 1, members_of({1, 2, 3}))};
    for (std::uint64_t i = 2; i <= 70; ++i) entries.push_back(entry(4, i));
    node.await_durable(node.write(entries, raft::HardState{{4}, {2}}));
    for (std::uint64_t i = 1; i <= 60; ++i) {
      const std::string key = std::to_string(i);
      node.apply(
          4, i, [key](Batch& batch) { batch.put(Table::values, key, "value " + key); },
          i == 1 ? std::optional(members_of({1, 2, 3})) : std::nullopt);
    }
    node.await_applied(60);
    self = node.raft().self;
    rows = node.scan(Table::values);
    of = back_up(node, file());
  }
  [[nodiscard]] std::string file() const { return folder.path() + "/backup"; }
  TempFolder folder;
  raft::NodeId self;
  raft::SnapshotMark of;
  std::vector<std::pair<std::string, std::string>> rows;
};

// Starts a core from what was recovered and lets it lead by itself, as the only voter.
void require_leads_alone(Opened& node) {
  raft::Core core({}, node.raft());
  core.campaign();
  std::optional<raft::Term> led;
  for (int turn = 0; turn < 100 && !led; ++turn) {
    core.tick();
    while (core.has_output()) {
      raft::Output out = core.take_output();
      REQUIRE(out.send.empty());
      if (out.write) {
        const raft::Ticket ticket = node.write(out.write->entries, out.write->state);
        node.await_durable(ticket);
        core.persisted(out.write->ticket);
      }
    }
    core.check_invariants();
    if (core.role() == raft::Role::leader && core.commit_index() == core.status().last) {
      led = core.term();
    }
  }
  REQUIRE(led.has_value());
}

// Stands for Machine::apply, with the same rows as Original.
void apply_value(const raft::Entry& entry, Batch& batch) {
  REQUIRE(batch.applied().value + 1 == entry.id.index.value);  // entries come in order, each once
  const std::string key = std::to_string(entry.id.index.value);
  batch.put(Table::values, key, "value " + key);
}

Recover recover_at(std::uint64_t at_us) {
  Recover how;
  how.address_of = [](const std::string&) { return address; };
  how.apply = apply_value;
  how.now_us = at_us;
  return how;
}

// The rows of Original, those of the unapplied end of its log included.
std::vector<std::pair<std::string, std::string>> all_rows(const Original& original) {
  auto rows = original.rows;
  for (std::uint64_t i = 61; i <= 70; ++i) {
    rows.emplace_back(std::to_string(i), "value " + std::to_string(i));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace

TEST_CASE("a backup names its mark; any flipped bit and any cut is noticed (hazard 68)") {
  const Original original;
  const Result<BackupInfo> info = verify_backup(original.file());
  REQUIRE(info.has_value());
  REQUIRE(info->mark == original.of);
  REQUIRE(info->rows == 60);
  REQUIRE(info->bytes == size_of(original.file()));
  REQUIRE(info->sha256.size() == 64);
  for (std::uint64_t at = 0; at < info->bytes; at += 13) {
    INFO(at);
    flip_bit(original.file(), at);
    const Result<BackupInfo> damaged = verify_backup(original.file());
    REQUIRE_FALSE(damaged.has_value());
    REQUIRE(damaged.error().text.find(original.file()) != std::string::npos);
    flip_bit(original.file(), at);
  }
  cut_to(original.file(), info->bytes - 1);
  REQUIRE(verify_backup(original.file()).error().code == Errc::corrupt);
  cut_to(original.file(), 0);
  REQUIRE(verify_backup(original.file()).error().code == Errc::corrupt);
  REQUIRE(verify_backup(original.folder.path() + "/none").error().code == Errc::io);
  const std::string none = original.folder.path() + "/none";
  REQUIRE(verify_backup(none).error().text ==
          "cannot open " + none + ": No such file or directory");
}

TEST_CASE("a restored folder is a node of a new cluster that holds every row and leads alone") {
  const Original original;
  const std::string path = original.folder.path() + "/new";
  const bool empty_there = GENERATE(true, false);
  if (empty_there) fs::create_directory(path);
  const Result<NewCluster> made = restore_backup(original.file(), path + "/", address, now_us);
  REQUIRE(made.has_value());
  REQUIRE(made->last == raft::EntryId{original.of.last.term, {now_us}});
  {
    Opened node(path);
    REQUIRE(node.raft().self == made->node);
    REQUIRE(node.raft().self != original.self);
    REQUIRE(node->recovered().cluster == made->cluster);
    REQUIRE(made->cluster != raft::ClusterId{99});
    REQUIRE(made->cluster != raft::ClusterId{});
    REQUIRE(node.raft().floor.last == made->last);
    REQUIRE(node.raft().floor.members.voters == std::vector<raft::Member>{{made->node, address}});
    REQUIRE(node.raft().applied == made->last.index);
    REQUIRE(node.scan(Table::values) == original.rows);
    require_leads_alone(node);
    const raft::SnapshotMark again = back_up(node, original.folder.path() + "/again");
    REQUIRE(again.members.voters.size() == 1);
  }
  const Opened node(path);
  REQUIRE(node.raft().entries.size() == 1);  // the no-op of the new leader
  const Result<NewCluster> second =
      restore_backup(original.file(), original.folder.path() + "/second", address, now_us);
  REQUIRE(second->cluster != made->cluster);
  REQUIRE(second->node != made->node);
}

TEST_CASE("a restore that cannot be made leaves what was there as it was") {
  const Original original;
  const std::string path = original.folder.path() + "/new";
  SECTION("over a folder in use") {
    const Result<NewCluster> made =
        restore_backup(original.file(), original.folder.raft(), address, now_us);
    REQUIRE(made.error().code == Errc::refused);
    REQUIRE(made.error().text.find("not empty") != std::string::npos);
    REQUIRE(Opened(original.folder.raft()).raft().self == original.self);
  }
  SECTION("over a file") {
    std::ofstream(path) << "x";
    REQUIRE(restore_backup(original.file(), path, address, now_us).error().code == Errc::refused);
  }
  SECTION("from a damaged file") {
    flip_bit(original.file(), size_of(original.file()) / 2);
    REQUIRE(restore_backup(original.file(), path, address, now_us).error().code == Errc::corrupt);
    REQUIRE_FALSE(fs::exists(path));
  }
  SECTION("after one that was cut off") {
    fs::create_directories(path + ".restoring/data");
    std::ofstream(path + ".restoring/data/CURRENT") << "rubbish";
    REQUIRE(restore_backup(original.file(), path, address, now_us).has_value());
  }
  REQUIRE_FALSE(fs::exists(path + ".restoring"));
}

TEST_CASE("a restore to what cannot be replaced is refused before anything is built") {
  const Original original;
  const std::string path = original.folder.path() + "/new";
  const std::string building = path + ".restoring";
  fs::create_directory(path);
  SECTION("a symbolic link") {
    const std::string link = original.folder.path() + "/link";
    fs::create_directory_symlink(path, link);
    const Result<NewCluster> made = restore_backup(original.file(), link, address, now_us);
    REQUIRE(made.error().code == Errc::refused);
    REQUIRE(made.error().text.find(link + " is a symbolic link") != std::string::npos);
    REQUIRE(fs::is_symlink(link));
    REQUIRE_FALSE(fs::exists(link + ".restoring"));
  }
  SECTION("a mount point") {
    // Mounted from the same file system, so that the device number does not give it away.
    if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      std::printf("skipped: this mounts a file system, which needs root\n");
      return;
    }
    const Result<NewCluster> made = restore_backup(original.file(), path, address, now_us);
    REQUIRE(::umount2(path.c_str(), 0) == 0);
    REQUIRE(made.error().code == Errc::refused);
    REQUIRE(made.error().text.find(path + " is a mount point") != std::string::npos);
  }
  REQUIRE(fs::is_empty(path));
  REQUIRE_FALSE(fs::exists(building));
}

TEST_CASE("a restore leaves alone what another one is building in the same place") {
  const Original original;
  const std::string path = original.folder.path() + "/new";
  const std::string building = path + ".restoring";
  fs::create_directory(building);
  std::ofstream(building + "/half") << "done";
  const int other = ::open(building.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(other >= 0);
  REQUIRE(::flock(other, LOCK_EX | LOCK_NB) == 0);
  const Result<NewCluster> made = restore_backup(original.file(), path, address, now_us);
  REQUIRE(fs::exists(building + "/half"));
  REQUIRE(made.error().code == Errc::busy);
  REQUIRE(made.error().text.find("another restore") != std::string::npos);
  ::close(other);
  REQUIRE(restore_backup(original.file(), path, address, now_us).has_value());
  REQUIRE_FALSE(fs::exists(building));
  REQUIRE_FALSE(fs::exists(path + "/half"));
}

TEST_CASE("a restore to the folder one is in makes that folder") {
  const Original original;
  const fs::path path = original.folder.path() + "/new";
  const fs::path before = fs::current_path();
  fs::create_directory(path);
  fs::current_path(path);
  const Result<NewCluster> made = restore_backup(original.file(), ".", address, now_us);
  fs::current_path(before);
  REQUIRE(made.has_value());
  REQUIRE(Opened(path).raft().self == made->node);
}

TEST_CASE("a new history begins at the time, or far ahead where the clock is wrong (hazard 102)") {
  REQUIRE(new_history({60}, now_us) == raft::Index{now_us});
  REQUIRE(new_history({now_us - 1}, now_us) == raft::Index{now_us});
  REQUIRE(new_history({60}, clock_until_us - 1) == raft::Index{clock_until_us - 1});
  REQUIRE(new_history({60}, clock_from_us) == raft::Index{clock_from_us});
  for (const std::uint64_t wrong : {std::uint64_t{0}, clock_from_us - 1, clock_until_us}) {
    REQUIRE(new_history({60}, wrong) == raft::Index{60 + history_gap});
  }
  REQUIRE(new_history({now_us}, now_us) ==
          raft::Index{now_us + history_gap});  // the clock went back
  REQUIRE(clock_until_us < 1ull << 53);

  const Original original;
  const auto restored = [&](const std::string& name, std::uint64_t at_us) {
    const std::string path = original.folder.path() + "/" + name;
    const raft::Index begin = restore_backup(original.file(), path, address, at_us)->last.index;
    Opened node(path);
    REQUIRE(node.raft().floor.last.index == begin);
    static_cast<void>(back_up(node, original.folder.path() + "/backup of " + name));
    return begin;
  };
  const raft::Index first = restored("first", now_us);
  REQUIRE(restored("second", now_us + 1) > first);
  REQUIRE(restored("third", 0).value == original.of.last.index.value + history_gap);
  const std::string again = original.folder.path() + "/backup of first";
  const std::string path = original.folder.path() + "/again";
  const auto from_restored = restore_backup(again, path, address, now_us + 2);
  REQUIRE(from_restored->last.index == first.next().next());
}

TEST_CASE("a node that lost its cluster becomes a cluster of its own, with its whole log") {
  const Original original;
  std::string recorded = "none";
  Recover how = recover_at(now_us);
  how.address_of = [&recorded](const std::string& found) {
    recorded = found;
    return address;
  };
  const Result<NewCluster> made = force_new_cluster(original.folder.raft(), how);
  REQUIRE(recorded.empty());  // this node is not among the members
  REQUIRE(made.has_value());
  REQUIRE(made->node == original.self);
  REQUIRE(made->last == raft::EntryId{{4}, {now_us}});
  {
    Opened node(original.folder.raft());
    REQUIRE(node.raft().self == original.self);
    REQUIRE(node->recovered().cluster == made->cluster);
    REQUIRE(made->cluster != raft::ClusterId{99});
    REQUIRE(node.raft().state == raft::HardState{{4}, {2}});
    REQUIRE(node.raft().floor.last == made->last);
    REQUIRE(node.raft().floor.members.voters == std::vector<raft::Member>{{made->node, address}});
    REQUIRE(node.raft().entries.empty());
    REQUIRE(node.raft().applied == made->last.index);
    REQUIRE(node.scan(Table::values) == all_rows(original));
    require_leads_alone(node);
  }
  const std::vector<raft::EntryPtr> led = Opened(original.folder.raft()).raft().entries;
  REQUIRE(led.size() == 1);
  how.apply = [](const raft::Entry&, Batch&) {};
  how.now_us = 0;
  const Result<NewCluster> again = force_new_cluster(original.folder.raft(), how);
  REQUIRE(recorded == address);
  REQUIRE(again.has_value());  // works a second time too
  REQUIRE(again->cluster != made->cluster);
  REQUIRE(again->last.index.value == led[0]->id.index.value + history_gap);
}

TEST_CASE("a crash while a node is made a cluster leaves the old one or the new (hazard 60)") {
  const Original original;
  std::vector<std::string> steps;
  Recover how = recover_at(now_us);
  how.on_step = [&](std::string_view step) {  // copies what a kill would leave
    steps.emplace_back(step);
    fs::copy(original.folder.raft(), original.folder.path() + "/" + steps.back(),
             fs::copy_options::recursive);
  };
  const Result<NewCluster> made = force_new_cluster(original.folder.raft(), how);
  REQUIRE(made.has_value());
  REQUIRE(steps == std::vector<std::string>{"noted", "data applied"});
  const std::string before = original.folder.path() + "/noted";
  {
    Opened node(before);
    REQUIRE(node->recovered().cluster == raft::ClusterId{99});
    REQUIRE(node.raft().state == raft::HardState{{4}, {2}});
    REQUIRE(node.raft().floor == raft::SnapshotMark{});
    REQUIRE(node.raft().entries.size() == 70);
    REQUIRE(node.raft().applied == raft::Index{60});
    REQUIRE(node.scan(Table::values) == original.rows);
  }
  REQUIRE(force_new_cluster(before, recover_at(now_us)).has_value());
  Opened node(original.folder.path() + "/data applied");
  REQUIRE(node->recovered().cluster == made->cluster);
  REQUIRE(node.raft().floor.last == made->last);
  REQUIRE(node.raft().entries.empty());
  REQUIRE(node.raft().applied == made->last.index);
  REQUIRE(node.scan(Table::values) == all_rows(original));
  require_leads_alone(node);
}

TEST_CASE("a folder that is not a member's is not made a new cluster") {
  const TempFolder folder;
  const Recover how = recover_at(now_us);
  REQUIRE(force_new_cluster(folder.raft(), how).error().code == Errc::not_found);
  REQUIRE_FALSE(fs::exists(folder.raft()));
  {
    const Opened node(folder.raft());
    REQUIRE(force_new_cluster(folder.raft(), how).error().code == Errc::busy);
  }
  const Result<NewCluster> refused = force_new_cluster(folder.raft(), how);
  REQUIRE(refused.error().code == Errc::refused);
  REQUIRE(refused.error().text.find("never a member") != std::string::npos);
}

}  // namespace iris::store::test
