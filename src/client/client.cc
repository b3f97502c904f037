#include "src/client/client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <initializer_list>
#include <string_view>

#include "raft/check.h"
#include "src/base/utf8.h"
#include "src/base/version.h"
#include "src/client/backup.h"
#include "src/client/call.h"
#include "src/client/credentials.h"
#include "src/client/listen.h"
#include "src/client/pool.h"
#include "src/client/rows.h"

namespace iris {

using client::CallPlan;
using client::Code;
using client::Error;
using client::Node;
using client::Repeat;
using client::Result;

namespace {

pb::Iris::Stub& stub_of(Node& node, pb::Iris::Stub*) { return *node.iris; }
pb::Cluster::Stub& stub_of(Node& node, pb::Cluster::Stub*) { return *node.cluster; }

}  // namespace

struct Client::State {
  client::Options options;
  std::shared_ptr<client::Pool> pool;

  [[nodiscard]] CallPlan plan(Repeat repeat, std::chrono::milliseconds timeout) const {
    return {repeat, timeout.count() > 0 ? timeout : options.timeout};
  }
  [[nodiscard]] CallPlan read(std::chrono::milliseconds timeout) const {
    return plan(Repeat::always, timeout);
  }
  [[nodiscard]] CallPlan write(std::chrono::milliseconds timeout) const {
    return plan(Repeat::unless_unknown, timeout);
  }
  // A read from one address; from any where it is empty.
  [[nodiscard]] Result<CallPlan> read_at(const std::string& address,
                                         std::chrono::milliseconds timeout) const {
    CallPlan made = read(timeout);
    if (address.empty()) return made;
    const auto dialled = client::dialled_address(address);
    if (!dialled) return dialled.error();
    made.only = pool->find(*dialled);
    if (made.only == nullptr) {
      return Error{Code::invalid_argument, address + " is none of this client's addresses"};
    }
    return made;
  }

  // A unary call by a method of one of the two stubs.
  template <class Stub, class Request, class Response>
  [[nodiscard]] std::optional<Error> ask(const CallPlan& made,
                                         grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                      const Request&, Response*),
                                         const Request& request, Response& response) const {
    return client::call(*pool, made, [&](Node& node, grpc::ClientContext& context) {
      Stub& stub = stub_of(node, static_cast<Stub*>(nullptr));
      return (stub.*method)(&context, request, &response);
    });
  }
};

