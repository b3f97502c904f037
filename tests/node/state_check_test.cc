// The state check in a cluster: who is asked, what is compared, who stops, and what must not count.
#include "src/node/state_check.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/machine/layout.h"
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

using Result = StateCheckStatus::Result;

// A check begins every 100 ticks, and 10 ticks after an election or a round without a result.
constexpr std::uint64_t interval_ticks = 100;

NodeOptions checked() {
  NodeOptions options = Cluster::small();
  options.state_check_interval_ms = interval_ticks * options.tick_ms;
  options.state_check_piece_bytes = 100;
  return options;
}

StateCheckStatus check_of(Cluster& cluster, std::uint64_t id) {
  return cluster.node(id).status().state_check;
}

// `id` has heard that its data at `index` or later is equal.
bool is_equal_since(Cluster& cluster, std::uint64_t id, raft::Index index) {
  const StateCheckStatus check = check_of(cluster, id);
  return check.result == Result::equal && check.index >= index;
}

raft::Index last(Cluster& cluster) {
  return cluster.node(cluster.wait_for_leader()).core().last_index();
}

// A row that no log made.
void plant(Cluster& cluster, std::uint64_t id, const std::string& row = "planted") {
  cluster.at(id).store->maintain(
      [row](store::Batch& batch) {
        batch.put(store::Table::values, layout::value_key(1, row), layout::value_record({1, "x"}));
      },
      [] {});
  cluster.settle();
}

template <class Body>
std::size_t count_kept(const Cluster& cluster) {
  return static_cast<std::size_t>(
      std::count_if(cluster.kept.begin(), cluster.kept.end(), keep_all<Body>()));
}

// Of three nodes the leader, node 1, is found odd. The successor that it chose hears nothing of it
// for now, so the transfer takes its time.
void find_leader_odd(Cluster& cluster) {
  cluster.form(3);
  plant(cluster, 1);
  cluster.write(1);
  cluster.keep = [](const Packet& packet) {
    return raft_body<raft::TimeoutNow>(packet) != nullptr;
  };
  REQUIRE(cluster.until([&] { return !cluster.kept.empty(); }));
}

TEST_CASE("all members hear that their data is equal, and of which entry") {
  Cluster cluster(checked());
  cluster.form(3);
  cluster.write(20);
  const raft::Index written = last(cluster);
  REQUIRE(cluster.until([&] {
    return is_equal_since(cluster, 1, written) && is_equal_since(cluster, 2, written) &&
           is_equal_since(cluster, 3, written);
  }));
  CHECK(check_of(cluster, 1).hash == check_of(cluster, 2).hash);
  CHECK(check_of(cluster, 1).hash == check_of(cluster, 3).hash);
  CHECK(check_of(cluster, 1).hash != Hash128{});
  const std::uint64_t age_ms = check_of(cluster, 2).age_ms;
  cluster.tick(5);
  CHECK(check_of(cluster, 2).age_ms == age_ms + std::uint64_t{5} * checked().tick_ms);
}

TEST_CASE("a check that is off never begins, and one member alone has nothing to compare") {
  NodeOptions options = checked();
  options.state_check_interval_ms = 0;
  Cluster off(options);
  off.form(3);
  off.keep = keep_all<StateHashRequest>();
  off.write(5);
  off.tick(5 * interval_ticks);
  CHECK(off.kept.empty());
  CHECK(check_of(off, 1).result == Result::none);
  Cluster alone(checked());
  alone.form(1);
  alone.write(5);
  alone.tick(5 * interval_ticks);
  CHECK(check_of(alone, 1).result == Result::none);
}

