// Messages for tests: one of every kind, each field with a value of its own.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/node/peer_messages.h"
#include "src/peers/wire.h"
#include "tests/catch.h"

namespace iris::samples {

inline constexpr raft::NodeId sender{0xa1};
inline constexpr raft::NodeId receiver{0xb2};

inline raft::EntryPtr entry(std::uint64_t term, std::uint64_t index, raft::Payload payload) {
  return std::make_shared<raft::Entry>(
      raft::Entry{.id = {{term}, {index}}, .payload = std::move(payload)});
}

inline raft::Members members() {
  return {.voters = {{{1}, "a:1"}, {{2}, "[::1]:2"}},
          .outgoing = {{{1}, "a:1"}, {{3}, "c:3"}},
          .learners = {{{4}, "d:4"}}};
}

inline raft::SnapshotMetadata mark() {
  return {.last = {{7}, {90}}, .members = members(), .members_index = {80}};
}

inline raft::Message message(std::uint64_t term, raft::Body body) {
  return {.from = sender, .to = receiver, .term = {term}, .body = std::move(body)};
}

inline raft::AppendRequest append() {
  return {.prev = {{5}, {40}},
          .commit = {39},
          .entries = {entry(5, 41, raft::Command("set")), entry(5, 42, raft::Command()),
                      entry(6, 43, raft::NoOp()), entry(6, 44, members())}};
}

inline std::vector<PeerBody> all() {
  return {
      message(9, raft::PreVoteRequest{.last = {{8}, {70}}}),
      message(0, raft::PreVoteReply{.granted = false}),
      message(9, raft::PreVoteReply{.granted = true}),
      message(9, raft::VoteRequest{.last = {}, .transfer = true}),
      message(9, raft::VoteReply{.granted = true}),
      message(6, append()),
      message(6, raft::AppendRequest{}),
      message(6, raft::AppendReply{.matched = true, .index = {44}, .hint = {}}),
      message(6, raft::AppendReply{.matched = false, .index = {44}, .hint = {{5}, {41}}}),
      message(6, raft::Heartbeat{.commit = {39}, .match = {41}, .round = {1u << 20}}),
      message(6, raft::HeartbeatReply{.round = {17}, .verified = {41}, .durable = {40}}),
      message(6, raft::TimeoutNow{}),
      message(6,
              raft::RemovalNotice{.members_index = {80}, .certain = true, .commit = {{5}, {80}}}),
      ForwardRequest{.id = 11, .command = std::string("c\0d", 3)},
      ForwardReply{
          .id = 11,
          .code = ForwardReply::Code::limit,
          .outcome = {.code = Outcome::Code::condition_failed, .changed = true, .revision = 43},
          .text = "full"},
      ReadIndexRequest{.id = 12},
      ReadIndexReply{.id = 12, .granted = true, .index = {44}},
      AdminRequest{.id = 13,
                   .kind = AdminRequest::Kind::set_address,
                   .node = {4},
                   .address = "e:5",
                   .force = true},
      AdminReply{.id = 13, .ok = false, .code = Errc::busy, .text = "later", .node = {4}},
      AdminReply{.id = 14, .ok = true},
      SessionsServed{.sessions = {"s1", "\xff"}},
      SessionsServed{},
      SessionsServed{.sessions = {"s1"},
                     .changes = ServedChanges{.term = {7},
                                              .life = 0xfeed,
                                              .after = 4,
                                              .up_to = 9,
                                              .latest = true,
                                              .ended = {{"s2", 1'500}, {"\xff", 0}},
                                              .sent = 1ull << 48,
                                              .known = 3,
                                              .missed = true}},
      SessionsServed{.leases = LeaseChanges{.term = {7},
                                            .after = 4,
                                            .up_to = 9,
                                            .latest = true,
                                            .silent = {{"s3", 1}},
                                            .served = {"s4", "s5"},
                                            .nodes = {{{3}, 2'000}},
                                            .life = 0xfeed,
                                            .known = 9,
                                            .missed = true,
                                            .sent = 1ull << 48}},
      SnapshotChunk{
          .transfer = 0xfeed, .mark = mark(), .offset = 1u << 30, .bytes = "data", .last = true},
      SnapshotAck{.transfer = 0xfeed, .offset = 5, .done = true, .refused = true, .text = "no"},
      StateHashRequest{.id = 7, .index = {90}, .history_after = 40},
      StateHashReply{.id = 7, .passed = true},
      StateHashReply{.id = 7, .hash = {{90}, 41, {1, 2}, Hash128{0, 0}}},
      StateHashReply{.id = 7, .hash = {{90}, 41, {1, 2}, std::nullopt}},
      StateVerdict{.id = 7,
                   .index = {90},
                   .result = StateVerdict::Result::no_majority,
                   .data = {1, 2},
                   .history = Hash128{3, 4}},
  };
}

inline std::string bytes(const PeerBody& body) {
  std::string batch;
  if (const Status written = wire::write(body, batch); !written) FAIL(written.error().text);
  return batch;
}

// The messages of a batch; none where it is refused, then `error` says why.
inline std::vector<PeerBody> read(std::string_view batch, std::string* error = nullptr) {
  std::vector<PeerBody> messages;
  const Status status = wire::read(batch, sender, receiver, [&](PeerBody body) {
    messages.push_back(std::move(body));
    return true;
  });
  if (error != nullptr) *error = status ? "" : status.error().text;
  if (!status) messages.clear();
  return messages;
}

// Why a message that was written is refused; empty: it is not.
inline std::string complaint(const PeerBody& body) {
  std::string error;
  read(bytes(body), &error);
  return error;
}

// The limit that a message is over: then nothing is written of it. Empty: none.
inline std::string limit_of(const PeerBody& body) {
  std::string batch = "before";
  const Status status = wire::write(body, batch);
  if (status) return "";
  REQUIRE(status.error().code == Errc::limit);
  REQUIRE(batch == "before");
  return status.error().text.substr(status.error().text.rfind(' ') + 1);
}

}  // namespace iris::samples
