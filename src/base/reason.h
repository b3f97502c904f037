// Why a node cannot be reached, for people: what gRPC says of a channel that is down, without its
// wrapping. Any thread; pure. Of no use for decisions, but for hung_up().
#pragma once

#include <string>
#include <string_view>

namespace iris::client {

// The other side hung up before it said a word. That is how a node refuses a certificate, and how
// it refuses a client that speaks plain text to a TLS port; but also what a dying node looks like.
[[nodiscard]] inline bool hung_up(std::string_view text) {
  return text.find("Socket closed") != std::string_view::npos ||
         text.find("Connection reset") != std::string_view::npos;
}

[[nodiscard]] inline std::string plain_reason(std::string_view text) {
  if (hung_up(text)) return "it hung up at once: does it want TLS, or another certificate?";
  if (text.starts_with("DNS resolution failed")) {
    const auto at = text.rfind(": ");
    return "its name is not resolved" +
           (at == std::string_view::npos ? "" : std::string(text.substr(at)));
  }
  for (const std::string_view front : {"Failed to connect to remote host: ", "last error: "}) {
    const auto at = text.rfind(front);
    if (at != std::string_view::npos) text.remove_prefix(at + front.size());
  }
  for (const std::string_view front : {"UNKNOWN: ", "UNAVAILABLE: "}) {
    if (text.starts_with(front)) text.remove_prefix(front.size());
  }
  if (text.starts_with("ipv4:") || text.starts_with("ipv6:")) {
    const auto at = text.find(": ");
    if (at != std::string_view::npos) text.remove_prefix(at + 2);
  }
  if (text.empty()) return "cannot be reached";
  return std::string(text);
}

}  // namespace iris::client
