// The calls of a Client that are about the cluster: status, health, members, the lead, backups.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <string_view>

#include "raft/check.h"
#include "src/client/backup.h"
#include "src/client/client.h"
#include "src/client/client_state.h"

namespace iris {

using client::CallPlan;
using client::Code;
using client::Error;
using client::Node;
using client::objection;
using client::Result;

namespace {

client::NodeStatus from_wire(pb::StatusResponse& response) {
  client::NodeStatus status;
  status.id = std::move(*response.mutable_id());
  status.cluster_id = std::move(*response.mutable_cluster_id());
  status.role = std::move(*response.mutable_role());
  status.term = response.term();
  status.leader_id = std::move(*response.mutable_leader_id());
  status.leader_address = std::move(*response.mutable_leader_address());
  status.commit = response.commit();
  status.applied = response.applied();
  status.log_first = response.log_first();
  status.log_last = response.log_last();
  status.log_bytes = response.log_bytes();
  status.voters = response.voters();
  status.learners = response.learners();
  status.reachable = response.reachable();
  status.tolerates_failures = response.tolerates_failures();
  status.address = std::move(*response.mutable_address());
  status.version = std::move(*response.mutable_version());
  status.disk_used_bytes = response.disk_used_bytes();
  status.disk_free_bytes = response.disk_free_bytes();
  status.message_bytes_max = response.message_bytes_max();
  status.value_bytes_max = response.value_bytes_max();
  status.name_bytes_max = response.name_bytes_max();
  status.certificate_expires_s = response.certificate_expires_s();
  status.api_level = response.api_level();
  status.cluster_level = response.cluster_level();
  status.alarm = std::move(*response.mutable_alarm());
  status.client_connections = response.client_connections();
  status.client_answer_bytes = response.client_answer_bytes();
  status.waiting_calls = response.waiting_calls();
  status.state_check_revision = response.state_check_revision();
  status.state_check = response.state_check();
  status.state_hash = response.state_hash();
  status.state_check_s = response.state_check_s();
  status.listeners = response.listeners();
  status.queued_update_bytes = response.queued_update_bytes();
  status.listener_states = response.listener_states();
  return status;
}

// grpc.health.v1.Health/Check for the whole server. The request is empty and the answer one enum:
// two messages of generated code would be more than this.
grpc::Status check_health(Node& node, grpc::ClientContext& context, bool& serving) {
  constexpr std::string_view serving_bytes("\x08\x01", 2);  // field 1, varint: SERVING = 1
  grpc::GenericStub stub(node.channel);
  grpc::CompletionQueue queue;
  const auto reader = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check",
                                            grpc::ByteBuffer(nullptr, 0), &queue);
  reader->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  reader->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  CHECK(queue.Next(&tag, &ok));
  grpc::Slice bytes;
  if (status.ok() && answer.DumpToSingleSlice(&bytes).ok()) {
    serving = std::string_view(reinterpret_cast<const char*>(bytes.begin()), bytes.size()) ==
              serving_bytes;
  }
  return status;
}

}  // namespace

Result<client::NodeStatus> Client::status(const std::string& address,
                                          const client::CallOptions& options) {
  const auto plan = state_->read_at(address, options.timeout);
  if (!plan) return plan.error();
  pb::StatusResponse response;
  if (auto error = state_->ask(*plan, &pb::Cluster::Stub::Status, pb::StatusRequest(), response)) {
    return *error;
  }
  return from_wire(response);
}

Result<bool> Client::healthy(const std::string& address, const client::CallOptions& options) {
  const auto plan = state_->read_at(address, options.timeout);
  if (!plan) return plan.error();
  bool serving = false;
  const auto attempt = [&](Node& node, grpc::ClientContext& context) {
    return check_health(node, context, serving);
  };
  if (auto error = client::call(*state_->pool, *plan, attempt)) return *error;
  return serving;
}