TEST_CASE("while nothing changes, members are asked again only after many intervals") {
  Cluster cluster(checked());
  cluster.form(3);
  cluster.write(5);
  const raft::Index written = last(cluster);
  REQUIRE(cluster.until([&] { return is_equal_since(cluster, 2, written); }));
  int asked = 0;
  cluster.keep = [&asked](const Packet& packet) {
    asked += std::holds_alternative<StateHashRequest>(packet.body) ? 1 : 0;
    return false;
  };
  cluster.tick((StateCheck::unchanged_rounds - 1) * interval_ticks);
  CHECK(asked == 0);
  cluster.tick(2 * interval_ticks);
  CHECK(asked == 2);
  cluster.write(1);
  cluster.tick(2 * interval_ticks);
  CHECK(asked >= 4);
}

TEST_CASE("a member that differs stops, its folder is condemned, and the others go on") {
  const std::uint64_t odd = GENERATE(1, 2);  // the leader, a follower
  Cluster cluster(checked());
  cluster.form(3);
  cluster.write(20);
  REQUIRE(cluster.leader() == 1);
  plant(cluster, odd);
  cluster.write(1);
  REQUIRE(cluster.until([&] { return cluster.at(odd).halted.has_value(); }));
  const Process::Halt& halt = *cluster.at(odd).halted;
  CHECK_FALSE(halt.clean);
  CHECK(halt.why.code == Errc::corrupt);
  CHECK(halt.why.text.find("its data differs from that of a majority of the members: at index") ==
        0);
  CHECK(halt.why.text.find(hex_text(check_of(cluster, 3).hash)) != std::string::npos);
  CHECK(halt.why.text.find("-join") != std::string::npos);
  CHECK(cluster.disk(odd).condemned());
  CHECK(cluster.wait_for_leader() != odd);
  for (const std::uint64_t id : {1, 2, 3}) {
    if (id == odd) continue;
    CHECK_FALSE(cluster.at(id).halted.has_value());
    CHECK_FALSE(cluster.disk(id).condemned());
    CHECK(is_equal_since(cluster, id, {1}));
  }
  const WriteAnswer answer = cluster.set(3, "key", "value");
  CHECK(cluster.until([&] { return answer->ok(); }));
}

TEST_CASE("an odd node gives up its calls and hands leadership over before it halts") {
  Cluster cluster(checked());
  find_leader_odd(cluster);
  CHECK_FALSE(cluster.at(1).halted.has_value());
  const ReadAnswer read = cluster.read(1);
  cluster.settle();
  CHECK(read->failed(Errc::unavailable));
  cluster.keep = nullptr;
  cluster.deliver_kept();
  REQUIRE(cluster.until([&] { return cluster.at(1).halted.has_value(); },
                        2 * Cluster::small().raft.election_ticks));
  CHECK(cluster.leader() > 1);
}

TEST_CASE("an odd leader that nobody takes over from halts all the same") {
  Cluster cluster(checked());
  find_leader_odd(cluster);
  CHECK(cluster.until([&] { return cluster.at(1).halted.has_value(); },
                      3 * Cluster::small().raft.election_ticks));
  CHECK(cluster.disk(1).condemned());
}

TEST_CASE("where two of two differ nobody stops, and both say so") {
  Cluster cluster(checked());
  cluster.form(2);
  plant(cluster, 2);
  cluster.write(1);
  REQUIRE(cluster.until([&] {
    return check_of(cluster, 1).result == Result::no_majority &&
           check_of(cluster, 2).result == Result::no_majority;
  }));
  CHECK(check_of(cluster, 1).hash != check_of(cluster, 2).hash);
  cluster.tick(3 * interval_ticks);
  CHECK_FALSE(cluster.at(1).halted.has_value());
  CHECK_FALSE(cluster.at(2).halted.has_value());
  // Nor where each of three has its own data.
  cluster.add(3);
  const AdminAnswer joined = cluster.join(1, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(1, 3); }));
  plant(cluster, 3, "another");
  cluster.tick(5 * interval_ticks);
  CHECK(check_of(cluster, 3).result == Result::no_majority);
  CHECK_FALSE(cluster.at(3).halted.has_value());
}

