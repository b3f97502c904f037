#include "tests/history/revision_checker.h"

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>

#include "tests/history/history_file.h"

namespace iris::history {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t no_end = std::numeric_limits<std::uint64_t>::max();

// A command whose revision is known: it was answered ok, or its value was read.
struct Event {
  std::uint64_t revision = 0;
  bool set = false;  // else the key was removed
  const Operation* operation = nullptr;

  // When its client knew: an unknown outcome never.
  [[nodiscard]] std::int64_t end_us() const {
    return operation->outcome == Outcome::ok ? operation->end_us : never;
  }
};

// The greatest revision that was known at a time, by answers and reads that had ended.
class Floor {
 public:
  void add(std::int64_t end_us, std::uint64_t revision) { known_.emplace_back(end_us, revision); }
  void seal() {
    std::sort(known_.begin(), known_.end());
    std::uint64_t most = 0;
    for (auto& [end, revision] : known_) revision = most = std::max(most, revision);
  }
  [[nodiscard]] std::uint64_t before(std::int64_t begin_us) const {
    const auto at =
        std::lower_bound(known_.begin(), known_.end(), std::pair(begin_us, std::uint64_t{0}));
    return at == known_.begin() ? 0 : std::prev(at)->second;
  }

 private:
  std::vector<std::pair<std::int64_t, std::uint64_t>> known_;
};

struct Key {
  std::vector<Event> events;  // by revision
  std::vector<const Operation*> unknown_removals;
  std::unordered_map<std::string, const Operation*> unknown_sets;  // by value
  Floor floor;

  [[nodiscard]] auto at(std::uint64_t revision) const {
    return std::lower_bound(
        events.begin(), events.end(), revision,
        [](const Event& event, std::uint64_t wanted) { return event.revision < wanted; });
  }
  [[nodiscard]] const Event* find(std::uint64_t revision) const {
    const auto found = at(revision);
    return found != events.end() && found->revision == revision ? &*found : nullptr;
  }
  [[nodiscard]] const Event* before(std::uint64_t revision) const {
    const auto found = at(revision);
    return found == events.begin() ? nullptr : &*std::prev(found);
  }
  [[nodiscard]] std::uint64_t next_after(std::uint64_t revision) const {
    const auto found = at(revision + 1);
    return found == events.end() ? no_end : found->revision;
  }
  [[nodiscard]] bool may_be_removed_by(std::int64_t end_us) const {
    return std::any_of(unknown_removals.begin(), unknown_removals.end(),
                       [&](const Operation* each) { return each->begin_us <= end_us; });
  }
  // Nothing is certain after one of these: a set whose value nobody has read.
  [[nodiscard]] bool may_be_set_by(std::int64_t end_us) const {
    return std::any_of(unknown_sets.begin(), unknown_sets.end(),
                       [&](const auto& each) { return each.second->begin_us <= end_us; });
  }
};

struct Source {
  std::map<std::string, Key> keys;
  Floor floor;
};

class Checker {
 public:
  explicit Checker(const History& history) : history_(history) {}

  Verdict check() {
    collect_writes();
    for (const Operation& operation : history_) adopt(operation);
    seal();
    check_times();
    for (const Operation& operation : history_) judge(operation);
    return std::move(verdict_);
  }

 private:
  void wrong(std::string text) {
    if (verdict_.violations.size() < violations_max) verdict_.violations.push_back(std::move(text));
  }
  Key& key_of(const Operation& operation) { return sources_[operation.source].keys[operation.key]; }
  void take_revision(std::uint64_t revision, const Operation& operation) {
    const auto [known, fresh] = by_revision_.emplace(revision, &operation);
    if (fresh || known->second == &operation) return;
    wrong("one revision for two commands: " + text_of(*known->second) + " and " +
          text_of(operation));
  }

  // --- What is known of revisions.

