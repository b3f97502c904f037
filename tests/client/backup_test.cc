// A backup's file while it is being written (src/client/backup.h).
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "src/client/backup.h"
#include "tests/catch.h"
#include "tests/peers/certificates.h"

using iris::client::BackupFile;

TEST_CASE("two backups at once do not write one file") {
  const iris::Folder folder;
  const std::string path = folder / "b";
  std::optional<BackupFile> first(path);
  REQUIRE(first->begin());
  REQUIRE(first->begin());  // anew, by who has it
  REQUIRE(first->add("all of it"));
  BackupFile second(path);
  CHECK_FALSE(second.begin());
  CHECK(second.error() == "another backup is being written to " + path);
  CHECK(::access((path + ".part").c_str(), F_OK) == 0);
  first.reset();
  CHECK(::access((path + ".part").c_str(), F_OK) != 0);
  CHECK(second.begin());
}

TEST_CASE("a backup takes the place of nothing but a file") {
  const iris::Folder folder;
  const std::string path = folder / "path";
  const std::string other = folder / "other";
  SECTION("a symbolic link") { std::filesystem::create_symlink(other, path); }
  SECTION("a pipe, or a device") { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }
  const auto before = std::filesystem::symlink_status(path).type();
  BackupFile file(path);
  CHECK_FALSE(file.begin());
  CHECK(file.error() == "cannot write " + path + ": it is there and not a regular file");
  CHECK(std::filesystem::symlink_status(path).type() == before);
  CHECK_FALSE(std::filesystem::exists(other));
  CHECK_FALSE(std::filesystem::exists(path + ".part"));
}

TEST_CASE("an unfinished backup is not written through a link") {
  const iris::Folder folder;
  const std::string path = folder / "path";
  const std::string other = folder / "other";
  std::filesystem::create_symlink(other, path + ".part");
  BackupFile file(path);
  CHECK_FALSE(file.begin());
  CHECK_FALSE(std::filesystem::exists(other));
}

TEST_CASE("a backup that arrives damaged is not given its name") {
  const iris::Folder folder;
  const std::string path = folder / "b";
  BackupFile file(path);
  REQUIRE(file.begin());
  REQUIRE(file.add(std::string(100, 'x')));
  CHECK_FALSE(file.finish(std::string(64, '0')));
  CHECK(file.error().find("arrived damaged") != std::string::npos);
  CHECK(::access(path.c_str(), F_OK) != 0);
}