TEST_CASE("each member hashes exactly the entry that was named, whatever it applies with it") {
  Cluster cluster(checked());
  cluster.form(3);
  std::vector<StateHashReply> told;
  bool asked = false;
  const auto watch = [&](const Packet& packet) {
    if (const auto* reply = std::get_if<StateHashReply>(&packet.body)) told.push_back(*reply);
    asked = asked || std::holds_alternative<StateHashRequest>(packet.body);
  };
  // Node 2 gets no entries while others are named and follow.
  cluster.keep = [&](const Packet& packet) {
    watch(packet);
    return packet.to.value == 2 && raft_body<raft::AppendRequest>(packet) != nullptr;
  };
  for (int i = 0; i < 3; ++i) static_cast<void>(cluster.set(1, "k", std::to_string(i)));
  REQUIRE(cluster.until([&] { return asked; }));
  const raft::Index named = last(cluster);
  REQUIRE(cluster.until([&] { return told.size() == 1; }));
  for (int i = 0; i < 3; ++i) static_cast<void>(cluster.set(1, "k", "later"));
  cluster.tick(3);
  REQUIRE(last(cluster).value == named.value + 3);
  REQUIRE(told.size() == 1);
  cluster.keep = [&](const Packet& packet) {
    watch(packet);
    return false;
  };
  for (Packet& packet : std::exchange(cluster.kept, {})) cluster.wire.push_back(std::move(packet));
  REQUIRE(cluster.until([&] { return told.size() == 2; }));
  CHECK(cluster.node(2).applied().value == named.value + 3);
  for (const StateHashReply& reply : told) {
    CHECK_FALSE(reply.passed);
    CHECK(reply.hash.index == named);
    CHECK(reply.hash.data == told.front().hash.data);
  }
  REQUIRE(cluster.until([&] { return is_equal_since(cluster, 2, named); }));
}

TEST_CASE("a request that comes late is answered with 'passed', and nobody is odd") {
  Cluster cluster(checked());
  cluster.form(3);
  cluster.keep = [](const Packet& packet) {
    return packet.to.value == 2 && std::holds_alternative<StateHashRequest>(packet.body);
  };
  cluster.write(1);
  REQUIRE(cluster.until([&] { return count_kept<StateHashRequest>(cluster) > 0; }));
  cluster.write(3);
  bool passed = false;
  cluster.keep = [&passed](const Packet& packet) {
    const auto* reply = std::get_if<StateHashReply>(&packet.body);
    passed = passed || (reply != nullptr && reply->passed);
    return false;
  };
  for (Packet& packet : std::exchange(cluster.kept, {})) cluster.wire.push_back(std::move(packet));
  REQUIRE(cluster.until([&] { return passed; }));
  cluster.tick(3 * interval_ticks);
  for (const std::uint64_t id : {1, 2, 3}) CHECK_FALSE(cluster.at(id).halted.has_value());
  CHECK(check_of(cluster, 2).result == Result::equal);
}

TEST_CASE("answers that are lost are asked for again, also after a restart of the member") {
  Cluster cluster(checked());
  cluster.form(3);
  cluster.write(1);
  const raft::Index written = last(cluster);
  cluster.keep = keep_all<StateHashReply>();
  REQUIRE(cluster.until([&] { return count_kept<StateHashReply>(cluster) >= 2; }));
  cluster.kept.clear();
  cluster.crash(3);
  cluster.restart(3);
  cluster.keep = nullptr;
  REQUIRE(cluster.until([&] { return is_equal_since(cluster, 2, written); }));
  cluster.write(1);
  const raft::Index later = last(cluster);
  CHECK(cluster.until([&] { return is_equal_since(cluster, 3, later); }));
}

TEST_CASE("a member that is silent is not waited for") {
  Cluster cluster(checked());
  cluster.form(3);
  cluster.isolate(3);
  cluster.write(1);
  const raft::Index written = last(cluster);
  CHECK(cluster.until([&] { return is_equal_since(cluster, 2, written); }));
}

