// Subscriber: one client with one session: subscribes and unsubscribes through any node, listens at
// one node for ever or moves, reads fast, slowly or not at all, is cut off, comes back (sometimes
// so late that its session has expired), takes its own session over elsewhere, and goes on where it
// stopped as src/listeners/listeners.h says a client must. Keeps a Shadow of all it was told.
// One thread. Owns its streams. What a stream tells is judged by FeedJudge; here: nothing twice
// over all its streams (WU), and the map equals the state at every revision it knows (WR).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/calls.h"
#include "tests/sim/feed_stream.h"
#include "tests/sim/shadow.h"

namespace iris::sim {

class Subscriber final : public FeedReader {
 public:
  Subscriber(World& world, Calls& calls, std::uint64_t number);
  ~Subscriber() override;
  void start();
  // From now on it stays, reads, and listens only at members.
  // How long it may take at the most to be told so many updates.
  [[nodiscard]] std::uint64_t retold_us(std::uint64_t updates) const;
  void settle();
  void process_ended(const Host& host, std::uint64_t life);
  // Empty: it was told everything up to the last commit, and its map is what it must be.
  [[nodiscard]] std::string lacks() const;

 private:
  enum class Kind {
    plain,    // knows none of the new fields
    resumes,  // by after_revision
    initial,  // asks for the state every time
  };

  void later();
  void act();
  void act_settled();
  void stop_reading();
  void leave(std::uint64_t pause_us);
  void take_over();
  void drop_former();

  [[nodiscard]] bool is_to_be_told() const;
  [[nodiscard]] Host* pick_voice();
  [[nodiscard]] Host* pick_listening();
  [[nodiscard]] bool serves(const Host& host) const;
  void subscribe(bool then_connect);
  void unsubscribe();
  void reconnect_later(std::uint64_t pause_us);
  void connect();
  [[nodiscard]] ListenSpec ask();
  [[nodiscard]] const SessionModel::Session* session() const;

  void heard(const FeedStream& from, const Update& update) override;
  void over(const FeedStream& from, std::optional<StreamEnd> end) override;
  void heard_change(const Update& update);
  void check(std::uint64_t revision) const;

  World& world_;
  Calls& calls_;
  const std::uint64_t number_;
  const std::string name_;
  Random random_;
  Kind kind_;
  bool roams_;
  std::uint32_t heartbeat_ms_ = 0;
  FeedStream::Pace pace_;
  std::size_t home_;
  bool settled_ = false;
  std::uint64_t settled_at_ = 0;  // what was committed then

  std::shared_ptr<FeedStream> stream_;               // that it reads
  std::vector<std::shared_ptr<FeedStream>> former_;  // taken over, or cut off and not heard of yet
  std::uint64_t streams_ = 0;                        // ever
  bool connecting_ = false;                          // a connect() is on its way
  bool expired_ = false;                             // it was told that its session is
  std::uint64_t heard_us_ = 0;

  // Where to go on: all up to this revision was heard, or, where it removed keys, up to this key.
  std::uint64_t revision_ = 0;
  std::string key_;
  bool in_state_ = false;
  Shadow shadow_;
};

}  // namespace iris::sim
