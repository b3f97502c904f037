// Members that come back at another address, and who comes to their old one.
#include <set>

#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

using Kind = AdminRequest::Kind;

AdminRequest request(Kind kind, std::uint64_t node) {
  AdminRequest request;
  request.kind = kind;
  request.node = {node};
  return request;
}

std::size_t voters(Cluster& cluster, std::uint64_t seen_by) {
  return cluster.node(seen_by).core().members().voters.size();
}

TEST_CASE("a node that comes back under another address is found there (58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  cluster.tick(20);
  cluster.restart(3, "elsewhere:9");
  REQUIRE(cluster.until([&] {
    const raft::Members& members = cluster.node(1).core().members();
    return members.voters.back().address == "elsewhere:9";
  }));
  const WriteAnswer wrote = cluster.set(3, "k", "v");
  REQUIRE(cluster.until([&] { return wrote->ok() && cluster.value(3, "k") == "v"; }));
  for (std::uint64_t id : {1, 2}) {
    for (const raft::Member& peer : cluster.at(id).transport->peers()) {
      if (peer.id.value == 3) CHECK(peer.address == "elsewhere:9");
    }
  }
}

TEST_CASE("a moved node is found where it is when the entry that said so is overwritten (46, 58)") {
  Cluster cluster;
  cluster.form(5);
  const auto address_of_3 = [&] {
    for (const raft::Member& peer : cluster.at(2).transport->peers()) {
      if (peer.id.value == 3) return peer.address;
    }
    return std::string("nowhere");
  };
  const auto agreed_by_2 = [&] {
    return cluster.node(2).core().members().voters.at(2).address == "elsewhere:9";
  };
  cluster.crash(3);
  cluster.tick(20);
  // Only 2 gets the entry with the new address.
  cluster.keep = [](const Packet& packet) {
    const auto* message = std::get_if<raft::Message>(&packet.body);
    const auto* append =
        message == nullptr ? nullptr : std::get_if<raft::AppendRequest>(&message->body);
    return append != nullptr && !append->entries.empty() && packet.to.value > 2;
  };
  const bool says_it_first = GENERATE(true, false);
  const auto greet = [&] {
    REQUIRE(cluster.node(2).greet({{3}, cluster.node(2).cluster(), "elsewhere:9"}));
  };
  cluster.restart(3, "elsewhere:9");
  if (says_it_first) greet();
  REQUIRE(cluster.until(agreed_by_2));
  if (!says_it_first) greet();
  cluster.crash(1);
  for (std::uint64_t id : {3, 4, 5}) cluster.cut(2, id);
  cluster.kept.clear();
  cluster.keep = nullptr;
  REQUIRE(cluster.until([&] { return cluster.leader() > 2 && !agreed_by_2(); }));
  CHECK(address_of_3() == "elsewhere:9");
  cluster.heal();
  REQUIRE(cluster.until(agreed_by_2));
  const WriteAnswer wrote = cluster.set(2, "k", "v");
  CHECK(cluster.until([&] { return wrote->ok() && cluster.value(2, "k") == "v"; }));
}

TEST_CASE("a member that is silent is looked for where it said it is, and where all look (58)") {
  Cluster cluster;
  cluster.form(3);
  REQUIRE(cluster.leader() == 1);
  cluster.cut(3, 2);
  REQUIRE(cluster.node(2).greet({{3}, cluster.node(2).cluster(), "elsewhere:9"}));
  std::set<std::string> looked;
  for (int i = 0; i < 100; ++i) {
    cluster.tick();
    for (const raft::Member& peer : cluster.at(2).transport->peers()) {
      if (peer.id.value == 3) looked.insert(peer.address);
    }
  }
  CHECK(looked == std::set<std::string>{"elsewhere:9", "host-3:1"});
}

TEST_CASE("a moved node that knows of no leader is told of by those it knows (58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  for (std::uint64_t id : {4, 5}) {
    cluster.add(id);
    const AdminAnswer joined = cluster.join(1, "host-" + std::to_string(id) + ":1");
    REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(1, id); }));
  }
  AdminRequest transfer;
  transfer.kind = Kind::transfer;
  transfer.node = {5};
  const AdminAnswer moved = cluster.admin(1, transfer);
  REQUIRE(cluster.until([&] { return moved->ok() && cluster.leader() == 5; }));
  // Its folder says that 1, 2 and 3 are all there are.
  cluster.restart(3, "elsewhere:9");
  CHECK(cluster.until([&] {
    const std::vector<raft::Member>& voters = cluster.node(3).core().members().voters;
    return voters.size() == 5 && voters.at(2).address == "elsewhere:9";
  }));
}

TEST_CASE("a lone node that comes back under another address changes its own entry (58)") {
  Cluster cluster;
  cluster.form(1);
  cluster.crash(1);
  cluster.restart(1, "elsewhere:9");
  CHECK(cluster.until(
      [&] { return cluster.node(1).core().members().voters.front().address == "elsewhere:9"; }));
}

TEST_CASE("who comes to the old place of a living voter does not take its vote (50, 58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  cluster.tick(20);
  // 3 has moved; the members hear it, but have not agreed on its new address yet.
  cluster.keep = [](const Packet& packet) {
    const auto* request = std::get_if<AdminRequest>(&packet.body);
    return request != nullptr && request->kind == Kind::set_address;
  };
  cluster.restart(3, "elsewhere:9");
  cluster.tick(20);
  cluster.add(4, "host-3:1");
  const AdminAnswer joined = cluster.join(1, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  cluster.tick(300);
  CHECK(cluster.is_voter(1, 3));
  CHECK_FALSE(cluster.is_voter(1, 4));
  const AdminAnswer promoted = cluster.admin(1, request(Kind::promote, 4), 100);
  REQUIRE(cluster.until([&] { return !promoted->pending(); }));
  CHECK(promoted->failed(Errc::unavailable));
  cluster.deliver_kept();
  CHECK(cluster.until([&] { return cluster.is_voter(1, 4); }));
  CHECK(voters(cluster, 1) == 4);
}

TEST_CASE("a voter that comes back to the place of a learner that is dead is answered (50, 58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  cluster.forget(3);
  cluster.add(13, "host-3:1").hold_log = true;
  const AdminAnswer joined = cluster.join(1, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  REQUIRE_FALSE(cluster.at(1).transport->knows({3}));
  cluster.crash(13);
  cluster.forget(13);
  cluster.restart(3, "host-3:1");  // its folder was found again
  CHECK(cluster.until([&] { return cluster.node(3).core().leader().value == 1; }));
  CHECK(cluster.at(1).transport->knows({3}));
  const WriteAnswer wrote = cluster.set(3, "k", "v");
  CHECK(cluster.until([&] { return wrote->ok() && cluster.value(3, "k") == "v"; }));
  // And the other way round: whoever speaks last is there.
  cluster.crash(3);
  cluster.forget(3);
  cluster.restart(13, "host-3:1");
  CHECK(cluster.until([&] { return cluster.is_voter(1, 13); }));
  CHECK_FALSE(cluster.is_voter(1, 3));
}

TEST_CASE("two places are exchanged without ever naming one node by the other's address (58)") {
  Cluster cluster;
  cluster.form(3);
  AdminRequest wrong = request(Kind::set_address, 3);
  wrong.address = "host-2:1";
  const AdminAnswer answer = cluster.admin(1, wrong);
  REQUIRE(cluster.until([&] { return !answer->pending(); }));
  CHECK(answer->failed(Errc::refused));
}

}  // namespace
}  // namespace iris::test
