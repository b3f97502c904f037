// ApiContext: the surroundings that the files of this folder share, how a method is added, and how
// a call is refused. Only files of this folder include it.
// Loop thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/iris.grpc.pb.h"
#include "src/api/api.h"
#include "src/api/client_connections.h"
#include "src/api/completion.h"
#include "src/api/errors.h"
#include "src/api/stream_call.h"
#include "src/api/unary_call.h"
#include "src/base/trailers.h"
#include "src/listeners/listeners.h"

namespace iris {

// Every method of pb::Iris on the completion queue.
template <class Base>
using ValueMethods = pb::Iris::WithAsyncMethod_SetValue<pb::Iris::WithAsyncMethod_GetValue<
    pb::Iris::WithAsyncMethod_RemoveValue<pb::Iris::WithAsyncMethod_RemoveSource<Base>>>>;
template <class Base>
using ListMethods = pb::Iris::WithAsyncMethod_GetSources<pb::Iris::WithAsyncMethod_GetKeys<Base>>;
template <class Base>
using SessionMethods = pb::Iris::WithAsyncMethod_Connect<pb::Iris::WithAsyncMethod_Listen<
    pb::Iris::WithAsyncMethod_Subscribe<pb::Iris::WithAsyncMethod_SubscribeKey<
        pb::Iris::WithAsyncMethod_Unsubscribe<pb::Iris::WithAsyncMethod_UnsubscribeKey<Base>>>>>>;
using IrisService = ReceivingService<
    ValueMethods<ListMethods<SessionMethods<pb::Iris::WithAsyncMethod_Join<pb::Iris::Service>>>>>;

struct ApiContext {
  ApiContext(asio::io_context& loop, Node& node, store::Store& store, Listeners& listeners,
             ApiOptions options)
      : loop(loop),
        node(node),
        store(store),
        listeners(listeners),
        options(std::move(options)),
        gate(loop, this->options.client_shares) {}

  asio::io_context& loop;
  Node& node;
  store::Store& store;
  Listeners& listeners;
  const ApiOptions options;

  CallGate gate;
  IrisService iris;
  ReceivingService<pb::Cluster::AsyncService> cluster;
  ReceivingService<pb::Maintenance::AsyncService> maintenance;
  std::unique_ptr<CompletionThread> completions;
  std::shared_ptr<ClientConnections> connections;  // from start() on
  [[nodiscard]] std::size_t open_connections() const { return connections->open(); }
  std::vector<std::unique_ptr<Method>> methods;
  // Lists and backups, each of which holds a state of the data, and streams that are to end.
  std::size_t open_answers = 0;
};

// The gRPC address of the leader, where this node knows one; else empty.
[[nodiscard]] std::string leader_address(const Node& node);

// Answers with an error, and the trailers that say what it means (trailers.h).
template <class Call>
void refuse(ApiContext& api, Call& call, const Error& error) {
  const grpc::Status status = to_grpc(error);
  if (not_done(error.code)) call.add_trailer(trailer_not_done, "1");
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    const std::string leader = leader_address(api.node);
    if (!leader.empty()) call.add_trailer(trailer_leader, leader);
  }
  call.finish(status);
}

// `Call` is the UnaryCall of the method; `handle(context, call)` must finish() it.
template <class Call, class Service, class Handle>
void add_unary(ApiContext& api, Service& service, CallLimits limits, Handle handle) {
  auto* queue = api.completions->queue();
  using Method = typename Call::Method;
  typename Method::Hooks hooks;
  hooks.ask = [&service, queue](auto* context, auto* request, auto* writer, void* tag) {
    service.ask(context, request, writer, queue, tag);
  };
  hooks.handle = [&api, handle](Call& call) { handle(api, call); };
  hooks.refuse = [&api](Call& call, const Error& error) { refuse(api, call, error); };
  hooks.abandon = [&api](Call& call) { api.node.abandon(call.waiting); };
  api.methods.push_back(std::make_unique<Method>(api.gate, limits, std::move(hooks)));
}

// `Handler` is the StreamHandler of the method, made of context and call.
template <class Handler, class Service>
void add_stream(ApiContext& api, Service& service, CallLimits limits) {
  auto* queue = api.completions->queue();
  using Call = typename Handler::Call;
  api.methods.push_back(std::make_unique<typename Call::Method>(
      api.gate, limits,
      [&service, queue](auto* context, auto* request, auto* writer, void* tag) {
        service.ask(context, request, writer, queue, tag);
      },
      [&api](Call& call) { return std::make_unique<Handler>(api, call); },
      [&api](Call& call, const Error& error) { refuse(api, call, error); }));
}

void add_value_calls(ApiContext& api);    // values.cc
void add_list_calls(ApiContext& api);     // lists.cc
void add_session_calls(ApiContext& api);  // sessions.cc
void add_listen_calls(ApiContext& api);   // listen.cc
void add_cluster_calls(ApiContext& api);  // cluster.cc
void add_backup_calls(ApiContext& api);   // backup.cc

// Proposes, and answers once it is known what became of it. `Fill`, a lambda that captures nothing,
// completes the response from the outcome: so what waits fits into a std::function without memory.
template <class Call, class Fill>
void submit(ApiContext& api, Call& call, const Operation& operation, Fill) {
  api.node.submit(
      operation, call.remaining_ms(),
      [&api, &call](Result<Outcome> outcome) {
        if (!outcome) return refuse(api, call, outcome.error());
        if (const auto error = objection(*outcome)) return refuse(api, call, *error);
        Fill{}(call, *outcome);
        call.finish();
      },
      &call.waiting);
}

// Of a request that may name a read level. Errc::invalid_argument where it is none we know.
template <class Request>
[[nodiscard]] Result<Consistency> consistency_of(const Request& request) {
  switch (request.consistency()) {
    case pb::LINEARIZABLE:
      return Consistency::linearizable;
    case pb::STALE:
      return Consistency::stale;
    default:
      return fail(Errc::invalid_argument, "consistency is " +
                                              std::to_string(int{request.consistency()}) +
                                              ", which is neither LINEARIZABLE (0) nor STALE (1)");
  }
}

}  // namespace iris
