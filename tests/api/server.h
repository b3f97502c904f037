// TestServer: the Api on a real Node, a real Machine and a store in memory, in this process, with a
// loop thread as in production. Its node is alone, or the follower of a leader that never answers.
// Everything public is for the test's thread.
#pragma once

#include <grpcpp/create_channel.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proto/iris.grpc.pb.h"
#include "src/api/api.h"
#include "src/listeners/listeners.h"
#include "src/node/node.h"
#include "src/server/node_history.h"
#include "tests/sim/model_store.h"

namespace iris::test {

struct TestServerOptions {
  enum class Cluster {
    alone,      // the only voter, so it leads
    none,       // in no cluster, so there is no leader
    leaderless  // knows a leader, which never answers
  };
  Cluster cluster = Cluster::alone;
  ApiOptions api;  // the host is 127.0.0.1, the port any free one
  sim::DiskProfile disk;
};

class TestServer {
 public:
  explicit TestServer(TestServerOptions options = {});
  ~TestServer();  // stops, if stop() was not called
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  [[nodiscard]] std::string address() const;
  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // A channel with a connection of its own, and client-side limits lifted.
  [[nodiscard]] std::shared_ptr<grpc::Channel> new_channel(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials = nullptr) const;
  [[nodiscard]] pb::Iris::Stub& iris() { return *iris_; }
  [[nodiscard]] pb::Cluster::Stub& cluster() { return *cluster_; }

  // Runs `fn` on the loop and waits for it.
  template <class Fn>
  auto on_loop(Fn fn) {
    std::packaged_task<decltype(fn())()> task(std::move(fn));
    auto result = task.get_future();
    asio::post(loop_, [&task] { task(); });
    return result.get();
  }
  [[nodiscard]] Node& node() { return *node_; }  // on the loop
  [[nodiscard]] Api& api() { return *api_; }     // on the loop
  [[nodiscard]] store::Store& store() { return *store_; }
  [[nodiscard]] Listeners& listeners() { return *listeners_; }
  // Begins as main does: health, the node's waiters, the drain. `done` is set at the end.
  std::future<void> begin_stop(std::uint32_t drain_ms);
  void stop(std::uint32_t drain_ms = 1'000) { begin_stop(drain_ms).wait(); }

 private:
  class Silence;  // a Transport to nobody
  void make_node(TestServerOptions::Cluster cluster);
  void make_listeners();
  void tick();
  void hear_of_leader();

  TestServerOptions options_;
  asio::io_context loop_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
  asio::steady_timer ticker_{loop_};
  std::unique_ptr<sim::ModelDisk> disk_;
  std::unique_ptr<sim::ModelStore> store_;
  std::unique_ptr<Silence> silence_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<NodeHistory> history_;
  std::unique_ptr<Listeners> listeners_;
  std::unique_ptr<Api> api_;
  std::thread thread_;
  bool stopping_ = false;  // test's thread
  bool stopped_ = false;   // loop
  std::uint64_t round_ = 0;

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::Iris::Stub> iris_;
  std::unique_ptr<pb::Cluster::Stub> cluster_;
};

// A context with a deadline: no call of a test may hang.
[[nodiscard]] std::unique_ptr<grpc::ClientContext> context(
    std::chrono::milliseconds timeout = std::chrono::seconds(20));
// The trailing metadata of that name; empty where there is none.
[[nodiscard]] std::string trailer(const grpc::ClientContext& context, const std::string& name);

}  // namespace iris::test
