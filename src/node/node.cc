#include "src/node/node.h"

#include <utility>
#include <variant>

#include "raft/members.h"
#include "src/base/log.h"
#include "src/node/state.h"

namespace iris {

Node::Node(NodeOptions options, store::Store& store, Transport& transport, NodeHooks hooks)
    : state_(std::make_unique<State>(std::move(options), store, transport, std::move(hooks))) {
  const NodeOptions& given = state_->host.options;
  CHECK(given.tick_ms > 0 && given.snapshot_chunk_bytes > 0);
  CHECK(given.snapshot_bytes_per_second > 0);
  CHECK(given.state_check_piece_bytes > 0 && given.state_check_bytes_per_second > 0);
  CHECK(state_->host.hooks.schedule_flush && state_->host.hooks.on_halt);
}

Node::~Node() = default;

void Node::start() {
  NodeHost& host = state_->host;
  CHECK(!host.core);
  State* state = state_.get();
  host.store.start({[state, gone = host.guard()](raft::Ticket ticket) {
                      if (!gone.expired()) state->durable(ticket);
                    },
                    [state, gone = host.guard()](Error error) {
                      if (!gone.expired()) state->failed(std::move(error));
                    }});
  store::Recovery recovery = host.store.take_recovered();
  host.self = recovery.raft.self;
  host.cluster = recovery.cluster;
  host.applied = recovery.raft.applied;
  host.floor = recovery.raft.floor.last.index;
  state_->contacts.learn(recovery.raft);
  host.core.emplace(host.options.raft, std::move(recovery.raft));
  host.level = host.core->level_at(host.applied);
  if (const Status known = check_level(host.level, host.options.level); !known) {
    return state_->failed(known.error());
  }
  state_->contacts.start();
  state_->state_check.start();
  if (host.takes_part() && raft::is_only_voter(host.core->members(), host.self)) {
    host.core->campaign();  // no other voter could win
  }
  host.touch();
}

void Node::bootstrap() {
  CHECK(state_->host.core);
  state_->contacts.bootstrap();
}

bool Node::initialized() const { return state_->contacts.initialized(); }
bool Node::admitted() const { return state_->contacts.admitted(); }

void Node::tick() {
  NodeHost& host = state_->host;
  if (!host.core || state_->halted) return;
  ++host.now;
  if (host.takes_part()) host.core->tick();
  state_->writes.tick();
  state_->reads.tick();
  state_->admin.tick();
  state_->sender.tick();
  state_->receiver.tick();
  state_->disk_watch.tick();
  state_->trimmer.tick();
  state_->contacts.tick();
  state_->errands.tick();
  state_->state_check.tick();
  state_->transfer_if_data_lane_hangs();
  host.touch();
}

void Node::flush() { state_->flush(); }

void Node::receive(PeerMessage message) {
  NodeHost& host = state_->host;
  if (!host.core || state_->halted) return;
  const raft::NodeId from = message.from;
  state_->contacts.heard(from);
  if (!host.takes_part()) {
    if (std::holds_alternative<raft::Message>(message.body)) state_->contacts.invited(from);
    return;
  }
  struct Visitor {
    State& state;
    raft::NodeId from;
    void operator()(raft::Message&& body) const {
      if (body.from != from) return;
      if (std::holds_alternative<raft::RemovalNotice>(body.body) && !state.contacts.admitted()) {
        state.contacts.not_known_to(from);
      } else {
        state.host.core->step(std::move(body));
      }
    }
    void operator()(ForwardRequest&& body) const { state.writes.asked(from, std::move(body)); }
    void operator()(ForwardReply&& body) const { state.writes.answered(from, std::move(body)); }
    void operator()(ReadIndexRequest&& body) const { state.reads.asked(from, body); }
    void operator()(ReadIndexReply&& body) const { state.reads.answered(from, body); }
    void operator()(AdminRequest&& body) const { state.admin.asked(from, std::move(body)); }
    void operator()(AdminReply&& body) const { state.admin.answered(from, body); }
    void operator()(SessionsServed&& body) const {
      if (state.host.hooks.on_sessions_served) state.host.hooks.on_sessions_served(from, body);
    }
    void operator()(SnapshotChunk&& body) const { state.receiver.chunk(from, std::move(body)); }
    void operator()(SnapshotAck&& body) const { state.sender.acknowledged(from, body); }
    void operator()(StateHashRequest&& body) const { state.state_check.asked(from, body); }
    void operator()(StateHashReply&& body) const { state.state_check.answered(from, body); }
    void operator()(StateVerdict&& body) const { state.state_check.told(from, body); }
  };
  std::visit(Visitor{*state_, from}, std::move(message.body));
  host.touch();
}

Status Node::greet(const PeerIdentity& peer) { return state_->contacts.greet(peer); }

void Node::submit(const Operation& operation, std::uint64_t deadline_ms, Done done,
                  WaitingCall* waiting) {
  state_->writes.submit(operation, deadline_ms, std::move(done), waiting);
}

void Node::read(Consistency consistency, std::uint64_t min_revision, std::uint64_t deadline_ms,
                std::function<void(Status)> done, WaitingCall* waiting) {
  state_->reads.read(consistency, min_revision, deadline_ms, std::move(done), waiting);
}

void Node::abandon(WaitingCall& waiting) {
  switch (waiting.kind) {
    case WaitingCall::Kind::none:
      return;
    case WaitingCall::Kind::read:
      return state_->reads.abandon(waiting);
    case WaitingCall::Kind::write:
      return state_->writes.abandon(waiting);
  }
  CHECK(false);
}

void Node::admin(AdminRequest request, std::uint64_t deadline_ms, AdminDone done) {
  state_->admin.call(std::move(request), deadline_ms, std::move(done));
}

void Node::resign(std::uint64_t deadline_ms, std::function<void()> done) {
  if (!state_->host.leads() || state_->host.core->members().voters.size() == 1) {
    state_->host.answers.other(std::move(done));
    state_->host.touch();
    return;
  }
  AdminRequest request;
  request.kind = AdminRequest::Kind::transfer;
  state_->admin.call(
      std::move(request), deadline_ms,
      [done = std::move(done)](const Result<raft::NodeId>& successor) {
        if (!successor) {
          log(LogLevel::warn, "leadership was not handed over", {{"why", successor.error().text}});
        }
        done();
      });
}

void Node::stop() { state_->stop_serving(); }

NodeStatus Node::status() const {
  const NodeHost& host = state_->host;
  CHECK(host.core);
  NodeStatus status;
  status.core = host.core->status();
  status.cluster = host.cluster;
  status.address = host.options.address;
  status.waiters = host.budget.used + state_->admin.size();
  status.read_rounds = state_->reads.rounds();
  status.disk = host.store.disk_use();
  status.disk_low = host.disk_low;
  status.state_check = state_->state_check.status();
  return status;
}

PeerIdentity Node::identity() const { return state_->host.identity(); }

raft::Level Node::level() const { return state_->host.options.level; }

raft::Level Node::cluster_level() const { return state_->host.level; }

std::optional<raft::Level> Node::members_level() const { return state_->contacts.level(); }

raft::ClusterId Node::cluster() const { return state_->host.cluster; }
const std::string& Node::address() const { return state_->host.options.address; }

const raft::Core& Node::core() const {
  CHECK(state_->host.core);
  return *state_->host.core;
}

raft::Index Node::applied() const { return state_->host.applied; }

raft::Index Node::floor() const { return state_->host.floor; }

}  // namespace iris
