#include "tests/history/search_checker.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>

#include "tests/history/history_file.h"

namespace iris::history {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::uint32_t nothing = 0;  // the state of a key that is absent

// A call on one register.
struct Call {
  bool write = false;
  std::uint32_t value = nothing;  // that it stores, or must read
  std::int64_t begin_us = 0;
  std::int64_t end_us = never;
  const Operation* operation = nullptr;
};

// The search. Calls are in a list of their begins and ends in time; a call that is taken leaves the
// list, and comes back when the search returns to where it was taken.
class Search {
 public:
  Search(std::vector<Call> calls, std::uint64_t steps_max)
      : calls_(std::move(calls)), steps_left_(steps_max), taken_((calls_.size() + 63) / 64) {
    for (std::uint32_t i = 0; i < calls_.size(); ++i) {
      points_.push_back({calls_[i].begin_us, false, i});
      if (calls_[i].end_us == never) continue;
      points_.push_back({calls_[i].end_us, true, i});
      ++must_end_;
    }
    // At one time begins come first: calls that touch overlap.
    std::stable_sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) {
      return a.time_us != b.time_us ? a.time_us < b.time_us : !a.is_end && b.is_end;
    });
    partner_.resize(points_.size(), none);
    next_.resize(points_.size() + 1);
    previous_.resize(points_.size() + 1);
    std::vector<std::size_t> begins(calls_.size());
    for (std::size_t i = 0; i < points_.size(); ++i) {
      if (!points_[i].is_end)
        begins[points_[i].call] = i;
      else
        partner_[begins[points_[i].call]] = i;
    }
    for (std::size_t i = 0; i <= points_.size(); ++i) {
      next_[i] = i + 1;
      previous_[i] = i == 0 ? points_.size() : i - 1;
    }
    next_[points_.size()] = 0;  // the head of the ring
    previous_[0] = points_.size();
    if (points_.empty()) return;
    next_[points_.size() - 1] = points_.size();
    previous_[points_.size()] = points_.size() - 1;
  }

  enum class Answer { linearizable, not_linearizable, no_time };
  Answer run() {
    const std::size_t head = points_.size();
    std::size_t at = next_[head];
    while (must_end_ > 0) {
      if (steps_left_-- == 0) return Answer::no_time;
      const bool stuck = at == head || points_[at].is_end;
      if (!stuck && take(at)) {
        at = next_[head];
        continue;
      }
      if (!stuck) {
        at = next_[at];
        continue;
      }
      // Every call that is open was tried, and one has ended: another choice before.
      if (at != head) blamed_ = calls_[points_[at].call].operation;
      if (path_.empty()) return Answer::not_linearizable;
      at = next_[give_back()];
    }
    return Answer::linearizable;
  }
  // The call that had ended when the search came to its end.
  [[nodiscard]] const Operation* blamed() const { return blamed_; }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  struct Point {
    std::int64_t time_us;
    bool is_end;
    std::uint32_t call;
  };
  struct Taken {
    std::size_t point;
    std::uint32_t state_before;
  };

  // Lets the call at `point` take effect now. False: it cannot, or that was tried.
  bool take(std::size_t point) {
    const Call& call = calls_[points_[point].call];
    if (!call.write && call.value != state_) return false;
    const std::uint32_t state = call.write ? call.value : state_;
    flip(points_[point].call);
    if (!seen_.insert(memory_of(state)).second) {
      flip(points_[point].call);
      return false;
    }
    path_.push_back({point, std::exchange(state_, state)});
    unlink(point);
    if (partner_[point] == none) return true;
    unlink(partner_[point]);
    --must_end_;
    return true;
  }
  // The point of the call that was taken last, which is in the list again.
  std::size_t give_back() {
    const Taken last = path_.back();
    path_.pop_back();
    state_ = last.state_before;
    flip(points_[last.point].call);
    if (partner_[last.point] != none) {
      link(partner_[last.point]);
      ++must_end_;
    }
    link(last.point);
    return last.point;
  }

  void flip(std::uint32_t call) { taken_[call / 64] ^= std::uint64_t{1} << (call % 64); }
  void unlink(std::size_t point) {
    next_[previous_[point]] = next_[point];
    previous_[next_[point]] = previous_[point];
  }
  // In the reverse order of unlink().
  void link(std::size_t point) {
    next_[previous_[point]] = point;
    previous_[next_[point]] = point;
  }
  [[nodiscard]] std::string memory_of(std::uint32_t state) const {
    std::string memory(reinterpret_cast<const char*>(taken_.data()),
                       taken_.size() * sizeof taken_[0]);
    return memory.append(reinterpret_cast<const char*>(&state), sizeof state);
  }

  std::vector<Call> calls_;
  std::uint64_t steps_left_;
  std::vector<std::uint64_t> taken_;  // a bit a call
  std::vector<Point> points_;
  std::vector<std::size_t> partner_;  // of a begin: its end; none: it may never end
  std::vector<std::size_t> next_, previous_;
  std::size_t must_end_ = 0;
  std::uint32_t state_ = nothing;
  std::vector<Taken> path_;
  std::unordered_set<std::string> seen_;
  const Operation* blamed_ = nullptr;
};

