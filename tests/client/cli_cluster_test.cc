// status, health, member and leader of iris-cli, against fake nodes: what is printed of a cluster,
// and how the commands end while it has no leader.
#include <ctime>
#include <nlohmann/json.hpp>

#include "tests/client/cli_fixture.h"

using iris::test::cli;
using iris::test::contains;
using iris::test::dead_address;
using iris::test::Ended;
using iris::test::Fixture;
using nlohmann::json;

TEST_CASE("status tells how a node is, in words and in json") {
  Fixture at;
  auto& status = at.cluster->status;
  status.set_id("00000000000000a1");
  status.set_cluster_id("00000000000000cc");
  status.set_role("leader");
  status.set_term(7);
  status.set_leader_id("00000000000000a1");
  status.set_commit(120);
  status.set_applied(118);
  status.set_voters(3);
  status.set_reachable(3);
  status.set_tolerates_failures(1);
  status.set_disk_used_bytes(1536);
  status.set_api_level(2);
  status.set_cluster_level(1);
  status.set_certificate_expires_s(std::time(nullptr) + 10L * 86'400 + 60);
  status.set_version("1.0.0");
  status.set_address("127.0.0.1:32001");
  status.set_client_connections(12);
  status.set_waiting_calls(3);
  status.set_client_answer_bytes(2048);
  status.set_state_check_revision(117);
  status.set_state_check("equal");
  status.set_state_hash("0123456789abcdef0123456789abcdef");
  status.set_state_check_s(std::time(nullptr) - 3600);
  const Ended text = at.cli({"status"});
  CHECK(text.code == 0);
  for (const char* part :
       {"00000000000000a1", "leader, term 7", "commit       120, applied 118, lag 2",
        "3 voters, 3 reachable", "tolerates 1 failure\n", "1.5 KiB used", "10 days left",
        "state check  equal at revision 117, 36",
        " seconds ago, hash 0123456789abcdef0123456789abcdef", "server 1.0.0",
        "12 connections, 3 calls wait, 2.0 KiB of answers not taken",
        "level        cluster 1, this node knows up to 2"}) {
    INFO(text.out);
    CHECK(contains(text.out, part));
  }
  const auto object = json::parse(at.cli({"status", "-o", "json"}).out);
  CHECK(object["role"] == "leader");
  CHECK(object["voters"] == 3);
  CHECK(object["tolerates_failures"] == 1);
  CHECK(object["client_connections"] == 12);
  CHECK(object["waiting_calls"] == 3);
  CHECK(object["state_check_revision"] == 117);
  CHECK(object["state_check"] == "equal");
  CHECK(object["state_hash"] == "0123456789abcdef0123456789abcdef");
  CHECK(object["state_check_s"] == status.state_check_s());
  CHECK(object["client_answer_bytes"] == 2048);
  CHECK(object["certificate_expires_s"] == status.certificate_expires_s());
  CHECK(object["api_level"] == 2);
  CHECK(object["cluster_level"] == 1);

  status.set_tolerates_failures(0);
  status.set_certificate_expires_s(0);
  status.set_state_check_revision(0);
  status.set_alarm("disk full");
  const Ended worse = at.cli({"status"});
  CHECK(contains(worse.out, "tolerates 0 failures: no voter may be lost"));
  CHECK(contains(worse.out, "none (no TLS)"));
  CHECK(contains(worse.out, "state check  not yet compared with other members"));
  CHECK(contains(worse.out, "ALARM        disk full"));

  // Several: each that answers, and a word about the others.
  const std::string dead = dead_address();
  const Ended both = at.cli({"status", "-addr", dead, "-timeout", "2s"});
  CHECK(both.code == 0);
  CHECK(contains(both.out, "role"));
  CHECK(contains(both.err, dead));
}

TEST_CASE("status tells of the listeners of a node, in words and in json") {
  Fixture at;
  auto& status = at.cluster->status;
  status.set_leader_id("00000000000000a1");
  status.set_listeners(5);
  status.set_queued_update_bytes(3072);
  status.set_listener_states(1);
  const Ended text = at.cli({"status"});
  INFO(text.out);
  CHECK(
      contains(text.out, "listeners    5 streams, 3.0 KiB of updates queued, 1 state being sent"));
  const json object = json::parse(at.cli({"status", "-o", "json"}).out);
  CHECK(object["listeners"] == 5);
  CHECK(object["queued_update_bytes"] == 3072);
  CHECK(object["listener_states"] == 1);
}

TEST_CASE("addresses are printed as the next command takes them") {
  Fixture at;
  auto& status = at.cluster->status;
  status.set_role("follower");
  status.set_voters(3);
  status.set_leader_id("00000000000000a1");
  status.set_leader_address("192.0.2.7:32001");
  status.set_address("[2001:db8::1]:32011");
  const Ended text = at.cli({"status"});
  CHECK(contains(text.out, "leader       00000000000000a1 at 192.0.2.7:32000\n"));
  CHECK(contains(text.out, " at [2001:db8::1]:32010, asked at " + at.node.address() + "\n"));
  CHECK_FALSE(contains(text.out, "32001"));
  const auto object = json::parse(at.cli({"status", "-o", "json"}).out);
  CHECK(object["leader_address"] == "192.0.2.7:32001");  // what programs read stays
  CHECK(object["leader_grpc_address"] == "192.0.2.7:32000");
  CHECK(object["grpc_address"] == "[2001:db8::1]:32010");
}

TEST_CASE("status and health without a leader: a sentence, and exit code 3") {
  Fixture at;
  auto& status = at.cluster->status;
  status.set_role("candidate");
  status.set_voters(3);
  const Ended text = at.cli({"status"});
  CHECK(text.code == 3);
  CHECK(contains(text.out, "none is known"));
  CHECK(contains(text.out, "has no leader: 2 of 3 voters must be up"));
  CHECK_FALSE(contains(text.out, "tolerates"));
  CHECK(contains(text.err, "no leader is known"));
  CHECK(at.cli({"status", "-o", "json"}).code == 3);
  const Ended health = at.cli({"health"});
  CHECK(health.code == 3);
  CHECK(health.out == at.node.address() + " NO_LEADER\n");
  CHECK(contains(health.err, at.node.address() + ": no leader is known"));
  // One that knows is enough for status, and none that does not for health.
  auto other = std::make_shared<iris::test::FakeCluster>();
  other->status.set_voters(3);
  other->status.set_leader_id("00000000000000a1");
  const iris::test::FakeIris led(other);
  CHECK(at.cli({"status", "-addr", led.address()}).code == 0);
  CHECK(at.cli({"health", "-addr", led.address()}).code == 3);
}

TEST_CASE("health asks by the gRPC health protocol") {
  const Fixture at;
  at.cluster->status.set_leader_id("00000000000000a1");
  const Ended good = at.cli({"health"});
  CHECK(good.code == 0);
  CHECK(good.out == at.node.address() + " SERVING\n");
  CHECK(json::parse(at.cli({"health", "-o", "json"}).out)["status"] == "SERVING");
  CHECK(cli({"health", "-insecure", "-addr", dead_address(), "-timeout", "200ms"}).code == 3);
}

TEST_CASE("members are listed, removed and promoted, and the lead is moved") {
  Fixture at;
  auto* leader = at.cluster->members.add_members();
  leader->set_id("00000000000000a1");
  leader->set_address("127.0.0.1:32001");
  leader->set_voter(true);
  leader->set_leader(true);
  leader->set_active(true);
  auto* learner = at.cluster->members.add_members();
  learner->set_id("00000000000000b2");
  learner->set_address("127.0.0.1:32011");
  learner->set_match(17);
  const Ended list = at.cli({"member", "ls"});
  CHECK(list.code == 0);
  CHECK(list.out ==
        "ID                ADDRESS          KIND     HEARD  MATCH\n"
        "00000000000000a1  127.0.0.1:32000  leader   yes    0\n"
        "00000000000000b2  127.0.0.1:32010  learner  no     17\n");
  CHECK(at.cli({"member", "promote", "00000000000000b2"}).out ==
        "promoted to a voter: 00000000000000b2 at 127.0.0.1:32010\n");
  // By the address that member ls prints, and by the one that nodes dial.
  for (const char* address : {"127.0.0.1:32010", "127.0.0.1:32011"}) {
    CHECK(at.cli({"member", "rm", address}).out == "removed 00000000000000b2 at 127.0.0.1:32010\n");
  }
  const Ended refused = at.cli({"member", "rm", "00000000000000a1"});
  CHECK(refused.code == 8);
  CHECK(contains(refused.err, "no live majority would be left"));
  CHECK(at.cli({"member", "rm", "00000000000000a1", "-force"}).code == 0);
  CHECK(json::parse(at.cli({"leader", "move", "-o", "json"}).out)["id"] == "00000000000000b2");
  CHECK(at.cli({"leader", "move"}).out == "the lead goes to 00000000000000b2 at 127.0.0.1:32010\n");
}

TEST_CASE("member rm says how many voters are left, and what one alone is") {
  Fixture at;
  const auto add = [&](const std::string& id, int port) {
    auto* member = at.cluster->members.add_members();
    member->set_id(id);
    member->set_address("192.0.2.7:" + std::to_string(port));
    member->set_voter(true);
    member->set_active(true);
  };
  add("00000000000000a1", 32001);
  add("00000000000000b2", 32003);
  const Ended last = at.cli({"member", "rm", "00000000000000b2"});
  CHECK(last.out ==
        "removed 00000000000000b2 at 192.0.2.7:32002: 1 voter is left, which tolerates 0 "
        "failures\n");
  CHECK(contains(last.err, "of two voters one is left"));
  add("00000000000000c3", 32005);
  add("00000000000000d4", 32004);
  const Ended more = at.cli({"member", "rm", "00000000000000a1"});
  CHECK(contains(more.out, "3 voters are left, which tolerate 1 failure\n"));
  CHECK(more.err.empty());
  const Ended both = at.cli({"member", "rm", "192.0.2.7:32004"});
  CHECK(both.code == 2);
  CHECK(contains(both.err, "name it by its id"));
}

TEST_CASE("member ls asks the leader where a follower answered, which does not know who is heard") {
  Fixture at;
  auto leader_cluster = std::make_shared<iris::test::FakeCluster>();
  const iris::test::FakeIris leader_node(leader_cluster);
  for (auto* members : {&at.cluster->members, &leader_cluster->members}) {
    auto* member = members->add_members();
    member->set_id("00000000000000a1");
    member->set_address("127.0.0.1:" + std::to_string(leader_node.port() + 1));
    member->set_voter(true);
    member->set_leader(true);
  }
  CHECK(contains(at.cli({"member", "ls"}).out, "leader  ?      ?\n"));
  leader_cluster->members.mutable_members(0)->set_active(true);
  leader_cluster->members.mutable_members(0)->set_match(17);
  CHECK(contains(at.cli({"member", "ls"}).out, "leader  yes    17\n"));
}
