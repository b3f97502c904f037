#include "src/net/grpc_log.h"

#include <grpc/support/log.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "src/base/log.h"
#include "src/base/log_limiter.h"

namespace iris {
namespace {

constexpr std::chrono::seconds log_pause{30};
constexpr std::size_t reasons_max = 16;

std::optional<std::uint64_t> allow(const std::string& reason) {
  static std::mutex mutex;
  static LogLimiter limiter(log_pause, reasons_max);
  const std::lock_guard lock(mutex);
  return limiter.allow(reason, LogLimiter::Clock::now());
}

void on_line(gpr_log_func_args* args) {
  const std::string line = args->message;
  const std::string reason = failed_handshake(line);
  if (reason.empty()) return log(LogLevel::debug, "gRPC says", {{"text", line}});
  const auto left_out = allow(reason);
  if (!left_out) return;
  log(LogLevel::warn, "a TLS handshake over gRPC failed",
      {{"why", reason}, {"left_out", *left_out}});
}

}  // namespace

// "Handshake failed with fatal error SSL_ERROR_SSL: error:0A0000C7:SSL routines::the reason."
std::string failed_handshake(std::string_view line) {
  constexpr std::string_view begin = "Handshake failed with fatal error ";
  if (!line.starts_with(begin)) return {};
  line.remove_prefix(begin.size());
  if (const auto place = line.rfind(':'); place != std::string_view::npos) {
    line.remove_prefix(place + 1);
  }
  if (line.ends_with('.')) line.remove_suffix(1);
  return std::string(line.empty() ? "unknown error" : line);
}

void take_grpc_log() { gpr_set_log_function(on_line); }

}  // namespace iris