// Values as small numbers, from 1 on.
class Numbers {
 public:
  std::uint32_t of(const std::string& value) {
    return numbers_.emplace(value, static_cast<std::uint32_t>(numbers_.size() + 1)).first->second;
  }

 private:
  std::map<std::string, std::uint32_t> numbers_;
};

// Is it left out, as the header says?
bool left_out(const Operation& operation) {
  if (operation.kind == Kind::list || operation.stale) return true;
  if (operation.outcome == Outcome::not_done || operation.outcome == Outcome::conflict) return true;
  return !operation.is_write() && operation.outcome != Outcome::ok;
}

std::vector<Call> calls_of(std::vector<const Operation*> operations, std::size_t most) {
  std::stable_sort(operations.begin(), operations.end(),
                   [](const auto* a, const auto* b) { return a->begin_us < b->begin_us; });
  const bool cut = most > 0 && operations.size() > most;
  if (cut) operations.resize(most);
  Numbers numbers;
  std::vector<Call> calls;
  std::unordered_set<std::uint32_t> read;
  std::unordered_set<std::uint32_t> stored{nothing};
  for (const Operation* each : operations) {
    Call call{each->is_write(), nothing, each->begin_us,
              each->outcome == Outcome::unknown ? never : each->end_us, each};
    if (each->kind == Kind::set || each->found) call.value = numbers.of(each->value);
    (call.write ? stored : read).insert(call.value);
    calls.push_back(call);
  }
  // What was stored behind the cut was read before it.
  if (cut) {
    std::erase_if(calls,
                  [&](const Call& call) { return !call.write && !stored.contains(call.value); });
  }
  // A set that may not have been done, and whose value nobody read, explains nothing: without it
  // the search is shorter, and finds the same.
  std::erase_if(calls, [&](const Call& call) {
    return call.end_us == never && call.value != nothing && !read.contains(call.value);
  });
  return calls;
}

using Name = std::pair<std::string, std::string>;

// The calls of each key; one of a source is a call of each of its keys. Keys on which somebody
// wrote with a condition are left out whole.
std::map<Name, std::vector<const Operation*>> by_key(const History& history) {
  std::map<Name, std::vector<const Operation*>> keys;
  std::unordered_set<std::string> conditional;
  const auto joined = [](const Name& name) { return name.first + '\0' + name.second; };
  for (const Operation& operation : history) {
    if (operation.kind == Kind::remove_source || operation.kind == Kind::list) continue;
    const Name name{operation.source, operation.key};
    if (operation.if_revision) conditional.insert(joined(name));
    if (!left_out(operation)) keys[name].push_back(&operation);
  }
  for (const Operation& operation : history) {
    if (operation.kind != Kind::remove_source || left_out(operation)) continue;
    for (auto at = keys.lower_bound({operation.source, ""});
         at != keys.end() && at->first.first == operation.source; ++at) {
      at->second.push_back(&operation);
    }
  }
  std::erase_if(keys, [&](const auto& key) { return conditional.contains(joined(key.first)); });
  return keys;
}

}  // namespace

Verdict check_by_search(const History& history, SearchLimits limits) {
  Verdict verdict;
  for (auto& [name, operations] : by_key(history)) {
    std::vector<Call> calls = calls_of(std::move(operations), limits.operations_max);
    verdict.checked += calls.size();
    Search search(std::move(calls), limits.steps_max);
    const auto answer = search.run();
    if (answer == Search::Answer::no_time) ++verdict.undecided;
    if (answer != Search::Answer::not_linearizable) continue;
    if (verdict.violations.size() == violations_max) break;
    verdict.violations.push_back(
        "no order of the calls of " + name.first + "/" + name.second +
        " explains their answers; the search ended at " +
        (search.blamed() != nullptr ? text_of(*search.blamed()) : std::string("their begin")));
  }
  return verdict;
}

}  // namespace iris::history
