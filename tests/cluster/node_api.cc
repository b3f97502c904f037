#include "tests/cluster/node_api.h"

#include <fstream>
#include <sstream>

namespace iris::test {

namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

WriteAnswer judge(const grpc::Status& status, bool as_asked, std::uint64_t revision) {
  WriteAnswer answer;
  answer.text = status.error_message();
  if (status.ok()) {
    answer.answer = as_asked ? CallAnswer::ok : CallAnswer::unknown;
    answer.revision = revision;
  } else if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    answer.answer = CallAnswer::not_done;
  }
  // UNAVAILABLE may come from the transport, which cannot know: unknown, to be on the safe side.
  return answer;
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> credentials(const Tls& tls) {
  if (tls.folder.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = read_file(tls.folder + "/ca.crt");
  options.pem_private_key = read_file(tls.folder + "/client.key");
  options.pem_cert_chain = read_file(tls.folder + "/client.crt");
  return grpc::SslCredentials(options);
}

void set_deadline(grpc::ClientContext& context, Milliseconds limit) {
  context.set_deadline(std::chrono::system_clock::now() + limit);
  // A synchronous channel makes its connections only while a call waits: one that fails at once
  // would leave a TLS handshake half done.
  context.set_wait_for_ready(true);
}

NodeApi::NodeApi(const std::string& address, const Tls& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // Also the time limit of a connection attempt, TLS handshake included.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The name that the Go and Node clients of 2017 expect.
  if (!tls.folder.empty()) arguments.SetSslTargetNameOverride("Iris");
  auto channel = grpc::CreateCustomChannel(address, credentials(tls), arguments);
  iris_ = pb::Iris::NewStub(channel);
  cluster_ = pb::Cluster::NewStub(channel);
}

WriteAnswer NodeApi::set(const std::string& source, const std::string& key,
                         const std::string& value, Milliseconds limit) const {
  grpc::ClientContext context;
  set_deadline(context, limit);
  pb::SetValueRequest request;
  request.set_source(source);
  request.set_key(key);
  request.set_value(value);
  pb::SetValueResponse response;
  const auto status = iris_->SetValue(&context, request, &response);
  return judge(status, response.value() == value, response.revision());
}

WriteAnswer NodeApi::remove(const std::string& source, const std::string& key,
                            Milliseconds limit) const {
  grpc::ClientContext context;
  set_deadline(context, limit);
  pb::RemoveValueRequest request;
  request.set_source(source);
  request.set_key(key);
  pb::RemoveValueResponse response;
  const auto status = iris_->RemoveValue(&context, request, &response);
  return judge(status, true, response.revision());
}

ReadAnswer NodeApi::get(const std::string& source, const std::string& key,
                        Milliseconds limit) const {
  grpc::ClientContext context;
  set_deadline(context, limit);
  pb::GetValueRequest request;
  request.set_source(source);
  request.set_key(key);
  pb::GetValueResponse response;
  const auto status = iris_->GetValue(&context, request, &response);
  ReadAnswer answer;
  answer.ok = status.ok();
  answer.text = status.error_message();
  answer.found = response.found();
  answer.value = response.value();
  answer.revision = response.revision();
  return answer;
}

NodeApi::Listing NodeApi::list(const std::string& source, Milliseconds limit) const {
  grpc::ClientContext context;
  set_deadline(context, limit);
  pb::GetKeysRequest request;
  request.set_source(source);
  request.set_with_values(true);
  auto reader = iris_->GetKeys(&context, request);
  Listing listing;
  pb::GetKeysResponse row;
  while (reader->Read(&row)) listing.rows.emplace_back(row.key(), row.value());
  listing.ok = reader->Finish().ok();
  return listing;
}

bool NodeApi::status(pb::StatusResponse& response, Milliseconds limit) const {
  grpc::ClientContext context;
  set_deadline(context, limit);
  return cluster_->Status(&context, {}, &response).ok();
}

bool NodeApi::members(pb::MembersResponse& response, Milliseconds limit) const {
  grpc::ClientContext context;
  set_deadline(context, limit);
  return cluster_->Members(&context, {}, &response).ok();
}

}  // namespace iris::test
