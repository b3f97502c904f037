// The state of a core, and the functions of its parts. Internal to raft/.
// One thread. Owns all of the core; effects gather in `out` until take_output(). Data of a leader
// is in Leader, so that no other role can see it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "raft/core.h"
#include "raft/log.h"
#include "raft/members.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/reads.h"

namespace iris::raft {

using Ballot = std::map<NodeId, bool>;  // voters that answered: granted or refused

// Also the role of learners, newcomers and removed nodes.
struct Follower {
  NodeId leader;  // 0: unknown
};
struct Precandidate {
  Ballot ballot;
};
struct Candidate {
  Ballot ballot;
};
struct Leader {
  struct Transfer {
    NodeId target;
    bool chosen = false;              // by this core, which may turn to the next voter
    std::vector<NodeId> passed_over;  // voters that cannot be reached, or were silent as targets
    std::uint32_t ticks = 0;
  };

  std::map<NodeId, Progress> peers;  // of the other members, and of former members for a while
  Round round;                       // of the latest heartbeats
  Reads reads;
  std::uint32_t heartbeat_ticks = 0;
  std::size_t pending_bytes = 0;  // of entries after handed_out: uncommitted, or not on this disk
  std::optional<Transfer> transfer;
  bool replication_due = true;  // something changed that may let a request leave
};

// The only randomness: splitmix64, the same on every platform.
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();

 private:
  std::uint64_t state_;
};

struct Core::State {
  State(Options given, Recovered recovered);

  Options options;
  NodeId self;
  HardState hard;          // in memory; the durable one is log.durable_state()
  HardState hard_written;  // of the latest ticket
  Log log;
  MembersHistory members;
  Index commit;
  Index handed_out;      // the last one of Output.commit, or of an installed snapshot
  Index applied;         // by the host
  bool lagging = false;  // the host applies far behind `handed_out`
  // How far requests of this term proved the log equal to the leader's; 0 again in each term.
  Index verified;
  bool was_member = false;  // a committed configuration contained this node
  Index commit_heard;       // the greatest commit index told by a leader since the start

  std::variant<Follower, Precandidate, Candidate, Leader> role_data;
  std::uint32_t elapsed_ticks = 0;  // since the leader was heard, a vote granted, a campaign begun
  std::uint32_t timeout_ticks = 0;  // the election timeout, drawn anew with restart_timer()
  std::uint32_t stalled_ticks = 0;  // since the last ticket became durable, while any is open
  Jitter jitter;

  Ticket last_ticket;
  ReadId last_read;
  std::optional<SnapshotMetadata> install;  // for the next LogWrite
  Output out;
  bool halted = false;
  struct Reported {  // known to the host, for Output.role_changed
    Role role = Role::follower;
    Term term;
    NodeId leader;
    bool operator==(const Reported&) const = default;
  } reported;

  // --- core.cc: roles, terms, dispatch.
  [[nodiscard]] Role role() const { return static_cast<Role>(role_data.index()); }
  [[nodiscard]] NodeId leader_id() const;
  [[nodiscard]] Leader* as_leader() { return std::get_if<Leader>(&role_data); }
  [[nodiscard]] const Leader* as_leader() const { return std::get_if<Leader>(&role_data); }
  [[nodiscard]] const Members& configuration() const { return members.latest().members; }
  [[nodiscard]] Reported now() const { return {role(), hard.term, leader_id()}; }
  void step(Message message);
  [[nodiscard]] bool is_stranger(NodeId id) const;
  [[nodiscard]] bool heeds(const Message& message) const;
  bool enter_later_term(const Message& message);
  void answer_earlier_term(const Message& message);
  void tick();
  void tick_follower();
  void become_follower(NodeId leader);
  void enter_term(Term term);
  void restart_timer();
  void halt(Errc code, std::string text, bool removed);
  void send(NodeId to, Body body) { out.send.push_back({self, to, hard.term, std::move(body)}); }
  void release(NodeId to, Body body) {
    out.release.push_back({self, to, hard.term, std::move(body)});
  }
  void persisted(Ticket ticket);
  [[nodiscard]] bool has_write() const;
  [[nodiscard]] bool has_output() const;
  Output take_output();
  [[nodiscard]] Index applicable() const { return std::min(commit, log.stable()); }