Result<std::vector<client::Member>> Client::members(const client::CallOptions& options) {
  pb::MembersResponse response;
  if (auto error = state_->ask(state_->read(options.timeout), &pb::Cluster::Stub::Members,
                               pb::MembersRequest(), response)) {
    return *error;
  }
  std::vector<client::Member> members;
  for (auto& member : *response.mutable_members()) {
    members.push_back({std::move(*member.mutable_id()), std::move(*member.mutable_address()),
                       member.voter(), member.leader(), member.leaving(), member.active(),
                       member.match()});
  }
  return members;
}

// A known member's join is a success, so it is repeated like a read.
Result<client::Done> Client::join(const std::string& raft_address,
                                  const client::CallOptions& options) {
  if (auto bad = objection({{"address", raft_address}})) return *bad;
  pb::JoinRequest request;
  request.set_address(raft_address);
  pb::JoinResponse response;
  if (auto error =
          state_->ask(state_->read(options.timeout), &pb::Iris::Stub::Join, request, response)) {
    return *error;
  }
  return client::Done{};
}

Result<std::string> Client::remove_member(const std::string& id, bool force,
                                          const client::CallOptions& options) {
  if (auto bad = objection({{"id", id}})) return *bad;
  pb::RemoveMemberRequest request;
  request.set_id(id);
  request.set_force(force);
  pb::RemoveMemberResponse response;
  if (auto error = state_->ask(state_->write(options.timeout), &pb::Cluster::Stub::RemoveMember,
                               request, response)) {
    return *error;
  }
  return std::move(*response.mutable_id());
}

Result<std::string> Client::promote_member(const std::string& id,
                                           const client::CallOptions& options) {
  if (auto bad = objection({{"id", id}})) return *bad;
  pb::PromoteMemberRequest request;
  request.set_id(id);
  pb::PromoteMemberResponse response;
  if (auto error = state_->ask(state_->write(options.timeout), &pb::Cluster::Stub::PromoteMember,
                               request, response)) {
    return *error;
  }
  return std::move(*response.mutable_id());
}

Result<client::BackupTaken> Client::backup(const std::string& file,
                                           const client::CallOptions& options) {
  if (file.empty()) return Error{Code::invalid_argument, "the name of the backup's file is empty"};
  client::BackupFile written(file);
  bool disk_refused = false;
  std::string sha256;
  const CallPlan plan = state_->read(options.timeout);
  const auto deadline = std::chrono::system_clock::now() + plan.timeout;
  const auto attempt = [&](Node& node, grpc::ClientContext& context) {
    // One attempt may take all the time that is left: half a backup is worth nothing.
    context.set_deadline(deadline);
    disk_refused = !written.begin();
    if (disk_refused) return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, written.error());
    const auto stub = pb::Maintenance::NewStub(node.channel);
    const auto reader = stub->Snapshot(&context, pb::SnapshotRequest());
    pb::SnapshotChunk chunk;
    while (reader->Read(&chunk)) {
      sha256 = chunk.sha256();
      disk_refused = disk_refused || !written.add(chunk.data());
      if (disk_refused) context.TryCancel();
    }
    grpc::Status status = reader->Finish();
    if (disk_refused) return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, written.error());
    disk_refused = status.ok() && !written.finish(sha256);
    if (disk_refused) return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, written.error());
    return status;
  };
  if (auto error = client::call(*state_->pool, plan, attempt)) {
    return disk_refused ? Error{Code::file, written.error()} : *error;
  }
  return client::BackupTaken{written.bytes(), sha256};
}

Result<std::string> Client::transfer_leader(const std::string& id,
                                            const client::CallOptions& options) {
  if (auto bad = objection({{"id", id}})) return *bad;
  pb::TransferLeaderRequest request;
  request.set_id(id);
  pb::TransferLeaderResponse response;
  if (auto error = state_->ask(state_->write(options.timeout), &pb::Cluster::Stub::TransferLeader,
                               request, response)) {
    return *error;
  }
  return std::move(*response.mutable_id());
}

}  // namespace iris
