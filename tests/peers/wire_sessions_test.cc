// The messages about sessions against the code generated from proto/peer.proto, and at their
// limits.
#include <google/protobuf/text_format.h>

#include "proto/peer.pb.h"
#include "src/peers/wire.h"
#include "tests/catch.h"
#include "tests/peers/samples.h"

namespace iris {
namespace {

using samples::complaint;
using samples::limit_of;

// Our bytes as the generated code reads them, as text.
std::string text(const SessionsServed& body) {
  peer::Batch parsed;
  REQUIRE(parsed.ParseFromString(samples::bytes(body)));
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  REQUIRE(printer.PrintToString(parsed.messages(0).sessions_served(), &text));
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

// With something in each field.
ServedChanges full_served() { return {{7}, 1, 2, 3, true, {{"s1", 5}}, 8, 9, true}; }
LeaseChanges full_leases() {
  return {{7}, 2, 3, true, {{"s1", 5}}, {"s2"}, {{{4}, 6}}, 1, 9, true, 8};
}

TEST_CASE("the fields of the messages about sessions stand where peer.proto has them") {
  CHECK(text(SessionsServed{{"s2"}, full_served()}) ==
        "sessions: \"s2\" changes { term: 7 life: 1 after: 2 up_to: 3 latest: true "
        "ended { session: \"s1\" silent_ms: 5 } sent: 8 known: 9 missed: true }");
  CHECK(text(SessionsServed{.leases = full_leases()}) ==
        "leases { term: 7 after: 2 up_to: 3 latest: true silent { session: \"s1\" silent_ms: 5 } "
        "served: \"s2\" nodes { node: 4 silent_ms: 6 } life: 1 known: 9 missed: true sent: 8 }");
}

TEST_CASE("messages about sessions come back with all that they say") {
  const auto back =
      samples::read(samples::bytes(SessionsServed{{"s2"}, full_served(), full_leases()}));
  REQUIRE(back.size() == 1);
  const auto& body = std::get<SessionsServed>(back[0]);
  CHECK(body.sessions == std::vector<std::string>{"s2"});
  CHECK(*body.changes == full_served());
  CHECK(*body.leases == full_leases());
}

TEST_CASE("changes of sessions that cannot be meant are refused with a sentence (hazard 107)") {
  const auto served = [](ServedChanges changes) {
    return complaint(SessionsServed{.changes = std::move(changes)});
  };
  const auto leases = [](LeaseChanges changes) {
    return complaint(SessionsServed{.leases = std::move(changes)});
  };
  CHECK(served({.term = {1}}).empty());
  CHECK(served({.term = {1}, .ended = {{"", 1}}}) == "SessionsServed: an empty session");
  CHECK(served({}) == "ServedChanges: no term");
  CHECK(served({.term = {1}, .after = 2, .up_to = 1}) ==
        "ServedChanges: changes in the wrong order");
  CHECK(leases({.term = {1}}).empty());
  CHECK(leases({}) == "LeaseChanges: no term");
  CHECK(leases({.term = {1}, .after = 2, .up_to = 1}) ==
        "LeaseChanges: changes in the wrong order");
  CHECK(leases({.term = {1}, .served = {""}}) == "SessionsServed: an empty session");
  CHECK(leases({.term = {1}, .nodes = {{{0}, 1}}}) == "SilentNode: no node id");
}

TEST_CASE("all sessions of a message are counted together, silent nodes apart (hazard 107)") {
  SessionsServed served{.changes = ServedChanges{.term = {1}, .ended = {{"e", 1}}}};
  served.sessions.assign(wire::sessions_per_message_max - 1, "s");
  CHECK(complaint(served).empty());
  served.changes->ended.push_back({"e", 1});
  CHECK(limit_of(served) == "sessions_per_message_max");

  SessionsServed leases{.leases = LeaseChanges{.term = {1}, .silent = {{"e", 1}}}};
  leases.leases->served.assign(wire::sessions_per_message_max - 1, "s");
  leases.leases->nodes.assign(wire::silent_nodes_max, {{1}, 1});
  CHECK(complaint(leases).empty());
  leases.leases->nodes.push_back({{1}, 1});
  CHECK(limit_of(leases) == "silent_nodes_max");
  leases.leases->nodes.clear();
  leases.leases->served.emplace_back("s");
  CHECK(limit_of(leases) == "sessions_per_message_max");

  peer::Batch batch;
  auto* message = batch.add_messages()->mutable_sessions_served()->mutable_leases();
  message->set_term(1);
  for (std::size_t i = 0; i <= wire::silent_nodes_max; ++i) message->add_nodes()->set_node(1);
  std::string error;
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "LeaseChanges: over the limit silent_nodes_max");
  message->clear_nodes();
  for (std::size_t i = 0; i <= wire::sessions_per_message_max; ++i) {
    message->add_silent()->set_session("s");
  }
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "SessionsServed: over the limit sessions_per_message_max");
}

TEST_CASE("the name of a session is taken at its limit and no longer, in every list") {
  const std::string session(wire::session_bytes_max, 's');
  const auto lists = [](const std::string& name) {
    return std::vector<SessionsServed>{
        {.changes = ServedChanges{.term = {1}, .ended = {{name, 1}}}},
        {.leases = LeaseChanges{.term = {1}, .silent = {{name, 1}}}},
        {.leases = LeaseChanges{.term = {1}, .served = {name}}},
    };
  };
  for (const SessionsServed& body : lists(session)) CHECK(complaint(body).empty());
  for (const SessionsServed& body : lists(session + "s")) {
    CHECK(limit_of(body) == "session_bytes_max");
  }
  peer::Batch batch;
  auto* message = batch.add_messages()->mutable_sessions_served()->mutable_changes();
  message->set_term(1);
  message->add_ended()->set_session(session + "s");
  std::string error;
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "SessionsServed: over the limit session_bytes_max");
}

}  // namespace
}  // namespace iris
