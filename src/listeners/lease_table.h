// LeaseTable: the leader's records of sessions: which nodes serve each, since when it is silent if
// none does, and by which change others are told of it. Arithmetic alone: no messages, no store.
// Loop thread. Owns one record for each session that is replicated or served.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/listeners/lease_messages.h"
#include "src/listeners/session_map.h"
#include "src/machine/machine.h"

namespace iris::listening {

struct LeaseTimes;
struct PieceLimits;

// A node's sessions as it reported them. Reports that begin anew are another pass: what was served
// in a former one and is not in this one is served no more.
struct ServingPass {
  raft::NodeId node;
  std::uint64_t pass = 0;
};

struct ExpireLimits {
  std::size_t sessions_max = 0;
  std::size_t names_bytes_max = 0;
  std::uint64_t subscriptions_max = 0;
  std::uint64_t subscription_bytes_max = 0;
};

class LeaseTable {
 public:
  // --- What is replicated.
  // A session in the store; silent since `alive`, if no node serves it.
  void load(std::string_view session, const SessionInfo& info, std::uint64_t alive);
  // A Subscribe was applied; `bytes`: of the subscription that it made; none: it was there.
  void subscribed(std::string_view session, std::uint64_t revision,
                  std::optional<std::uint64_t> bytes, std::uint64_t now);
  // An ExpireSessions with this `up_to` was applied.
  void expired(std::string_view session, std::uint64_t up_to);

  // --- What nodes report. A time before what is known already changes nothing.
  void served(std::string_view session, ServingPass by);
  void ended(std::string_view session, raft::NodeId node, std::uint64_t since);
  // It was served at `now`; by whom does not matter.
  void renewed(std::string_view session, std::uint64_t now);
  // Looks at records after change `swept`, at most `looks_max` of them, for nodes whose pass is
  // over; `is_over` says since when. The number of the change that it got to.
  [[nodiscard]] std::uint64_t sweep(
      std::uint64_t swept, std::size_t looks_max,
      const std::function<std::optional<std::uint64_t>(const ServingPass&)>& is_over);

  // --- Expiry.
  // Sessions that were silent before `tick`, the longest first, as far as a command carries them.
  // REQUIRES: !is_expiring().
  [[nodiscard]] std::vector<std::string> expire(std::uint64_t tick, const ExpireLimits& limits);
  [[nodiscard]] bool is_expiring() const { return expiring_ > 0; }
  void expire_again();  // the command was lost

  // --- Changes.
  [[nodiscard]] std::uint64_t latest() const { return latest_; }
  // Puts a piece of the changes after `after` into `changes`, with `after`, `up_to`, `latest`. That
  // a session is served is left out up to `never_silent`: the receiver never heard otherwise.
  void fill(LeaseChanges& changes, std::uint64_t after, std::uint64_t never_silent,
            const PieceLimits& limits, const LeaseTimes& times, std::uint64_t now) const;

  // Removes records, a bounded number of them, and tells since when they were silent.
  void dissolve(std::size_t records_max,
                const std::function<void(std::string_view session, std::uint64_t since)>& silent);

  [[nodiscard]] std::size_t size() const { return replicated_; }
  [[nodiscard]] bool empty() const { return sessions_.empty(); }

 private:
  struct Lease {
    bool replicated = false;
    bool expiring = false;
    std::uint64_t alive = 0;  // it showed life last; counts where no node serves it
    std::uint64_t number = 0;
    std::vector<ServingPass> served_by;
    std::uint64_t subscribed = 0;  // revision of its last Subscribe, as far as known
    // About how many it has: the store may count some that are counted again when they are applied.
    std::uint64_t subscriptions = 0;
    std::uint64_t subscription_bytes = 0;  // likewise

    [[nodiscard]] bool is_silent() const { return replicated && served_by.empty(); }
  };
  using Item = SessionMap<Lease>::value_type;

  Item& item_of(std::string_view session);
  // Around every change of a record: where it stands in the orders depends on what is in it.
  void take_out(Item& item);
  void put_back(Item& item);
  void renew(Item& item, std::uint64_t now);
  void drop(Item& item);

  std::uint64_t latest_ = 0;
  std::size_t replicated_ = 0;
  std::size_t expiring_ = 0;
  SessionMap<Lease> sessions_;
  std::map<std::uint64_t, Item*> by_number_;
  // Silent and not expiring, the one that is so for longest in front.
  std::map<std::pair<std::uint64_t, std::uint64_t>, Item*> silent_;
  std::vector<std::string> named_;  // by the command under way
};

}  // namespace iris::listening
