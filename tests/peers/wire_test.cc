// src/peers/wire against the code generated from proto/peer.proto, at its limits, and against
// garbage.
#include "src/peers/wire.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/unknown_field_set.h>

#include <random>

#include "proto/peer.pb.h"
#include "tests/catch.h"
#include "tests/peers/samples.h"

namespace iris {
namespace {

using samples::complaint;
using samples::limit_of;
using samples::message;

// Our bytes as the generated code reads them, as text.
std::string as_text(const std::string& batch) {
  peer::Batch parsed;
  REQUIRE(parsed.ParseFromString(batch));
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  REQUIRE(printer.PrintToString(parsed.messages(0), &text));
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string raft_text(raft::Message body) {
  body.from = {1};
  body.to = {2};
  const std::string text = as_text(samples::bytes(body));
  const std::string ends = "raft { from: 1 to: 2 term: " + std::to_string(body.term.value) + " ";
  REQUIRE(text.substr(0, ends.size()) == ends);
  return text.substr(ends.size(), text.size() - ends.size() - 2);
}

TEST_CASE("every kind of message comes back as it left, through the generated code as well") {
  for (const PeerBody& body : samples::all()) {
    const std::string ours = samples::bytes(body);
    CAPTURE(as_text(ours));
    const std::vector<PeerBody> back = samples::read(ours);
    REQUIRE(back.size() == 1);
    REQUIRE(back.front().index() == body.index());
    REQUIRE(samples::bytes(back.front()) == ours);

    peer::Batch parsed;
    REQUIRE(parsed.ParseFromString(ours));
    const std::vector<PeerBody> canonical = samples::read(parsed.SerializeAsString());
    REQUIRE(canonical.size() == 1);
    REQUIRE(samples::bytes(canonical.front()) == ours);
  }
}

TEST_CASE("the fields of Raft's messages stand where peer.proto has them") {
  CHECK(raft_text(message(9, raft::PreVoteRequest{.last = {{8}, {70}}})) ==
        "pre_vote_request { last { term: 8 index: 70 } }");
  CHECK(raft_text(message(9, raft::PreVoteReply{.granted = true})) ==
        "pre_vote_reply { granted: true }");
  CHECK(raft_text(message(9, raft::VoteRequest{.last = {{8}, {70}}, .transfer = true})) ==
        "vote_request { last { term: 8 index: 70 } transfer: true }");
  CHECK(raft_text(message(9, raft::VoteReply{.granted = true})) == "vote_reply { granted: true }");
  CHECK(raft_text(message(6, raft::AppendReply{true, {44}, {{5}, {41}}})) ==
        "append_reply { matched: true index: 44 hint { term: 5 index: 41 } }");
  CHECK(raft_text(message(6, raft::Heartbeat{{39}, {41}, {7}})) ==
        "heartbeat { commit: 39 match: 41 round: 7 }");
  CHECK(raft_text(message(6, raft::HeartbeatReply{{7}, {41}, {40}})) ==
        "heartbeat_reply { round: 7 verified: 41 durable: 40 }");
  CHECK(raft_text(message(6, raft::TimeoutNow{})) == "timeout_now { }");
  CHECK(raft_text(message(6, raft::RemovalNotice{{80}, true, {{5}, {81}}})) ==
        "removal_notice { members_index: 80 certain: true commit { term: 5 index: 81 } }");
  CHECK(raft_text(message(6, samples::append())) ==
        "append_request { prev { term: 5 index: 40 } commit: 39 "
        "entries { term: 5 index: 41 command: \"set\" } "
        "entries { term: 5 index: 42 command: \"\" } "
        "entries { term: 6 index: 43 empty { } } "
        "entries { term: 6 index: 44 members { "
        "voters { id: 1 address: \"a:1\" } voters { id: 2 address: \"[::1]:2\" } "
        "outgoing { id: 1 address: \"a:1\" } outgoing { id: 3 address: \"c:3\" } "
        "learners { id: 4 address: \"d:4\" } } } }");
}

TEST_CASE("the fields of the hosts' messages stand where peer.proto has them") {
  const auto text = [](const PeerBody& body) { return as_text(samples::bytes(body)); };
  CHECK(text(ForwardRequest{11, "cmd"}) == "forward_request { id: 11 command: \"cmd\" }");
  CHECK(text(ForwardReply{11,
                          ForwardReply::Code::limit,
                          {.code = Outcome::Code::malformed, .changed = true, .revision = 43},
                          "full"}) ==
        "forward_reply { id: 11 code: LIMIT outcome { code: MALFORMED changed: true revision: 43 } "
        "text: \"full\" }");
  CHECK(text(ReadIndexRequest{12}) == "read_index_request { id: 12 }");
  CHECK(text(ReadIndexReply{12, true, {44}}) ==
        "read_index_reply { id: 12 granted: true index: 44 }");
  CHECK(text(AdminRequest{13, AdminRequest::Kind::transfer, {4}, "e:5", true}) ==
        "admin_request { id: 13 kind: TRANSFER node: 4 address: \"e:5\" force: true }");
  CHECK(text(AdminReply{13, true, Errc::busy, "later", {4}}) ==
        "admin_reply { id: 13 ok: true error: BUSY text: \"later\" node: 4 }");
  CHECK(text(SessionsServed{{"s1", "s2"}}) ==
        "sessions_served { sessions: \"s1\" sessions: \"s2\" }");
  CHECK(text(SnapshotChunk{1, {{{7}, {90}}, {{{{1}, "a:1"}}, {}, {}}, {80}}, 5, "data", true}) ==
        "snapshot_chunk { transfer: 1 mark { last { term: 7 index: 90 } members { voters { id: 1 "
        "address: \"a:1\" } } members_index: 80 } offset: 5 data: \"data\" last: true }");
  CHECK(text(SnapshotAck{1, 5, true, true, "no"}) ==
        "snapshot_ack { transfer: 1 offset: 5 done: true refused: true text: \"no\" }");
  CHECK(text(StateHashRequest{7, {90}, 40}) ==
        "state_hash_request { id: 7 index: 90 history_after: 40 }");
  CHECK(text(StateHashReply{7, true, {{90}, 41, {1, 2}, Hash128{3, 4}}}) ==
        "state_hash_reply { id: 7 passed: true index: 90 purged: 41 data { high: 1 low: 2 } "
        "history { high: 3 low: 4 } }");
  CHECK(text(StateVerdict{7, {90}, StateVerdict::Result::odd, {1, 2}, Hash128{3, 4}}) ==
        "state_verdict { id: 7 index: 90 result: ODD data { high: 1 low: 2 } "
        "history { high: 3 low: 4 } }");
}

TEST_CASE("every reason of an admin reply keeps its name") {
  for (int code = 0; code <= static_cast<int>(Errc::unimplemented); ++code) {
    AdminReply reply{.id = 1, .ok = false, .code = static_cast<Errc>(code)};
    const auto back = samples::read(samples::bytes(reply));
    REQUIRE(std::get<AdminReply>(back.at(0)).code == reply.code);
  }
  CHECK(as_text(samples::bytes(AdminReply{.code = Errc::unknown_outcome})) ==
        "admin_reply { error: UNKNOWN_OUTCOME }");
  CHECK(as_text(samples::bytes(AdminReply{.code = Errc::unimplemented})) ==
        "admin_reply { error: UNIMPLEMENTED }");
}

TEST_CASE("many messages share a batch and keep their order") {
  std::string batch;
  for (std::uint64_t id = 1; id <= 1000; ++id) REQUIRE(wire::write(ReadIndexRequest{id}, batch));
  const auto back = samples::read(batch);
  REQUIRE(back.size() == 1000);
  for (std::uint64_t id = 1; id <= 1000; ++id) {
    REQUIRE(std::get<ReadIndexRequest>(back[id - 1]).id == id);
  }
  int taken = 0;
  REQUIRE(wire::read(batch, samples::sender, samples::receiver,
                     [&](const PeerBody&) { return ++taken < 3; }));
  CHECK(taken == 3);  // a receiver that is closed half way hears no more
}

TEST_CASE("fields of a later version are passed over, kinds of a later version are not") {
  peer::Batch batch;
  peer::Message& one = *batch.add_messages();
  one.mutable_read_index_request()->set_id(5);
  auto* unknown = one.read_index_request().GetReflection()->MutableUnknownFields(
      one.mutable_read_index_request());
  unknown->AddVarint(200, 1);
  unknown->AddFixed32(201, 1);
  unknown->AddFixed64(202, 1);
  unknown->AddLengthDelimited(203, "x");
  const auto back = samples::read(batch.SerializeAsString());
  REQUIRE(back.size() == 1);
  CHECK(std::get<ReadIndexRequest>(back[0]).id == 5);

  std::string error;
  samples::read(std::string("\x0a\x03\x72\x01\x00", 5), &error);  // Message { 14: "\0" }
  CHECK(error == "a message of a kind this build does not know");
  peer::Batch other;
  other.add_messages()->mutable_raft()->set_from(samples::sender.value);
  samples::read(other.SerializeAsString(), &error);
  CHECK(error == "Raft: no body");
  peer::Batch entry;
  auto* append = entry.add_messages()->mutable_raft();
  append->set_term(1);
  auto* added = append->mutable_append_request()->add_entries();
  added->set_term(1);
  added->set_index(1);
  samples::read(entry.SerializeAsString(), &error);
  CHECK(error == "Entry: of a kind this build does not know");
  samples::read(std::string("\x0a\x00", 2), &error);
  CHECK(error == "a message without a body");
}

TEST_CASE("a message speaks for the two ends of its connection only (hazard 108)") {
  raft::Message stray = message(6, raft::TimeoutNow{});
  stray.from = {0xdead};
  CHECK(complaint(stray) == "Raft: from another node than the connection's");
  stray.from = samples::sender;
  stray.to = {0xdead};
  CHECK(complaint(stray) == "Raft: to another node than this one");
}

TEST_CASE("a gap or a fall among entries is refused (hazard 34)") {
  const auto with = [](raft::EntryId prev, std::vector<raft::EntryPtr> entries) {
    return complaint(message(9, raft::AppendRequest{prev, {}, std::move(entries)}));
  };
  const auto command = [](std::uint64_t term, std::uint64_t index) {
    return samples::entry(term, index, raft::Command("x"));
  };
  CHECK(with({{5}, {40}}, {command(5, 41), command(9, 42)}).empty());
  CHECK(with({}, {command(1, 1)}).empty());
  CHECK(with({{5}, {40}}, {command(5, 42)}) == "AppendRequest: entries are not contiguous");
  CHECK(with({{5}, {40}}, {command(5, 41), command(5, 43)}) ==
        "AppendRequest: entries are not contiguous");
  CHECK(with({{5}, {40}}, {command(5, 40)}) == "AppendRequest: entries are not contiguous");
  CHECK(with({{5}, {40}}, {command(4, 41)}) == "AppendRequest: terms of entries fall");
  CHECK(with({}, {command(0, 1)}) == "AppendRequest: terms of entries fall");
  CHECK(with({{5}, {40}}, {command(10, 41)}) ==
        "AppendRequest: an entry from after the leader's term");
  CHECK(with({{10}, {40}}, {}) == "AppendRequest: an entry from after the leader's term");
  CHECK(with({{5}, {0}}, {}) == "EntryId: term without index, or index without term");
  CHECK(with({{5}, {~0ull}}, {}) == "AppendRequest: index out of range");
}

TEST_CASE("what cannot be meant is refused with a sentence (hazard 107)") {
  CHECK(complaint(message(0, raft::TimeoutNow{})) == "Raft: term 0");
  CHECK(complaint(message(0, raft::PreVoteReply{.granted = true})) == "Raft: term 0");
  CHECK(complaint(message(6, raft::RemovalNotice{})) == "RemovalNotice: by no configuration");
  CHECK(complaint(message(6, raft::RemovalNotice{{80}, true, {{5}, {79}}})) ==
        "RemovalNotice: by a configuration that is not committed");
  CHECK(complaint(message(6, raft::Heartbeat{{2}, {1}, {1}})) == "Heartbeat: commit beyond match");
  CHECK(complaint(message(6, raft::HeartbeatReply{{1}, {1}, {2}})) ==
        "HeartbeatReply: durable, unverified");
  CHECK(complaint(ReadIndexReply{1, true, {0}}) == "ReadIndexReply: granted without an index");
  CHECK(complaint(AdminRequest{.id = 1, .kind = AdminRequest::Kind::join, .address = ""}) ==
        "AdminRequest: no valid address");
  CHECK(
      complaint(AdminRequest{.id = 1, .kind = AdminRequest::Kind::remove, .address = "nonsense"}) ==
      "AdminRequest: no valid address");
  CHECK(complaint(AdminRequest{.id = 1, .kind = AdminRequest::Kind::remove}).empty());
  CHECK(complaint(AdminRequest{.kind = static_cast<AdminRequest::Kind>(5)}) ==
        "AdminRequest: unknown kind");
  CHECK(complaint(ForwardReply{.code = static_cast<ForwardReply::Code>(4)}) ==
        "ForwardReply: unknown code");
  CHECK(complaint(ForwardReply{.outcome = {.code = static_cast<Outcome::Code>(3)}}) ==
        "Outcome: unknown code");
  CHECK(complaint(SessionsServed{{"a", ""}}) == "SessionsServed: an empty session");
  SnapshotChunk chunk{.mark = samples::mark(), .offset = ~0ull, .bytes = "x"};
  CHECK(complaint(chunk) == "SnapshotChunk: offset out of range");
  chunk.mark.last = {};
  CHECK(complaint(chunk) == "SnapshotMetadata: of no entry");
  chunk.mark = {.last = {{7}, {90}}, .members = samples::members(), .members_index = {91}};
  CHECK(complaint(chunk) == "SnapshotMetadata: members from after it");

  peer::Batch batch;
  batch.add_messages()->mutable_admin_reply()->set_error(static_cast<peer::AdminReply_Error>(12));
  std::string error;
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "AdminReply: unknown error");
  batch.mutable_messages(0)->mutable_snapshot_chunk()->set_data("x");
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "SnapshotChunk: no mark");
}

TEST_CASE("lists of members are sorted, unique, complete and apart (hazard 28)") {
  const auto with = [](raft::Members members) {
    return complaint(message(9, raft::AppendRequest{{}, {}, {samples::entry(1, 1, members)}}));
  };
  using List = std::vector<raft::Member>;
  CHECK(with(samples::members()).empty());
  CHECK(with({}) == "Members: no voter");
  CHECK(with({List{{{2}, "a:1"}, {{1}, "b:1"}}, {}, {}}) == "Members: a list is not sorted by id");
  CHECK(with({List{{{2}, "a:1"}, {{2}, "b:1"}}, {}, {}}) == "Members: a list is not sorted by id");
  CHECK(with({List{{{0}, "a:1"}}, {}, {}}) == "Member: no id");
  CHECK(with({List{{{1}, ":1"}}, {}, {}}) == "Member: no valid address");
  CHECK(with({List{{{1}, "a:0"}}, {}, {}}) == "Member: no valid address");
  CHECK(with({List{{{1}, "a:1"}}, {}, List{{{1}, "a:1"}}}) ==
        "Members: a learner is a voter as well");
  CHECK(with({List{{{1}, "a:1"}}, List{{{2}, "b:1"}}, List{{{2}, "b:1"}}}) ==
        "Members: a learner is a voter as well");
}

// --- Limits: taken at the limit, one over is neither written nor read.

TEST_CASE("a command is taken at its limit and not one byte over it (hazard 40)") {
  raft::Command command(wire::command_bytes_max, 'x');
  const auto append = [&] {
    return message(1, raft::AppendRequest{{}, {}, {samples::entry(1, 1, command)}});
  };
  CHECK(complaint(append()).empty());
  CHECK(complaint(ForwardRequest{1, command}).empty());
  command += 'x';
  CHECK(limit_of(append()) == "command_bytes_max");
  CHECK(limit_of(ForwardRequest{1, command}) == "command_bytes_max");
  peer::Batch batch;
  batch.add_messages()->mutable_forward_request()->set_command(command);
  std::string error;
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "ForwardRequest: over the limit command_bytes_max");
  auto* raft = batch.mutable_messages(0)->mutable_raft();
  raft->mutable_append_request()->add_entries()->set_command(command);
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "Entry: over the limit command_bytes_max");
}