  // --- election.cc
  void campaign();
  [[nodiscard]] bool may_campaign() const;
  void ask_for_pre_votes();
  void ask_again_for_pre_votes();
  void ask_for_votes(bool transfer);
  void become_leader();
  [[nodiscard]] bool hears_leader() const;  // or leads
  [[nodiscard]] Tally tally(const Ballot& ballot) const;
  void count_pre_votes();
  void count_votes();
  void on_pre_vote_request(const Message& message, const PreVoteRequest& request);
  void on_pre_vote_reply(const Message& message, const PreVoteReply& reply);
  void on_vote_request(const Message& message, const VoteRequest& request);
  void on_vote_reply(const Message& message, const VoteReply& reply);
  void on_timeout_now(const Message& message);

  // --- follower.cc
  bool follow(NodeId leader);
  void on_append_request(const Message& message, AppendRequest request);
  void on_heartbeat(const Message& message, const Heartbeat& heartbeat);
  bool accept_entries(NodeId leader, std::vector<EntryPtr>& entries);
  void halt_contradicted(NodeId leader, Index index);
  [[nodiscard]] Index acknowledgeable(Index index) const;
  void acknowledge(NodeId leader, Index index);
  [[nodiscard]] HeartbeatReply heartbeat_reply(Round round) const;
  bool snapshot_received(const SnapshotMetadata& snapshot, NodeId from);

  // --- replication.cc: the leader's side.
  Result<EntryId> propose(Command command);
  EntryId append_own(Payload payload);
  void tick_leader(Leader& leader);
  // Answered this leader within an election timeout.
  [[nodiscard]] bool is_active(const Progress& peer) const {
    return peer.silent_ticks < options.election_ticks;
  }
  [[nodiscard]] bool hears_quorum(const Leader& leader, const Members& among) const;
  void broadcast_heartbeats(Leader& leader);
  void replicate_all(Leader& leader);
  void replicate_to(NodeId id, Progress& peer);
  void send_append(NodeId id, Progress& peer, Index end);
  [[nodiscard]] Index batch_end(Index from, std::size_t bytes_max) const;
  void on_append_reply(Leader& leader, const Message& message, const AppendReply& reply);
  void on_heartbeat_reply(Leader& leader, const Message& message, const HeartbeatReply& reply);
  void acked(Leader& leader, Progress& peer, Index index);
  void advance_commit(Leader& leader);
  void commit_to(Index index);
  [[nodiscard]] bool committed_own_term() const;
  void snapshot_sent(NodeId id, bool ok, EntryId last);
  Result<ReadId> read();
  void start_reads(Leader& leader);
  void grant_reads(Leader& leader);

  // --- membership.cc
  void bootstrap(Members first);
  [[nodiscard]] bool members_settled() const;
  Result<EntryId> change(const MemberChange& change, bool force);
  [[nodiscard]] Status may_decide_alone(const Leader& leader, const Members& next) const;
  [[nodiscard]] Status may_promote(const Leader& leader, NodeId id) const;
  [[nodiscard]] bool caught_up(const Progress& peer) const;
  void members_appended(Index index, const Members& next);
  void align_peers(Leader& leader) const;
  void on_configurations_committed(Index before);
  void continue_change();

  // --- removal.cc
  void halt_removed(const std::string& why);
  void halt_if_removed();
  [[nodiscard]] bool is_removed() const;
  void resign_removed(Leader& leader);
  void tick_leaving(Leader& leader);
  void tell_if_removed(NodeId from, Term seen);
  [[nodiscard]] bool supersedes_own(const RemovalNotice& notice) const;
  void on_removal_notice(Term term, const RemovalNotice& notice);
  void ask_whether_member();

  // --- transfer.cc
  Result<NodeId> transfer(NodeId target, std::vector<NodeId> unreachable);
  [[nodiscard]] NodeId transfer_target() const;
  [[nodiscard]] NodeId best_successor(const Leader& leader,
                                      const std::vector<NodeId>& passed_over) const;
  [[nodiscard]] bool is_quiet(const Progress& peer) const;
  void tick_transfer(Leader& leader);
  void turn_to_next_successor(Leader& leader);
  void push_transfer(Leader& leader);

  // --- invariants.cc
  void check_invariants() const;
  void check_leader(const Leader& leader) const;

  // --- status.cc
  [[nodiscard]] bool hears(NodeId id) const;
  [[nodiscard]] NodeId promotable_learner() const;
  [[nodiscard]] std::vector<PeerStatus> peers() const;
  [[nodiscard]] CoreStatus status() const;
};

}  // namespace iris::raft
