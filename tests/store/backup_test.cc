// A backup in a file: verified, and restored into a new cluster.
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

#include "tests/store/original.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace fs = std::filesystem;

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

TEST_CASE("a backup keeps the level of its cluster, and one of a newer level is refused (118)") {
  const Original original(raft::Level{3});
  const std::string path = original.folder.path() + "/new";
  const std::string sentence =
      original.file() +
      ": the backup is of a cluster at feature level 3, and this build knows feature levels up to "
      "2: run the newer version of Iris";
  CHECK(verify_backup(original.file(), {2}).error().text == sentence);
  const auto refused = restore_backup(original.file(), path, new_address, now_us, {2});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::unimplemented);
  CHECK(refused.error().text == sentence);
  CHECK_FALSE(fs::exists(path));
  CHECK(verify_backup(original.file(), {3})->mark.members.level == raft::Level{3});
  REQUIRE(restore_backup(original.file(), path, new_address, now_us, {3}).has_value());
  {
    Opened node(path);
    CHECK(node.raft().floor.members.level == raft::Level{3});
    CHECK(back_up(node, path + ".again").members.level == raft::Level{3});
  }
  Loop loop;
  RocksOptions older = options_for(path, loop);
  older.level_max = {2};
  CHECK(open_rocks(std::move(older)).error().code == Errc::unimplemented);
}

TEST_CASE("a restored folder is a node of a new cluster that holds every row and leads alone") {
  const Original original;
  const std::string path = original.folder.path() + "/new";
  const bool empty_there = GENERATE(true, false);
  if (empty_there) fs::create_directory(path);
  const Result<NewCluster> made = restore_backup(original.file(), path + "/", new_address, now_us);
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
    REQUIRE(node.raft().floor.members.voters ==
            std::vector<raft::Member>{{made->node, new_address}});
    REQUIRE(node.raft().applied == made->last.index);
    REQUIRE(node.scan(Table::values) == original.rows);
    require_leads_alone(node);
    const raft::SnapshotMetadata again = back_up(node, original.folder.path() + "/again");
    REQUIRE(again.members.voters.size() == 1);
  }
  const Opened node(path);
  REQUIRE(node.raft().entries.size() == 1);  // the no-op of the new leader
  const Result<NewCluster> second =
      restore_backup(original.file(), original.folder.path() + "/second", new_address, now_us);
  REQUIRE(second->cluster != made->cluster);
  REQUIRE(second->node != made->node);
}

TEST_CASE("a restore that cannot be made leaves what was there as it was") {
  const Original original;
  const std::string path = original.folder.path() + "/new";
  SECTION("over a folder in use") {
    const Result<NewCluster> made =
        restore_backup(original.file(), original.folder.raft(), new_address, now_us);
    REQUIRE(made.error().code == Errc::refused);
    REQUIRE(made.error().text.find("not empty") != std::string::npos);
    REQUIRE(Opened(original.folder.raft()).raft().self == original.self);
  }
  SECTION("over a file") {
    std::ofstream(path) << "x";
    REQUIRE(restore_backup(original.file(), path, new_address, now_us).error().code ==
            Errc::refused);
  }
  SECTION("from a damaged file") {
    flip_bit(original.file(), size_of(original.file()) / 2);
    REQUIRE(restore_backup(original.file(), path, new_address, now_us).error().code ==
            Errc::corrupt);
    REQUIRE_FALSE(fs::exists(path));
  }
  SECTION("after one that was cut off") {
    fs::create_directories(path + ".restoring/data");
    std::ofstream(path + ".restoring/data/CURRENT") << "rubbish";
    REQUIRE(restore_backup(original.file(), path, new_address, now_us).has_value());
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
    const Result<NewCluster> made = restore_backup(original.file(), link, new_address, now_us);
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
    const Result<NewCluster> made = restore_backup(original.file(), path, new_address, now_us);
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
  const Result<NewCluster> made = restore_backup(original.file(), path, new_address, now_us);
  REQUIRE(fs::exists(building + "/half"));
  REQUIRE(made.error().code == Errc::busy);
  REQUIRE(made.error().text.find("another restore") != std::string::npos);
  ::close(other);
  REQUIRE(restore_backup(original.file(), path, new_address, now_us).has_value());
  REQUIRE_FALSE(fs::exists(building));
  REQUIRE_FALSE(fs::exists(path + "/half"));
}

TEST_CASE("a restore to the folder one is in makes that folder") {
  const Original original;
  const fs::path path = original.folder.path() + "/new";
  const fs::path before = fs::current_path();
  fs::create_directory(path);
  fs::current_path(path);
  const Result<NewCluster> made = restore_backup(original.file(), ".", new_address, now_us);
  fs::current_path(before);
  REQUIRE(made.has_value());
  REQUIRE(Opened(path).raft().self == made->node);
}

}  // namespace iris::store::test
