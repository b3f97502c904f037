// EndOfWatch: waits for SIGINT, SIGTERM and SIGHUP, which are blocked in this thread and those made
// after it, and for the listener's report that it has ended. Owns two descriptors. end() from any
// thread; the rest on the main thread.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>

#include "raft/check.h"
#include "src/cli/exit_code.h"

namespace iris::cli {

// How far the resume file may lag behind, where changes are only printed. After a crash the changes
// printed in this time, and while the file was being written, are printed again.
inline constexpr std::chrono::milliseconds save_every{200};

class EndOfWatch {
 public:
  EndOfWatch() {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGINT);
    ::sigaddset(&set_, SIGTERM);
    ::sigaddset(&set_, SIGHUP);  // the terminal is closed
    CHECK(::pthread_sigmask(SIG_BLOCK, &set_, nullptr) == 0);
    signals_ = ::signalfd(-1, &set_, SFD_CLOEXEC);
    ended_ = ::eventfd(0, EFD_CLOEXEC);
    CHECK(signals_ >= 0 && ended_ >= 0);
  }
  ~EndOfWatch() {
    ::close(signals_);
    ::close(ended_);
  }
  EndOfWatch(const EndOfWatch&) = delete;
  EndOfWatch& operator=(const EndOfWatch&) = delete;

  // Any thread; the first one's code counts.
  void end(ExitCode code) {
    int none = -1;
    code_.compare_exchange_strong(none, code);
    const std::uint64_t one = 1;
    CHECK(::write(ended_, &one, sizeof one) == sizeof one);
  }
  // Blocks until end() or a signal; calls `save` every save_every, where there is one. A watch that
  // prints also ends as soon as the reader of a pipe at stdout is gone, not only at the next
  // change, which may be long in coming.
  ExitCode wait(bool prints, const std::function<void()>& save) {
    const int output = prints ? STDOUT_FILENO : -1;  // poll() passes over -1
    pollfd files[] = {{signals_, POLLIN, 0}, {ended_, POLLIN, 0}, {output, 0, 0}};
    const int timeout = save ? static_cast<int>(save_every.count()) : -1;
    int happened = 0;
    while ((happened = ::poll(files, 3, timeout)) <= 0) {
      CHECK(happened == 0 || errno == EINTR);
      if (happened == 0) save();
    }
    if ((files[1].revents & POLLIN) != 0) return static_cast<ExitCode>(code_.load());
    if ((files[0].revents & POLLIN) == 0) return exit_pipe;
    signalfd_siginfo info{};
    CHECK(::read(signals_, &info, sizeof info) == sizeof info);
    // A second signal ends the process at once, in case the command of the watch does not end.
    CHECK(::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr) == 0);
    if (info.ssi_signo == SIGHUP) return exit_hung_up;
    return info.ssi_signo == SIGINT ? exit_interrupted : exit_terminated;
  }

 private:
  sigset_t set_;
  int signals_ = -1;
  int ended_ = -1;
  std::atomic<int> code_ = -1;
};

}  // namespace iris::cli
