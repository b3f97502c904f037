// src/discovery/formation.h: nodes without data find one cluster, among nodes that answer as the
// test says.
#include "src/discovery/formation.h"

#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "proto/iris.grpc.pb.h"
#include "src/base/log.h"
#include "tests/catch.h"

namespace iris {
namespace {

using namespace std::chrono_literals;

// A node that is asked.
class Asked final : public pb::Iris::Service, public pb::Cluster::Service {
 public:
  explicit Asked(std::uint64_t id, int port = 0) : id_(id) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(static_cast<pb::Iris::Service*>(this));
    builder.RegisterService(static_cast<pb::Cluster::Service*>(this));
    server_ = builder.BuildAndStart();
    REQUIRE(server_ != nullptr);
  }
  ~Asked() override { server_->Shutdown(std::chrono::system_clock::now()); }

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int port() const { return port_; }

  std::atomic<bool> member = false;
  std::atomic<bool> founding = false;  // the first entry is there, the id of the cluster not yet
  std::atomic<bool> admitted = false;  // the id of the cluster is there, its log not yet
  std::atomic<bool> hangs = false;
  std::atomic<bool> refuses = false;
  std::atomic<int> asked = 0;
  std::atomic<int> joins = 0;
  std::string joined_address;  // good once joins > 0

 private:
  grpc::Status Status(grpc::ServerContext* context, const pb::StatusRequest*,
                      pb::StatusResponse* response) override {
    while (hangs && !context->IsCancelled()) std::this_thread::yield();
    response->set_id(hex_id(id_));
    if (member || admitted) response->set_cluster_id("00000000000000cc");
    if (member || founding) response->set_voters(1);
    ++asked;
    return grpc::Status::OK;
  }
  grpc::Status Join(grpc::ServerContext*, const pb::JoinRequest* request,
                    pb::JoinResponse*) override {
    if (joins == 0) joined_address = request->address();
    ++joins;
    if (refuses) return {grpc::StatusCode::FAILED_PRECONDITION, "of another cluster"};
    return grpc::Status::OK;
  }

  std::uint64_t id_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A node that forms, with fast rounds. Posts run at once.
struct Forming {
  static FormationOptions fast() {
    FormationOptions options;
    options.raft_address = "self.example:2";
    options.round_ms_min = 5;
    options.round_ms_max = 20;
    return options;
  }
  explicit Forming(std::uint64_t id, FormationOptions options = fast()) {
    options.self = {id};
    formation = std::make_unique<Formation>(
        options, FormationHooks{.post = [](const std::function<void()>& job) { job(); },
                                .found = [this] { ++found; },
                                .looked =
                                    [this](const std::vector<std::string>&, Neighbours now) {
                                      neighbours = now;
                                      ++looks;
                                    }});
  }
  std::atomic<int> found = 0;
  std::atomic<int> looks = 0;
  std::atomic<Neighbours> neighbours = Neighbours::unknown;  // of the last look
  std::unique_ptr<Formation> formation;
};

template <class State>
void await(State state) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (!state()) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::yield();
  }
}

TEST_CASE("a member is asked to admit this node, under the address this node gives") {
  Asked member(2);
  member.member = true;
  Forming forming(1);
  forming.formation->set_targets({member.address()}, 0);
  await([&] { return member.joins == 1; });
  REQUIRE(member.joined_address == "self.example:2");
}

TEST_CASE("a target that is down is asked until it is up") {
  int port = 0;
  { port = Asked(2).port(); }
  Forming forming(1);
  forming.formation->set_targets({"127.0.0.1:" + std::to_string(port)}, 0);
  Asked late(2, port);
  late.member = true;
  await([&] { return late.joins > 0; });
}

TEST_CASE("a join that is refused is asked again, of the next target too") {
  Asked refusing(2);
  refusing.member = true;
  refusing.refuses = true;
  Asked admitting(3);
  Forming forming(1);
  forming.formation->set_targets({refusing.address(), admitting.address()}, 0);
  await([&] { return refusing.joins > 2; });
  REQUIRE(admitting.joins == 0);  // belongs to no cluster yet
  admitting.member = true;
  await([&] { return admitting.joins > 0; });
}

TEST_CASE("a node that only joins never founds, whatever the others are") {
  Asked self(1);
  Asked empty(2);
  Forming forming(1);
  forming.formation->set_targets({self.address(), empty.address()}, 0);
  await([&] { return empty.asked > 5; });
  REQUIRE(forming.found == 0);
}

TEST_CASE("alone, and expected to be, a node founds at once") {
  Forming forming(1);
  forming.formation->set_targets({}, 1);
  await([&] { return forming.found == 1; });
}

TEST_CASE("of three empty nodes the one with the least id founds, once (hazard 56)") {
  Asked one(1);
  Asked two(2);
  Asked three(3);
  const std::vector<std::string> all = {three.address(), one.address(), two.address()};
  Forming second(2);
  Forming third(3);
  second.formation->set_targets(all, 3);
  third.formation->set_targets(all, 3);
  await([&] { return one.asked > 10; });
  REQUIRE(second.found == 0);
  REQUIRE(third.found == 0);
  Forming first(1);
  first.formation->set_targets(all, 3);
  await([&] { return first.found == 1; });
  one.member = true;  // as it would say now
  await([&] { return one.joins >= 2; });
  REQUIRE(second.found == 0);
  REQUIRE(third.found == 0);
  REQUIRE(first.found == 1);
}