TEST_CASE("entries, sessions and members are counted before they are kept (hazard 107)") {
  raft::AppendRequest append;
  for (std::uint64_t i = 1; i <= wire::entries_per_message_max; ++i) {
    append.entries.push_back(samples::entry(1, i, raft::NoOp()));
  }
  CHECK(complaint(message(1, append)).empty());
  append.entries.push_back(append.entries.back());
  CHECK(limit_of(message(1, append)) == "entries_per_message_max");
  std::string error;
  peer::Batch batch;
  auto* request = batch.add_messages()->mutable_raft()->mutable_append_request();
  for (std::uint64_t i = 1; i <= wire::entries_per_message_max + 1; ++i) {
    request->add_entries()->mutable_empty();
  }
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "AppendRequest: over the limit entries_per_message_max");

  SessionsServed served{std::vector<std::string>(wire::sessions_per_message_max, "s")};
  CHECK(complaint(served).empty());
  served.sessions.emplace_back("s");
  CHECK(limit_of(served) == "sessions_per_message_max");
  auto* sessions = batch.mutable_messages(0)->mutable_sessions_served();
  for (const std::string& session : served.sessions) sessions->add_sessions(session);
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "SessionsServed: over the limit sessions_per_message_max");

  raft::Members members;
  for (std::uint64_t id = 1; id <= wire::members_per_list_max; ++id) {
    members.voters.push_back({{id}, "a:1"});
  }
  const auto with = [&] {
    return message(1, raft::AppendRequest{{}, {}, {samples::entry(1, 1, members)}});
  };
  CHECK(complaint(with()).empty());
  members.voters.push_back({{1000}, "a:1"});
  CHECK(limit_of(with()) == "members_per_list_max");
  CHECK(limit_of(SnapshotChunk{.mark = {.members = members}}) == "members_per_list_max");
}

