// All services but those of values: sessions, Cluster, health, reflection; the port.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <atomic>
#include <regex>
#include <set>
#include <thread>

#include "src/base/trailers.h"
#include "tests/api/server.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using Cluster = TestServerOptions::Cluster;

// One message sent and one taken, as bytes, for services whose protos are not ours.
grpc::Status raw_call(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                      const std::string& request, std::string& response) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto call = context();
  const auto stream = stub.PrepareCall(call.get(), method, &queue);
  const auto await = [&] {
    void* tag = nullptr;
    bool ok = false;
    REQUIRE(queue.Next(&tag, &ok));
    return ok;
  };
  const grpc::Slice slice(request);
  const grpc::ByteBuffer out(&slice, 1);
  grpc::ByteBuffer in;
  grpc::Status status;
  stream->StartCall(nullptr);
  if (await()) {
    stream->WriteLast(out, {}, nullptr);
    await();
    stream->Read(&in, nullptr);
    if (await()) {
      std::vector<grpc::Slice> slices;
      REQUIRE(in.Dump(&slices).ok());
      for (const auto& each : slices) response.append(each.begin(), each.end());
    }
  }
  stream->Finish(&status, nullptr);
  await();
  queue.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) {
  }
  return status;
}

// HealthCheckRequest { string service = 1 }; HealthCheckResponse { enum status = 1 }.
std::string health(TestServer& server, const std::string& service) {
  std::string request;
  if (!service.empty()) {
    request = std::string("\x0a") + static_cast<char>(service.size()) + service;
  }
  std::string response;
  const auto status = raw_call(server.channel(), "/grpc.health.v1.Health/Check", request, response);
  if (status.error_code() == StatusCode::NOT_FOUND) return "unknown";
  REQUIRE(status.ok());
  if (response == std::string("\x08\x01")) return "serving";
  if (response == std::string("\x08\x02")) return "not serving";
  return "?";
}

TEST_CASE("health is told for the server and for the service") {
  TestServer server;
  REQUIRE(health(server, "") == "serving");
  REQUIRE(health(server, "iris.pb.Iris") == "serving");
  REQUIRE(health(server, "no.such.Service") == "unknown");
  server.on_loop([&] { server.api().set_ready(false); });  // as without a leader
  REQUIRE(health(server, "") == "serving");
  REQUIRE(health(server, "iris.pb.Iris") == "not serving");
  server.on_loop([&] { server.api().set_alive(false); });
  REQUIRE(health(server, "") == "not serving");
  REQUIRE(health(server, "iris.pb.Iris") == "not serving");
}

