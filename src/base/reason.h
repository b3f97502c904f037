// Reason: why a node cannot be reached, as a text for people: gRPC's reason why a channel is down,
// without the words around it. Any thread; pure. Only hung_up() is fit for decisions.
#pragma once

#include <string>
#include <string_view>

namespace iris::client {

// The peer closed the connection before it sent anything. A node does so when it refuses a
// certificate, or a client that speaks plain text to a TLS port; but a dying node does so too.
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
