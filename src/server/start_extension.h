// StartExtension: asks the service manager for more time while a start takes long, which the
// recovery of much data may. A thread of its own, since the one that starts is blocked in the
// store. A start that hangs gets none: time is asked for only as long as work is seen, so
// TimeoutStartSec still ends a process whose disk does not answer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace iris {

struct StartExtensionOptions {
  std::chrono::milliseconds period{5'000};
  // So much more work in a period is work; less is what an idle process does. The unit is that of
  // the hook.
  std::uint64_t work_min = 5;
};

struct StartExtensionHooks {
  // Grows as the process works.
  std::function<std::uint64_t()> work;
  // Once at the begin, and after each period in which work was done.
  std::function<void(std::chrono::seconds since_begin)> extend;
};

class StartExtension {
 public:
  // Calls the hooks, on its own thread, until it is destroyed.
  StartExtension(StartExtensionOptions options, StartExtensionHooks hooks);
  ~StartExtension();
  StartExtension(const StartExtension&) = delete;
  StartExtension& operator=(const StartExtension&) = delete;

 private:
  void run();

  const StartExtensionOptions options_;
  const StartExtensionHooks hooks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

// Milliseconds of processor time and blocks read and written of this process, as one number.
[[nodiscard]] std::uint64_t work_of_process();

}  // namespace iris
