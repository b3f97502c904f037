#include "src/bench/connections.h"

#include <grpcpp/grpcpp.h>

#include "src/client/credentials.h"

namespace iris::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto connect_patience = 5s;

// Why a channel is down is told to a call only.
std::string reason(Connection& connection) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 300ms);
  pb::StatusResponse response;
  const auto status = pb::Cluster::NewStub(connection.channel)->Status(&context, {}, &response);
  return status.ok() ? "it answers late" : status.error_message();
}

}  // namespace

Result<std::vector<Connection>> connect_all(const Options& options) {
  const auto credentials = client::credentials(options.tls);
  if (!credentials) return fail(Errc::invalid_argument, credentials.error().text);
  std::vector<std::string> addresses;
  for (const auto& address : options.addresses) {
    auto dialled = client::dialled_address(address);
    if (!dialled) return fail(Errc::invalid_argument, dialled.error().text);
    addresses.push_back(std::move(*dialled));
  }
  grpc::ChannelArguments arguments;
  // Else gRPC would lead all channels to one address through one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // as the client library does
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  if (options.tls) arguments.SetSslTargetNameOverride(options.tls->server_name);

  std::vector<Connection> connections;
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    Connection connection;
    connection.address = addresses[i % addresses.size()];
    connection.channel = grpc::CreateCustomChannel(connection.address, *credentials, arguments);
    connection.stub = pb::Iris::NewStub(connection.channel);
    connection.channel->GetState(true);
    connections.push_back(std::move(connection));
  }
  const auto deadline = std::chrono::system_clock::now() + connect_patience;
  for (auto& connection : connections) {
    if (connection.channel->WaitForConnected(deadline)) continue;
    return fail(Errc::unavailable,
                connection.address + " cannot be reached: " + reason(connection));
  }
  return connections;
}

}  // namespace iris::bench