TEST_CASE("sessions, chunks, texts and addresses are taken at their limits and no longer") {
  const std::string session(wire::session_bytes_max, 's');
  CHECK(complaint(SessionsServed{{session}}).empty());
  CHECK(limit_of(SessionsServed{{session + "s"}}) == "session_bytes_max");
  CHECK(limit_of(SessionsServed{std::vector<std::string>(385, session)}) == "message_bytes_max");

  SnapshotChunk chunk{.mark = samples::mark(),
                      .bytes = std::string(wire::snapshot_chunk_bytes_max, 'x')};
  CHECK(complaint(chunk).empty());
  chunk.bytes += 'x';
  CHECK(limit_of(chunk) == "snapshot_chunk_bytes_max");
  std::string error;
  peer::Batch batch;
  batch.add_messages()->mutable_snapshot_chunk()->set_data(chunk.bytes);
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "SnapshotChunk: over the limit snapshot_chunk_bytes_max");

  const std::string text(wire::text_bytes_max, 't');
  const auto back = samples::read(samples::bytes(SnapshotAck{.text = text + "cut"}));
  CHECK(std::get<SnapshotAck>(back.at(0)).text == text);
  batch.mutable_messages(0)->mutable_snapshot_ack()->set_text(text + "t");
  samples::read(batch.SerializeAsString(), &error);
  CHECK(error == "a text is over the limit text_bytes_max");

  const std::string host(host_bytes_max, 'h');
  const auto join = [](const std::string& address) {
    return AdminRequest{.kind = AdminRequest::Kind::join, .address = address};
  };
  CHECK(complaint(join(host + ":65535")).empty());
  CHECK(complaint(join(host + "h:1")) == "AdminRequest: no valid address");
  CHECK(limit_of(join(std::string(address_bytes_max + 1, 'h'))) == "address_bytes_max");
}

