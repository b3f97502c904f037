// Makes the name of a file durable, as fsync makes its bytes. Any thread; blocks.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace iris::client {

// fsync of the folder that `path` is in. False: errno says why.
[[nodiscard]] inline bool sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return false;
  const bool synced = ::fsync(directory) == 0;
  const int error = errno;
  ::close(directory);
  errno = error;
  return synced;
}

}  // namespace iris::client
