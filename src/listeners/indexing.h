// Indexing: the subscriptions of one filter are put into the matcher in bounded pieces, and taken
// out again in bounded pieces, since a session may have 65,536 of them (hazard 129).
// Loop thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "src/listeners/filter.h"
#include "src/listeners/matcher.h"

namespace iris::listening {

// How far a filter is in the matcher: in the order of Filter::sources(), of each source first the
// whole source, then its single keys.
class Indexing {
 public:
  // `id`: of this filter alone, in the matcher.
  explicit Indexing(Matcher::Id id) : id_(id) {}

  [[nodiscard]] Matcher::Id id() const { return id_; }
  [[nodiscard]] bool begun() const { return complete_ || !source_.empty(); }
  [[nodiscard]] bool complete() const { return complete_; }
  // True where this subscription, if there is one, is in the matcher.
  [[nodiscard]] bool reached(std::string_view source, std::optional<std::string_view> key) const;
  // Goes on until it is complete or the budget is spent.
  void go_on(Matcher& matcher, const Filter& filter, std::size_t& budget);

 private:
  Matcher::Id id_;
  bool complete_ = false;
  std::string source_;  // reached, and of its keys all up to here; empty: nothing is reached
  std::string key_;
};

// Filters that no listener has any more, taken out of the matcher piece by piece.
class RetiredFilters {
 public:
  // A small one at once.
  void add(Matcher& matcher, Filter filter, Indexing indexing);
  void go_on(Matcher& matcher, std::size_t& budget);
  [[nodiscard]] bool empty() const { return retired_.empty(); }

 private:
  struct Retired {
    Filter filter;
    Indexing indexing;
  };
  std::deque<Retired> retired_;
};

}  // namespace iris::listening
