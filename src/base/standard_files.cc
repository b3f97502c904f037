// Opens the descriptors 0, 1 and 2 where the parent of the program has closed them (>&-, a
// supervisor). Otherwise the next file or socket would become stdin, stdout or stderr, and a line
// of the log be written into it. They are opened on /dev/null, in the mode that makes their use
// fail (EBADF), as if they were closed. Linked into each program. Runs before the constructors of
// libraries: libgrpc opens a descriptor when it is loaded. Nothing is initialized then, so this
// makes system calls only.
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

// The loader calls the functions of this array first.
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const before_libraries)(int, char**, char**) = hold_standard_files;

}  // namespace
}  // namespace iris
