// Calls: the calls of clients and operators to nodes, and the judgement of every answer (invariants
// LIN RL ACK EO): revisions are unique and those of the log, real-time order holds, each read
// equals the last write at or before its point, a command answered as "not proposed" is never
// committed, and each call is answered once and in time. One thread. Owns the open calls. Stands
// for src/api between a client and a node.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/node/node.h"
#include "tests/sim/key_model.h"

namespace iris::sim {

class Host;
class World;

enum class CallResult {
  ok,
  condition_failed,
  refused,  // certainly not done
  unknown,  // may have been done; also where the process ended or the client gave up
};

class Calls {
 public:
  using Then = std::function<void(CallResult answer, std::uint64_t revision)>;

  explicit Calls(World& world) : world_(world) {}

  void write(Host& host, Operation operation, std::uint64_t deadline_ms, Then then);
  // min_revision counts where `consistency` is stale.
  void get(Host& host, const std::string& source, const std::string& key, Consistency consistency,
           std::uint64_t min_revision, std::uint64_t deadline_ms, Then then);
  void list_keys(Host& host, const std::string& source, Consistency consistency,
                 std::uint64_t min_revision, std::uint64_t deadline_ms, Then then);
  void list_sources(Host& host, Consistency consistency, std::uint64_t min_revision,
                    std::uint64_t deadline_ms, Then then);
  void admin(Host& host, AdminRequest request, std::uint64_t deadline_ms,
             const std::function<void(bool ok, const std::string& text)>& then);

  // The open calls to this life of the process end as unknown.
  void process_ended(const Host& host, std::uint64_t life);
  [[nodiscard]] std::size_t open() const { return open_.size(); }

 private:
  struct Call {
    std::string text;  // for the trace
    Host* host = nullptr;
    std::uint64_t life = 0;
    std::uint64_t begun_us = 0;
    std::uint64_t paused_us = 0;  // of the process, when it began
    std::uint64_t deadline_ms = 0;
    std::uint64_t floor = 0;  // the least point it may have
    bool inside = true;       // the function of the node has not returned yet
    bool node_answered = false;
    bool finished = false;  // the client has its answer, or has given up
    bool linearizable = true;
    std::uint64_t min_revision = 0;
    Operation operation;  // of a write
    Then then;
  };
  using CallPtr = std::shared_ptr<Call>;

  CallPtr begin(Host& host, std::string text, std::uint64_t deadline_ms, Then then);
  // Notes that the node answered. False: the answer must be ignored, because its process has died
  // before this effect.
  bool answered(Call& call);
  void finish(Call& call, CallResult answer, std::uint64_t point);
  void watch_time(const CallPtr& call);
  void judge_write(Call& call, const Result<Outcome>& result);
  void judge_done(Call& call, const Outcome& outcome);
  void judge_condition(Call& call, const Outcome& outcome);
  void judge_get(Call& call, const std::string& source, const std::string& key,
                 const KeyModel::Read& read);
  // A list that was read from the state at revision `applied`.
  void judge_view(Call& call, std::uint64_t applied, bool equal);
  CallPtr begin_read(Host& host, std::string text, Consistency consistency,
                     std::uint64_t min_revision, std::uint64_t deadline_ms, Then then,
                     const std::function<void(const CallPtr&)>& serve);
  // True: the read may be served now. False: the call is finished.
  bool may_serve(Call& call, const Status& status);

  World& world_;
  std::vector<CallPtr> open_;
  std::uint64_t floor_ = 0;  // the greatest point of a call that ended
};

}  // namespace iris::sim
