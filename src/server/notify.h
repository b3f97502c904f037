// Notify: messages about this service to systemd. Nothing happens where it does not run under
// systemd, or where this build is without libsystemd.
// Any thread. Owns nothing.
#pragma once

#include <chrono>
#include <string_view>

namespace iris {

void notify_ready();      // recovered and listening; not: has a quorum
void notify_reloading();  // notify_ready() ends it
void notify_stopping();
void notify_watchdog();  // "the loop turns"
// How often notify_watchdog() is due: half of what the service manager waits. 0: it does not wait.
[[nodiscard]] std::chrono::microseconds watchdog_interval();
// The start goes on, and the next such message, or READY, comes within this time.
void notify_extend_timeout(std::chrono::microseconds time);
// One line for `systemctl status`.
void notify_status(std::string_view text);

}  // namespace iris