TEST_CASE("nobody founds while a node of the list does not answer (hazard 56)") {
  Asked one(1);
  Asked two(2);
  int port = 0;
  { port = Asked(3).port(); }
  Forming first(1);
  first.formation->set_targets({one.address(), two.address(), "127.0.0.1:" + std::to_string(port)},
                               3);
  await([&] { return two.asked > 10; });
  REQUIRE(first.found == 0);
  Asked three(3, port);
  await([&] { return first.found == 1; });
}

TEST_CASE("nobody founds where a cluster is there already (hazard 56)") {
  Asked two(2);
  Asked three(3);
  three.member = true;
  FormationOptions options = Forming::fast();
  options.join_ms_max = 50;  // admitted in vain, again and again: no leader calls
  Forming first(1, options);
  first.formation->set_targets({two.address(), three.address()}, 3);
  await([&] { return three.joins > 2; });
  REQUIRE(first.found == 0);
}

TEST_CASE("nobody founds with fewer nodes than expected") {
  Asked two(2);
  Forming first(1);
  first.formation->set_targets({two.address()}, 3);
  await([&] { return two.asked > 10; });
  REQUIRE(first.found == 0);
  Asked three(3);
  first.formation->set_targets({two.address(), three.address()}, 3);
  await([&] { return first.found == 1; });
}

TEST_CASE(
    "a node whose first entry is written is no empty one, though its disk is slow (hazard 56)") {
  Asked founding(9);
  founding.founding = true;
  FormationOptions options = Forming::fast();
  options.join_ms_max = 50;
  Forming first(1, options);
  first.formation->set_targets({founding.address()}, 2);
  await([&] { return founding.joins > 2; });
  REQUIRE(first.found == 0);
}

TEST_CASE("a node that was admitted and waits for its log is neither empty nor a member") {
  Asked admitted(9);
  admitted.admitted = true;
  Forming first(1);
  first.formation->set_targets({admitted.address()}, 2);
  await([&] { return admitted.asked > 5; });
  REQUIRE(first.found == 0);
  REQUIRE(admitted.joins == 0);
}

TEST_CASE("a node needs no way to its own address to count itself") {
  int port = 0;
  { port = Asked(1).port(); }  // its port answers no more
  Asked two(2);
  FormationOptions options = Forming::fast();
  options.raft_address = "127.0.0.1:" + std::to_string(port + 1);
  Forming first(1, options);
  first.formation->set_targets({"127.0.0.1:" + std::to_string(port), two.address()}, 2);
  await([&] { return first.found == 1; });
}

TEST_CASE("nodes that wait for each other look often, however rarely one that only joins does") {
  Asked two(2);
  FormationOptions options = Forming::fast();
  options.round_ms_max = 600'000;
  options.founding_round_ms_max = 20;
  Forming first(1, options);
  first.formation->set_targets({two.address()}, 3);
  await([&] { return two.asked > 30; });
}

TEST_CASE(
    "what a round finds is told: all empty, somebody silent, or a node that cannot be joined") {
  Asked empty(2);
  Asked refusing(3);
  int silent = 0;
  { silent = Asked(4).port(); }
  const auto looked_at = [](Forming& forming, std::vector<std::string> targets) {
    forming.formation->set_targets(std::move(targets), 0);
    const int before = forming.looks;
    await([&] { return forming.looks > before + 1; });
    return forming.neighbours.load();
  };
  Forming forming(1);
  REQUIRE(looked_at(forming, {empty.address()}) == Neighbours::empty);
  REQUIRE(looked_at(forming, {empty.address(), "127.0.0.1:" + std::to_string(silent)}) ==
          Neighbours::unknown);
  refusing.member = true;
  refusing.refuses = true;
  REQUIRE(looked_at(forming, {empty.address(), refusing.address()}) == Neighbours::unjoinable);
  refusing.member = false;
  refusing.admitted = true;  // it may serve soon
  REQUIRE(looked_at(forming, {empty.address(), refusing.address()}) == Neighbours::unknown);
}

TEST_CASE("new targets are looked at at once") {
  Asked empty(2);
  FormationOptions options = Forming::fast();
  options.round_ms_min = options.round_ms_max = 600'000;
  Forming first(1, options);
  first.formation->set_targets({empty.address()}, 0);
  await([&] { return empty.asked == 1; });
  Asked member(3);
  member.member = true;
  first.formation->set_targets({empty.address(), member.address()}, 0);
  await([&] { return member.joins == 1; });
}

TEST_CASE("stopping does not wait for an answer") {
  Asked hanging(2);
  hanging.hangs = true;
  FormationOptions options;
  options.self = {1};
  options.raft_address = "self.example:2";
  options.probe_ms_max = 60'000;
  auto formation = std::make_unique<Formation>(
      options,
      FormationHooks{.post = [](const std::function<void()>& job) { job(); }, .found = [] {}});
  formation->set_targets({hanging.address()}, 0);
  const auto begin = std::chrono::steady_clock::now();
  formation.reset();
  REQUIRE(std::chrono::steady_clock::now() - begin < 20s);
}

}  // namespace
}  // namespace iris
