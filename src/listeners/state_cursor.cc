#include "src/listeners/state_cursor.h"

#include <optional>
#include <string_view>
#include <utility>

#include "raft/check.h"

namespace iris::listening {
namespace {

constexpr std::size_t items_max = 64;  // of one read

}  // namespace

std::vector<StateItem> StateCursor::next(const Filter& filter, std::uint64_t revision,
                                         bool every_key) const {
  std::vector<StateItem> items;
  const auto covered = [&](std::uint64_t since) { return since <= revision; };
  const auto& sources = filter.sources();
  for (auto source = sources.lower_bound(source_);
       source != sources.end() && items.size() < items_max; ++source) {
    const auto& [name, subscriptions] = *source;
    const bool begun = name == source_;
    bool whole = begun && whole_;
    bool from_first = !begun;
    std::string_view sent = begun ? sent_ : std::string_view();
    if (subscriptions.since && covered(*subscriptions.since) && (!begun || inside_)) {
      items.push_back({name, std::nullopt, false});
      whole = from_first = true;
    } else if (begun && inside_) {  // unsubscribed meanwhile, but for single keys
      sent = key_;
      from_first = every_key;
    }
    if (whole && !every_key) continue;
    auto key = from_first ? subscriptions.keys.begin() : subscriptions.keys.upper_bound(key_);
    for (; key != subscriptions.keys.end() && items.size() < items_max; ++key) {
      if (covered(key->second)) items.push_back({name, key->first, whole || key->first <= sent});
    }
  }
  return items;
}

std::string StateCursor::start_after(const std::vector<StateItem>& items) const {
  const StateItem& first = items.front();
  return !first.key && first.source == source_ ? key_ : std::string();
}

void StateCursor::advance(const std::vector<StateItem>& items, const StatePage& page) {
  if (page.items_done < items.size() && !page.last_key.empty()) {
    source_ = items[page.items_done].source;
    key_ = page.last_key;
    inside_ = true;
    whole_ = false;
    sent_.clear();
    return;
  }
  CHECK(page.items_done > 0);
  const StateItem& last = items[page.items_done - 1];
  if (inside_ && items.front().key) sent_ = key_;
  if (last.source != source_) sent_.clear();
  source_ = last.source;
  key_ = last.key.value_or("");
  inside_ = false;
  whole_ = sent_.empty() && (!last.key || last.absent_only);
}

}  // namespace iris::listening
