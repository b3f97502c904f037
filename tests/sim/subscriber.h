// Subscriber: one client with one session. It subscribes and unsubscribes through any node, listens
// at one node or moves, and reads fast, slowly or not at all. It is cut off, comes back (sometimes
// after its session has expired), and takes its own session over at another node. It resumes as
// src/listeners/listeners.h prescribes. A Shadow is the map that it builds from its updates.
// One thread. Owns its streams. FeedJudge judges each stream; the subscriber judges all of them
// together: no update comes twice (WU), and the map equals the state at each known revision (WR).
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
  // The longest time in which so many updates reach it at its pace of reading, in microseconds.
  [[nodiscard]] std::uint64_t retold_us(std::uint64_t updates) const;
  // From now on it stays at one node, reads, and listens only at members.
  void settle();
  void process_ended(const Host& host, std::uint64_t life);
  // Empty: it heard everything up to the last commit, and its map equals the state. Else a
  // sentence.
  [[nodiscard]] std::string lacks() const;

 private:
  enum class Kind {
    plain,    // sets no optional field
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

  std::shared_ptr<FeedStream> stream_;  // the one it reads
  std::vector<std::shared_ptr<FeedStream>>
      former_;                 // taken over or cut off, with an end that it has not heard
  std::uint64_t streams_ = 0;  // ever
  bool connecting_ = false;    // a connect() is scheduled
  bool expired_ = false;       // a stream said so of its session
  std::uint64_t heard_us_ = 0;

  // The place to resume at: everything up to this revision was heard, or, where it changed several
  // keys, everything up to this source and key of it.
  std::uint64_t revision_ = 0;
  std::string source_, key_;
  bool in_state_ = false;
  Shadow shadow_;
};

}  // namespace iris::sim
