#include "tests/sim/key_model.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace iris::sim {

const KeyModel::Version* KeyModel::version_at(const Versions& versions, std::uint64_t point) {
  const auto after = std::upper_bound(
      versions.begin(), versions.end(), point,
      [](std::uint64_t at, const Version& version) { return at < version.revision; });
  return after == versions.begin() ? nullptr : &*std::prev(after);
}

const KeyModel::Versions* KeyModel::find(const std::string& source, const std::string& key) const {
  const auto in = sources_.find(source);
  if (in == sources_.end()) return nullptr;
  const auto found = in->second.find(key);
  return found == in->second.end() ? nullptr : &found->second;
}

Outcome KeyModel::apply(const Operation& operation, std::uint64_t revision) {
  CHECK(revision > last_);
  last_ = revision;
  if (const auto* set_value = std::get_if<SetValue>(&operation)) return set(*set_value, revision);
  if (const auto* value = std::get_if<RemoveValue>(&operation)) return remove(*value, revision);
  if (const auto* source = std::get_if<RemoveSource>(&operation)) {
    return remove_source(*source, revision);
  }
  CHECK(!"the model does not know this command");
  return {};
}

std::size_t KeyModel::changes_after(std::uint64_t revision) const {
  const auto after = std::upper_bound(
      changes_.begin(), changes_.end(), revision,
      [](std::uint64_t point, const Change& change) { return point < change.revision; });
  return static_cast<std::size_t>(after - changes_.begin());
}

KeyModel::Slot KeyModel::slot(const std::string& source, const std::string& key) {
  const auto in = sources_.try_emplace(source).first;
  const auto at = in->second.try_emplace(key).first;
  return {in->first, at->first, &at->second};
}

void KeyModel::add(const Slot& slot, Version version) {
  if (!changes_.empty()) {
    const Change& last = changes_.back();
    CHECK(std::tie(last.revision, last.source, last.key) <
          std::tie(version.revision, slot.source, slot.key));
  }
  changes_.push_back({version.revision, slot.source, slot.key, version.present});
  slot.versions->push_back(std::move(version));
}

Outcome KeyModel::set(const SetValue& operation, std::uint64_t revision) {
  const Slot at = slot(operation.source, operation.key);
  const Versions& versions = *at.versions;
  const std::uint64_t current =
      versions.empty() || !versions.back().present ? 0 : versions.back().revision;
  if (operation.if_revision && *operation.if_revision != current) {
    return {Outcome::Code::condition_failed, false, current};
  }
  add(at, {revision, true, operation.value});
  return {Outcome::Code::done, true, revision};
}

Outcome KeyModel::remove(const RemoveValue& operation, std::uint64_t revision) {
  const Slot at = slot(operation.source, operation.key);
  const Versions& versions = *at.versions;
  const bool present = !versions.empty() && versions.back().present;
  const std::uint64_t current = present ? versions.back().revision : 0;
  if (operation.if_revision && *operation.if_revision != current) {
    return {Outcome::Code::condition_failed, false, current};
  }
  if (present) add(at, {revision, false, ""});
  return {Outcome::Code::done, present, revision};
}

Outcome KeyModel::remove_source(const RemoveSource& operation, std::uint64_t revision) {
  bool changed = false;
  for (const auto& [key, versions] : sources_[operation.source]) {
    if (versions.empty() || !versions.back().present) continue;
    add(slot(operation.source, key), {revision, false, ""});
    changed = true;
  }
  return {Outcome::Code::done, changed, revision};
}

KeyModel::Read KeyModel::value_at(const std::string& source, const std::string& key,
                                  std::uint64_t point) const {
  const Versions* versions = find(source, key);
  const Version* version = versions == nullptr ? nullptr : version_at(*versions, point);
  if (version == nullptr || !version->present) return {};
  return {true, version->bytes, version->revision};
}

std::vector<KeyModel::Row> KeyModel::keys_at(const std::string& source, std::uint64_t point) const {
  std::vector<Row> rows;
  const auto in = sources_.find(source);
  if (in == sources_.end()) return rows;
  for (const auto& [key, versions] : in->second) {
    const Version* version = version_at(versions, point);
    if (version != nullptr && version->present) rows.emplace_back(key, version->revision);
  }
  return rows;
}

std::vector<std::string> KeyModel::sources_at(std::uint64_t point) const {
  std::vector<std::string> names;
  for (const auto& [name, source] : sources_) {
    if (!keys_at(name, point).empty()) names.push_back(name);
  }
  return names;
}

std::optional<std::uint64_t> KeyModel::point_of(const std::string& source, const std::string& key,
                                                const Read& read, std::uint64_t from) const {
  const Versions* versions = find(source, key);
  const std::size_t count = versions == nullptr ? 0 : versions->size();
  // The key's history is a sequence of intervals; number 0 is "never written".
  for (std::size_t i = 0; i <= count; ++i) {
    const std::uint64_t begin = i == 0 ? 0 : (*versions)[i - 1].revision;
    const std::uint64_t end = i == count ? UINT64_MAX : (*versions)[i].revision;
    if (end <= from) continue;
    const bool present = i > 0 && (*versions)[i - 1].present;
    const bool equal =
        present == read.found &&
        (!present || (begin == read.revision && (*versions)[i - 1].bytes == read.bytes));
    if (equal) return std::max(begin, from);
  }
  return std::nullopt;
}

}  // namespace iris::sim
