// KeyModel: the effect of the committed commands on keys, written a second time and as plainly as
// possible, with the whole history of every key. Judges the machine's outcomes and every read of a
// client.
// One thread. Owns its history. Shares no code with src/machine but the types of a command.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/machine/machine.h"

namespace iris::sim {

class KeyModel {
 public:
  // REQUIRES: revision is greater than any before.
  Outcome apply(const Operation& operation, std::uint64_t revision);
  // Entries that are no commands advance it, too.
  void skip(std::uint64_t revision) { last_ = revision; }
  [[nodiscard]] std::uint64_t last() const { return last_; }

  struct Read {
    bool found = false;
    std::string bytes;
    std::uint64_t revision = 0;
  };
  using Row = std::pair<std::string, std::uint64_t>;  // key, revision
  // The effect of one command on one key. The texts live as long as the model.
  struct Change {
    std::uint64_t revision = 0;
    std::string_view source, key;
    bool present = false;  // after the change
  };

  [[nodiscard]] Read value_at(const std::string& source, const std::string& key,
                              std::uint64_t point) const;
  [[nodiscard]] std::vector<Row> keys_at(const std::string& source, std::uint64_t point) const;
  [[nodiscard]] std::vector<std::string> sources_at(std::uint64_t point) const;
  // Every change of every key, sorted by revision, source, key.
  [[nodiscard]] const std::vector<Change>& changes() const { return changes_; }
  // The position of the first change after `revision`.
  [[nodiscard]] std::size_t changes_after(std::uint64_t revision) const;
  // Calls fn(source, key, revision of its last change, present) for every key there was by `point`.
  template <class Fn>
  void for_each_key(std::uint64_t point, const Fn& fn) const {
    for (const auto& [source, keys] : sources_) {
      for (const auto& [key, versions] : keys) {
        const Version* version = version_at(versions, point);
        if (version != nullptr) fn(source, key, version->revision, version->present);
      }
    }
  }
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

  struct Slot {
    std::string_view source, key;
    Versions* versions;
  };
  // Creates the key if it is absent.
  Slot slot(const std::string& source, const std::string& key);
  void add(const Slot& slot, Version version);

  std::map<std::string, Source> sources_;
  std::vector<Change> changes_;
  std::uint64_t last_ = 0;
};

}  // namespace iris::sim
