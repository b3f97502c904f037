#include "tests/cluster/audit_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "raft/check.h"

namespace iris::test::audit {

namespace {

using namespace std::chrono_literals;
using Op = client::Update::Op;

constexpr auto heartbeat = 500ms;
constexpr auto stop_limit = 20s;
constexpr std::size_t complaints_max = 5;

std::string text_of(Place place) {
  return std::to_string(place.revision) + "/" +
         (place.key == key_end ? "end" : key_name(place.key));
}

// nullopt: not written by this run.
std::optional<Seen> parse(const client::Update& update) {
  const auto number_in = [](const std::string& name, char letter) {
    return name.starts_with(letter) ? leading_number<std::uint16_t>(name.substr(1)) : std::nullopt;
  };
  const auto source = number_in(update.source, 's');
  const auto key = number_in(update.key, 'k');
  if (!source || !key) return std::nullopt;
  Seen seen{{update.revision, *key}, *source, 0};
  if (update.op == Op::remove) return update.value.empty() ? std::optional(seen) : std::nullopt;
  const auto number = leading_number<std::uint32_t>(update.value);
  if (!number || *number == 0 || update.value != value_of(*number)) return std::nullopt;
  seen.number = *number;
  return seen;
}

}  // namespace

AuditStream::AuditStream(std::string name, std::vector<Topic> topics, std::string session)
    : name_(std::move(name)), topics_(std::move(topics)), session_(std::move(session)) {}

void AuditStream::open(Client& client) {
  CHECK(!listener_);
  client::ListenOptions options{.heartbeat = heartbeat, .session = session_};
  for (const auto& topic : topics_) {
    std::optional<std::string> key;
    if (topic.key) key = key_name(*topic.key);
    options.topics.push_back({source_name(topic.source), key});
  }
  {
    const std::lock_guard lock(mutex_);
    options.send_initial = in_state_;
    if (in_state_) {
      map_.clear();
    } else {
      const Place until = spans_.back().until;
      options.after = {until.revision, until.key == key_end ? "" : key_name(until.key)};
    }
  }
  auto listener = client.listen(
      std::move(options), {.on_update = [this](const client::Update& update) { take(update); },
                           .on_connected =
                               [this](const std::string& address) {
                                 const std::lock_guard lock(mutex_);
                                 ++counts_.connections;
                                 node_ = address;
                               },
                           .on_lost =
                               [this](const client::Error& error) {
                                 const std::lock_guard lock(mutex_);
                                 trouble_ = error.text;
                               },
                           .on_end =
                               [this](const client::Error& error) {
                                 const std::lock_guard lock(mutex_);
                                 complain(&StreamCounts::wrong, "ended: " + error.text);
                               }});
  CHECK(listener.has_value());
  listener_ = std::move(*listener);
}

void AuditStream::reopen(Client& client) {
  close();
  open(client);
}

void AuditStream::close() {
  if (!listener_) return;
  listener_->stop();
  const bool ended = listener_->wait(stop_limit);
  const client::Position position = listener_->position();
  listener_.reset();
  const std::lock_guard lock(mutex_);
  if (!ended) complain(&StreamCounts::wrong, "did not stop within 20 s");
  // The cursor of the library, which a program would save.
  const Place until = in_state_ ? Place{} : spans_.back().until;
  const std::string key = until.key == key_end || in_state_ ? "" : key_name(until.key);
  if (position.revision != until.revision || position.key != key) {
    complain(&StreamCounts::wrong, "was told up to " + text_of(until) + ", but says " +
                                       std::to_string(position.revision) + "/" + position.key);
  }
}

void AuditStream::take(const client::Update& update) {
  const std::lock_guard lock(mutex_);
  if (update.op != Op::put && update.op != Op::remove) return take_mark(update);
  const auto seen = parse(update);
  if (!seen || !wants(seen->source, seen->place.key)) {
    return complain(&StreamCounts::wrong, "got what nobody wrote, or it did not ask for: " +
                                              update.source + " " + update.key);
  }
  take_row(*seen, update.op);
}

void AuditStream::take_mark(const client::Update& update) {
  if (update.op == Op::resync) {
    ++counts_.resyncs;
    in_state_ = true;
    map_.clear();
  } else if (update.op == Op::synced) {
    if (!in_state_) complain(&StreamCounts::wrong, "SYNCED without a state before it");
    if (!spans_.empty() && update.revision < spans_.back().until.revision) {
      complain(&StreamCounts::reordered, "a state of " + std::to_string(update.revision) +
                                             " after " + text_of(spans_.back().until));
    }
    for (const auto& [name, row] : map_) {
      if (row.revision > update.revision) {
        complain(&StreamCounts::wrong, "a state of " + std::to_string(update.revision) +
                                           " with a value of " + std::to_string(row.revision));
      }
    }
    in_state_ = false;
    spans_.push_back({update.revision, {update.revision, key_end}, seen_.size()});
  } else if (!in_state_) {  // a bookmark
    check_place({update.revision, key_end});
    spans_.back().until = {update.revision, key_end};
  }
}

void AuditStream::take_row(const Seen& seen, Op op) {
  ++counts_.updates;
  const std::pair name(seen.source, seen.place.key);
  if (op == Op::remove) {
    // Only present keys are removed: for an absent one the update that set it was lost.
    if (in_state_ || map_.erase(name) == 0) {
      complain(&StreamCounts::wrong, "a removal of what is not there, at " + text_of(seen.place));
    }
  } else {
    map_[name] = {seen.number, seen.place.revision};
  }
  if (in_state_) return;
  check_place(seen.place);
  spans_.back().until = seen.place;
  seen_.push_back(seen);
}

// A bookmark may repeat a revision; an update must be after the last one.
void AuditStream::check_place(Place place) {
  const Place until = spans_.back().until;
  const bool bookmark = place.key == key_end;
  if (place > until || (bookmark && place == until)) return;
  const bool twice = !bookmark && std::any_of(seen_.rbegin(), seen_.rend(), [&](const Seen& seen) {
    return seen.place == place;
  });
  complain(twice ? &StreamCounts::duplicated : &StreamCounts::reordered,
           text_of(place) + " after " + text_of(until));
}

bool AuditStream::wants(std::uint16_t source, std::uint16_t key) const {
  return std::any_of(topics_.begin(), topics_.end(), [&](const Topic& topic) {
    return topic.source == source && (!topic.key || *topic.key == key);
  });
}

std::string AuditStream::difference(const Map& all, std::uint64_t revision) const {
  const std::lock_guard lock(mutex_);
  const std::string where = " (at " + node_ + ", connected " + std::to_string(counts_.connections) +
                            " times; last lost: " + trouble_ + ")";
  if (in_state_) return "is amid a state" + where;
  const Place until = spans_.back().until;
  if (until < Place{revision, key_end}) {
    return "is at " + text_of(until) + ", not at " + std::to_string(revision) + where;
  }
  const auto describe = [](const Map& map, std::pair<std::uint16_t, std::uint16_t> name) {
    const auto found = map.find(name);
    if (found == map.end()) return std::string("nothing");
    return std::to_string(found->second.number) + " of revision " +
           std::to_string(found->second.revision);
  };
  for (std::uint16_t source = 0; source < sources; ++source) {
    for (std::uint16_t key = 0; key < keys; ++key) {
      if (!wants(source, key)) continue;
      const std::pair name(source, key);
      const std::string here = describe(map_, name);
      const std::string there = describe(all, name);
      if (here == there) continue;
      std::string text = "has at " + source_name(source) + " " + key_name(key) + " " + here;
      text.append(", the cluster ").append(there).append(where);
      return text;
    }
  }
  return "";
}

bool AuditStream::synced() const {
  const std::lock_guard lock(mutex_);
  return !in_state_;
}

StreamCounts AuditStream::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::vector<std::string> AuditStream::complaints() const {
  const std::lock_guard lock(mutex_);
  return complaints_;
}

void AuditStream::add_lost(std::uint64_t updates, const std::string& what) {
  const std::lock_guard lock(mutex_);
  complain(&StreamCounts::lost, what);
  counts_.lost += updates - 1;
}

void AuditStream::complain(std::uint64_t StreamCounts::*counter, std::string text) {
  ++(counts_.*counter);
  if (complaints_.size() < complaints_max) complaints_.push_back(name_ + " " + std::move(text));
}

}  // namespace iris::test::audit
