// Oracle: the updates that listeners must get, from the commands alone: a second, plain account of
// values and updates that shares no code with the machine. Keeps every revision.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/machine/machine.h"

namespace iris::testing {

struct Told {
  std::string source, key;
  std::optional<std::string> value;  // none: removed
  bool operator==(const Told&) const = default;
};
using Name = std::pair<std::string, std::string>;  // source, key
struct Row {
  std::string value;
  std::uint64_t revision = 0;
  bool operator==(const Row&) const = default;
};
using Rows = std::map<Name, Row>;

class Oracle {
 public:
  Oracle() : rows_(1), told_(1) {}

  // The next command in the log, and its outcome as the machine says.
  void apply(const Operation& operation, const Outcome& outcome) {
    rows_.push_back(rows_.back());
    told_.emplace_back();
    if (!outcome.changed) return;
    const std::uint64_t revision = last();
    Rows& rows = rows_.back();
    if (const auto* set = std::get_if<SetValue>(&operation)) {
      rows[{set->source, set->key}] = {set->value, revision};
      told_.back().push_back({set->source, set->key, set->value});
    } else if (const auto* remove = std::get_if<RemoveValue>(&operation)) {
      rows.erase({remove->source, remove->key});
      told_.back().push_back({remove->source, remove->key, std::nullopt});
    } else if (const auto* source = std::get_if<RemoveSource>(&operation)) {
      for (auto row = rows.lower_bound({source->source, ""});
           row != rows.end() && row->first.first == source->source; row = rows.erase(row)) {
        told_.back().push_back({source->source, row->first.second, std::nullopt});
      }
    }
  }

  [[nodiscard]] std::uint64_t last() const { return told_.size() - 1; }
  [[nodiscard]] const Rows& rows(std::uint64_t revision) const { return rows_.at(revision); }
  [[nodiscard]] const std::vector<Told>& told(std::uint64_t revision) const {
    return told_.at(revision);
  }

 private:
  std::vector<Rows> rows_;  // by revision; 0: nothing yet
  std::vector<std::vector<Told>> told_;
};

}  // namespace iris::testing