TEST_CASE("reflection lists the services and describes ours") {
  TestServer server;
  std::string response;
  // ServerReflectionRequest { string list_services = 7 }
  REQUIRE(raw_call(server.channel(),
                   "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                   std::string("\x3a\x00", 2), response)
              .ok());
  for (const char* service : {"iris.pb.Iris", "iris.pb.Cluster", "grpc.health.v1.Health",
                              "grpc.reflection.v1alpha.ServerReflection"}) {
    CAPTURE(service);
    REQUIRE(response.find(service) != std::string::npos);
  }
  // { string file_containing_symbol = 4 }
  response.clear();
  const std::string symbol = "iris.pb.Iris";
  REQUIRE(raw_call(server.channel(),
                   "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                   std::string("\x22") + static_cast<char>(symbol.size()) + symbol, response)
              .ok());
  REQUIRE(response.find("SetValueRequest") != std::string::npos);
}

// A request whose first string field is not UTF-8; bytes that are no message where it has none.
std::string bad_request(const google::protobuf::Descriptor& type, std::string& complaint) {
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    if (field.type() != google::protobuf::FieldDescriptor::TYPE_STRING) continue;
    complaint = field.name() + " is not UTF-8";
    return std::string{static_cast<char>(field.number() << 3 | 2), '\x02', '\xff', '\xfe'};
  }
  complaint = "the request is not a " + type.name();
  return "\xff\xff";
}

// gRPC answers such requests with INTERNAL, by itself, where it is left to it.
TEST_CASE("a request that is none is INVALID_ARGUMENT with a sentence, of every method") {
  TestServer server;
  const auto& file = *pb::SetValueRequest::descriptor()->file();
  int methods = 0;
  for (int i = 0; i < file.service_count(); ++i) {
    for (int j = 0; j < file.service(i)->method_count(); ++j) {
      const auto& method = *file.service(i)->method(j);
      const std::string path = "/" + file.service(i)->full_name() + "/" + method.name();
      CAPTURE(path);
      std::string complaint;
      std::string response;
      const std::string request = bad_request(*method.input_type(), complaint);
      const auto status = raw_call(server.channel(), path, request, response);
      CHECK(status.error_code() == StatusCode::INVALID_ARGUMENT);
      CHECK(status.error_message() == complaint);
      ++methods;
    }
  }
  REQUIRE(methods == 19);
}

TEST_CASE("the name that is not UTF-8 is told, and nothing is stored (hazard 107)") {
  TestServer server;
  std::string response;
  const auto status = raw_call(server.channel(), "/iris.pb.Iris/SetValue",
                               "\x12\x01s\x1a\x02\xff\xfe\x22\x01v", response);
  REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(status.error_message() == "key is not UTF-8");
  const auto call = context();
  pb::GetSourcesResponse row;
  REQUIRE_FALSE(server.iris().GetSources(call.get(), {})->Read(&row));
}

TEST_CASE("a session is 20 upper-case hex digits, and no two are the same") {
  TestServer server;
  std::set<std::string> sessions;
  for (int i = 0; i < 100; ++i) {
    pb::ConnectResponse response;
    REQUIRE(server.iris().Connect(context().get(), {}, &response).ok());
    REQUIRE(std::regex_match(response.session(), std::regex("[0-9A-F]{20}")));
    sessions.insert(response.session());
  }
  REQUIRE(sessions.size() == 100);
}

TEST_CASE("subscribing answers with the names, unsubscribing of nothing with empty ones") {
  TestServer server;
  pb::SubscribeRequest request;
  request.set_session("S");
  request.set_source("colors");
  pb::SubscribeKeyRequest key_request;
  key_request.set_session("S");
  key_request.set_source("colors");
  key_request.set_key("sky");
  pb::UnsubscribeRequest away;
  away.set_session("S");
  away.set_source("colors");
  pb::UnsubscribeKeyRequest key_away;
  key_away.set_session("S");
  key_away.set_source("colors");
  key_away.set_key("sky");

  pb::UnsubscribeResponse gone;
  REQUIRE(server.iris().Unsubscribe(context().get(), away, &gone).ok());
  REQUIRE(gone.source().empty());
  pb::UnsubscribeKeyResponse key_gone;
  REQUIRE(server.iris().UnsubscribeKey(context().get(), key_away, &key_gone).ok());
  REQUIRE(key_gone.source().empty());
  REQUIRE(key_gone.key().empty());

  for (int time = 0; time < 2; ++time) {  // twice is fine
    pb::SubscribeResponse response;
    REQUIRE(server.iris().Subscribe(context().get(), request, &response).ok());
    REQUIRE(response.source() == "colors");
    pb::SubscribeKeyResponse key_response;
    REQUIRE(server.iris().SubscribeKey(context().get(), key_request, &key_response).ok());
    REQUIRE(key_response.source() == "colors");
    REQUIRE(key_response.key() == "sky");
  }

  REQUIRE(server.iris().Unsubscribe(context().get(), away, &gone).ok());
  REQUIRE(gone.source() == "colors");
  REQUIRE(server.iris().UnsubscribeKey(context().get(), key_away, &key_gone).ok());
  REQUIRE(key_gone.source() == "colors");
  REQUIRE(key_gone.key() == "sky");
}

TEST_CASE("sessions, sources and keys that are needed are asked for by name") {
  TestServer server;
  const auto refused = [](const grpc::Status& status, const std::string& field) {
    INFO(status.error_message());
    REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
    REQUIRE(status.error_message().find("provide a " + field) != std::string::npos);
  };
  pb::SubscribeRequest subscribe;
  pb::SubscribeResponse subscribed;
  refused(server.iris().Subscribe(context().get(), subscribe, &subscribed), "session");
  subscribe.set_session("S");
  refused(server.iris().Subscribe(context().get(), subscribe, &subscribed), "source");
  pb::UnsubscribeKeyRequest key;
  pb::UnsubscribeKeyResponse key_response;
  refused(server.iris().UnsubscribeKey(context().get(), key, &key_response), "session");
  key.set_session("S");
  refused(server.iris().UnsubscribeKey(context().get(), key, &key_response), "source");
  key.set_source("s");
  refused(server.iris().UnsubscribeKey(context().get(), key, &key_response), "key");
  const auto listening = context();
  refused(server.iris().Listen(listening.get(), {})->Finish(), "session");
}

TEST_CASE("Status tells who the node is, and how the cluster is as far as it knows") {
  TestServerOptions options;
  options.api.limits.value_bytes_max = 1'000;
  options.api.certificate_expires_s = [] { return std::int64_t{1'234}; };
  TestServer server(options);
  pb::SetValueRequest request;
  request.set_source("s");
  request.set_key("k");
  pb::SetValueResponse set;
  REQUIRE(server.iris().SetValue(context().get(), request, &set).ok());
  pb::StatusResponse status;
  REQUIRE(server.cluster().Status(context().get(), {}, &status).ok());
  REQUIRE(status.id() == "0000000000001111");
  REQUIRE(status.cluster_id().size() == 16);
  REQUIRE(status.role() == "leader");
  REQUIRE(status.term() >= 1);
  REQUIRE(status.leader_id() == status.id());
  REQUIRE(status.leader_address() == "127.0.0.1:2");
  REQUIRE(status.address() == "127.0.0.1:2");
  REQUIRE(status.commit() >= set.revision());
  REQUIRE(status.applied() >= set.revision());
  REQUIRE(status.log_last() >= set.revision());
  REQUIRE(status.voters() == 1);
  REQUIRE(status.learners() == 0);
  REQUIRE(status.reachable() == 1);
  REQUIRE(status.tolerates_failures() == 0);
  REQUIRE_FALSE(status.version().empty());
  REQUIRE(status.message_bytes_max() == 4u << 20);
  REQUIRE(status.value_bytes_max() == 1'000);
  REQUIRE(status.name_bytes_max() == 64u << 10);
  REQUIRE(status.certificate_expires_s() == 1'234);
  REQUIRE(status.disk_free_bytes() > 0);
  REQUIRE(status.client_connections() >= 1);  // this one
  REQUIRE(status.waiting_calls() == 0);
  REQUIRE(status.client_answer_bytes() == 0);
  REQUIRE(status.state_check_revision() == 0);  // alone, it has nothing to compare
  REQUIRE(status.state_check().empty());
  REQUIRE(status.state_hash().empty());
  REQUIRE(status.state_check_s() == 0);
  REQUIRE(status.listeners() == 0);
  REQUIRE(status.queued_update_bytes() == 0);
  REQUIRE(status.listener_states() == 0);
}

TEST_CASE("Status counts the streams of Listen") {
  TestServer server;
  pb::ListenRequest request;
  request.set_session("S");
  request.set_heartbeat_ms(100);
  const auto call = context();
  const auto stream = server.iris().Listen(call.get(), request);
  pb::Update bookmark;
  REQUIRE(stream->Read(&bookmark));
  pb::StatusResponse status;
  REQUIRE(server.cluster().Status(context().get(), {}, &status).ok());
  REQUIRE(status.listeners() == 1);
  call->TryCancel();
  static_cast<void>(stream->Finish());
}

TEST_CASE("Status tells what an operator has to know of, in words") {
  TestServerOptions options;
  std::string missing;
  options.api.alarm = [&missing] { return missing; };
  TestServer server(options);
  pb::StatusResponse status;
  REQUIRE(server.cluster().Status(context().get(), {}, &status).ok());
  REQUIRE(status.alarm().empty());
  server.on_loop([&] { missing = "no leader"; });
  REQUIRE(server.cluster().Status(context().get(), {}, &status).ok());
  REQUIRE(status.alarm() == "no leader");
}

TEST_CASE("Status sounds the alarm when the disk is almost full (hazard 96)") {
  TestServerOptions options;
  options.disk.capacity_bytes = 1'000'000;
  options.api.disk_reserve_bytes = 1;
  {
    TestServer server(options);
    pb::StatusResponse status;
    REQUIRE(server.cluster().Status(context().get(), {}, &status).ok());
    REQUIRE(status.alarm().empty());
  }
  options.api.disk_reserve_bytes = 2'000'000;
  TestServer server(options);
  pb::StatusResponse status;
  // The node looks at its disk every now and then.
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (!server.on_loop([&] { return server.node().status().disk_low; })) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::yield();
  }
  REQUIRE(server.cluster().Status(context().get(), {}, &status).ok());
  REQUIRE(status.alarm().find("-disk-reserve-bytes") != std::string::npos);
}

TEST_CASE("Status of a node in no cluster says so") {
  TestServerOptions options;
  options.cluster = Cluster::none;
  TestServer server(options);
  pb::StatusResponse status;
  REQUIRE(server.cluster().Status(context().get(), {}, &status).ok());
  REQUIRE(status.role() == "none");
  REQUIRE(status.cluster_id().empty());
  REQUIRE(status.leader_id().empty());
  REQUIRE(status.tolerates_failures() == 0);
}

TEST_CASE("Members lists the voters and who leads") {
  TestServer server;
  pb::SetValueRequest request;
  request.set_source("s");
  request.set_key("k");
  pb::SetValueResponse set;
  REQUIRE(server.iris().SetValue(context().get(), request, &set).ok());  // it leads
  pb::MembersResponse members;
  REQUIRE(server.cluster().Members(context().get(), {}, &members).ok());
  REQUIRE(members.members_size() == 1);
  const auto& member = members.members(0);
  REQUIRE(member.id() == "0000000000001111");
  REQUIRE(member.address() == "127.0.0.1:2");
  REQUIRE(member.voter());
  REQUIRE(member.leader());
  REQUIRE(member.active());
  REQUIRE_FALSE(member.leaving());
  REQUIRE(member.match() > 0);
}

TEST_CASE("membership calls say what is wrong with them") {
  TestServer server;
  const auto remove = [&](const std::string& id) {
    pb::RemoveMemberRequest request;
    request.set_id(id);
    pb::RemoveMemberResponse response;
    return server.cluster().RemoveMember(context().get(), request, &response);
  };
  REQUIRE(remove("").error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(remove("nonsense").error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(remove("00000000000022").error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(remove("0000000000000000").error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(remove("0000000000009999").error_code() == StatusCode::NOT_FOUND);
  const auto unknown = remove("10.0.0.1:5");
  REQUIRE(unknown.error_code() == StatusCode::NOT_FOUND);
  REQUIRE(unknown.error_message().find("10.0.0.1:5") != std::string::npos);
  // The only voter, by raft address, by gRPC address, by id.
  for (const char* name : {"127.0.0.1:2", "127.0.0.1:1", "0000000000001111"}) {
    const auto status = remove(name);
    INFO(status.error_message());
    REQUIRE(status.error_code() == StatusCode::FAILED_PRECONDITION);
  }
  pb::PromoteMemberRequest promote;
  promote.set_id("0000000000009999");
  pb::PromoteMemberResponse promoted;
  REQUIRE(server.cluster().PromoteMember(context().get(), promote, &promoted).error_code() ==
          StatusCode::NOT_FOUND);
  pb::TransferLeaderResponse moved;
  const auto nobody = server.cluster().TransferLeader(context().get(), {}, &moved);
  INFO(nobody.error_message());
  REQUIRE(nobody.error_code() == StatusCode::FAILED_PRECONDITION);
}

TEST_CASE("Join asks for an address that can be reached") {
  TestServer server;
  const auto join = [&](const std::string& address) {
    pb::JoinRequest request;
    request.set_address(address);
    pb::JoinResponse response;
    return server.iris().Join(context().get(), request, &response);
  };
  REQUIRE(join("").error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(join(":32001").error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(join("nowhere").error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(join("127.0.0.1:2").ok());            // a member already
  const auto other_host = join("192.0.2.7:9");  // to which this node's 127.0.0.1 means nothing
  REQUIRE(other_host.error_code() == StatusCode::FAILED_PRECONDITION);
  REQUIRE(other_host.error_message().find("-advertise") != std::string::npos);
  const auto unreachable = join("127.0.0.1:9");
  REQUIRE_FALSE(unreachable.ok());
  REQUIRE(unreachable.error_message().find("127.0.0.1:9") != std::string::npos);
}

TEST_CASE("a port that is taken is named") {
  TestServer first;
  asio::io_context loop;
  ApiOptions options;
  options.host = "127.0.0.1";
  options.port = static_cast<std::uint16_t>(std::stoi(first.address().substr(10)));
  // Never started, so its parts are never used.
  first.on_loop([&] {
    Api second(loop, first.node(), first.store(), first.listeners(), options);
    const Status started = second.start();
    REQUIRE(!started);
    REQUIRE(started.error().code == Errc::io);
    REQUIRE(started.error().text.find(std::to_string(options.port)) != std::string::npos);
    REQUIRE(started.error().text.find("another process has it") != std::string::npos);
  });
}

}  // namespace
}  // namespace iris::test
