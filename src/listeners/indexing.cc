#include "src/listeners/indexing.h"

#include <utility>

#include "src/listeners/budget.h"

namespace iris::listening {

bool Indexing::reached(std::string_view source, std::optional<std::string_view> key) const {
  if (complete_) return true;
  if (source != source_) return source < source_;
  return !key || *key <= key_;
}

void Indexing::go_on(Matcher& matcher, const Filter& filter, std::size_t& budget) {
  if (complete_) return;
  const auto& sources = filter.sources();
  for (auto source = sources.lower_bound(source_); source != sources.end(); ++source) {
    const auto& [name, subscriptions] = *source;
    if (budget == 0) return;
    if (name != source_) {
      source_ = name;
      key_.clear();
      spend(budget, cost::index);
      if (subscriptions.since) matcher.add(id_, name, std::nullopt, *subscriptions.since);
    }
    for (auto key = subscriptions.keys.upper_bound(key_); key != subscriptions.keys.end(); ++key) {
      if (budget == 0) return;
      spend(budget, cost::index);
      key_ = key->first;
      matcher.add(id_, name, key->first, key->second);
    }
  }
  complete_ = true;
  source_ = key_ = std::string();
}

void RetiredFilters::add(Matcher& matcher, Filter filter, Indexing indexing) {
  if (filter.sources().empty()) return;
  retired_.push_back({std::move(filter), std::move(indexing)});
  if (retired_.size() > 1) return;
  std::size_t budget = cost::index * 16;
  go_on(matcher, budget);
}

void RetiredFilters::go_on(Matcher& matcher, std::size_t& budget) {
  while (!retired_.empty() && budget > 0) {
    auto& [filter, indexing] = retired_.front();
    const auto first = filter.remove_first();
    if (!first) {
      retired_.pop_front();
      continue;
    }
    spend(budget, cost::index);
    const auto& [source, key] = *first;
    if (indexing.reached(source, key)) matcher.remove(indexing.id(), source, key);
  }
}

}  // namespace iris::listening
