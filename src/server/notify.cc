#include "src/server/notify.h"

#include <cstdint>
#include <ctime>
#include <string>

#ifdef IRIS_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

namespace iris {
namespace {

void notify([[maybe_unused]] const std::string& state) {
#ifdef IRIS_SYSTEMD
  ::sd_notify(0, state.c_str());
#endif
}

}  // namespace

void notify_ready() { notify("READY=1"); }

void notify_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t now_us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
  notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now_us));
}

void notify_stopping() { notify("STOPPING=1"); }

void notify_watchdog() { notify("WATCHDOG=1"); }

std::chrono::microseconds watchdog_interval() {
  std::uint64_t wait_us = 0;
#ifdef IRIS_SYSTEMD
  if (::sd_watchdog_enabled(0, &wait_us) <= 0) return {};
#endif
  return std::chrono::microseconds(wait_us / 2);
}

void notify_extend_timeout(std::chrono::microseconds time) {
  notify("EXTEND_TIMEOUT_USEC=" + std::to_string(time.count()));
}

void notify_status(std::string_view text) { notify("STATUS=" + std::string(text)); }

}  // namespace iris
