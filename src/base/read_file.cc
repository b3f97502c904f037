#include "src/base/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "src/base/disk_wait.h"

namespace iris {

std::optional<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  may_wait_for_disk();
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::string bytes;
  char buffer[4096];
  ssize_t count = 0;
  int why = 0;
  while ((count = ::read(file, buffer, sizeof buffer)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      why = errno;
      break;
    }
    bytes.append(buffer, static_cast<std::size_t>(count));
    if (bytes.size() > bytes_max) {
      why = EFBIG;
      break;
    }
  }
  ::close(file);
  errno = why;
  if (why != 0) return std::nullopt;
  return bytes;
}

}  // namespace iris
