#include "src/server/majority_watch.h"

#include <utility>

#include "raft/members.h"
#include "src/base/log.h"

namespace iris {

MajorityWatch::MajorityWatch(MajorityOptions options, MajorityHooks hooks)
    : options_(options), hooks_(std::move(hooks)) {}

void MajorityWatch::tick() {
  const bool leader = hooks_.has_leader();
  if (leader || hooks_.members().voters.empty()) {
    if (missing_) {
      log(LogLevel::info, "there is a leader again", {{"without_ms", waited_ms_}});
    }
    led_ = led_ || leader;
    missing_ = false;
    waited_ms_ = 0;
    return;
  }
  waited_ms_ += options_.tick_ms;
  if (!is_due()) return;
  missing_ = true;
  said_ms_ = waited_ms_;
  say();
}

bool MajorityWatch::is_due() const {
  if (!missing_) return waited_ms_ >= (led_ ? options_.patience_ms : options_.start_patience_ms);
  const std::uint64_t since = waited_ms_ - said_ms_;
  return since >= options_.repeat_ms ||
         (since >= options_.change_ms && count().unreached != said_unreached_);
}

// Of the list that lacks most: in a joint configuration both need a majority.
MajorityWatch::Voters MajorityWatch::count() const {
  const raft::Members members = hooks_.members();
  Voters worst;
  for (const auto* list : {&members.voters, &members.outgoing}) {
    Voters these{
        .all = list->size(), .reached = 0, .needed = list->size() / 2 + 1, .unreached = {}};
    for (const raft::Member& voter : *list) {
      if (hooks_.reaches(voter.id)) {
        ++these.reached;
      } else {
        these.unreached += (these.unreached.empty() ? "" : ", ") + voter.address;
      }
    }
    const bool worse = these.needed + worst.reached > worst.needed + these.reached;
    if (!list->empty() && (worst.all == 0 || worse)) worst = these;
  }
  return worst;
}

std::string MajorityWatch::status() const {
  if (!missing_) return {};
  const Voters voters = count();
  return "no leader: " + std::to_string(voters.reached) + " of " + std::to_string(voters.all) +
         " voters reached, " + std::to_string(voters.needed) + " needed" +
         (voters.unreached.empty() ? "" : "; no connection to " + voters.unreached);
}

void MajorityWatch::say() {
  const Voters voters = count();
  said_unreached_ = voters.unreached;
  const bool enough = voters.reached >= voters.needed;
  log(LogLevel::warn, "no leader: nothing can be written, and reads wait",
      {{"without_ms", waited_ms_},
       {"voters", std::uint64_t{voters.all}},
       {"needed", std::uint64_t{voters.needed}},
       {"reached", std::uint64_t{voters.reached}},
       {"no_connection_to", voters.unreached},
       {"what_to_do",
        std::string(enough
                        ? "enough voters are connected: look whether each can reach the others on "
                          "its raft port, and at their logs"
                        : "start these nodes, or mend the way to them; where a majority is gone "
                          "for good: iris recover -h")}});
}

}  // namespace iris
