// A node that becomes a new cluster after its old one was lost, and where a new history begins.
#include "store/new_cluster.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "store/backup.h"
#include "tests/store/original.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

namespace fs = std::filesystem;

// Stands for Machine::apply, with the same rows as Original.
void apply_value(const raft::Entry& entry, raft::Level /*level*/, Batch& batch) {
  REQUIRE(batch.applied().value + 1 == entry.id.index.value);  // entries come in order, each once
  const std::string key = std::to_string(entry.id.index.value);
  batch.put(Table::values, key, "value " + key);
}

Recover recover_at(std::uint64_t at_us) {
  Recover how;
  how.address_of = [](const std::string&) { return new_address; };
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
    const raft::Index begin = restore_backup(original.file(), path, new_address, at_us)->last.index;
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
  const auto from_restored = restore_backup(again, path, new_address, now_us + 2);
  REQUIRE(from_restored->last.index == first.next().next());
}

TEST_CASE("a node that lost its cluster becomes a cluster of its own, with its whole log") {
  const Original original;
  std::string recorded = "none";
  Recover how = recover_at(now_us);
  how.address_of = [&recorded](const std::string& found) {
    recorded = found;
    return new_address;
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
    REQUIRE(node.raft().floor.members.voters ==
            std::vector<raft::Member>{{made->node, new_address}});
    REQUIRE(node.raft().entries.empty());
    REQUIRE(node.raft().applied == made->last.index);
    REQUIRE(node.scan(Table::values) == all_rows(original));
    require_leads_alone(node);
  }
  const std::vector<raft::EntryPtr> led = Opened(original.folder.raft()).raft().entries;
  REQUIRE(led.size() == 1);
  how.apply = [](const raft::Entry&, raft::Level, Batch&) {};
  how.now_us = 0;
  const Result<NewCluster> again = force_new_cluster(original.folder.raft(), how);
  REQUIRE(recorded == new_address);
  REQUIRE(again.has_value());  // works a second time too
  REQUIRE(again->cluster != made->cluster);
  REQUIRE(again->last.index.value == led[0]->id.index.value + history_gap);
}

TEST_CASE("a recovered node keeps the level of its cluster, or is refused untouched (118)") {
  const Original original(raft::Level{3});
  Recover how = recover_at(now_us);
  how.level_max = {2};
  CHECK(force_new_cluster(original.folder.raft(), how).error().code == Errc::unimplemented);
  how.level_max = {3};
  how.understands = [](const raft::Entry& entry) {
    return entry.id.index.value < 65 ? Status(Unit{}) : fail(Errc::unimplemented, "unknown");
  };
  const auto refused = force_new_cluster(original.folder.raft(), how);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::unimplemented);
  CHECK(refused.error().text == original.folder.raft() + ": unknown");
  how.understands = nullptr;
  how.apply = [](const raft::Entry& entry, raft::Level level, Batch& batch) {
    REQUIRE(level == raft::Level{3});
    apply_value(entry, level, batch);
  };
  REQUIRE(force_new_cluster(original.folder.raft(), how).has_value());
  Opened node(original.folder.raft());
  CHECK(node.raft().floor.members.level == raft::Level{3});
  CHECK(node.scan(Table::values) == all_rows(original));
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
    REQUIRE(node.raft().floor == raft::SnapshotMetadata{});
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
