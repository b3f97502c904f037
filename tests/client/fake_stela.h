// FakeStela: the discovery service for tests of its clients, in this process, over a real socket.
// Forgets what a client registered when the client's stream ends, as the real one does; what is
// registered, and what the test says, is found. Its threads are gRPC's.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proto/stela.grpc.pb.h"

namespace iris::test {

class FakeStela final : public stela::pb::Stela::Service {
 public:
  explicit FakeStela(int port = 0, const std::shared_ptr<grpc::ServerCredentials>& credentials =
                                       grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), credentials, &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) std::abort();
  }
  ~FakeStela() override {
    drop_streams();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int port() const { return port_; }
  // Ends every Connect stream; whoever was connected is forgotten.
  void drop_streams() {
    const std::lock_guard lock(mutex_);
    ++drops_;
    changed_.notify_all();
  }
  // As drop_streams(), but the clients are not told.
  void forget() {
    const std::lock_guard lock(mutex_);
    services_.clear();
  }
  // Nodes that are found besides those that are registered, from now on.
  void list(std::vector<stela::pb::ServiceMessage> services) {
    const std::lock_guard lock(mutex_);
    found = std::move(services);
  }
  // AddClient fails as if nobody were there.
  void refuse(bool on) {
    const std::lock_guard lock(mutex_);
    refusing_ = on;
  }
  [[nodiscard]] bool await_refusals(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return refusals_ >= count; });
  }
  [[nodiscard]] bool await_registered(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return services_.size() == count; });
  }
  [[nodiscard]] bool await_registrations(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return registrations_ >= count; });
  }
  [[nodiscard]] stela::pb::ServiceMessage registered() {
    const std::lock_guard lock(mutex_);
    if (services_.size() != 1) std::abort();
    return services_.begin()->second;
  }

  [[nodiscard]] int registrations() {
    const std::lock_guard lock(mutex_);
    return registrations_;
  }

  std::optional<grpc::Status> discover_status;  // set before the calls
  std::vector<stela::pb::ServiceMessage> found;
  std::string client_address;
  std::atomic<bool> silent = false;           // Discover is not answered
  std::atomic<bool> holds_farewells = false;  // nor Deregister

 private:
  grpc::Status AddClient(grpc::ServerContext*, const stela::pb::AddClientRequest* request,
                         stela::pb::AddClientResponse* response) override {
    const std::lock_guard lock(mutex_);
    if (refusing_) {
      ++refusals_;
      changed_.notify_all();
      return {grpc::StatusCode::UNAVAILABLE, "nobody is there"};
    }
    client_address = request->client_address();
    response->set_client_id("client" + std::to_string(++clients_));
    return {};
  }
  grpc::Status Connect(grpc::ServerContext* context, const stela::pb::ConnectRequest* request,
                       grpc::ServerWriter<stela::pb::ServiceMessage>*) override {
    std::unique_lock lock(mutex_);
    const int drops = drops_;
    connected_.insert(request->client_id());
    changed_.notify_all();
    while (drops == drops_ && !context->IsCancelled())
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    connected_.erase(request->client_id());
    services_.erase(request->client_id());
    changed_.notify_all();
    return {};
  }
  // Answers only once the client's stream is here: a test that drops the streams of a client known
  // as registered then drops that one too.
  grpc::Status Register(grpc::ServerContext* context, const stela::pb::RegisterRequest* request,
                        stela::pb::RegisterResponse*) override {
    std::unique_lock lock(mutex_);
    while (!connected_.contains(request->client_id())) {
      if (context->IsCancelled()) return {grpc::StatusCode::CANCELLED, "the client left"};
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
    services_[request->client_id()] = request->service();
    ++registrations_;
    changed_.notify_all();
    return {};
  }
  grpc::Status Deregister(grpc::ServerContext* context, const stela::pb::RegisterRequest* request,
                          stela::pb::RegisterResponse*) override {
    stall(context, holds_farewells);
    const std::lock_guard lock(mutex_);
    services_.erase(request->client_id());
    changed_.notify_all();
    return {};
  }
  grpc::Status Discover(grpc::ServerContext* context, const stela::pb::DiscoverRequest* request,
                        stela::pb::DiscoverResponse* response) override {
    stall(context, silent);
    if (discover_status) return *discover_status;
    const std::lock_guard lock(mutex_);
    for (const auto& service : found) {
      if (service.name() == request->service_name()) *response->add_services() = service;
    }
    for (const auto& [client, service] : services_) {
      if (service.name() == request->service_name()) *response->add_services() = service;
    }
    return {};
  }
  static void stall(grpc::ServerContext* context, const std::atomic<bool>& on) {
    while (on && !context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, stela::pb::ServiceMessage> services_;  // by client
  std::set<std::string> connected_;                            // the clients whose stream is here
  int clients_ = 0;
  int registrations_ = 0;
  bool refusing_ = false;
  int refusals_ = 0;
  int drops_ = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace iris::test
