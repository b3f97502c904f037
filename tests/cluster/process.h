// Process: one child of the harness, killed and reaped by the destructor. One thread at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace iris::test {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

class Process {
 public:
  Process() = default;
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process(Process&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  Process& operator=(Process&& other) noexcept;

  // argv[0] is the program; stdout and stderr are appended to `log`; `folder` is the working
  // directory. Dies with the harness (PR_SET_PDEATHSIG). `handed_over` become its descriptors from
  // 3 on; each must be a greater number than all of those.
  static Process start(const std::vector<std::string>& argv, const std::string& log,
                       const std::string& folder, const std::vector<int>& handed_over = {});

  [[nodiscard]] bool running();
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Exit code, or 128 + the signal that ended it; nothing where it still runs after `limit`.
  std::optional<int> wait(Milliseconds limit);
  void kill_now();  // SIGKILL, and reaps

 private:
  pid_t pid_ = -1;
  std::optional<int> ended_;
};

// Repeats `state` every few milliseconds until it is true; false after `limit`.
void pause_between_looks();

template <class State>
bool await(Milliseconds limit, State&& state) {
  const auto end = Clock::now() + limit;
  while (!state()) {
    if (Clock::now() >= end) return false;
    pause_between_looks();
  }
  return true;
}

}  // namespace iris::test
