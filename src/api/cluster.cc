// Cluster: Join, and the service iris.pb.Cluster: who the members are, who leads, and changes of
// both. A change is carried out wherever the leader is; what Status and Members say is this node's.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "raft/members.h"
#include "src/api/context.h"
#include "src/base/address.h"
#include "src/base/log.h"
#include "src/base/version.h"
#include "src/net/own_address.h"

namespace iris {
namespace {

constexpr CallLimits call_limits = {.ahead = 16, .open_max = 1'000};

using Members = std::vector<raft::Member>;

std::string role_text(const raft::CoreStatus& core) {
  const raft::Members& members = core.members;
  if (core.role == raft::Role::leader) return "leader";
  if (raft::is_learner(members, core.self)) return "learner";
  if (!raft::is_voter(members, core.self)) return members.voters.empty() ? "none" : "removed";
  return core.role == raft::Role::follower ? "follower" : "candidate";
}

// Voters that were heard lately, as a leader knows them; itself is one.
std::size_t reachable(const raft::CoreStatus& core, const Members& voters) {
  return static_cast<std::size_t>(
      std::count_if(voters.begin(), voters.end(), [&](const raft::Member& voter) {
        return voter.id == core.self ||
               std::any_of(core.peers.begin(), core.peers.end(), [&](const raft::PeerStatus& peer) {
                 return peer.id == voter.id && peer.active;
               });
      }));
}

// How many more may die while a majority of `voters` is left.
std::size_t tolerated(const Members& voters, std::size_t alive) {
  const std::size_t majority = voters.size() / 2 + 1;
  return alive > majority ? alive - majority : 0;
}

void fill_health(const raft::CoreStatus& core, pb::StatusResponse& response) {
  const raft::Members& members = core.members;
  if (core.role == raft::Role::leader) {
    const std::size_t alive = reachable(core, members.voters);
    std::size_t failures = tolerated(members.voters, alive);
    if (!members.outgoing.empty()) {
      failures = std::min(failures, tolerated(members.outgoing, reachable(core, members.outgoing)));
    }
    response.set_reachable(static_cast<std::uint32_t>(alive));
    response.set_tolerates_failures(static_cast<std::uint32_t>(failures));
  } else if (core.leader.value != 0) {  // only the leader knows who is alive: what all could bear
    response.set_tolerates_failures(
        static_cast<std::uint32_t>(tolerated(members.voters, members.voters.size())));
  }
}

std::string disk_alarm(const NodeStatus& node, const ApiOptions& options) {
  if (!node.disk_low) return {};
  return "disk almost full: " + std::to_string(node.disk.free_bytes) + " bytes free, " +
         std::to_string(options.disk_reserve_bytes) +
         " are kept back (-disk-reserve-bytes); what needs more space is refused";
}

std::string state_alarm(const StateCheckStatus& check) {
  if (check.result != StateCheckStatus::Result::no_majority) return {};
  return "members differ in their data at revision " + std::to_string(check.index.value) +
         ", and no majority has the same: compare state_hash of their status, and replace those "
         "whose data is wrong";
}

// What needs an operator, in words; empty: nothing.
std::string alarm_text(const NodeStatus& node, const ApiOptions& options) {
  std::string text = options.alarm ? options.alarm() : std::string();
  for (const std::string& more : {disk_alarm(node, options), state_alarm(node.state_check)}) {
    if (!text.empty() && !more.empty()) text += "; ";
    text += more;
  }
  return text;
}

void fill_state_check(const StateCheckStatus& check, pb::StatusResponse& response) {
  using Result = StateCheckStatus::Result;
  if (check.result != Result::equal && check.result != Result::no_majority) return;
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto then = since_1970 - std::chrono::milliseconds(check.age_ms);
  response.set_state_check_revision(check.index.value);
  response.set_state_check(check.result == Result::equal ? "equal" : "no majority");
  response.set_state_hash(hex_text(check.hash));
  response.set_state_check_s(std::chrono::duration_cast<std::chrono::seconds>(then).count());
}

using StatusCall = UnaryCall<pb::StatusRequest, pb::StatusResponse>;

void status(ApiContext& api, StatusCall& call) {
  const NodeStatus node = api.node.status();
  const raft::CoreStatus& core = node.core;
  pb::StatusResponse& response = call.response;
  response.set_id(hex_id(core.self.value));
  if (node.cluster.value != 0) response.set_cluster_id(hex_id(node.cluster.value));
  response.set_role(role_text(core));
  response.set_term(core.term.value);
  if (core.leader.value != 0) {
    response.set_leader_id(hex_id(core.leader.value));
    response.set_leader_address(address_of(core.members, core.leader));
  }
  response.set_commit(core.commit.value);
  response.set_applied(core.applied.value);
  response.set_log_first(core.first.value);
  response.set_log_last(core.last.value);
  response.set_log_bytes(core.log_bytes);
  response.set_voters(static_cast<std::uint32_t>(core.members.voters.size()));
  response.set_learners(static_cast<std::uint32_t>(core.members.learners.size()));
  fill_health(core, response);
  response.set_address(node.address);
  response.set_version(version);
  response.set_disk_used_bytes(node.disk.used_bytes);
  response.set_disk_free_bytes(node.disk.free_bytes);
  response.set_message_bytes_max(api.options.limits.message_bytes_max());
  response.set_value_bytes_max(api.options.limits.value_bytes_max);
  response.set_name_bytes_max(api.options.limits.name_bytes_max);
  response.set_alarm(alarm_text(node, api.options));
  if (api.options.certificate_expires_s) {
    response.set_certificate_expires_s(api.options.certificate_expires_s());
  }
  response.set_api_level(api.node.level().value);
  response.set_cluster_level(api.node.cluster_level().value);
  response.set_client_connections(static_cast<std::uint32_t>(api.open_connections()));
  response.set_client_answer_bytes(api.gate.shares().answer_bytes());
  response.set_waiting_calls(static_cast<std::uint32_t>(node.waiters));
  fill_state_check(node.state_check, response);
  const ListenersStatus listeners = api.listeners.status();
  response.set_listeners(static_cast<std::uint32_t>(listeners.listeners));
  response.set_queued_update_bytes(listeners.queued_bytes);
  response.set_listener_states(static_cast<std::uint32_t>(listeners.states));
  call.finish();
}

using MembersCall = UnaryCall<pb::MembersRequest, pb::MembersResponse>;

void members(ApiContext& api, MembersCall& call) {
  const raft::CoreStatus core = api.node.core().status();
  const auto add = [&](const raft::Member& member, bool voter, bool leaving) {
    auto& info = *call.response.add_members();
    info.set_id(hex_id(member.id.value));
    info.set_address(member.address);
    info.set_voter(voter);
    info.set_leaving(leaving);
    info.set_leader(member.id == core.leader);
    for (const auto& peer : core.peers) {
      if (peer.id != member.id) continue;
      info.set_active(peer.active);
      info.set_match(peer.match.value);
    }
    if (core.role == raft::Role::leader && member.id == core.self) {
      info.set_active(true);
      info.set_match(core.stable.value);
    }
  };
  for (const auto& member : core.members.voters) add(member, true, false);
  for (const auto& member : core.members.learners) {
    add(member, false, raft::contains(core.members.outgoing, member.id));
  }
  for (const auto& member : core.members.outgoing) {
    if (raft::find_staying(core.members, member.id) == nullptr) add(member, true, true);
  }
  call.finish();
}

// 16 hex digits; nothing else is an id.
std::optional<raft::NodeId> parse_id(std::string_view text) {
  raft::NodeId id;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id.value, 16);
  if (text.size() != 16 || error != std::errc() || stop != end || id.value == 0) return {};
  return id;
}

// A member by its raft address, else by its gRPC address.
std::optional<raft::NodeId> member_at(const raft::Members& members, const std::string& address) {
  for (const bool by_grpc : {false, true}) {
    const raft::Member* found = raft::find_member_if(members, [&](const raft::Member& member) {
      return (by_grpc ? grpc_address(member.address) : member.address) == address;
    });
    if (found != nullptr) return found->id;
  }
  return {};
}

// Has the leader do it, and answers with the id of whom it was done.
template <class Call>
void carry_out(ApiContext& api, Call& call, AdminRequest&& request) {
  api.node.admin(std::move(request), call.remaining_ms(), [&api, &call](Result<raft::NodeId> done) {
    if (!done) return refuse(api, call, done.error());
    call.response.set_id(hex_id(done->value));
    call.finish();
  });
}

// Carries out `request` on the member that call.request.id() names: an id, or an address, which is
// looked up in the newest list of members there is.
template <class Call>
void carry_out_on_named(ApiContext& api, Call& call, AdminRequest request) {
  const std::string& name = call.request.id();
  if (name.empty()) {
    return refuse(api, call,
                  {Errc::invalid_argument, "id is empty: it takes a member's id or address"});
  }
  if (const auto id = parse_id(name)) {
    request.node = *id;
    return carry_out(api, call, std::move(request));
  }
  if (!is_full_address(name)) {
    return refuse(api, call,
                  {Errc::invalid_argument,
                   "id is neither 16 hex digits nor an address (HOST:PORT) of a member"});
  }
  api.node.read(Consistency::linearizable, 0, call.remaining_ms(),
                [&api, &call, request = std::move(request)](const Status& ready) mutable {
                  if (!ready) return refuse(api, call, ready.error());
                  const auto id = member_at(api.node.core().members(), call.request.id());
                  if (!id) {
                    return refuse(
                        api, call,
                        {Errc::not_found, "no member has the address " + call.request.id()});
                  }
                  request.node = *id;
                  carry_out(api, call, std::move(request));
                });
}

AdminRequest admin(AdminRequest::Kind kind, bool force = false) {
  AdminRequest request;
  request.kind = kind;
  request.force = force;
  return request;
}

// A member that calls itself 127.0.0.1 cannot be reached from another host: said here, before the
// cluster counts on the newcomer. Nothing is wrong while all are on one host.
Status check_reach(const std::string& own_address, const std::string& joining_address) {
  const auto own = parse_address(own_address);
  const auto joining = parse_address(joining_address);
  if (!own || !joining || !is_loopback(own->host) || is_loopback(joining->host)) return Unit{};
  if (!is_numeric_host(joining->host) || is_local_address(joining->host)) return Unit{};
  return fail(Errc::refused, "the node that was asked calls itself " + own_address +
                                 ", where no other host can reach it: start it with -advertise "
                                 "HOST before others join it");
}

using JoinCall = UnaryCall<pb::JoinRequest, pb::JoinResponse>;

void join(ApiContext& api, JoinCall& call) {
  const std::string& address = call.request.address();
  if (!is_full_address(address)) {
    return refuse(api, call,
                  {Errc::invalid_argument,
                   address.empty() ? "you must provide an address: the field \"address\" is empty"
                                   : "address is not HOST:PORT, the raft address of the node that "
                                     "joins"});
  }
  if (const Status right = check_reach(api.node.address(), address); !right) {
    return refuse(api, call, right.error());
  }
  AdminRequest request = admin(AdminRequest::Kind::join);
  request.address = address;
  api.node.admin(std::move(request), call.remaining_ms(),
                 [&api, &call](const Result<raft::NodeId>& done) {
                   if (!done) return refuse(api, call, done.error());
                   call.finish();
                 });
}

}  // namespace

void add_cluster_calls(ApiContext& api) {
  using RemoveCall = UnaryCall<pb::RemoveMemberRequest, pb::RemoveMemberResponse>;
  using PromoteCall = UnaryCall<pb::PromoteMemberRequest, pb::PromoteMemberResponse>;
  using TransferCall = UnaryCall<pb::TransferLeaderRequest, pb::TransferLeaderResponse>;
  add_unary<JoinCall>(api, api.iris, call_limits, join);
  add_unary<StatusCall>(api, api.cluster, call_limits, status);
  add_unary<MembersCall>(api, api.cluster, call_limits, members);
  add_unary<RemoveCall>(api, api.cluster, call_limits, [](ApiContext& context, RemoveCall& call) {
    carry_out_on_named(context, call, admin(AdminRequest::Kind::remove, call.request.force()));
  });
  add_unary<PromoteCall>(api, api.cluster, call_limits, [](ApiContext& context, PromoteCall& call) {
    carry_out_on_named(context, call, admin(AdminRequest::Kind::promote));
  });
  add_unary<TransferCall>(api, api.cluster, call_limits,
                          [](ApiContext& context, TransferCall& call) {
                            AdminRequest request = admin(AdminRequest::Kind::transfer);
                            if (call.request.id().empty())
                              return carry_out(context, call, std::move(request));
                            carry_out_on_named(context, call, std::move(request));
                          });
}

}  // namespace iris
