#include "tests/sim/feed_judge.h"

#include <algorithm>

#include "tests/sim/report.h"

namespace iris::sim {
namespace {

std::string name_of(std::string_view source, std::string_view key) {
  return std::string(source).append("/").append(key);
}

template <class Predicate>
bool any_standing(const SessionModel::Session* session, const Predicate& predicate) {
  return session != nullptr &&
         std::any_of(session->standing.begin(), session->standing.end(), predicate);
}
template <class Predicate>
bool any_ended(const SessionModel::Session* session, const Predicate& predicate) {
  return session != nullptr && std::any_of(session->ended.begin(), session->ended.end(), predicate);
}

}  // namespace

FeedJudge::FeedJudge(const Ghost& ghost, ListenSpec spec, std::string who)
    : ghost_(ghost),
      spec_(std::move(spec)),
      who_(std::move(who)),
      opened_(ghost.committed().value),
      marks_(spec_.after_revision > 0 || spec_.send_initial || spec_.heartbeat_ms > 0),
      in_state_(spec_.send_initial) {
  if (spec_.send_initial || spec_.after_revision == 0) return;
  next_ = ghost_.keys().changes_after(spec_.after_revision);
  revision_ = spec_.after_revision;
}

std::string FeedJudge::text(const std::string& what) const { return who_ + " " + what; }

void FeedJudge::told(const Update& update) {
  VERIFY(update.revision > 0 && update.revision <= ghost_.committed().value, "WP",
         text("is told of " + std::to_string(update.revision) + ", which is not committed"));
  const bool mark = update.op != Update::Op::put && update.op != Update::Op::remove;
  VERIFY(!mark || marks_, "WF", text("is told a mark and asked for none"));
  // A row has the revision that wrote it, which is older than the revision of the state. A stream
  // that also gets changes older than its subscriptions may have begun after the first of them.
  if (begun_ == 0 && (mark || (!in_state_ && !update.of_state))) {
    begun_ = spec_.earlier ? ghost_.committed().value : update.revision;
  }
  switch (update.op) {
    case Update::Op::bookmark:
      return bookmark(update.revision);
    case Update::Op::resync:
      return resync(update.revision);
    case Update::Op::synced:
      return synced(update.revision);
    case Update::Op::put:
    case Update::Op::remove:
      break;
  }
  if (in_state_) return row(update);
  if (!marks_ && update.of_state) return late_row(update);
  change(update);
}

void FeedJudge::ended(StreamEnd end) const {
  if (end != StreamEnd::not_found) return;
  const SessionModel::Session* session = ghost_.sessions().find(spec_.session);
  VERIFY(session == nullptr || !session->known || session->known_since > opened_, "WR",
         text("ends: its session is not known, and it is"));
}

const char* FeedJudge::lacks(std::uint64_t revision) const {
  if (in_state_) return "is in the middle of a state";
  if (!marks_) return nullptr;
  const auto& changes = ghost_.keys().changes();
  for (std::size_t i = next_; i < changes.size() && changes[i].revision <= revision; ++i) {
    if (is_due(changes[i])) return "has not heard of all";
  }
  return nullptr;
}

// --- Marks.

void FeedJudge::bookmark(std::uint64_t revision) {
  VERIFY(spec_.heartbeat_ms > 0, "WF", text("is told a BOOKMARK and asked for none"));
  VERIFY(!in_state_, "WB", text("is told a BOOKMARK in the middle of a state"));
  VERIFY(
      revision >= revision_, "WB",
      text("is told BOOKMARK " + std::to_string(revision) + " after " + std::to_string(revision_)));
  const std::size_t until = ghost_.keys().changes_after(revision);
  const auto& changes = ghost_.keys().changes();
  for (std::size_t i = next_; i < until; ++i) {
    VERIFY(!is_due(changes[i]), "WB",
           text("is told BOOKMARK " + std::to_string(revision) + " before " +
                name_of(changes[i].source, changes[i].key) + " at " +
                std::to_string(changes[i].revision)));
  }
  next_ = std::max(next_, until);
  revision_ = revision;
}

void FeedJudge::resync(std::uint64_t revision) {
  VERIFY(
      revision >= revision_, "WO",
      text("is told RESYNC " + std::to_string(revision) + " after " + std::to_string(revision_)));
  check_alive(revision);
  in_state_ = true;
  state_revision_ = revision_ = revision;
  rows_.clear();
}

// A session that has expired since the stream began has no state: the stream must end, or its
// client would wait for ever.
void FeedJudge::check_alive(std::uint64_t revision) const {
  const SessionModel::Session* session = ghost_.sessions().find(spec_.session);
  if (session == nullptr || begun_ == 0) return;
  const bool gone = begun_ < session->expired && session->expired <= revision &&
                    (!session->known || session->known_since > revision);
  VERIFY(!gone, "WR",
         text("is told a state at " + std::to_string(revision) + ", and its session expired at " +
              std::to_string(session->expired)));
}

void FeedJudge::synced(std::uint64_t revision) {
  VERIFY(in_state_, "WR", text("is told SYNCED without a state"));
  VERIFY(revision == state_revision_.value_or(revision) && revision >= revision_, "WO",
         text("is told SYNCED " + std::to_string(revision) + " for another state"));
  for (const auto& [name, row] : rows_) {
    const std::string what = name_of(name.first, name.second) + " at " +
                             std::to_string(row.revision) + " as part of the state at " +
                             std::to_string(revision);
    VERIFY(was_in_state(name.first, name.second, revision), "WF",
           text("is told " + what + " and is not subscribed to it"));
    const KeyModel::Read truth = ghost_.keys().value_at(name.first, name.second, revision);
    VERIFY(truth.found && truth.revision == row.revision && truth.bytes == row.value, "WR",
           text("is told " + what + ", where something else was"));
  }
  ghost_.keys().for_each_key(revision, [&](const std::string& source, const std::string& key,
                                           std::uint64_t at, bool present) {
    if (!present || !is_in_state(source, key, revision)) return;
    VERIFY(rows_.contains({source, key}), "WR",
           text("is told the state at " + std::to_string(revision) + " without " +
                name_of(source, key) + " of " + std::to_string(at)));
  });
  in_state_ = false;
  state_revision_.reset();
  rows_.clear();
  next_ = ghost_.keys().changes_after(revision);
  revision_ = revision;
}

// --- Rows of a state.

void FeedJudge::row(const Update& update) {
  VERIFY(update.op == Update::Op::put, "WR", text("is told a removal as part of a state"));
  const bool fresh =
      rows_
          .emplace(Name(update.source, update.key), Row{std::string(update.value), update.revision})
          .second;
  VERIFY(fresh, "WU",
         text("is told " + name_of(update.source, update.key) + " twice in one state"));
}

// Such a stream does not say where a state begins and ends, so each row is judged by itself: it
// must be a possible part of one.
void FeedJudge::late_row(const Update& update) const {
  const std::string source(update.source);
  const std::string key(update.key);
  const bool put = update.op == Update::Op::put;
  const KeyModel::Read read{put, std::string(update.value), put ? update.revision : 0};
  // A removal has the revision of the state, a value has its own.
  const std::uint64_t from = put ? revision_ : update.revision;
  const std::optional<std::uint64_t> point = ghost_.keys().point_of(source, key, read, from);
  VERIFY(point && (put || *point == from), "WR",
         text("is told " + name_of(source, key) + " of " + std::to_string(update.revision) +
              " as state after " + std::to_string(revision_) + ", where something else was"));
  const auto covered = [&](const auto& each) {
    return each.until > revision_ && each.covers(source, key);
  };
  const SessionModel::Session* session = ghost_.sessions().find(spec_.session);
  VERIFY(any_standing(session, covered) || any_ended(session, covered), "WF",
         text("is told " + name_of(source, key) + " and is not subscribed to it"));
}

// --- Changes.

void FeedJudge::change(const Update& update) {
  VERIFY(!update.of_state, "WR", text("is told a row of a state that was not announced"));
  const std::size_t at = find_change(update);
  const std::string what =
      name_of(update.source, update.key) + " at " + std::to_string(update.revision);
  VERIFY(at >= next_, at + 1 == next_ || update.revision <= spec_.after_revision ? "WU" : "WO",
         text("is told " + what + " after " + std::to_string(revision_)));
  const KeyModel::Change& change = ghost_.keys().changes()[at];
  VERIFY(was_due(change), "WF", text("is told " + what + " and is not subscribed to it"));
  if (marks_) check_passed(at);
  const auto& changes = ghost_.keys().changes();
  for (std::size_t i = at + 1; i < changes.size() && changes[i].revision == change.revision; ++i) {
    VERIFY(update.more || !is_due(changes[i]), "WA",
           text("is told " + what + " as the last of its revision, before " +
                name_of(changes[i].source, changes[i].key)));
  }
  next_ = at + 1;
  revision_ = update.revision;
}

std::size_t FeedJudge::find_change(const Update& update) const {
  const auto& changes = ghost_.keys().changes();
  std::size_t at = ghost_.keys().changes_after(update.revision - 1);
  while (at < changes.size() && changes[at].revision == update.revision &&
         (changes[at].source != update.source || changes[at].key != update.key)) {
    ++at;
  }
  const bool put = update.op == Update::Op::put;
  const bool there =
      at < changes.size() && changes[at].revision == update.revision && changes[at].present == put;
  const std::string what =
      name_of(update.source, update.key) + " at " + std::to_string(update.revision);
  VERIFY(there, "WP", text("is told " + what + ", and that never happened"));
  const KeyModel::Read truth =
      ghost_.keys().value_at(std::string(update.source), std::string(update.key), update.revision);
  VERIFY(truth.bytes == update.value, "WP", text("is told another value of " + what));
  return at;
}

// No change before `until` that was not sent was due.
void FeedJudge::check_passed(std::size_t until) const {
  const auto& changes = ghost_.keys().changes();
  for (std::size_t i = next_; i < until; ++i) {
    if (!is_due(changes[i])) continue;
    const bool torn = changes[i].revision == changes[until].revision ||
                      (i > 0 && i == next_ && changes[i].revision == changes[i - 1].revision &&
                       revision_ == changes[i].revision);
    violation(torn ? "WA" : "WR",
              text("is told " + name_of(changes[until].source, changes[until].key) + " at " +
                   std::to_string(changes[until].revision) + " and was not told " +
                   name_of(changes[i].source, changes[i].key) + " at " +
                   std::to_string(changes[i].revision)));
  }
}

// --- Due updates.

std::uint64_t FeedJudge::since_of(const SessionModel::Subscription& subscription) const {
  const bool earlier = spec_.earlier && spec_.after_revision > 0;
  return earlier ? std::min(subscription.since, spec_.after_revision) : subscription.since;
}

bool FeedJudge::is_due(const KeyModel::Change& change) const {
  return any_standing(ghost_.sessions().find(spec_.session), [&](const auto& each) {
    // The node may not have applied a subscription that came while the stream began.
    const std::uint64_t since = each.since <= opened_ ? since_of(each) : each.since;
    return since < change.revision && each.covers(change.source, change.key);
  });
}

bool FeedJudge::was_due(const KeyModel::Change& change) const {
  const auto due = [&](const auto& each) {
    return since_of(each) < change.revision && change.revision < each.until &&
           each.covers(change.source, change.key);
  };
  const SessionModel::Session* session = ghost_.sessions().find(spec_.session);
  return any_standing(session, due) || any_ended(session, due);
}

bool FeedJudge::is_in_state(std::string_view source, std::string_view key,
                            std::uint64_t revision) const {
  return any_standing(ghost_.sessions().find(spec_.session), [&](const auto& each) {
    return each.since <= revision && each.covers(source, key);
  });
}

bool FeedJudge::was_in_state(std::string_view source, std::string_view key,
                             std::uint64_t revision) const {
  const auto covered = [&](const auto& each) {
    return each.since <= revision && revision < each.until && each.covers(source, key);
  };
  const SessionModel::Session* session = ghost_.sessions().find(spec_.session);
  return any_standing(session, covered) || any_ended(session, covered);
}

}  // namespace iris::sim
