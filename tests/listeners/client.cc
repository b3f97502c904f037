#include "tests/listeners/client.h"

#include <algorithm>

#include "raft/check.h"

namespace iris::testing {

Client::Counts Client::counts;

void Client::subscribed(const std::string& source, const std::optional<std::string>& key,
                        const Outcome& outcome) {
  if (!outcome.changed) return;
  const Subscription subscription(source, key);
  CHECK(subscriptions_.emplace(subscription, outcome.revision).second);
  // Once subscribed, it reads the values that are there.
  std::erase_if(seen_, [&](const auto& row) { return covers(subscription, row.first); });
  for (const auto& [name, row] : oracle_.rows(outcome.revision)) {
    if (covers(subscription, name)) seen_[name] = row;
  }
}

void Client::unsubscribed(const std::string& source, const std::optional<std::string>& key,
                          std::uint64_t revision) {
  const auto found = subscriptions_.find({source, key});
  if (found == subscriptions_.end()) return;
  ended_.push_back({found->first, found->second, revision});
  subscriptions_.erase(found);
  drop_uncovered();
}

void Client::expired(std::uint64_t revision) {
  for (const auto& [subscription, since] : subscriptions_) {
    ended_.push_back({subscription, since, revision});
  }
  subscriptions_.clear();
  seen_.clear();
  resume_ = 0;
  removal_.reset();
  begun_ = false;
}

ListenSpec Client::ask(bool initial, std::uint32_t heartbeat_ms) {
  CHECK(!open_);
  open_ = true;
  end.reset();
  must_wait = false;
  delivered_.clear();
  last_removal_.reset();
  state_rows_.clear();
  base_ = last_revision_ = state_revision_ = 0;
  if (!asks_) return {session_};
  ListenSpec spec{session_, 0, false, heartbeat_ms};
  if (in_state_ || !begun_ || initial) {
    spec.send_initial = true;
    in_state_ = true;
    begun_ = true;
    // It reads the values of later subscriptions itself; the rest will come.
    return spec;
  }
  if (resume_ > 0) {
    spec.after_revision = base_ = last_revision_ = resume_;
    return spec;
  }
  // Nothing seen yet: from the Subscribe on.
  spec.heartbeat_ms = std::max(spec.heartbeat_ms, 1u);
  return spec;
}

bool Client::write(const UpdatePtr& update, bool) {
  CHECK(open_ && !must_wait);
  const auto op = update->op;
  if (op != Update::Op::put && op != Update::Op::remove) CHECK(asks_);
  CHECK(update->revision <= oracle_.last());
  switch (op) {
    case Update::Op::resync:
      resync(update->revision);
      break;
    case Update::Op::synced:
      synced(update->revision);
      break;
    case Update::Op::bookmark:
      ++counts.bookmarks;
      CHECK(!in_state_ && update->revision >= last_revision_);
      check_complete(update->revision);
      last_revision_ = resume_ = update->revision;
      last_removal_.reset();
      removal_.reset();
      break;
    case Update::Op::put:
    case Update::Op::remove:
      in_state_ ? row(*update) : told(*update);
  }
  must_wait = !reading;
  return !must_wait;
}

void Client::close(StreamEnd why, const std::string& text) {
  CHECK(open_ && !text.empty());
  open_ = false;
  end = why;
  if (why == StreamEnd::not_found) begun_ = false;  // nothing to resume: from the beginning
}

// --- States.

void Client::resync(std::uint64_t revision) {
  ++counts.resyncs;
  in_state_ = true;
  state_revision_ = revision;
  state_rows_.clear();
  // It speaks of the subscriptions made up to `revision`.
  std::erase_if(seen_, [&](const auto& row) { return read_at(row.first) <= revision; });
}

void Client::row(const Update& update) {
  ++counts.rows;
  CHECK(update.op == Update::Op::put);
  const Name name(update.source, update.key);
  const Row row{std::string(update.value), update.revision};
  const auto& told = oracle_.told(row.revision);
  CHECK(std::count(told.begin(), told.end(), Told{name.first, name.second, row.value}) == 1);
  CHECK(state_rows_.emplace(name, row).second);  // once each
}

void Client::synced(std::uint64_t revision) {
  ++counts.synced;
  CHECK(in_state_ && (state_revision_ == 0 || state_revision_ == revision));
  // Exactly the rows at `revision` of what is subscribed, of subscriptions made up to it.
  const Rows& truth = oracle_.rows(revision);
  for (const auto& [name, row] : state_rows_) {
    const auto true_row = truth.find(name);
    CHECK(true_row != truth.end() && true_row->second == row);
    CHECK(was_covered(name, revision));
  }
  std::erase_if(seen_, [&](const auto& row) { return read_at(row.first) <= revision; });
  for (const auto& [name, row] : truth) {
    if (!is_covered(name, revision)) continue;
    CHECK(state_rows_.contains(name));
    if (read_at(name) <= revision) seen_[name] = row;
  }
  state_rows_.clear();
  in_state_ = false;
  state_revision_ = 0;
  base_ = last_revision_ = resume_ = revision;
  last_removal_.reset();
  removal_.reset();
  delivered_.clear();
}

// --- Updates.

void Client::told(const Update& update) {
  ++counts.updates;
  const Name name(update.source, update.key);
  const std::uint64_t revision = update.revision;
  const bool removed = update.op == Update::Op::remove;
  std::optional<std::string> value;
  if (!removed) value.emplace(update.value);
  if (asks_) {
    const bool next_removal = revision == last_revision_ && removed && last_removal_ &&
                              last_more_ && *last_removal_ < name;
    CHECK(revision > last_revision_ || next_removal);
    const auto& truth = oracle_.told(revision);
    CHECK(std::count(truth.begin(), truth.end(), Told{name.first, name.second, value}) == 1);
    CHECK(was_due(name, revision));
    delivered_.emplace(revision, name);
  }
  last_revision_ = revision;
  last_removal_ = removed ? std::optional(name) : std::nullopt;
  last_more_ = update.more;
  take_or_skip(update, name);
}

void Client::take_or_skip(const Update& update, const Name& name) {
  if (!asks_) return take(update);  // it knows no revisions
  // One of a RemoveSource that it saw before it was cut off.
  if (removal_ && std::get<0>(*removal_) == update.revision &&
      name <= Name(std::get<1>(*removal_), std::get<2>(*removal_))) {
    ++counts.repeated;
    return;
  }
  take(update);
  if (update.op == Update::Op::put) {
    resume_ = update.revision;
    removal_.reset();
  } else {
    resume_ = update.revision - 1;
    removal_.emplace(update.revision, name.first, name.second);
  }
}

void Client::take(const Update& update) {
  const Name name(update.source, update.key);
  // Not of a subscription that ended while it was on its way, nor older than the value that the
  // client read itself when it subscribed.
  if (!is_due(name, update.revision) || update.revision <= read_at(name)) return;
  if (update.op == Update::Op::put) {
    seen_[name] = {std::string(update.value), update.revision};
  } else {
    seen_.erase(name);
  }
}

// --- Filters.

bool Client::covers(const Subscription& subscription, const Name& name) {
  return subscription.first == name.first &&
         (!subscription.second || *subscription.second == name.second);
}

// By a subscription of that revision, whether or not it ended since.
bool Client::was_due(const Name& name, std::uint64_t revision) const {
  return is_due(name, revision) ||
         std::any_of(ended_.begin(), ended_.end(), [&](const Ended& ended) {
           return covers(ended.subscription, name) && ended.since < revision &&
                  revision < ended.until;
         });
}

// In a state at `revision`.
bool Client::was_covered(const Name& name, std::uint64_t revision) const {
  return is_covered(name, revision) ||
         std::any_of(ended_.begin(), ended_.end(), [&](const Ended& ended) {
           return covers(ended.subscription, name) && ended.since <= revision &&
                  revision < ended.until;
         });
}

bool Client::is_due(const Name& name, std::uint64_t revision) const {
  return std::any_of(subscriptions_.begin(), subscriptions_.end(), [&](const auto& each) {
    return each.second < revision && covers(each.first, name);
  });
}

bool Client::is_covered(const Name& name, std::uint64_t since_max) const {
  return is_due(name, since_max + 1);
}

// The revision at which it last read this name itself: that of its youngest subscription. 0: none.
std::uint64_t Client::read_at(const Name& name) const {
  std::uint64_t youngest = 0;
  for (const auto& [subscription, since] : subscriptions_) {
    if (covers(subscription, name)) youngest = std::max(youngest, since);
  }
  return youngest;
}

void Client::drop_uncovered() {
  std::erase_if(seen_, [&](const auto& row) { return !is_covered(row.first, oracle_.last()); });
}

void Client::check_complete(std::uint64_t up_to) const {
  for (std::uint64_t revision = base_ + 1; revision <= up_to; ++revision) {
    for (const Told& told : oracle_.told(revision)) {
      const Name name(told.source, told.key);
      if (is_due(name, revision)) CHECK(delivered_.contains({revision, name}));
    }
  }
}

void Client::check_settled(bool complete) const {
  CHECK(open_);
  const Rows& truth = oracle_.rows(oracle_.last());
  if (asks_) {
    CHECK(!in_state_);
    check_complete(oracle_.last());
  }
  for (const auto& [name, row] : truth) {
    if (!is_covered(name, oracle_.last())) continue;
    const auto seen = seen_.find(name);
    CHECK(seen != seen_.end() && seen->second == row);
  }
  for (const auto& [name, row] : seen_) {
    CHECK(is_covered(name, oracle_.last()));
    if (asks_) {
      CHECK(truth.contains(name));
      continue;
    }
    // An old client sees its past again when it listens again; of a subscription that ends in the
    // middle of that it keeps an old value.
    const bool ended =
        std::any_of(ended_.begin(), ended_.end(),
                    [&, &of = name](const Ended& each) { return covers(each.subscription, of); });
    const bool single = subscriptions_.contains({name.first, name.second}) &&
                        !subscriptions_.contains({name.first, std::nullopt});
    if ((complete || single) && !ended) CHECK(truth.contains(name));
  }
}

}  // namespace iris::testing
