// verify, restore and recover of the built iris: a failure to write their output is an error.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/client/program.h"
#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris {
namespace {

using test::Ended;

constexpr const char* full = "/dev/full";

// The backup of a store that holds one value.
void write_backup(const std::string& folder, const std::string& file) {
  store::test::Opened node(folder);
  bool adopted = false;
  node->adopt({99}, [&] { adopted = true; });
  node.await_durable(node.write({store::test::entry(1, 1, store::test::members_of({1}))},
                                raft::HardState{{1}, {1}}));
  node.apply(
      1, 1, [](store::Batch& batch) { batch.put(store::Table::values, "key", "value"); },
      store::test::members_of({1}));
  node.await_applied(1);
  const std::unique_ptr<store::Export> pinned = node->pin();
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
}

Ended iris(std::vector<std::string> words, const std::string& out = "") {
  words.insert(words.begin(), IRIS);
  if (out.empty()) return test::run(std::move(words));
  words.insert(words.begin(), {"/bin/sh", "-c", "exec \"$@\" > " + out, "sh"});
  return test::run(std::move(words));
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("verify, restore and recover fail where their output is lost (exit 1)") {
  const store::test::TempFolder folder;
  const std::string backup = folder.path() + "/backup";
  const std::string restored = folder.path() + "/restored";
  write_backup(folder.raft(), backup);
  const Ended whole = iris({"verify", backup});
  REQUIRE(whole.code == 0);
  REQUIRE(contains(whole.out, "is whole"));
  const std::vector<std::string> commands[] = {
      {"verify", backup},
      {"restore", backup, "-raftdir", restored},
      {"recover", "-force-new-cluster", "-yes", "-raftdir", restored}};
  for (const auto& words : commands) {
    const Ended ended = iris(words, full);
    INFO(ended.err);
    REQUIRE(ended.code == 1);
    REQUIRE(ended.err == "iris: " + words[0] +
                             " is done, but its output cannot be written: No space left on "
                             "device\n");
  }
  REQUIRE(std::filesystem::exists(restored));
  for (const char* command : {"verify", "restore", "recover"}) {
    const Ended help = iris({command, "-h"}, full);
    REQUIRE(help.code == 1);
    REQUIRE(help.err == "iris: cannot write the output: No space left on device\n");
  }
  // An earlier failure keeps its sentence.
  const Ended none = iris({"verify", folder.path() + "/none"}, full);
  REQUIRE(none.code == 1);
  REQUIRE(contains(none.err, "/none"));
}

}  // namespace
}  // namespace iris
