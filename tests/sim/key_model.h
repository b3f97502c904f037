// KeyModel: what the committed commands mean, written a second time and as plainly as possible,
// with the whole past of every key. Judges the machine's outcomes and every read of a client. One
// thread. Owns its history. Shares no code with src/machine but the types of a command.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/machine.h"

namespace iris::sim {

class KeyModel {
 public:
  // REQUIRES: revision is greater than any before.
  Outcome apply(const Operation& operation, std::uint64_t revision);
  // Also entries that are no commands move it on.
  void skip(std::uint64_t revision) { last_ = revision; }
  [[nodiscard]] std::uint64_t last() const { return last_; }

  struct Read {
    bool found = false;
    std::string bytes;
    std::uint64_t revision = 0;
  };
  using Row = std::pair<std::string, std::uint64_t>;  // key, revision

  [[nodiscard]] Read value_at(const std::string& source, const std::string& key,
                              std::uint64_t point) const;
  [[nodiscard]] std::vector<Row> keys_at(const std::string& source, std::uint64_t point) const;
  [[nodiscard]] std::vector<std::string> sources_at(std::uint64_t point) const;
  // The first point >= `from` at which a read of this key gives exactly `read`; none up to last().
  [[nodiscard]] std::optional<std::uint64_t> point_of(const std::string& source,
                                                      const std::string& key, const Read& read,
                                                      std::uint64_t from) const;

 private:
  struct Version {
    std::uint64_t revision = 0;
    bool present = false;
    std::string bytes;
  };
  using Versions = std::vector<Version>;
  using Source = std::map<std::string, Versions>;

  static const Version* version_at(const Versions& versions, std::uint64_t point);
  [[nodiscard]] const Versions* find(const std::string& source, const std::string& key) const;
  Outcome set(const SetValue& operation, std::uint64_t revision);
  Outcome remove(const RemoveValue& operation, std::uint64_t revision);
  Outcome remove_source(const RemoveSource& operation, std::uint64_t revision);

  std::map<std::string, Source> sources_;
  std::uint64_t last_ = 0;
};

}  // namespace iris::sim
