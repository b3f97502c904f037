#include "tests/sim/odd_one.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "raft/members.h"
#include "src/machine/layout.h"
#include "src/node/state_check.h"
#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

constexpr std::uint64_t ms = 1000;  // in microseconds

// Names that the workload does not use.
constexpr const char* source_name = "odd";
constexpr const char* key_name = "one";
constexpr const char* session_name = "odd-session";

using store::Table;

// The stored key of the planted value.
std::string row_of(const store::Batch& batch) {
  std::string record;
  CHECK(batch.get(Table::sources, source_name, record) == store::Found::yes);
  return layout::value_key(layout::parse_source_record(record).generation, key_name);
}

void change(Planted what, store::Batch& batch) {
  switch (what) {
    case Planted::none:
      return;
    case Planted::changed_value: {
      const std::string row = row_of(batch);
      std::string record;
      CHECK(batch.get(Table::values, row, record) == store::Found::yes);
      record.back() = static_cast<char>(record.back() ^ 1);
      return batch.put(Table::values, row, record);
    }
    case Planted::dropped_value:
      return batch.remove(Table::values, row_of(batch));
    case Planted::extra_value:
      return batch.put(Table::values, row_of(batch) + "+", layout::value_record({1, "extra"}));
    case Planted::changed_session: {
      std::string record;
      CHECK(batch.get(Table::sessions, session_name, record) == store::Found::yes);
      layout::SessionRecord session = layout::parse_session_record(record);
      session.subscribed = std::uint64_t{1} << 60;  // so it does not expire here
      return batch.put(Table::sessions, session_name, layout::session_record(session));
    }
  }
}

}  // namespace

OddOne::OddOne(World& world, Calls& calls, std::function<void(std::uint64_t us)> advance)
    : world_(world),
      calls_(calls),
      advance_(std::move(advance)),
      random_(world.random(RandomStream::odd_one)) {}

bool OddOne::run(const std::function<bool(const Host& host)>& may_be, std::uint64_t patience_us) {
  if (world_.options.planted == Planted::none) return false;
  Host* host = choose(may_be);
  if (host == nullptr) return false;
  TRACE(-1, "--- h" + std::to_string(host->number()) + " becomes the odd one out");
  prepare(patience_us);
  plant(*host);
  await_end(*host, patience_us);
  await_return(*host, patience_us);
  return true;
}

Host* OddOne::choose(const std::function<bool(const Host& host)>& may_be) {
  const raft::Members& members = world_.ghost.members();
  if (members.voters.size() < 3 || raft::is_joint(members)) return nullptr;
  if (members.level < StateCheck::level_min) return nullptr;  // they compare nothing yet
  std::vector<Host*> candidates;
  for (const raft::Member& member : raft::all_members(members)) {
    Host* host = world_.host_of(member.id);
    // A member that nobody finds any more would be missing from the majority.
    if (host == nullptr || !host->runs() || host->address() != member.address) return nullptr;
    if (may_be(*host)) candidates.push_back(host);
  }
  return candidates.empty() ? nullptr : candidates[random_.below(candidates.size())];
}

void OddOne::prepare(std::uint64_t patience_us) {
  const std::uint64_t until_us = world_.now_us() + patience_us;
  set(key_name, until_us);
  write_through([] { return Subscribe{session_name, source_name, std::nullopt}; }, until_us);
  // All have applied them: the change is one of rows that are there.
  const raft::Index last = world_.ghost.committed();
  for (const raft::Member& member : raft::all_members(world_.ghost.members())) {
    const Host* host = world_.host_of(member.id);
    while (host->runs() && host->node().applied() < last) {
      VERIFY(world_.now_us() < until_us, "LV", "a healthy member does not apply what is committed");
      advance_(ms);
    }
  }
}

// As maintenance, which is not part of the state that the log makes: so the other judges take the
// node for healthy, and only the state check can tell.
void OddOne::plant(Host& host) {
  host.set_planted();
  host.enter([this, &host] {
    host.store().maintain(
        [what = world_.options.planted](store::Batch& batch) { change(what, batch); }, [] {});
  });
}

// The longest that two rounds take, one of which may be under way and look at older data.
std::uint64_t OddOne::check_us() const {
  const NodeOptions& node = world_.options.node;
  std::uint64_t rows_bytes = 0;
  for (const auto& host : world_.hosts) {
    const DataState& data = host->disk().data();
    std::uint64_t rows = 0;
    for (const PersistentMap& table : data.tables) rows += table.size();
    rows_bytes = std::max(rows_bytes, data.bytes() + 64 * rows);
  }
  const std::uint64_t ticks =
      1 + rows_bytes * 1000 / (node.state_check_bytes_per_second * node.tick_ms) +
      rows_bytes / node.state_check_piece_bytes;
  const std::uint64_t scan_us = ticks * node.tick_ms * 2 * ms;
  return 2 * (node.state_check_interval_ms * ms + scan_us + StateCheck::ask_again_ms * ms);
}

void OddOne::await_end(Host& host, std::uint64_t patience_us) {
  const std::uint64_t until_us = world_.now_us() + 2 * patience_us + check_us();
  while (host.runs()) {
    VERIFY(world_.now_us() < until_us, "OD",
           "node " + to_text(host.id()) + " has other data than the others, and goes on");
    set("moves", until_us);  // so that there is something new to check
    advance_(20 * ms);
  }
  VERIFY(host.disk().condemned(), "OD",
         "node " + to_text(host.id()) + " has other data than the others, and ends without a word");
  ++world_.stats.odd_ones;
}

void OddOne::await_return(Host& odd, std::uint64_t patience_us) {
  odd.wipe();
  odd.start();
  const std::uint64_t until_us = world_.now_us() + 4 * patience_us;
  while (!raft::contains(world_.ghost.members().voters, odd.id()) ||
         raft::is_joint(world_.ghost.members())) {
    VERIFY(world_.now_us() < until_us, "OD",
           "h" + std::to_string(odd.number()) + " does not come back as a new member");
    VERIFY(odd.runs(), "OD", "h" + std::to_string(odd.number()) + " comes back, and ends again");
    advance_(20 * ms);
  }
}

// No two writes of a run have the same value.
void OddOne::set(const char* key, std::uint64_t until_us) {
  write_through(
      [&] {
        return SetValue{source_name, key, "odd" + std::to_string(++writes_), std::nullopt};
      },
      until_us);
}

// Through any member but an odd one, until it is done.
void OddOne::write_through(const std::function<Operation()>& operation, std::uint64_t until_us) {
  for (bool done = false; !done;) {
    VERIFY(world_.now_us() < until_us, "LV", "no write in a healthy cluster");
    std::vector<Host*> doors;
    for (const auto& host : world_.hosts) {
      const bool member = raft::is_member(world_.ghost.members(), host->id());
      if (member && host->runs() && !host->planted()) doors.push_back(host.get());
    }
    CHECK(!doors.empty());
    std::optional<CallResult> answer;
    calls_.write(*doors[random_.below(doors.size())], operation(), 4 * world_.election_us() / ms,
                 [&answer](CallResult given, std::uint64_t) { answer = given; });
    while (!answer) advance_(ms);
    done = *answer == CallResult::ok;
  }
}

}  // namespace iris::sim
