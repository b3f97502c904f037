#include "tests/cluster/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "raft/check.h"
#include "tests/client/program.h"

namespace iris::test {

namespace {

std::string size_option(std::size_t megabytes) { return "size=" + std::to_string(megabytes) + "m"; }

bool done(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/usr/bin/env");
  const Ended ended = run(std::move(arguments));
  if (ended.code != 0) std::printf("%s", ended.err.c_str());
  return ended.code == 0;
}

}  // namespace

Mount::Mount() {
  std::string pattern = (std::filesystem::temp_directory_path() / "iris-mount-XXXXXX").string();
  CHECK(mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
}

Mount::~Mount() {
  for (; !mounted_.empty(); mounted_.pop_back()) {
    const char* path = mounted_.back().c_str();
    if (::umount2(path, 0) == 0) continue;
    std::printf("cannot unmount %s: %s\n", path, std::strerror(errno));
    ::umount2(path, MNT_DETACH);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool Mount::mount_memory(std::size_t megabytes) {
  const std::string path = folder_ + "/memory";
  std::filesystem::create_directories(path);
  if (::mount("tmpfs", path.c_str(), "tmpfs", 0, size_option(megabytes).c_str()) != 0) {
    std::printf("cannot mount a tmpfs: %s\n", std::strerror(errno));
    return false;
  }
  mounted_.push_back(path);
  return true;
}

std::unique_ptr<Mount> Mount::capped(std::size_t megabytes) {
  std::unique_ptr<Mount> mount(new Mount());
  return mount->mount_memory(megabytes) ? std::move(mount) : nullptr;
}

std::unique_ptr<Mount> Mount::lying(std::size_t believed_megabytes, std::size_t true_megabytes) {
  std::unique_ptr<Mount> mount(new Mount());
  if (!mount->mount_memory(true_megabytes)) return nullptr;
  const std::string image = mount->path() + "/image";
  const std::string path = mount->folder_ + "/disk";
  std::filesystem::create_directories(path);
  if (!done({"truncate", "-s", std::to_string(believed_megabytes) + "M", image}) ||
      !done({"mkfs.ext4", "-q", image}) || !done({"mount", "-o", "loop", image, path})) {
    return nullptr;
  }
  mount->mounted_.push_back(path);
  return mount;
}

std::size_t Mount::free_bytes() const {
  struct statvfs found = {};
  CHECK(::statvfs(path().c_str(), &found) == 0);
  return std::size_t{found.f_bavail} * found.f_frsize;
}

bool Mount::grow(std::size_t megabytes) const {
  return ::mount("tmpfs", path().c_str(), "tmpfs", MS_REMOUNT, size_option(megabytes).c_str()) == 0;
}

void Mount::fill_up() const {
  const int file =
      ::open((path() + "/ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  CHECK(file >= 0);
  const std::string block(4096, 'x');
  while (::write(file, block.data(), block.size()) > 0) {
  }
  ::close(file);
}

void Mount::clear_up() const { std::filesystem::remove(path() + "/ballast"); }

}  // namespace iris::test
