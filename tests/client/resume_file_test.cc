// The file of watch -resume: what has to be on disk when write() returns.
#include "src/cli/resume_file.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/client/cli_fixture.h"

using iris::cli::ResumeFile;
using iris::client::Position;
using iris::test::Folder;
using iris::test::Words;

namespace {

Words synced;  // the files, and the folders, that were

}  // namespace

// In place of the C library's for this whole program.
extern "C" int fsync(int file) {
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  synced.push_back(std::filesystem::read_symlink(link).string());
  return static_cast<int>(::syscall(SYS_fsync, file));
}

TEST_CASE("a position is on disk with its name when it was written") {
  const Folder folder;
  const ResumeFile file(folder.file("position"), {"s", "k"});
  synced.clear();
  REQUIRE_FALSE(file.write({7, "k", "s"}));
  CHECK(synced == Words{folder.file("position.new"), folder.path.string()});
  const auto read = file.read();
  REQUIRE(read);
  CHECK(*read == Position{7, "k", "s"});
}

TEST_CASE("a file of a former build, which names no source of its position, is read") {
  const Folder folder;
  const std::string path = folder.file("position");
  std::ofstream(path) << R"({"key":null,"revision":7,"revision_key":"k","source":"s"})"
                      << "\n";
  const auto read = ResumeFile(path, {"s", {}}).read();
  REQUIRE(read);
  CHECK(*read == Position{7, "k"});
}

TEST_CASE("a file has all that a former build reads") {
  const Folder folder;
  const std::string path = folder.file("position");
  REQUIRE_FALSE(ResumeFile(path, {"s", {}}).write({7, "k", "s"}));
  std::string text;
  std::getline(std::ifstream(path), text);
  CHECK(text ==
        R"({"source":"s","key":null,"revision":7,"revision_source":"s","revision_key":"k"})");
}

TEST_CASE("a position that cannot be kept is an error that names the file") {
  const Folder folder;
  const auto error = ResumeFile(folder.file("none/position"), {"s", {}}).write({7, "k"});
  REQUIRE(error);
  CHECK(error->text ==
        "cannot write " + folder.file("none/position") + ": No such file or directory");
}

TEST_CASE("a name without a folder is in the one where we are") {
  const Folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path);
  synced.clear();
  const auto error = ResumeFile("position", {"s", {}}).write({7, ""});
  std::filesystem::current_path(before);
  CHECK_FALSE(error);
  CHECK(std::count(synced.begin(), synced.end(), folder.path.string()) == 1);
}
