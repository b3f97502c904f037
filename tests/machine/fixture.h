// MachineFixture: a state machine over tables in memory. Each command gets the next index of a log.
// One thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "src/machine/machine.h"
#include "tests/machine/memory_batch.h"

namespace iris {

struct MachineFixture {
  store::MemoryTables tables;
  std::uint64_t last = 0;
  raft::Level level = feature_level;

  Outcome apply_bytes(std::string bytes) {
    store::MemoryBatch batch(tables);
    ++last;
    const Outcome outcome = Machine::apply(
        raft::Entry{{raft::Term{1}, raft::Index{last}}, std::move(bytes)}, level, batch);
    tables.applied = raft::Index{last};
    return outcome;
  }
  Outcome apply(const Operation& operation) { return apply_bytes(encode(operation)); }

  Outcome set(const std::string& source, const std::string& key, const std::string& value,
              std::optional<std::uint64_t> if_revision = {}) {
    return apply(SetValue{source, key, value, if_revision});
  }
  Outcome remove(const std::string& source, const std::string& key,
                 std::optional<std::uint64_t> if_revision = {}) {
    return apply(RemoveValue{source, key, if_revision});
  }
  Outcome remove_source(const std::string& source) { return apply(RemoveSource{source}); }
  Outcome subscribe(const std::string& session, const std::string& source,
                    std::optional<std::string> key = {}) {
    return apply(Subscribe{session, source, std::move(key)});
  }
  Outcome unsubscribe(const std::string& session, const std::string& source,
                      std::optional<std::string> key = {}) {
    return apply(Unsubscribe{session, source, std::move(key)});
  }

  [[nodiscard]] store::MemoryView view() const { return store::MemoryView(tables); }

  // "" where absent. A test that must tell that from an empty value uses get_value().
  [[nodiscard]] std::string get(const std::string& source, const std::string& key) const {
    Value value;
    return get_value(view(), source, key, value) == store::Found::yes ? value.bytes : "";
  }
  [[nodiscard]] std::vector<std::string> sources(const Page& page = {}) const {
    std::vector<std::string> rows;
    list_sources(view(), page, [&](std::string_view source) {
      rows.emplace_back(source);
      return true;
    });
    return rows;
  }
  [[nodiscard]] std::vector<std::string> keys(const std::string& source,
                                              const Page& page = {}) const {
    std::vector<std::string> rows;
    list_keys(view(), source, page, [&](std::string_view key, const ValueView&) {
      rows.emplace_back(key);
      return true;
    });
    return rows;
  }
  [[nodiscard]] std::vector<std::uint64_t> no_ops(std::uint64_t after = 0) const {
    std::vector<std::uint64_t> rows;
    list_no_ops(view(), after, [&](std::uint64_t revision) {
      rows.push_back(revision);
      return true;
    });
    return rows;
  }
  // "source@since" and "source/key@since".
  [[nodiscard]] std::vector<std::string> subscriptions(const std::string& session) const {
    std::vector<std::string> rows;
    list_subscriptions(view(), session, [&](const SubscriptionView& subscription) {
      std::string row(subscription.source);
      if (subscription.key) row.append("/").append(*subscription.key);
      rows.push_back(row + "@" + std::to_string(subscription.since));
      return true;
    });
    return rows;
  }
};

}  // namespace iris
