// FeedJudge: judges one Listen stream, from its first update to its end, at the moment the node
// writes each: against the committed log and what its session was subscribed to (invariants of
// hazards.md).
//   WO  updates come in the order of revision, then key      WU  none twice, none from before the
//   WR  none that is due is left out, from where it begins       resume point
//   WA  a RemoveSource is told whole                         WB  nothing due is behind a BOOKMARK
//   WF  nothing but what is subscribed, no unasked mark      WP  nothing that is not committed
// Between RESYNC (or the beginning of a state that was asked for) and SYNCED, the rows are exactly
// the state at SYNCED's revision. A stream that asked for no field cannot be told RESYNC: of it, WR
// is judged by Shadow alone.
// One thread. Owns how far the stream went. What ended by an Unsubscribe may be told or not.
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
  // What was committed when the node took the call.
  [[nodiscard]] std::uint64_t opened() const { return opened_; }
  // When the node had begun at the latest: the revision of the first change or mark that was told,
  // or what was committed then, where the client hears of times before it subscribed; 0: not known.
  [[nodiscard]] std::uint64_t begun() const { return begun_; }
  // nullptr: all that is due up to `revision` was told, and no state is half told; else what lacks.
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
  // By a subscription that stands; so it must be told.
  [[nodiscard]] bool is_due(const KeyModel::Change& change) const;
  // By any subscription, also one that ended since; so it may be told.
  [[nodiscard]] bool was_due(const KeyModel::Change& change) const;
  // In a state at `revision`.
  [[nodiscard]] bool is_in_state(std::string_view source, std::string_view key,
                                 std::uint64_t revision) const;
  [[nodiscard]] bool was_in_state(std::string_view source, std::string_view key,
                                  std::uint64_t revision) const;
  // Updates after it are due: with `earlier`, also older ones than the subscription.
  [[nodiscard]] std::uint64_t since_of(const SessionModel::Subscription& subscription) const;
  [[nodiscard]] std::string text(const std::string& what) const;

  const Ghost& ghost_;
  const ListenSpec spec_;
  const std::string who_;
  const std::uint64_t opened_;  // what was committed then; the node knows it when it begins
  const bool marks_;            // asked for a new field

  std::size_t next_ = 0;        // of KeyModel::changes(): all before was told, or not due
  std::uint64_t revision_ = 0;  // of the last update or mark
  std::uint64_t begun_ = 0;
  bool in_state_ = false;
  std::optional<std::uint64_t> state_revision_;  // of RESYNC
  std::map<Name, Row> rows_;                     // of the state under way
};

}  // namespace iris::sim
