// Descriptors 0, 1 and 2 are stdin, stdout and stderr. A shell (>&-) or a supervisor may start a
// program with one of them closed. Then the next file or socket would get its number, and lines of
// the log would be written into it. So each closed one is opened here on /dev/null, in the mode
// that lets its use fail (EBADF) as if it were still closed. Linked into each program. Runs before
// all else, also before libraries start, as libgrpc opens a descriptor when it is loaded. Nothing
// is set up then, so there are system calls only.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace iris {
namespace {

constexpr int exit_no_dev_null = 71;  // EX_OSERR

[[gnu::no_sanitize("address", "thread", "undefined")]] void hold_standard_files(int, char**,
                                                                                char**) {
  for (int file = 0; file <= 2; ++file) {
    if (::syscall(SYS_fcntl, file, F_GETFD) >= 0) continue;
    const int mode = file == 0 ? O_WRONLY : O_RDONLY;
    if (::syscall(SYS_openat, AT_FDCWD, "/dev/null", mode) != file) {
      ::syscall(SYS_exit_group, exit_no_dev_null);
    }
  }
}

// The loader calls the functions of this section.
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const before_libraries)(int, char**, char**) = hold_standard_files;

}  // namespace
}  // namespace iris
