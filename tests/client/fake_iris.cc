#include "tests/client/fake_iris.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "src/base/trailers.h"

namespace iris::test {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using Lock = std::unique_lock<std::mutex>;

// A topic as the key of a map: a source, or a source and one of its keys.
std::string topic(const std::string& source, const std::string& key = {}) {
  return source + '\0' + key;
}

void append(FakeCluster& cluster, pb::Update::Op op, const std::string& source,
            const std::string& key, const std::string& value) {
  pb::Update update;
  update.set_source(source);
  update.set_key(key);
  update.set_value(value);
  update.set_op(op);
  update.set_revision(cluster.revision);
  cluster.log.push_back(std::move(update));
}

pb::Update mark(pb::Update::Op op, std::uint64_t revision) {
  pb::Update update;
  update.set_op(op);
  update.set_revision(revision);
  return update;
}

grpc::Status missing(const char* field) {
  return {StatusCode::INVALID_ARGUMENT, std::string("You must provide a ") + field};
}

grpc::Status conflict() { return {StatusCode::ABORTED, "if_revision does not hold"}; }

bool holds(const FakeCluster& cluster, const std::string& source, const std::string& key,
           std::uint64_t revision) {
  const auto found = cluster.sources.find(source);
  if (found == cluster.sources.end() || !found->second.contains(key)) return revision == 0;
  return found->second.at(key).revision == revision;
}

std::uint64_t store(FakeCluster& cluster, const std::string& source, const std::string& key,
                    const std::string& value) {
  ++cluster.revision;
  cluster.sources[source][key] = {value, cluster.revision};
  append(cluster, pb::Update::PUT, source, key, value);
  cluster.changed.notify_all();
  return cluster.revision;
}

}  // namespace

std::uint64_t FakeCluster::set(const std::string& source, const std::string& key,
                               const std::string& value) {
  const Lock lock(mutex);
  return store(*this, source, key, value);
}

std::uint64_t FakeCluster::remove_source(const std::string& source) {
  const Lock lock(mutex);
  ++revision;
  for (const auto& [key, stored] : sources[source]) {
    append(*this, pb::Update::REMOVE, source, key, {});
  }
  sources.erase(source);
  changed.notify_all();
  return revision;
}

void FakeCluster::trim() {
  const Lock lock(mutex);
  log.clear();
  trimmed = revision;
}

void FakeCluster::expire_sessions() {
  const Lock lock(mutex);
  sessions.clear();
}

FakeIris::FakeIris(std::shared_ptr<FakeCluster> cluster, int port,
                   std::shared_ptr<grpc::ServerCredentials> credentials)
    : cluster_(std::move(cluster)) {
  grpc::ServerBuilder builder;
  if (!credentials) credentials = grpc::InsecureServerCredentials();
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), credentials, &port_);
  // A node that is killed and made anew on its port must not share it with its own ghost.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(static_cast<pb::Iris::Service*>(this));
  builder.RegisterService(static_cast<pb::Cluster::Service*>(this));
  grpc::EnableDefaultHealthCheckService(true);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
}

FakeIris::~FakeIris() { kill(); }