namespace {

struct Name {
  const char* field;
  const std::string& text;
};

// Strings of protobuf are UTF-8: a node could not parse a message with any other bytes in one.
std::optional<Error> objection(std::initializer_list<Name> names) {
  for (const auto& [field, text] : names) {
    if (client::is_utf8(text)) continue;
    return Error{Code::invalid_argument, std::string(field) + " is not valid UTF-8"};
  }
  return std::nullopt;
}

pb::Consistency consistency(bool stale) { return stale ? pb::STALE : pb::LINEARIZABLE; }

template <class Request, class Options>
void fill_list(Request& request, const Options& options) {
  request.set_consistency(consistency(options.stale));
  request.set_min_revision(options.min_revision);
  request.set_prefix(options.prefix);
  request.set_start_after(options.start_after);
  request.set_limit(options.limit);
}

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
  status.alarm = std::move(*response.mutable_alarm());
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

Client::Client(std::shared_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

const char* Client::version() { return ::iris::version; }

Result<Client> Client::create(client::Options options) {
  if (options.addresses.empty() || options.addresses.size() > client::Options::addresses_max) {
    return Error{Code::invalid_argument, "1 to " + std::to_string(client::Options::addresses_max) +
                                             " addresses are needed, not " +
                                             std::to_string(options.addresses.size())};
  }
  if (options.timeout.count() <= 0) {
    return Error{Code::invalid_argument, "the timeout must be more than 0"};
  }
  for (auto& address : options.addresses) {
    auto dialled = client::dialled_address(address);
    if (!dialled) return dialled.error();
    address = *dialled;
  }
  auto credentials = client::credentials(options.tls);
  if (!credentials) return credentials.error();
  auto state = std::make_shared<State>();
  state->pool = std::make_shared<client::Pool>(options.addresses, *credentials,
                                               options.tls ? options.tls->server_name : "");
  state->options = std::move(options);
  return Client(std::move(state));
}

// --- Values

Result<client::Written> Client::set(const std::string& source, const std::string& key,
                                    const std::string& value, const client::WriteOptions& options) {
  if (auto bad = objection({{"source", source}, {"key", key}})) return *bad;
  pb::SetValueRequest request;
  request.set_source(source);
  request.set_key(key);
  request.set_value(value);
  if (options.if_revision) request.set_if_revision(*options.if_revision);
  pb::SetValueResponse response;
  if (auto error = state_->ask(state_->write(options.timeout), &pb::Iris::Stub::SetValue, request,
                               response)) {
    return *error;
  }
  return client::Written{response.revision()};
}

Result<client::Value> Client::get(const std::string& source, const std::string& key,
                                  const client::ReadOptions& options) {
  if (auto bad = objection({{"source", source}, {"key", key}})) return *bad;
  pb::GetValueRequest request;
  request.set_source(source);
  request.set_key(key);
  request.set_consistency(consistency(options.stale));
  request.set_min_revision(options.min_revision);
  pb::GetValueResponse response;
  if (auto error = state_->ask(state_->read(options.timeout), &pb::Iris::Stub::GetValue, request,
                               response)) {
    return *error;
  }
  return client::Value{response.found(), std::move(*response.mutable_value()), response.revision()};
}

Result<client::Written> Client::remove(const std::string& source, const std::string& key,
                                       const client::WriteOptions& options) {
  if (auto bad = objection({{"source", source}, {"key", key}})) return *bad;
  pb::RemoveValueRequest request;
  request.set_source(source);
  request.set_key(key);
  if (options.if_revision) request.set_if_revision(*options.if_revision);
  pb::RemoveValueResponse response;
  if (auto error = state_->ask(state_->write(options.timeout), &pb::Iris::Stub::RemoveValue,
                               request, response)) {
    return *error;
  }
  return client::Written{response.revision()};
}

Result<client::Written> Client::remove_source(const std::string& source,
                                              const client::CallOptions& options) {
  if (auto bad = objection({{"source", source}})) return *bad;
  pb::RemoveSourceRequest request;
  request.set_source(source);
  pb::RemoveSourceResponse response;
  if (auto error = state_->ask(state_->write(options.timeout), &pb::Iris::Stub::RemoveSource,
                               request, response)) {
    return *error;
  }
  return client::Written{response.revision()};
}

Result<std::vector<std::string>> Client::sources(const client::ListOptions& options) {
  if (auto bad = objection({{"prefix", options.prefix}, {"start_after", options.start_after}}))
    return *bad;
  pb::GetSourcesRequest request;
  fill_list(request, options);
  std::vector<std::string> rows;
  const CallPlan plan = state_->read(options.timeout);
  const auto deadline = std::chrono::system_clock::now() + plan.timeout;
  const auto attempt = [&](Node& node, grpc::ClientContext& context) {
    rows.clear();
    return client::read_rows<pb::GetSourcesResponse>(
        context, deadline,
        [&](auto* queue) { return node.iris->PrepareAsyncGetSources(&context, request, queue); },
        [&](auto& row) { rows.push_back(std::move(*row.mutable_source())); });
  };
  if (auto error = client::call(*state_->pool, plan, attempt)) {
    return *error;
  }
  return rows;
}

Result<std::vector<client::KeyRow>> Client::keys(const std::string& source,
                                                 const client::ListOptions& options) {
  if (auto bad = objection(
          {{"source", source}, {"prefix", options.prefix}, {"start_after", options.start_after}}))
    return *bad;
  pb::GetKeysRequest request;
  request.set_source(source);
  fill_list(request, options);
  request.set_with_values(options.with_values);
  std::vector<client::KeyRow> rows;
  const CallPlan plan = state_->read(options.timeout);
  const auto deadline = std::chrono::system_clock::now() + plan.timeout;
  const auto attempt = [&](Node& node, grpc::ClientContext& context) {
    rows.clear();
    return client::read_rows<pb::GetKeysResponse>(
        context, deadline,
        [&](auto* queue) { return node.iris->PrepareAsyncGetKeys(&context, request, queue); },
        [&](auto& row) {
          rows.push_back({std::move(*row.mutable_key()),
                          {options.with_values, std::move(*row.mutable_value()), row.revision()}});
        });
  };
  if (auto error = client::call(*state_->pool, plan, attempt)) {
    return *error;
  }
  return rows;
}

// --- Sessions. An unused session has no effect, so Connect is repeated like a read. Subscribe and
// Unsubscribe are not: an attempt without an answer may be carried out late, after the caller's
// next call, and undo that one.

Result<std::string> Client::connect(const client::CallOptions& options) {
  pb::ConnectResponse response;
  if (auto error = state_->ask(state_->read(options.timeout), &pb::Iris::Stub::Connect,
                               pb::ConnectRequest(), response)) {
    return *error;
  }
  return std::move(*response.mutable_session());
}

Result<client::Done> Client::subscribe(const std::string& session, const client::Topic& topic,
                                       const client::CallOptions& options) {
  if (auto bad = objection(
          {{"session", session}, {"source", topic.source}, {"key", topic.key.value_or("")}}))
    return *bad;
  const auto attempt = [&](Node& node, grpc::ClientContext& context) {
    return client::send_subscribe(node, context, session, topic);
  };
  if (auto error = client::call(*state_->pool, state_->write(options.timeout), attempt)) {
    return *error;
  }
  return client::Done{};
}

Result<client::Done> Client::unsubscribe(const std::string& session, const client::Topic& topic,
                                         const client::CallOptions& options) {
  if (auto bad = objection(
          {{"session", session}, {"source", topic.source}, {"key", topic.key.value_or("")}}))
    return *bad;
  const CallPlan plan = state_->write(options.timeout);
  std::optional<Error> error;
  if (topic.key) {
    pb::UnsubscribeKeyRequest request;
    request.set_session(session);
    request.set_source(topic.source);
    request.set_key(*topic.key);
    pb::UnsubscribeKeyResponse response;
    error = state_->ask(plan, &pb::Iris::Stub::UnsubscribeKey, request, response);
  } else {
    pb::UnsubscribeRequest request;
    request.set_session(session);
    request.set_source(topic.source);
    pb::UnsubscribeResponse response;
    error = state_->ask(plan, &pb::Iris::Stub::Unsubscribe, request, response);
  }
  if (error) return *error;
  return client::Done{};
}

Result<client::Listener> Client::listen(client::ListenOptions options,
                                        client::ListenHandlers handlers) {
  auto state =
      client::Listener::State::start(state_->pool, std::move(options), std::move(handlers));
  if (!state) return state.error();
  return client::Listener(std::move(*state));
}

// --- The cluster

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
