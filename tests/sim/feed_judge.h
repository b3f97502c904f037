// FeedJudge: judges one Listen stream, each update at the moment the node writes it, against the
// committed log and the subscriptions of its session (invariants.md).
//   WO  updates come in the order of revision, then key      WU  none twice, none from before the
//   WR  no due update is left out, from its beginning on        resume point
//   WA  a RemoveSource is sent whole                         WB  nothing due is behind a BOOKMARK
//   WF  only subscribed names, no unrequested mark           WP  nothing uncommitted
// Between RESYNC (or the beginning of a state that was asked for) and SYNCED, the rows are exactly
// the state at SYNCED's revision. A stream without optional fields gets no RESYNC: its WR is judged
// by Shadow alone. A mark is an update without a key: BOOKMARK, RESYNC, SYNCED.
// One thread. Owns the progress of the stream. An update of a subscription that an Unsubscribe
// ended may be sent or not.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "src/listeners/listeners.h"
#include "tests/sim/ghost.h"

namespace iris::sim {

class FeedJudge {
 public:
  // The node takes the call now. `who` is for the report.
  FeedJudge(const Ghost& ghost, ListenSpec spec, std::string who);

  void told(const Update& update);
  void ended(StreamEnd end) const;
  // The last committed revision when the node took the call.
  [[nodiscard]] std::uint64_t opened() const { return opened_; }
  // A revision at which the stream had certainly begun: that of the first change or mark, or, where
  // the client also hears of changes older than its subscription, the last committed one at that
  // time. 0: not known.
  [[nodiscard]] std::uint64_t begun() const { return begun_; }
  // nullptr: everything due up to `revision` was sent, and no state is under way; else what is
  // missing.
  [[nodiscard]] const char* lacks(std::uint64_t revision) const;

 private:
  using Name = std::pair<std::string, std::string>;
  struct Row {
    std::string value;
    std::uint64_t revision = 0;
  };

  void bookmark(std::uint64_t revision);
  void resync(std::uint64_t revision);
  void check_alive(std::uint64_t revision) const;
  void synced(std::uint64_t revision);
  void row(const Update& update);
  void late_row(const Update& update) const;
  void change(const Update& update);
  [[nodiscard]] std::size_t find_change(const Update& update) const;
  void check_passed(std::size_t until) const;
  // By a subscription that stands: it must be sent.
  [[nodiscard]] bool is_due(const KeyModel::Change& change) const;
  // By any subscription, also one that has ended: it may be sent.
  [[nodiscard]] bool was_due(const KeyModel::Change& change) const;
  // In a state at `revision`.
  [[nodiscard]] bool is_in_state(std::string_view source, std::string_view key,
                                 std::uint64_t revision) const;
  [[nodiscard]] bool was_in_state(std::string_view source, std::string_view key,
                                  std::uint64_t revision) const;
  // Updates after this revision are due: with `earlier`, also ones older than the subscription.
  [[nodiscard]] std::uint64_t since_of(const SessionModel::Subscription& subscription) const;
  [[nodiscard]] std::string text(const std::string& what) const;

  const Ghost& ghost_;
  const ListenSpec spec_;
  const std::string who_;
  const std::uint64_t
      opened_;  // last committed revision then; the node has it applied when the stream begins
  const bool marks_;  // asked for optional fields, so marks may come

  std::size_t next_ = 0;        // of KeyModel::changes(): all before it were sent, or not due
  std::uint64_t revision_ = 0;  // of the last update or mark
  std::uint64_t begun_ = 0;
  bool in_state_ = false;
  std::optional<std::uint64_t> state_revision_;  // of RESYNC
  std::map<Name, Row> rows_;                     // of the state under way
};

}  // namespace iris::sim
