// The raft folder: its lock, its identity, and the error messages of both.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "src/base/read_file.h"
#include "store/folder.h"
#include "store/snapshot.h"
#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

namespace fs = std::filesystem;

void write_file_at(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

unsigned mode_of(const std::string& path) {
  struct stat found = {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & 0777;
}

void condemn(Opened& node, std::string why) {
  std::optional<Status> condemned;
  node->condemn(std::move(why), [&](Status status) { condemned = std::move(status); });
  REQUIRE_FALSE(condemned.has_value());  // not from inside the call
  REQUIRE(node.loop().run_until([&] { return condemned.has_value(); }));
  REQUIRE(condemned->has_value());
}

bool says(const Error& error, const std::string& part) {
  return error.text.find(part) != std::string::npos;
}

raft::Members at_level(std::uint64_t level) {
  raft::Members members = members_of({1});
  members.level = {level};
  return members;
}

}  // namespace

TEST_CASE("a folder is made for its owner alone, with what is above it") {
  const TempFolder folder;
  const std::string path = folder.path() + "/a/b/raft";
  const Opened node(path);
  REQUIRE(mode_of(path) == 0700);
}

TEST_CASE("files are their owner's alone, also in a folder that others may enter") {
  const TempFolder folder;
  REQUIRE(::mkdir(folder.raft().c_str(), 0755) == 0);
  REQUIRE(::chmod(folder.raft().c_str(), 0755) == 0);
  const Opened node(folder.raft());
  REQUIRE(mode_of(folder.raft()) == 0755);
  for (const fs::directory_entry& part : fs::directory_iterator(folder.raft())) {
    INFO(part.path());
    REQUIRE((mode_of(part.path().string()) & 077) == 0);
  }
}

TEST_CASE("child: holds a folder", "[.child]") {
  const Opened node(setting("FOLDER"));
  say("holding");
  ::pause();
}

TEST_CASE("a folder in use names the process that has it, until that ends (hazard 103)") {
  const TempFolder folder;
  {
    const Opened mine(folder.raft());
    const Error error = open_error(folder.raft());
    REQUIRE(error.code == Errc::busy);
    REQUIRE(says(error, "process " + std::to_string(::getpid())));
    REQUIRE(says(error, folder.raft()));
  }
  {
    Child other("child: holds a folder", {{"FOLDER", folder.raft()}});
    Loop loop;
    REQUIRE(loop.run_until([&] { return other.heard() == "holding\n"; }));
    const Error error = open_error(folder.raft());
    REQUIRE(error.code == Errc::busy);
    REQUIRE_FALSE(says(error, "process " + std::to_string(::getpid())));
  }
  const Opened mine(folder.raft());  // a killed process holds no lock
}

TEST_CASE("child: opens as nobody", "[.child]") {
  if (::geteuid() == 0) REQUIRE(::setuid(65534) == 0);
  say(open_error(setting("FOLDER")).text);
}

TEST_CASE("a folder without permission is named in the error, with the reason") {
  const TempFolder folder;
  const std::string raft = GENERATE(std::string("/raft"), std::string("/raft/below"));
  REQUIRE(::mkdir((folder.path() + "/raft").c_str(), 0500) == 0);
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  REQUIRE(::chmod((folder.path() + "/raft").c_str(), 0555) == 0);
  Child child("child: opens as nobody", {{"FOLDER", folder.path() + raft}});
  const std::string said = child.hear_all();
  REQUIRE(WEXITSTATUS(child.wait()) == 0);
  INFO(said);
  REQUIRE(said.find(folder.path() + raft) != std::string::npos);
  REQUIRE(said.find("Permission denied") != std::string::npos);
}

TEST_CASE("a path that is not a folder is named in the error") {
  const TempFolder folder;
  write_file_at(folder.raft(), "a file");
  const Error error = open_error(folder.raft());
  REQUIRE(says(error, folder.raft()));
  REQUIRE(says(error, "Not a directory"));
}

// A fault that was: the file that the link named was overwritten with the process id.
TEST_CASE("files of a folder are never opened through a symbolic link") {
  const TempFolder folder;
  { const Opened node(folder.raft()); }
  for (const char* name : {"/lock", "/log.mark"}) {
    CAPTURE(name);
    const std::string file = folder.raft() + name;
    const std::string elsewhere = folder.path() + "/elsewhere";
    fs::rename(file, elsewhere);
    fs::create_symlink(elsewhere, file);
    const std::string before = read_file(elsewhere).value();
    CHECK(says(open_error(folder.raft()), file));
    CHECK(read_file(elsewhere).value() == before);
    fs::remove(file);
    fs::rename(elsewhere, file);
  }
  const Opened again(folder.raft());
}

TEST_CASE("a folder of a newer version is refused with both numbers (hazard 105)") {
  const TempFolder folder;
  { const Opened node(folder.raft()); }
  const std::string identity = folder.raft() + "/identity";
  std::string text = read_file(identity).value();
  const std::string line = "format 1";
  text.replace(text.find(line), line.size(), "format 7");
  write_file_at(identity, text);
  const Error error = open_error(folder.raft());
  REQUIRE(error.code == Errc::unimplemented);
  REQUIRE(says(error, "format 7"));
  REQUIRE(says(error, "knows " + std::to_string(folder_format)));
}

TEST_CASE("a condemned folder is never opened again, and says why and what to do") {
  const TempFolder folder;
  {
    Opened node(folder.raft());
    node.fill(1, 1, 3);
    condemn(node, "its data differs at index 3");
  }
  const Error error = open_error(folder.raft());
  REQUIRE(error.code == Errc::refused);
  REQUIRE(says(error, "(its data differs at index 3)"));
  REQUIRE(says(error, folder.raft() + " is not used any more"));
  REQUIRE(says(error, "start this node with -join"));
  REQUIRE(mode_of(folder.raft() + "/condemned") == 0600);
  // A reason longer than such a file is cut, and a file that says nothing counts as well.
  write_file_at(folder.raft() + "/condemned", "");
  REQUIRE(open_error(folder.raft()).code == Errc::refused);
  fs::remove(folder.raft() + "/condemned");
  {
    Opened node(folder.raft());
    REQUIRE(node.raft().applied == raft::Index{3});
    condemn(node, std::string(10'000, 'x'));
  }
  REQUIRE(says(open_error(folder.raft()), "(xxx"));
}

// Its format is the first one at level 0: builds from before levels can open it again.
TEST_CASE("a folder says its level before the first record of it is written (105, 118)") {
  const TempFolder folder;
  const std::string identity = folder.raft() + "/identity";
  {
    Opened node(folder.raft());
    node.await_durable(node.write({entry(1, 1, at_level(0))}, raft::HardState{{1}, {}}));
    CHECK(read_file(identity).value().find("format 1\n") != std::string::npos);
    node.await_durable(node.write({entry(1, 2, at_level(3)), entry(1, 3)}));
    CHECK(read_file(identity).value().find("format 2\n") != std::string::npos);
    CHECK(read_file(identity).value().find("level 3\n") != std::string::npos);
    node.apply(1, 1);
    node.apply(1, 2, nullptr, at_level(3));
    node.await_applied(2);
    node.await_trim({{{1}, {2}}, at_level(3), {2}});
  }
  {
    const Opened again(folder.raft(), [](RocksOptions& options) { options.level_max = {3}; });
    CHECK(again.raft().floor.members == at_level(3));
  }
  Loop loop;
  RocksOptions older = options_for(folder.raft(), loop);
  older.level_max = {2};
  const auto refused = open_rocks(std::move(older));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::unimplemented);
  CHECK(refused.error().text ==
        "raft folder " + folder.raft() +
            " is of a cluster at feature level 3, and this build knows feature levels up to 2: run "
            "the newer version of Iris here");
  for (std::size_t at = 0; at < read_file(identity).value().size(); ++at) {
    INFO(at);
    flip_bit(identity, at);
    const Error error = open_error(folder.raft());
    CHECK((error.code == Errc::corrupt || error.code == Errc::unimplemented));
    flip_bit(identity, at);
  }
}

TEST_CASE("an installed snapshot of a higher level raises the folder's (118)") {
  const TempFolder folder;
  const raft::SnapshotMetadata of{{{1}, {9}}, at_level(4), {5}};
  SnapshotWriter writer(of);
  writer.row(Table::values, "k", "v");
  writer.finish();
  const std::string stream = writer.take(1u << 20);
  CHECK(stream.substr(8, 2) == std::string("\0\2", 2));
  {
    Opened node(folder.raft());
    bool finished = false;
    node->import_begin(of);
    node->import_chunk(stream, [](const Status& status) { REQUIRE(status.has_value()); });
    node->import_finish([&](const Status& status) { finished = status.has_value(); });
    REQUIRE(node.loop().run_until([&] { return finished; }));
    node.await_durable(node.install(of, {}, raft::HardState{{1}, {}}));
  }
  CHECK(read_file(folder.raft() + "/identity").value().find("level 4\n") != std::string::npos);
  const Opened again(folder.raft());
  CHECK(again.raft().floor == of);
}

TEST_CASE("any damage to the identity stops the start (hazards 98, 101)") {
  const TempFolder folder;
  { const Opened node(folder.raft()); }
  const std::string identity = folder.raft() + "/identity";
  const std::string sound = read_file(identity).value();
  for (std::size_t at = 0; at < sound.size(); ++at) {
    INFO(at);
    flip_bit(identity, at);
    const Error error = open_error(folder.raft());
    REQUIRE((error.code == Errc::corrupt ||
             error.code == Errc::unimplemented));  // the bit made the format a later one
    flip_bit(identity, at);
  }
  write_file_at(identity, "");
  REQUIRE(open_error(folder.raft()).code == Errc::corrupt);
  write_file_at(identity, sound);
  const Opened node(folder.raft());
}

TEST_CASE("a folder of an Iris of 2017 is refused, not taken for an empty one") {
  const TempFolder folder;
  fs::create_directories(folder.raft());
  const std::string file = GENERATE("raft.db", "peers.json");
  write_file_at(folder.raft() + "/" + file, "old");
  const Error error = open_error(folder.raft());
  INFO(error.text);
  CHECK(error.code == Errc::refused);
  CHECK(says(error, file + " is of an Iris of 2017"));
  fs::remove(folder.raft() + "/" + file);
  { const Opened node(folder.raft()); }
  // A node that has long been at home beside old files stays.
  write_file_at(folder.raft() + "/" + file, "old");
  const Opened node(folder.raft());
}

TEST_CASE("a missing file is named, and never made anew beside the rest") {
  const TempFolder folder;
  { const Opened node(folder.raft()); }
  const std::string part = GENERATE("identity", "log", "data", "log.mark", "log/CURRENT");
  fs::rename(folder.raft() + "/" + part, folder.path() + "/aside");
  const Error error = open_error(folder.raft());
  INFO(error.text);
  REQUIRE((error.code == Errc::corrupt || error.code == Errc::io));
  REQUIRE(says(error, folder.raft()));
  fs::rename(folder.path() + "/aside", folder.raft() + "/" + part);
  const Opened node(folder.raft());
}

TEST_CASE("a first start that was cut off begins again (hazard 98)") {
  const TempFolder folder;
  raft::NodeId first;
  {
    const Opened node(folder.raft());
    first = node.raft().self;
  }
  fs::rename(folder.raft() + "/identity", folder.raft() + "/identity.new");
  const Opened node(folder.raft());
  REQUIRE(node.raft().self != first);
  REQUIRE_FALSE(fs::exists(folder.raft() + "/identity.new"));
}

TEST_CASE("log and data of two nodes, or of two times, are not put together (hazards 100, 102)") {
  const TempFolder one;
  const TempFolder other;
  {
    Opened node(one.raft());
    node.fill(1, 1, 5);
  }
  {
    Opened node(other.raft());
    node.fill(1, 1, 5);
  }
  const std::string part = GENERATE("data", "log");
  fs::rename(one.raft() + "/" + part, one.path() + "/aside");
  SECTION("of another node") {
    fs::copy(other.raft() + "/" + part, one.raft() + "/" + part, fs::copy_options::recursive);
    const Error error = open_error(one.raft());
    REQUIRE(error.code == Errc::corrupt);
    REQUIRE(says(error, "another node"));
  }
  SECTION("of an earlier time") {
    fs::copy(one.path() + "/aside", one.raft() + "/" + part, fs::copy_options::recursive);
    {
      Opened node(one.raft());
      node.fill(1, 6, 9);
      node.await_trim(mark(1, 8));
    }
    fs::remove_all(one.raft() + "/" + part);
    fs::copy(one.path() + "/aside", one.raft() + "/" + part, fs::copy_options::recursive);
    const Error error = open_error(one.raft());
    INFO(error.text);
    REQUIRE(error.code == Errc::corrupt);
    REQUIRE(says(error, part == std::string("log") ? "lost synced records" : "disagree"));
  }
}

}  // namespace iris::store::test
