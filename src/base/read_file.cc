#include "src/base/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace iris::client {

std::optional<std::string> read_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::string bytes;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = ::read(file, buffer, sizeof buffer)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    bytes.append(buffer, static_cast<std::size_t>(count));
  }
  const int why = errno;
  ::close(file);
  errno = why;
  if (count < 0) return std::nullopt;
  return bytes;
}

}  // namespace iris::client
