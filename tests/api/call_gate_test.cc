// CallLimits at a gRPC server of this process: how many calls of a method may be inside, and that a
// connection with few calls is served although others hold all there is.
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

#include "src/api/stream_call.h"
#include "src/api/unary_call.h"
#include "tests/api/server.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

using SetCall = UnaryCall<pb::SetValueRequest, pb::SetValueResponse>;
using KeysCall = StreamCall<pb::GetKeysRequest, pb::GetKeysResponse>;
using Service =
    pb::Iris::WithAsyncMethod_SetValue<pb::Iris::WithAsyncMethod_GetKeys<pb::Iris::Service>>;

// Counts what comes, for the test's thread to wait on.
class Counter {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  [[nodiscard]] bool await(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return count_ >= count; });
  }
  [[nodiscard]] std::size_t count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
};

// A server whose calls stay inside until their clients give up.
class HoldingServer {
 public:
  explicit HoldingServer(CallLimits limits)
      : set_(gate_, limits,
             {.ask = Ask{*this},
              .handle = [this](SetCall&) { inside.add(); },
              .refuse = refuse<SetCall>,
              .abandon =
                  [](SetCall& call) {
                    call.finish({StatusCode::CANCELLED, "given up"});
                  }}),
        keys_(
            gate_, limits, Ask{*this},
            [this](KeysCall& call) {
              inside.add();
              return std::make_unique<Holder>(call);
            },
            refuse<KeysCall>) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    completions_ = std::make_unique<CompletionThread>(loop_, builder.AddCompletionQueue());
    server_ = builder.BuildAndStart();
    completions_->start();
    set_.start();
    keys_.start();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~HoldingServer() {
    asio::post(loop_, [this] { gate_.shut(); });
    server_->Shutdown(std::chrono::system_clock::now());
    asio::post(loop_, [this] {
      gate_.when_empty([this] { completions_->stop([this] { loop_.stop(); }); });
    });
    thread_.join();
  }
  HoldingServer(const HoldingServer&) = delete;
  HoldingServer& operator=(const HoldingServer&) = delete;

  [[nodiscard]] std::unique_ptr<pb::Iris::Stub> connect() const {
    grpc::ChannelArguments own_connection;
    own_connection.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return pb::Iris::NewStub(grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(port_), grpc::InsecureChannelCredentials(), own_connection));
  }

  Counter inside;

 private:
  struct Ask {
    HoldingServer& server;
    void operator()(auto* context, auto* request, auto* writer, void* tag) const {
      server.service_.ask(context, request, writer, server.completions_->queue(), tag);
    }
  };
  class Holder final : public StreamHandler<pb::GetKeysRequest, pb::GetKeysResponse> {
   public:
    explicit Holder(KeysCall& call) : call_(call) {}

   private:
    void written(bool) override {}
    void cancelled() override { call_.finish({StatusCode::CANCELLED, "given up"}); }
    KeysCall& call_;
  };

  template <class Call>
  static void refuse(Call& call, const Error& error) {
    call.finish({StatusCode::RESOURCE_EXHAUSTED, error.text});
  }

  asio::io_context loop_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
  CallGate gate_{loop_};
  ReceivingService<Service> service_;
  SetCall::Method set_;
  KeysCall::Method keys_;
  std::unique_ptr<CompletionThread> completions_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::thread thread_;
};

// One connection: calls that are held, and one more that says whether it is.
class Client {
 public:
  explicit Client(HoldingServer& server) : server_(server), stub_(server.connect()) {}
  ~Client() {
    for (Call& call : calls_) call.context->TryCancel();
    REQUIRE(over_.await(calls_.size()));
  }

  void set() {
    Call& call = add();
    stub_->async()->SetValue(call.context.get(), &call.set, &call.set_response,
                             [this, &call](const grpc::Status& status) { end(call, status); });
  }
  void list() {
    Call& call = add();
    call.reader.emplace(*this, call);
    stub_->async()->GetKeys(call.context.get(), &call.keys, &*call.reader);
    call.reader->StartCall();
  }
  // Starts one after the other with `start`, each of which must get inside.
  void hold(std::size_t count, void (Client::*start)()) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t inside = server_.inside.count();
      (this->*start)();
      INFO("call " << i + 1);
      REQUIRE(server_.inside.await(inside + 1));
    }
  }
  // The sentence with which one more is refused.
  std::string refusal(void (Client::*start)()) {
    const std::size_t inside = server_.inside.count();
    (this->*start)();
    REQUIRE(over_.await(1));
    REQUIRE(server_.inside.count() == inside);
    const grpc::Status status = *calls_.back().status;
    REQUIRE(status.error_code() == StatusCode::RESOURCE_EXHAUSTED);
    return status.error_message();
  }

 private:
  struct Call;
  class Reader final : public grpc::ClientReadReactor<pb::GetKeysResponse> {
   public:
    Reader(Client& client, Call& call) : client_(client), call_(call) {}

   private:
    void OnDone(const grpc::Status& status) override { client_.end(call_, status); }
    Client& client_;
    Call& call_;
  };
  struct Call {
    std::unique_ptr<grpc::ClientContext> context = test::context(60s);
    pb::SetValueRequest set;
    pb::SetValueResponse set_response;
    pb::GetKeysRequest keys;
    std::optional<Reader> reader;
    std::optional<grpc::Status> status;
  };

  Call& add() { return calls_.emplace_back(); }
  void end(Call& call, const grpc::Status& status) {
    call.status = status;
    over_.add();
  }

  HoldingServer& server_;
  std::unique_ptr<pb::Iris::Stub> stub_;
  std::list<Call> calls_;
  Counter over_;
};

TEST_CASE("a method has open_max calls inside, one more is refused by a sentence") {
  HoldingServer server({.ahead = 4, .open_max = 20});
  Client client(server);
  client.hold(20, &Client::set);
  CHECK(client.refusal(&Client::set) == "over the limit of 20 open calls of this method");
}

TEST_CASE("where a method is full a connection has calls_always_taken calls inside, no more") {
  HoldingServer server({.ahead = 4, .open_max = 20});
  Client greedy(server);
  greedy.hold(20, &Client::set);
  Client modest(server);
  modest.hold(calls_always_taken, &Client::set);
  CHECK(modest.refusal(&Client::set) == "over the limit of 20 open calls of this method");
}

TEST_CASE("a method of streams has open_max of them inside, one more is refused by a sentence") {
  HoldingServer server({.ahead = 4, .open_max = 5, .connection_max = 100});
  Client client(server);
  client.hold(5, &Client::list);
  CHECK(client.refusal(&Client::list) == "over the limit of 5 open calls of this method");
}

TEST_CASE("where streams are full a connection has streams_always_taken inside, no more") {
  HoldingServer server({.ahead = 4, .open_max = 5, .connection_max = 100});
  Client greedy(server);
  greedy.hold(5, &Client::list);
  Client modest(server);
  modest.hold(streams_always_taken, &Client::list);
  CHECK(modest.refusal(&Client::list) == "over the limit of 5 open calls of this method");
}

TEST_CASE("one connection has connection_max streams of a method, one more is refused") {
  HoldingServer server({.ahead = 4, .open_max = 100, .connection_max = 3});
  Client client(server);
  client.hold(3, &Client::list);
  CHECK(client.refusal(&Client::list) ==
        "over the limit of 3 open calls of this method from one connection");
}

}  // namespace
}  // namespace iris::test