TEST_CASE("a message is taken at its limit and not one byte over it") {
  constexpr std::size_t one_mib = 1u << 20;
  // 23 entries of 1 MiB, and one that fills the rest.
  const auto append = [](std::size_t last_bytes) {
    raft::AppendRequest body;
    for (std::uint64_t i = 1; i < 24; ++i) {
      body.entries.push_back(samples::entry(1, i, raft::Command(one_mib, 'x')));
    }
    body.entries.push_back(samples::entry(1, 24, raft::Command(last_bytes, 'x')));
    return message(1, body);
  };
  const std::size_t overhead = samples::bytes(append(1000)).size() - 23 * one_mib - 1000;
  // The length of the last command takes one more byte than that of 1,000 bytes does; the tag and
  // length of the message itself do not count.
  const std::size_t fits = wire::message_bytes_max - 23 * one_mib - overhead - 1;
  CHECK(samples::bytes(append(fits)).size() == wire::message_bytes_max);
  CHECK(complaint(append(fits)).empty());
  CHECK(limit_of(append(fits + 1)) == "message_bytes_max");
}

// A build from before levels would pass over the level of a configuration, so it finds none at all.
TEST_CASE("a configuration above level 0 stands where older builds refuse it (hazard 118)") {
  raft::AppendRequest append = samples::append();
  raft::Members levelled = samples::members();
  levelled.level = {3};
  append.entries.back() = samples::entry(6, 44, levelled);
  const std::string text = raft_text(message(6, append));
  CHECK(text.find("index: 44 levelled_members {") != std::string::npos);
  CHECK(text.find("level: 3") != std::string::npos);
  CHECK(text.find(" members {") == std::string::npos);
  SnapshotChunk chunk{1, samples::mark(), 5, "data", true};
  chunk.mark.members.level = {3};
  const std::string chunk_text = as_text(samples::bytes(chunk));
  CHECK(chunk_text.find("levelled_members {") != std::string::npos);
  CHECK(chunk_text.find(" members {") == std::string::npos);
  const auto back = samples::read(samples::bytes(chunk));
  REQUIRE(back.size() == 1);
  CHECK(std::get<SnapshotChunk>(back[0]).mark == chunk.mark);
  const auto entries = samples::read(samples::bytes(message(6, append)));
  REQUIRE(entries.size() == 1);
  const auto& raft_message = std::get<raft::Message>(entries[0]);
  CHECK(*std::get<raft::AppendRequest>(raft_message.body).entries.back() == *append.entries.back());
  // In the other's field it could be meant for another build.
  std::string error;
  std::string bytes = samples::bytes(chunk);
  const std::size_t tag = bytes.find("\x22", bytes.find("\x08\x07"));  // field 4, after the term
  REQUIRE(tag != std::string::npos);
  bytes[tag] = '\x12';  // field 2
  samples::read(bytes, &error);
  CHECK(error == "Members: in the field of another level");
}

