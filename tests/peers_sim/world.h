// World: hosts with processes on them, their network and their time, all by one seed. It runs the
// processes' loops and the network's events, and makes the faults of its Plan.
// One thread. Owns hosts and network; a process is made by the test, which judges what it does.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/peers_sim/network.h"
#include "tests/peers_sim/plan.h"
#include "tests/sim/random.h"
#include "tests/sim/timeline.h"

namespace iris::peers_sim {

class World;

// What runs on a host. Destroyed at the end of its process, while its loop still stands.
class Program {
 public:
  virtual ~Program() = default;
};

class Host {
 public:
  Host(World& world, std::size_t number) : world_(world), number_(number) {}
  ~Host() { end(); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] std::size_t number() const { return number_; }
  [[nodiscard]] raft::NodeId id() const { return {number_ + 1}; }
  [[nodiscard]] std::string address() const;
  [[nodiscard]] raft::Member member() const { return {id(), address()}; }
  [[nodiscard]] bool runs() const { return program_ != nullptr; }
  [[nodiscard]] bool paused() const { return paused_; }
  // Of what its process draws: another one in each life, never 0.
  [[nodiscard]] std::uint64_t seed() const;
  // REQUIRES: runs()
  [[nodiscard]] asio::io_context& loop() { return *loop_; }
  [[nodiscard]] Program& program() { return *program_; }

  void start();
  void end();
  void pause() { paused_ = runs(); }
  void resume() { paused_ = false; }
  // Calls `work` on the loop of this life of the process, in so many microseconds, if it still
  // runs.
  void after(std::uint64_t wait_us, std::function<void()> work);
  // Runs what is ready. False: nothing was.
  bool turn();

 private:
  using Guard = asio::executor_work_guard<asio::io_context::executor_type>;

  World& world_;
  const std::size_t number_;
  std::uint64_t life_ = 0;
  bool paused_ = false;
  std::unique_ptr<asio::io_context> loop_;
  std::optional<Guard> guard_;
  std::unique_ptr<Program> program_;
};

class World {
 public:
  using Make = std::function<std::unique_ptr<Program>(Host& host)>;

  World(const Plan& plan, Make make, Network::OnWritten on_written = nullptr);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] sim::Timeline& timeline() { return timeline_; }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] std::size_t size() const { return hosts_.size(); }
  [[nodiscard]] Host& host(std::size_t number) { return *hosts_[number]; }
  [[nodiscard]] const Make& make() const { return make_; }
  [[nodiscard]] std::vector<raft::Member> members() const;

  void start_all();
  // From now on, for plan().faults_us.
  void begin_faults();
  // Every process runs, every link works, and the network breaks nothing any more.
  void heal();
  // Until `state` holds, or for so long. False: it never did, or something was wrong before.
  bool until(const std::function<bool()>& state, std::uint64_t limit_us);
  void run_for(std::uint64_t time_us);

  // The first violation is kept, and nothing runs after it.
  void wrong(const std::string& invariant, const std::string& text);
  [[nodiscard]] const std::string& violation() const { return violation_; }

 private:
  void settle();
  void fault_later(std::uint64_t mean_us, void (World::*fault)());
  void block_a_link();
  void crash_a_process();
  void pause_a_process();

  const Plan plan_;
  const Make make_;
  sim::Timeline timeline_;
  sim::Random faults_;
  Network network_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::uint64_t faults_until_us_ = 0;
  bool healed_ = false;
  std::string violation_;
};

}  // namespace iris::peers_sim
