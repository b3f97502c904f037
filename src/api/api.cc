#include "src/api/api.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <mutex>
#include <thread>

#include "proto/health.pb.h"
#include "src/api/context.h"
#include "src/base/address.h"
#include "src/base/log.h"
#include "src/net/bind_check.h"
#include "src/net/grpc_log.h"

namespace iris {
namespace {

constexpr char service_name[] = "iris.pb.Iris";

// A request may be that much greater than any that is right, so that the client is told which limit
// it passed by a sentence of ours, not by gRPC's.
constexpr std::uint64_t receive_slack_bytes = 1u << 20;

// Clients may ping every second; half of that allows for their clocks and their haste.
constexpr int client_ping_ms_min = 500;
// So many that come sooner end the connection. More than gRPC's 2: a node that stood still for a
// second reads two at once, and a quiet stream may live for months.
constexpr int hasty_pings_max = 20;
constexpr int server_ping_ms = 30'000;  // finds clients that are gone without a word
constexpr int server_ping_timeout_ms = 10'000;

// From accepting a connection to its TLS handshake and HTTP/2's first frame.
constexpr int handshake_ms_max = 10'000;

// Calls and Listen streams. Clients that heed it wait for one of theirs to end.
constexpr int streams_per_connection_max = 16'384;

void log_for_protobuf(google::protobuf::LogLevel, const char*, int, const std::string& text) {
  log(LogLevel::debug, "protobuf says", {{"text", text}});
}

// Health, reflection and the log are gRPC's own, one for the process, and chosen before any server
// is built.
void set_up_grpc_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Named, the description of the health protocol is linked in, and reflection can tell it.
    CHECK(grpc::health::v1::HealthCheckRequest::descriptor() != nullptr);
    // Never shut down again: gRPC's shutdown may wait 10 s for a poller of its own (seen in 1.51
    // after great messages), and the process ends anyway.
    grpc_init();
    take_grpc_log();
    google::protobuf::SetLogHandler(log_for_protobuf);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

struct Api::State : ApiContext {
  using ApiContext::ApiContext;

  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> hand_over;
  std::thread shutdown;
  asio::steady_timer sweep{loop};
  asio::steady_timer drain_end{loop};
  std::function<void()> stopped;

  // The last part of stop(), once.
  void shut_down();
  // All is at rest but the calls that were asked for and will never come.
  void finish_stop();

  void sweep_answers() {
    sweep.expires_after(std::chrono::milliseconds(options.answer_stall_ms));
    sweep.async_wait([this](const asio::error_code& error) {
      if (error || gate.is_shut()) return;
      gate.shares().sweep();
      sweep_answers();
    });
  }
};

Api::Api(asio::io_context& loop, Node& node, store::Store& store, Listeners& listeners,
         ApiOptions options)
    : state_(std::make_unique<State>(loop, node, store, listeners, std::move(options))) {}

Api::~Api() { CHECK(state_->server == nullptr); }

Status Api::start() {
  State& api = *state_;
  CHECK(api.server == nullptr);
  set_up_grpc_once();
  if (api.options.inherited.empty()) {
    if (Status can = check_can_bind(api.options.host, api.options.port); !can) return can;
  }

  api.connections = std::make_shared<ClientConnections>(
      api.loop,
      ClientConnectionsOptions{.host = api.options.host,
                               .port = api.options.port,
                               .inherited = api.options.inherited,
                               .connections_max = api.options.connections_max,
                               .per_address_max = api.options.connections_per_address_max},
      [&api](int descriptor) {
        grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
        connection.fd = descriptor;
        api.hand_over->HandleNewConnection(&connection);
      });
  if (Status can = api.connections->listen(); !can) return can;

  grpc::ServerBuilder builder;
  using Builder = grpc::ServerBuilder::experimental_type;
  api.hand_over = builder.experimental().AddExternalConnectionAcceptor(
      Builder::ExternalConnectionType::FROM_FD,
      api.options.credentials ? api.options.credentials : grpc::InsecureServerCredentials());
  builder.RegisterService(&api.iris);
  builder.RegisterService(&api.cluster);
  builder.RegisterService(&api.maintenance);
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(api.options.limits.message_bytes_max() + receive_slack_bytes));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, handshake_ms_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, streams_per_connection_max);
  // A compressed request is inflated before its size is looked at: 408 kB became 400 MiB.
  builder.AddChannelArgument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
                             1 << GRPC_COMPRESS_NONE);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             client_ping_ms_min);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, hasty_pings_max);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, server_ping_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, server_ping_timeout_ms);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // 0: as many as needed
  // Reflection is the only synchronous service: one thread is plenty.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  api.completions = std::make_unique<CompletionThread>(api.loop, builder.AddCompletionQueue());

  api.server = builder.BuildAndStart();
  CHECK(api.server != nullptr);  // no port is its own
  set_alive(false);
  set_ready(false);
  add_value_calls(api);
  add_list_calls(api);
  add_session_calls(api);
  add_listen_calls(api);
  add_cluster_calls(api);
  add_backup_calls(api);
  for (const auto& method : api.methods) method->start();
  api.completions->start();
  api.sweep_answers();
  return Unit{};
}

std::uint16_t Api::port() const {
  CHECK(state_->server != nullptr);
  return state_->connections->port();
}

void Api::set_alive(bool alive) {
  state_->server->GetHealthCheckService()->SetServingStatus("", alive);
}

void Api::set_ready(bool ready) {
  state_->server->GetHealthCheckService()->SetServingStatus(service_name, ready);
}

std::size_t Api::connections() const { return state_->open_connections(); }

std::size_t Api::open_answers() const { return state_->open_answers; }

// gRPC's own shutdown answers every call that it has not handed out yet with CANCELLED, which tells
// its client nothing. So as long as clients can reach this server their calls are let in, and the
// node, which is stopping, has them answered as not done; then all connections are cut, and what
// was still on its way in is UNAVAILABLE to its client, by the client's own gRPC.
void Api::stop(std::uint32_t drain_ms, std::function<void()> done) {
  State& api = *state_;
  CHECK(api.server != nullptr && !api.stopped);
  api.stopped = std::move(done);
  api.connections->close();
  api.drain_end.expires_after(std::chrono::milliseconds(drain_ms));
  api.drain_end.async_wait([&api](const asio::error_code& error) {
    if (!error) api.shut_down();
  });
  api.gate.drain([&api] { api.shut_down(); });
}

void Api::State::shut_down() {
  if (gate.is_shut()) return;
  gate.shut();
  sweep.cancel();
  drain_end.cancel();
  connections->cut();
  // The server waits for its calls, and the calls are answered by this loop: so it waits elsewhere.
  shutdown = std::thread([this] {
    server->Shutdown(std::chrono::system_clock::now());
    asio::post(loop, [this] { finish_stop(); });
  });
}

void Api::State::finish_stop() {
  shutdown.join();
  gate.seal();
  completions->stop([this] {
    gate.when_empty([this] {
      methods.clear();
      server.reset();
      stopped();
    });
  });
}

}  // namespace iris
