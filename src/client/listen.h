// Listener::State: one thread that subscribes, opens the stream, runs the callbacks, and does so
// again at another node when the stream breaks. Owns that thread and its completion queue;
// shares the pool with the client that made it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "src/client/call.h"
#include "src/client/client.h"
#include "src/client/cursor.h"
#include "src/client/patience.h"
#include "src/client/pool.h"

namespace iris::client {

// Subscribes the session to a source or to one key, by the call that fits the topic.
[[nodiscard]] grpc::Status send_subscribe(Node& node, grpc::ClientContext& context,
                                          const std::string& session, const Topic& topic);

struct Listener::State {
 public:
  // invalid_argument: no topic, a name that is empty or not UTF-8, a heartbeat out of range, no
  // on_update.
  [[nodiscard]] static Result<std::unique_ptr<State>> start(std::shared_ptr<Pool> pool,
                                                            ListenOptions options,
                                                            ListenHandlers handlers);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void stop();
  [[nodiscard]] Position position() const;
  [[nodiscard]] bool wait(std::chrono::milliseconds timeout) const;

 private:
  State(std::shared_ptr<Pool> pool, ListenOptions options, ListenHandlers handlers);
  void run();
  // One session at one node, from subscribing to the end of its stream. Done: stopped. An error:
  // why it ended; final(error) says whether to go on.
  [[nodiscard]] Result<Done> serve();
  // The node to ask; nullptr: stopped.
  [[nodiscard]] Result<Node*> find_node();
  [[nodiscard]] Result<Done> prepare();
  // As serve(), but for the subscribing; Done also where a mark is kept, unproved.
  [[nodiscard]] Result<Done> read_stream(Node& node);
  [[nodiscard]] std::uint64_t after_revision() const;
  [[nodiscard]] bool may_have_expired() const;
  void forget_session();
  // A mark of a doubtful stream: it waits until it is known whether the session lives.
  [[nodiscard]] bool keep_unproved(const pb::Update& wire);
  void deliver(const Update& update);
  void pause();
  [[nodiscard]] bool stopped() const { return abort_.flag().load(std::memory_order_relaxed); }

  const std::shared_ptr<Pool> pool_;
  const ListenOptions options_;
  const ListenHandlers handlers_;
  Abort abort_;

  // Of the thread.
  std::string session_;
  Cursor cursor_;
  Patience patience_;
  bool earlier_;                    // the position was reached in another session
  bool subscribed_ = false;         // as far as is known
  Clock::time_point alive_ = {};    // when the session last surely was
  bool doubtful_ = false;           // it may have expired before the stream that is read began
  std::optional<Update> unproved_;  // such a stream's mark, from which the next is to go on
  std::uint32_t fruitless_ = 0;     // attempts since it last was
  std::minstd_rand jitter_{std::random_device{}()};

  mutable std::mutex mutex_;  // of what is below
  mutable std::condition_variable changed_;
  Position position_;
  bool ended_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace iris::client
