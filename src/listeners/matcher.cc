#include "src/listeners/matcher.h"

#include "raft/check.h"

namespace iris::listening {

void Matcher::add(Id id, std::string_view source, std::optional<std::string_view> key,
                  std::uint64_t since) {
  auto found = sources_.find(source);
  if (found == sources_.end()) found = sources_.emplace(source, Source{}).first;
  if (!key) {
    CHECK(found->second.whole.emplace(id, since).second);
    return;
  }
  auto& keys = found->second.keys;
  auto watchers = keys.find(*key);
  if (watchers == keys.end()) watchers = keys.emplace(*key, Watchers{}).first;
  CHECK(watchers->second.emplace(id, since).second);
}

void Matcher::remove(Id id, std::string_view source, std::optional<std::string_view> key) {
  const auto found = sources_.find(source);
  CHECK(found != sources_.end());
  auto& [whole, keys] = found->second;
  if (key) {
    const auto watchers = keys.find(*key);
    CHECK(watchers != keys.end());
    CHECK(watchers->second.erase(id) == 1);
    if (watchers->second.empty()) keys.erase(watchers);
  } else {
    CHECK(whole.erase(id) == 1);
  }
  if (whole.empty() && keys.empty()) sources_.erase(found);
}

void Matcher::match(std::string_view source, std::string_view key, std::uint64_t revision,
                    const Call& call) const {
  const auto found = sources_.find(source);
  if (found == sources_.end()) return;
  const auto& [whole, keys] = found->second;
  for (const auto& [id, since] : whole) {
    if (since < revision) call(id);
  }
  const auto watchers = keys.find(key);
  if (watchers == keys.end()) return;
  for (const auto& [id, since] : watchers->second) {
    if (since >= revision) continue;
    const auto both = whole.find(id);  // then it was called above
    if (both == whole.end() || both->second >= revision) call(id);
  }
}

void Matcher::match_source(std::string_view source, const Call& call) const {
  const auto found = sources_.find(source);
  if (found == sources_.end()) return;
  for (const auto& [id, since] : found->second.whole) call(id);
  for (const auto& [key, watchers] : found->second.keys) {
    for (const auto& [id, since] : watchers) call(id);
  }
}

}  // namespace iris::listening