TEST_CASE("verdicts of others, of other rounds, and on other hashes end no node") {
  Cluster cluster(checked());
  cluster.form(3);
  cluster.write(1);
  std::optional<StateVerdict> seen;
  cluster.keep = [&seen](const Packet& packet) {
    const auto* verdict = std::get_if<StateVerdict>(&packet.body);
    if (verdict != nullptr && packet.to.value == 2) seen = *verdict;
    return false;
  };
  REQUIRE(cluster.until([&] { return seen.has_value(); }));
  REQUIRE(seen->result == StateVerdict::Result::equal);
  StateVerdict odd = *seen;
  odd.result = StateVerdict::Result::odd;
  // The very hash that this node told: it does not differ.
  cluster.node(2).receive({{1}, odd});
  odd.data.low ^= 1;
  StateVerdict other = odd;
  other.id ^= 1;
  cluster.node(2).receive({{1}, other});
  other = odd;
  other.index = other.index.next();
  cluster.node(2).receive({{1}, other});
  cluster.node(2).receive({{3}, odd});  // does not lead
  cluster.tick();
  CHECK_FALSE(cluster.at(2).halted.has_value());
  cluster.node(2).receive({{1}, odd});
  cluster.tick();
  CHECK(cluster.at(2).halted.has_value());
}

TEST_CASE("a hash of another index than the one that was asked for is not compared") {
  Cluster cluster(checked());
  cluster.form(3);
  cluster.write(1);
  cluster.keep = [](const Packet& packet) {
    return packet.from.value == 2 && std::holds_alternative<StateHashReply>(packet.body);
  };
  REQUIRE(cluster.until([&] { return !cluster.kept.empty(); }));
  StateHashReply wrong = std::get<StateHashReply>(cluster.kept.front().body);
  wrong.hash.index = wrong.hash.index.next();
  wrong.hash.data.low ^= 1;
  cluster.node(1).receive({{2}, wrong});
  cluster.tick(5);
  CHECK_FALSE(cluster.at(2).halted.has_value());
  CHECK(is_equal_since(cluster, 3, {1}));
}

TEST_CASE("below its feature level no message of a check is sent, and from it on one is") {
  NodeOptions options = checked();
  options.level = {StateCheck::level_min.value - 1};
  Cluster cluster(options);
  cluster.form(3);
  cluster.keep = keep_all<StateHashRequest>();
  cluster.write(1);
  cluster.tick(5 * interval_ticks);
  CHECK(cluster.kept.empty());
  for (const std::uint64_t id : {1, 2, 3}) {
    cluster.set_level(id, StateCheck::level_min);
    cluster.crash(id);
    cluster.restart(id);
    cluster.wait_for_leader();
  }
  CHECK(cluster.until([&] { return !cluster.kept.empty(); }));
}

TEST_CASE("a scan keeps to its rate") {
  NodeOptions options = checked();
  options.state_check_bytes_per_second = 10'000;  // 100 bytes a tick
  Cluster cluster(options);
  cluster.form(3);
  for (int i = 0; i < 20; ++i) {  // about 10,000 bytes of rows
    static_cast<void>(cluster.set(1, "k" + std::to_string(i), std::string(400, 'x')));
  }
  cluster.tick(2 * interval_ticks);
  std::optional<std::uint64_t> asked_at;
  std::uint64_t ticks = 0;
  std::uint64_t took = 0;
  cluster.keep = [&](const Packet& packet) {
    if (packet.to.value == 2 && std::holds_alternative<StateHashRequest>(packet.body) &&
        !asked_at) {
      asked_at = ticks;
    }
    if (packet.from.value == 2 && std::holds_alternative<StateHashReply>(packet.body) && asked_at &&
        took == 0) {
      took = ticks - *asked_at;
    }
    return false;
  };
  cluster.write(1);
  for (; took == 0 && ticks < 2000; ++ticks) cluster.tick();
  CHECK(took > 50);
  CHECK(took < 500);
}

}  // namespace
}  // namespace iris::test
