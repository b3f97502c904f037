#include "tests/raft/trace.h"

#include <array>
#include <cstddef>

namespace iris::raft::test {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string ids(const std::vector<Member>& members) {
  std::string text;
  for (const Member& member : members) text += (text.empty() ? "" : " ") + number(member.id.value);
  return text;
}

struct BodyText {
  std::string operator()(const PreVoteRequest& body) const { return " last " + text(body.last); }
  std::string operator()(const PreVoteReply& body) const { return body.granted ? " yes" : " no"; }
  std::string operator()(const VoteRequest& body) const {
    return " last " + text(body.last) + (body.transfer ? " by transfer" : "");
  }
  std::string operator()(const VoteReply& body) const { return body.granted ? " yes" : " no"; }
  std::string operator()(const AppendRequest& body) const {
    return " after " + text(body.prev) + " " + text(body.entries) + " commit " +
           number(body.commit.value);
  }
  std::string operator()(const AppendReply& body) const {
    if (body.matched) return " matched " + number(body.index.value);
    return " refused " + number(body.index.value) + ", try " + text(body.hint);
  }
  std::string operator()(const Heartbeat& body) const {
    return " round " + number(body.round.value) + " match " + number(body.match.value) +
           " commit " + number(body.commit.value);
  }
  std::string operator()(const HeartbeatReply& body) const {
    return " round " + number(body.round.value) + " verified " + number(body.verified.value) +
           " durable " + number(body.durable.value);
  }
  std::string operator()(const TimeoutNow&) const { return ""; }
  std::string operator()(const RemovalNotice& body) const {
    return " by entry " + number(body.members_index.value);
  }
};

}  // namespace

std::string text(EntryId id) { return number(id.term.value) + "/" + number(id.index.value); }

std::string text(const std::vector<EntryPtr>& entries) {
  std::string text = "[";
  for (const EntryPtr& entry : entries) {
    if (text.size() > 1) text += " ";
    text += test::text(entry->id);
  }
  return text + "]";
}

std::string text(const Members& members) {
  std::string text = ids(members.voters);
  if (!members.outgoing.empty()) text += ", outgoing " + ids(members.outgoing);
  if (!members.learners.empty()) text += ", learners " + ids(members.learners);
  return text.empty() ? "nobody" : text;
}

std::string kind(const Body& body) {
  static constexpr std::array names{"pre-vote",    "pre-vote-reply", "vote",      "vote-reply",
                                    "append",      "append-reply",   "heartbeat", "heartbeat-reply",
                                    "timeout-now", "removal-notice"};
  static_assert(names.size() == std::variant_size_v<Body>);
  return names[body.index()];
}

std::string text(const Message& message) {
  return number(message.from.value) + ">" + number(message.to.value) + " t" +
         number(message.term.value) + " " + kind(message.body) +
         std::visit(BodyText{}, message.body);
}

std::string text(const LogWrite& write) {
  std::string text = "#" + number(write.ticket.value);
  if (write.state) {
    text += " term " + number(write.state->term.value);
    if (write.state->vote != NodeId{}) text += " vote " + number(write.state->vote.value);
    text += " led " + number(write.state->led.value);
  }
  if (write.install) text += " snapshot " + test::text(write.install->last);
  if (!write.entries.empty()) text += " " + test::text(write.entries);
  return text;
}

std::string role_text(const CoreStatus& status) {
  static constexpr std::array roles{"follower", "precandidate", "candidate", "leader"};
  std::string text = roles[static_cast<std::size_t>(status.role)];
  if (status.role == Role::follower && status.leader != NodeId{}) {
    text += " of " + number(status.leader.value);
  }
  return text + " in term " + number(status.term.value);
}

std::string text(const CoreStatus& status) {
  std::string text = role_text(status) + ", log " + number(status.first.value) + ".." +
                     number(status.last.value) + ", stable " + number(status.stable.value) +
                     ", commit " + number(status.commit.value) + ", applied " +
                     number(status.applied.value) + "\n   members " + test::text(status.members) +
                     " (entry " + number(status.members_index.value) + ", committed " +
                     number(status.members_committed_index.value) + ")";
  for (const PeerStatus& peer : status.peers) {
    text += "\n   " + number(peer.id.value) + ": match " + number(peer.match.value) + ", next " +
            number(peer.next.value) + (peer.active ? "" : ", silent") +
            (peer.snapshot ? ", waits for a snapshot" : "") + (peer.caught_up ? ", caught up" : "");
  }
  if (status.transfer_target != NodeId{}) {
    text += "\n   hands over to " + number(status.transfer_target.value);
  }
  return text;
}

std::string text(Errc code) {
  static constexpr std::array names{
      "invalid_argument", "not_found",       "condition_failed", "limit", "not_leader",
      "unavailable",      "unknown_outcome", "refused",          "busy",  "io",
      "corrupt",          "unimplemented"};
  return names.at(static_cast<std::size_t>(code));
}

}  // namespace iris::raft::test
