#include "src/listeners/filter.h"

#include <algorithm>

namespace iris::listening {
namespace {

bool contains(const std::vector<std::uint64_t>& sorted, std::uint64_t hash) {
  return std::binary_search(sorted.begin(), sorted.end(), hash);
}

}  // namespace

bool Filter::add(std::string_view source, std::optional<std::string_view> key,
                 std::uint64_t since) {
  auto found = sources_.find(source);
  if (found == sources_.end()) found = sources_.emplace(source, Source{}).first;
  if (key) {
    if (!found->second.keys.emplace(*key, since).second) return false;
  } else {
    if (found->second.since) return false;
    found->second.since = since;
  }
  hashes_.reset();
  return true;
}

bool Filter::remove(std::string_view source, std::optional<std::string_view> key) {
  const auto found = sources_.find(source);
  if (found == sources_.end()) return false;
  auto& [since, keys] = found->second;
  if (key) {
    const auto at = keys.find(*key);
    if (at == keys.end()) return false;
    keys.erase(at);
  } else {
    if (!since) return false;
    since.reset();
  }
  if (!since && keys.empty()) sources_.erase(found);
  hashes_.reset();
  return true;
}

std::optional<Filter::Name> Filter::remove_first() {
  if (sources_.empty()) return std::nullopt;
  const auto first = sources_.begin();
  auto& [since, keys] = first->second;
  Name name{first->first, std::nullopt};
  if (since) {
    since.reset();
  } else {
    name.key = std::move(keys.extract(keys.begin()).key());
  }
  if (keys.empty()) sources_.erase(first);
  hashes_.reset();
  return name;
}

void Filter::lower_since(std::uint64_t since) {
  for (auto& [name, source] : sources_) {
    if (source.since) source.since = std::min(*source.since, since);
    for (auto& [key, own] : source.keys) own = std::min(own, since);
  }
}

bool Filter::wants(std::string_view source, std::string_view key, std::uint64_t revision) const {
  const Source* found = find(source);
  if (found == nullptr) return false;
  if (found->since && *found->since < revision) return true;
  const auto at = found->keys.find(key);
  return at != found->keys.end() && at->second < revision;
}

bool Filter::may_want(const Digest& digest) const {
  if (digest.kind == Digest::Kind::none || sources_.empty()) return false;
  if (!hashes_) hashes_ = hash_all();
  if (digest.kind == Digest::Kind::source) return contains(hashes_->sources, digest.source);
  return contains(hashes_->whole, digest.source) || contains(hashes_->keys, digest.key);
}

const Filter::Source* Filter::find(std::string_view source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? nullptr : &found->second;
}

std::optional<std::uint64_t> Filter::first_since() const {
  std::optional<std::uint64_t> first;
  const auto take = [&](std::uint64_t since) { first = std::min(first.value_or(since), since); };
  for (const auto& [name, source] : sources_) {
    if (source.since) take(*source.since);
    for (const auto& [key, since] : source.keys) take(since);
  }
  return first;
}

Filter::Hashes Filter::hash_all() const {
  Hashes hashes;
  for (const auto& [name, source] : sources_) {
    const std::uint64_t hash = hash_source(name);
    hashes.sources.push_back(hash);
    if (source.since) hashes.whole.push_back(hash);
    for (const auto& [key, since] : source.keys) hashes.keys.push_back(hash_key(hash, key));
  }
  for (auto* list : {&hashes.sources, &hashes.whole, &hashes.keys}) {
    std::sort(list->begin(), list->end());
  }
  return hashes;
}

}  // namespace iris::listening
