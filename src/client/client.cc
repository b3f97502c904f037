#include "src/client/client.h"

#include <grpcpp/grpcpp.h>

#include "src/base/version.h"
#include "src/client/client_state.h"
#include "src/client/credentials.h"
#include "src/client/listen.h"
#include "src/client/rows.h"

namespace iris {

using client::CallPlan;
using client::Code;
using client::Error;
using client::Node;
using client::objection;
using client::Result;

namespace {

pb::Consistency consistency(bool stale) { return stale ? pb::STALE : pb::LINEARIZABLE; }

template <class Request, class Options>
void fill_list(Request& request, const Options& options) {
  request.set_consistency(consistency(options.stale));
  request.set_min_revision(options.min_revision);
  request.set_prefix(options.prefix);
  request.set_start_after(options.start_after);
  request.set_limit(options.limit);
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

}  // namespace iris
