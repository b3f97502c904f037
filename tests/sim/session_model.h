// SessionModel: the effect of the committed Subscribe, Unsubscribe and ExpireSessions, written a
// second time and as plainly as possible, with the whole history of every session. Judges the
// machine's outcomes, and knows which updates are due to each Listen stream.
// One thread. Owns its history. Shares no code with src/machine but the types of a command.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/machine/machine.h"

namespace iris::sim {

class SessionModel {
 public:
  static constexpr std::uint64_t never = UINT64_MAX;

  // Changes are due that come after `since` and before `until`.
  struct Subscription {
    std::string source;
    std::optional<std::string> key;  // none: the whole source
    std::uint64_t since = 0;
    std::uint64_t until = never;  // of the Unsubscribe or ExpireSessions

    [[nodiscard]] bool stands() const { return until == never; }
    [[nodiscard]] bool covers(std::string_view in, std::string_view name) const {
      return source == in && (!key || *key == name);
    }
  };
  struct Session {
    std::vector<Subscription> standing;
    std::vector<Subscription> ended;
    std::uint64_t subscribed = 0;  // revision of the last Subscribe
    bool known = false;            // it exists now
    std::uint64_t known_since = 0;
    std::uint64_t expired = 0;  // revision of its last expiry; 0: never
  };

  [[nodiscard]] static bool knows(const Operation& operation);
  // REQUIRES: knows(operation); revision is greater than any before.
  Outcome apply(const Operation& operation, std::uint64_t revision);
  // The number of sessions so far.
  [[nodiscard]] std::uint64_t expirations() const { return expirations_; }
  // nullptr: never subscribed to anything.
  [[nodiscard]] const Session* find(const std::string& session) const;

 private:
  Outcome subscribe(const Subscribe& operation, std::uint64_t revision);
  Outcome unsubscribe(const Unsubscribe& operation, std::uint64_t revision);
  Outcome expire(const ExpireSessions& operation, std::uint64_t revision);

  std::map<std::string, Session> sessions_;
  std::uint64_t expirations_ = 0;
};

}  // namespace iris::sim