  void collect_writes() {
    for (const Operation& operation : history_) {  // all keys first, for removals of sources
      if (operation.kind == Kind::remove_source) continue;
      if (operation.kind != Kind::list) key_of(operation);
      for (const Row& row : operation.rows) sources_[operation.source].keys[row.key];
    }
    for (const Operation& operation : history_) {
      if (!operation.is_write()) continue;
      const bool done = operation.outcome == Outcome::ok;
      if (!done && operation.outcome != Outcome::unknown) continue;
      if (done) take_revision(operation.revision, operation);
      if (operation.kind == Kind::remove_source) {
        for (auto& [name, key] : sources_[operation.source].keys) add(key, operation);
      } else {
        add(key_of(operation), operation);
      }
    }
  }

  static void add(Key& key, const Operation& operation) {
    if (operation.outcome == Outcome::ok) {
      key.events.push_back({operation.revision, operation.kind == Kind::set, &operation});
    } else if (operation.is_removal()) {
      key.unknown_removals.push_back(&operation);
    } else {
      key.unknown_sets.emplace(operation.value, &operation);
    }
  }

  // A value that was read was stored, with the revision that was read.
  void adopt(const Operation& read) {
    if (read.outcome != Outcome::ok || read.is_write()) return;
    if (read.kind == Kind::get && read.found) adopt(read, read.key, read.value, read.revision);
    for (const Row& row : read.rows) adopt(read, row.key, row.value, row.revision);
  }
  void adopt(const Operation& read, const std::string& name, const std::string& value,
             std::uint64_t revision) {
    Key& key = sources_[read.source].keys[name];
    const auto unknown = key.unknown_sets.find(value);
    if (unknown == key.unknown_sets.end()) return;
    take_revision(revision, *unknown->second);
    key.events.push_back({revision, true, unknown->second});
    key.unknown_sets.erase(unknown);
  }

  void seal() {
    for (auto& [name, source] : sources_) {
      for (auto& [key_name, key] : source.keys) {
        std::sort(key.events.begin(), key.events.end(),
                  [](const Event& a, const Event& b) { return a.revision < b.revision; });
        for (const Event& event : key.events) {
          if (event.end_us() == never) continue;
          key.floor.add(event.end_us(), event.revision);
          source.floor.add(event.end_us(), event.revision);
        }
      }
    }
    for (const Operation& read : history_) {
      if (read.outcome != Outcome::ok || read.is_write() || read.stale) continue;
      Source& source = sources_[read.source];
      const auto add = [&](const std::string& key, std::uint64_t revision) {
        source.keys[key].floor.add(read.end_us, revision);
        source.floor.add(read.end_us, revision);
      };
      if (read.kind == Kind::get && read.found) add(read.key, read.revision);
      for (const Row& row : read.rows) add(row.key, row.revision);
    }
    for (auto& [name, source] : sources_) {
      source.floor.seal();
      for (auto& [key_name, key] : source.keys) key.floor.seal();
    }
  }

  // --- Judging.

  // Commands in the order of time have revisions in that order.
  void check_times() {
    std::vector<Event> by_begin;
    Floor ended;
    for (const auto& [revision, operation] : by_revision_) {
      by_begin.push_back({revision, true, operation});
      if (by_begin.back().end_us() != never) ended.add(operation->end_us, revision);
    }
    ended.seal();
    for (const Event& event : by_begin) {
      const std::uint64_t before = ended.before(event.operation->begin_us);
      if (before < event.revision) continue;
      wrong("a later command has a smaller revision: " + text_of(*event.operation) + " got " +
            std::to_string(event.revision) + ", although " + text_of(*by_revision_.at(before)) +
            " had ended");
    }
  }

  void judge(const Operation& operation) {
    ++verdict_.checked;
    if (operation.is_write()) return judge_condition(operation);
    if (operation.outcome != Outcome::ok) return;
    if (operation.kind == Kind::list) return judge_list(operation);
    const Key& key = key_of(operation);
    if (!operation.found) return judge_absent(operation, key);
    judge_value(operation, key, operation.value, operation.revision);
  }

