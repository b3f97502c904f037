#include "src/server/start_extension.h"

#include <sys/resource.h>

#include <utility>

namespace iris {

StartExtension::StartExtension(StartExtensionOptions options, StartExtensionHooks hooks)
    : options_(options), hooks_(std::move(hooks)), thread_([this] { run(); }) {}

StartExtension::~StartExtension() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void StartExtension::run() {
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t before = hooks_.work();
  hooks_.extend(std::chrono::seconds(0));
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, options_.period, [this] { return over_; })) {
    const std::uint64_t now = hooks_.work();
    if (now - std::exchange(before, now) < options_.work_min) continue;
    hooks_.extend(
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin));
  }
}

std::uint64_t work_of_process() {
  constexpr std::int64_t ms = 1'000;
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) != 0) return 0;
  const std::int64_t cpu_ms = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * ms +
                              (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / ms;
  return static_cast<std::uint64_t>(cpu_ms + used.ru_inblock + used.ru_oublock);
}

}  // namespace iris