void FakeIris::kill() {
  killed_ = true;
  cluster_->changed.notify_all();
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

int FakeIris::calls(const std::string& method) const {
  const Lock lock(mutex_);
  const auto found = calls_.find(method);
  return found == calls_.end() ? 0 : found->second;
}

bool FakeIris::await_calls(const std::string& method, int count) const {
  Lock lock(mutex_);
  return called_.wait_for(lock, std::chrono::seconds(10), [&] {
    const auto found = calls_.find(method);
    return found != calls_.end() && found->second >= count;
  });
}

grpc::Status FakeIris::not_done(grpc::ServerContext& context, const std::string& text) {
  context.AddTrailingMetadata(trailer_not_done, "1");
  return {StatusCode::UNAVAILABLE, text};
}

grpc::Status FakeIris::serve(std::string_view method, grpc::ServerContext* context,
                             const std::function<grpc::Status()>& body) {
  {
    const Lock lock(mutex_);
    ++calls_[std::string(method)];
    called_.notify_all();
  }
  if (before) {
    if (const auto status = before(method, *context)) return *status;
  }
  auto status = body();
  if (after) {
    if (const auto other = after(method, *context)) return *other;
  }
  return status;
}

grpc::Status FakeIris::Join(grpc::ServerContext* context, const pb::JoinRequest*,
                            pb::JoinResponse*) {
  return serve("Join", context, [] { return grpc::Status(); });
}

grpc::Status FakeIris::Connect(grpc::ServerContext* context, const pb::ConnectRequest*,
                               pb::ConnectResponse* response) {
  return serve("Connect", context, [&] {
    const Lock lock(cluster_->mutex);
    response->set_session("SESSION" + std::to_string(cluster_->next_session++));
    return grpc::Status();
  });
}

std::vector<pb::Update> FakeIris::due(const pb::ListenRequest& request, std::uint64_t& seen,
                                      bool& state_first) {
  std::vector<pb::Update> updates;
  const auto& topics = cluster_->sessions[request.session()];
  const auto wanted = [&](const std::string& source, const std::string& key,
                          std::uint64_t revision) -> bool {
    for (const auto& name : {topic(source), topic(source, key)}) {
      const auto found = topics.find(name);
      if (found != topics.end() && (request.earlier() || found->second < revision)) return true;
    }
    return false;
  };
  if (!state_first && seen < cluster_->trimmed) {
    state_first = true;
    updates.push_back(mark(pb::Update::RESYNC, cluster_->revision));
  }
  if (state_first) {
    for (const auto& [source, keys] : cluster_->sources) {
      for (const auto& [key, stored] : keys) {
        if (!wanted(source, key, ~0ull)) continue;
        pb::Update update = mark(pb::Update::PUT, stored.revision);
        update.set_source(source);
        update.set_key(key);
        update.set_value(stored.value);
        updates.push_back(std::move(update));
      }
    }
    updates.push_back(mark(pb::Update::SYNCED, cluster_->revision));
    seen = cluster_->revision;
    state_first = false;
    return updates;
  }
  for (const auto& update : cluster_->log) {
    if (update.revision() > seen && wanted(update.source(), update.key(), update.revision())) {
      updates.push_back(update);
    }
  }
  seen = cluster_->revision;
  return updates;
}

grpc::Status FakeIris::Listen(grpc::ServerContext* context, const pb::ListenRequest* request,
                              grpc::ServerWriter<pb::Update>* writer) {
  return serve("Listen", context, [&]() -> grpc::Status {
    const auto send = [&](const pb::Update& update) {
      return (!on_stream || on_stream(update)) && writer->Write(update);
    };
    Lock lock(cluster_->mutex);
    bool state_first = request->send_initial();
    std::uint64_t seen = request->after_revision();
    const auto& topics = cluster_->sessions[request->session()];
    if (seen > 0 && !state_first && topics.empty()) {
      return {StatusCode::NOT_FOUND, "the session has no subscriptions, or they expired"};
    }
    if (seen == 0) {
      seen = cluster_->revision;
      for (const auto& [name, since] : topics) {
        seen = std::min(seen, since);
      }
    }
    auto spoken = std::chrono::steady_clock::time_point();
    while (!context->IsCancelled() && !killed_) {
      for (const auto& update : due(*request, seen, state_first)) {
        lock.unlock();
        if (!send(update)) return {StatusCode::UNAVAILABLE, "the stream was cut"};
        lock.lock();
        spoken = std::chrono::steady_clock::now();
      }
      const auto beat = milliseconds(request->heartbeat_ms());
      if (beat.count() > 0 && std::chrono::steady_clock::now() - spoken >= beat) {
        spoken = std::chrono::steady_clock::now();
        if (!send(mark(pb::Update::BOOKMARK, seen))) return {StatusCode::UNAVAILABLE, "cut"};
      }
      cluster_->changed.wait_for(lock, milliseconds(20),
                                 [&] { return killed_ || cluster_->revision > seen; });
    }
    return {StatusCode::UNAVAILABLE, "the node stops"};
  });
}

grpc::Status FakeIris::GetSources(grpc::ServerContext* context,
                                  const pb::GetSourcesRequest* request,
                                  grpc::ServerWriter<pb::GetSourcesResponse>* writer) {
  return serve("GetSources", context, [&] {
    const Lock lock(cluster_->mutex);
    for (const auto& [source, keys] : cluster_->sources) {
      if (!source.starts_with(request->prefix())) continue;
      pb::GetSourcesResponse row;
      row.set_source(source);
      writer->Write(row);
    }
    return grpc::Status();
  });
}

grpc::Status FakeIris::GetKeys(grpc::ServerContext* context, const pb::GetKeysRequest* request,
                               grpc::ServerWriter<pb::GetKeysResponse>* writer) {
  return serve("GetKeys", context, [&] {
    if (request->source().empty()) return missing("source");
    const Lock lock(cluster_->mutex);
    std::uint64_t left = request->limit() == 0 ? ~0ull : request->limit();
    const auto source = cluster_->sources.find(request->source());
    if (source == cluster_->sources.end()) return grpc::Status();
    for (const auto& [key, stored] : source->second) {
      if (!key.starts_with(request->prefix()) || key <= request->start_after()) continue;
      if (left-- == 0) break;
      pb::GetKeysResponse row;
      row.set_key(key);
      if (request->with_values()) {
        row.set_value(stored.value);
        row.set_revision(stored.revision);
      }
      writer->Write(row);
    }
    return grpc::Status();
  });
}

grpc::Status FakeIris::SetValue(grpc::ServerContext* context, const pb::SetValueRequest* request,
                                pb::SetValueResponse* response) {
  return serve("SetValue", context, [&] {
    if (request->source().empty()) return missing("source");
    if (request->key().empty()) return missing("key");
    const Lock lock(cluster_->mutex);
    if (request->has_if_revision() &&
        !holds(*cluster_, request->source(), request->key(), request->if_revision())) {
      return conflict();
    }
    response->set_revision(store(*cluster_, request->source(), request->key(), request->value()));
    response->set_value(request->value());
    return grpc::Status();
  });
}

grpc::Status FakeIris::GetValue(grpc::ServerContext* context, const pb::GetValueRequest* request,
                                pb::GetValueResponse* response) {
  return serve("GetValue", context, [&] {
    const Lock lock(cluster_->mutex);
    const auto source = cluster_->sources.find(request->source());
    if (source == cluster_->sources.end()) return grpc::Status();
    const auto stored = source->second.find(request->key());
    if (stored == source->second.end()) return grpc::Status();
    response->set_found(true);
    response->set_value(stored->second.value);
    response->set_revision(stored->second.revision);
    return grpc::Status();
  });
}

grpc::Status FakeIris::RemoveValue(grpc::ServerContext* context,
                                   const pb::RemoveValueRequest* request,
                                   pb::RemoveValueResponse* response) {
  return serve("RemoveValue", context, [&] {
    const Lock lock(cluster_->mutex);
    if (request->has_if_revision() &&
        !holds(*cluster_, request->source(), request->key(), request->if_revision())) {
      return conflict();
    }
    ++cluster_->revision;
    if (cluster_->sources[request->source()].erase(request->key()) > 0) {
      append(*cluster_, pb::Update::REMOVE, request->source(), request->key(), {});
    }
    if (cluster_->sources[request->source()].empty()) cluster_->sources.erase(request->source());
    cluster_->changed.notify_all();
    response->set_revision(cluster_->revision);
    return grpc::Status();
  });
}

grpc::Status FakeIris::RemoveSource(grpc::ServerContext* context,
                                    const pb::RemoveSourceRequest* request,
                                    pb::RemoveSourceResponse* response) {
  return serve("RemoveSource", context, [&] {
    response->set_revision(cluster_->remove_source(request->source()));
    return grpc::Status();
  });
}

grpc::Status FakeIris::Subscribe(grpc::ServerContext* context, const pb::SubscribeRequest* request,
                                 pb::SubscribeResponse*) {
  return serve("Subscribe", context, [&] {
    const Lock lock(cluster_->mutex);
    cluster_->sessions[request->session()].try_emplace(topic(request->source()),
                                                       cluster_->revision);
    return grpc::Status();
  });
}

grpc::Status FakeIris::SubscribeKey(grpc::ServerContext* context,
                                    const pb::SubscribeKeyRequest* request,
                                    pb::SubscribeKeyResponse*) {
  return serve("SubscribeKey", context, [&] {
    const Lock lock(cluster_->mutex);
    cluster_->sessions[request->session()].try_emplace(topic(request->source(), request->key()),
                                                       cluster_->revision);
    return grpc::Status();
  });
}

grpc::Status FakeIris::Unsubscribe(grpc::ServerContext* context,
                                   const pb::UnsubscribeRequest* request,
                                   pb::UnsubscribeResponse*) {
  return serve("Unsubscribe", context, [&] {
    const Lock lock(cluster_->mutex);
    cluster_->sessions[request->session()].erase(topic(request->source()));
    return grpc::Status();
  });
}

grpc::Status FakeIris::UnsubscribeKey(grpc::ServerContext* context,
                                      const pb::UnsubscribeKeyRequest* request,
                                      pb::UnsubscribeKeyResponse*) {
  return serve("UnsubscribeKey", context, [&] {
    const Lock lock(cluster_->mutex);
    cluster_->sessions[request->session()].erase(topic(request->source(), request->key()));
    return grpc::Status();
  });
}

grpc::Status FakeIris::Status(grpc::ServerContext* context, const pb::StatusRequest*,
                              pb::StatusResponse* response) {
  return serve("Status", context, [&] {
    *response = cluster_->status;
    return grpc::Status();
  });
}

grpc::Status FakeIris::Members(grpc::ServerContext* context, const pb::MembersRequest*,
                               pb::MembersResponse* response) {
  return serve("Members", context, [&] {
    *response = cluster_->members;
    return grpc::Status();
  });
}

grpc::Status FakeIris::RemoveMember(grpc::ServerContext* context,
                                    const pb::RemoveMemberRequest* request,
                                    pb::RemoveMemberResponse* response) {
  return serve("RemoveMember", context, [&]() -> grpc::Status {
    for (const auto& member : cluster_->members.members()) {
      if (member.id() != request->id() && member.address() != request->id()) continue;
      if (member.leader() && !request->force()) {
        return {StatusCode::FAILED_PRECONDITION, "no live majority would be left"};
      }
      response->set_id(member.id());
      return {};
    }
    return {StatusCode::NOT_FOUND, "no member " + request->id()};
  });
}

grpc::Status FakeIris::PromoteMember(grpc::ServerContext* context,
                                     const pb::PromoteMemberRequest* request,
                                     pb::PromoteMemberResponse* response) {
  return serve("PromoteMember", context, [&] {
    response->set_id(request->id());
    return grpc::Status();
  });
}

grpc::Status FakeIris::TransferLeader(grpc::ServerContext* context,
                                      const pb::TransferLeaderRequest* request,
                                      pb::TransferLeaderResponse* response) {
  return serve("TransferLeader", context, [&] {
    response->set_id(request->id().empty() ? "00000000000000b2" : request->id());
    return grpc::Status();
  });
}

MuteNode::MuteNode(std::shared_ptr<FakeCluster> cluster) : node(std::move(cluster)) {
  node.on_stream = [this](const pb::Update&) {
    while (silent_ && !over_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return true;
  };
}

}  // namespace iris::test