  // False: said what is wrong.
  bool judge_value(const Operation& read, const Key& key, const std::string& value,
                   std::uint64_t revision) {
    const Event* writer = key.find(revision);
    if (writer == nullptr || !writer->set || writer->operation->value != value) {
      wrong("nobody stored \"" + value + "\" at revision " + std::to_string(revision) +
            ", but it was read: " + text_of(read));
      return false;
    }
    if (writer->operation->begin_us > read.end_us) {
      wrong("read before it was stored: " + text_of(read) + ", " + text_of(*writer->operation));
      return false;
    }
    const std::uint64_t floor = key.floor.before(read.begin_us);
    if (read.stale || revision >= floor) return true;
    const Event* newer = key.find(floor);
    wrong("an old value was read: " + text_of(read) + ", although revision " +
          std::to_string(floor) + " was known before" +
          (newer != nullptr ? ": " + text_of(*newer->operation) : ""));
    return false;
  }

  void judge_absent(const Operation& read, const Key& key) {
    if (read.stale) return;
    const Event* last = key.find(key.floor.before(read.begin_us));
    if (last == nullptr || !last->set) return;
    const bool removed = std::any_of(
        key.at(last->revision), key.events.end(),
        [&](const Event& each) { return !each.set && each.operation->begin_us <= read.end_us; });
    if (removed || key.may_be_removed_by(read.end_us)) return;
    wrong("a value is lost: " + text_of(read) + ", although nothing removed it since " +
          text_of(*last->operation));
  }

  // A list is the state at one revision, between `least` and `most`, and in none of the spans in
  // which a key was there that it does not have.
  void judge_list(const Operation& list) {
    const Source& source = sources_[list.source];
    std::uint64_t least = list.stale ? 0 : source.floor.before(list.begin_us);
    std::uint64_t most = no_end;
    std::map<std::string, std::uint64_t> rows;
    for (const Row& row : list.rows) {
      const Key& key = source.keys.at(row.key);
      if (!judge_value(list, key, row.value, row.revision)) return;
      least = std::max(least, row.revision);
      most = std::min(most, key.next_after(row.revision) - 1);
      rows[row.key] = row.revision;
    }
    std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
    for (const auto& [name, key] : source.keys) {
      if (rows.contains(name) || key.may_be_removed_by(list.end_us)) continue;
      for (const Event& event : key.events) {
        if (event.set) spans.emplace_back(event.revision, key.next_after(event.revision) - 1);
      }
    }
    std::sort(spans.begin(), spans.end());
    std::uint64_t at = least;
    for (const auto& [first, last] : spans) {
      if (first > at) break;
      if (last >= at) at = last == no_end - 1 ? no_end : last + 1;
    }
    if (at <= most && at != no_end) return;
    wrong("a list is the state at no revision: " + text_of(list) + " would be of " +
          std::to_string(least) + " to " + std::to_string(most) + " at most");
  }

  void judge_condition(const Operation& write) {
    if (!write.if_revision || write.kind == Kind::remove_source) return;
    const Key& key = key_of(write);
    if (write.outcome == Outcome::ok) return judge_kept_condition(write, key);
    if (write.outcome != Outcome::conflict) return;
    // The state that was certain all the time of the call, if there was one.
    if (key.may_be_set_by(write.end_us) || key.may_be_removed_by(write.end_us)) return;
    const Event* last = nullptr;
    for (const Event& event : key.events) {
      if (event.end_us() < write.begin_us)
        last = &event;
      else if (event.operation->begin_us <= write.end_us)
        return;
    }
    const std::uint64_t state = last != nullptr && last->set ? last->revision : 0;
    if (state == *write.if_revision) wrong("a condition held and was refused: " + text_of(write));
  }

  void judge_kept_condition(const Operation& write, const Key& key) {
    const Event* before = key.before(write.revision);
    const std::uint64_t state = before != nullptr && before->set ? before->revision : 0;
    if (state == *write.if_revision) return;
    if (*write.if_revision == 0 && key.may_be_removed_by(write.end_us)) return;
    wrong("a condition did not hold and was taken: " + text_of(write) + ", the key was at " +
          std::to_string(state));
  }

  const History& history_;
  Verdict verdict_;
  std::map<std::string, Source> sources_;
  std::map<std::uint64_t, const Operation*> by_revision_;
};

}  // namespace

Verdict check_revisions(const History& history) { return Checker(history).check(); }

}  // namespace iris::history