// --- Garbage. A message that is read from it must be writable, and readable again.

void swallow(const std::string& bytes) {
  for (const PeerBody& body : samples::read(bytes)) {
    std::string again;
    REQUIRE(wire::write(body, again));
    REQUIRE(samples::read(again).size() == 1);
  }
  static_cast<void>(wire::read_hello(bytes));
  static_cast<void>(wire::read_welcome(bytes));
}

TEST_CASE("random bytes, flipped bits and cut ends never crash (hazards 106, 107)") {
  std::mt19937_64 random(20260101);  // a fixed seed: a failure must come back
  std::vector<std::string> valid;
  std::string long_batch;
  for (const PeerBody& body : samples::all()) {
    valid.push_back(samples::bytes(body));
    long_batch += valid.back();
  }
  valid.push_back(long_batch);
  valid.push_back(wire::write(wire::Hello{.sender = {{1}, {2}, "a:1"}}));
  valid.push_back(wire::write(wire::Welcome{.sender = {{1}, {2}, "a:1"}, .refusal = "no"}));
  for (const std::string& whole : valid) {
    for (std::size_t cut = 0; cut < whole.size(); ++cut) swallow(whole.substr(0, cut));
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      swallow(flipped);
    }
  }
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = valid[random() % valid.size()];
    const bool scratch = round % 4 == 0;
    if (scratch) bytes.resize(random() % 64);
    const std::size_t changes = scratch ? bytes.size() : 1 + random() % 8;
    for (std::size_t i = 0; i < changes && !bytes.empty(); ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    swallow(bytes);
  }
}

}  // namespace
}  // namespace iris
