// FeedStream: one Listen call of a subscriber to one process, and its connection. Updates arrive in
// order after a delay, and are lost with the connection or the process.
// One thread. Owns the updates in transit and the FeedJudge of the stream. Lives until both ends
// know that it is over.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "src/listeners/listeners.h"
#include "tests/sim/feed_judge.h"
#include "tests/sim/random.h"

namespace iris::sim {

class Host;
class World;

class FeedStream;

// The client's end.
class FeedReader {
 public:
  virtual ~FeedReader() = default;
  virtual void heard(const FeedStream& from, const Update& update) = 0;
  // nullopt: the connection broke, or the call was refused.
  virtual void over(const FeedStream& from, std::optional<StreamEnd> end) = 0;
};

class FeedStream final : public UpdateStream, public std::enable_shared_from_this<FeedStream> {
 public:
  struct Pace {
    std::size_t window = 1;     // updates in transit before the writer must wait
    std::uint64_t read_us = 0;  // of the client for one update, at most
  };

  // `reader` is told until abandon(), cut() or over().
  FeedStream(Host& host, ListenSpec spec, Pace pace, Random random, FeedReader& reader);

  // The call leaves the client.
  void begin();
  // The client reads nothing, or reads on.
  void set_reading(bool reading);
  // The client reads on but ignores the updates: it has taken its session over at another node.
  void abandon() { reader_ = nullptr; }
  // The client's end is gone; the node hears of it after `delay_us`.
  void cut(std::uint64_t delay_us);
  void process_ended(const Host& host, std::uint64_t life);

  [[nodiscard]] const Host& host() const { return host_; }
  [[nodiscard]] const FeedJudge* judge() const { return judge_ ? &*judge_ : nullptr; }
  // The node serves it.
  [[nodiscard]] bool is_open() const { return id_.has_value(); }
  // Nothing but heartbeats is in transit; to a slow client some always are.
  [[nodiscard]] bool is_read() const;
  // Neither end will hear of it any more.
  [[nodiscard]] bool is_over() const { return over_; }

  // --- UpdateStream
  bool write(const UpdatePtr& update, bool more) override;
  void close(StreamEnd end, const std::string& text) override;

 private:
  void arrive_later();
  void arrive();
  void end(std::optional<StreamEnd> end);
  void tell_end();
  [[nodiscard]] std::uint64_t latency_us();

  Host& host_;
  World& world_;
  const std::uint64_t life_;
  const ListenSpec spec_;
  const Pace pace_;
  Random random_;
  FeedReader* reader_;
  std::optional<FeedJudge> judge_;  // once the node took the call
  std::optional<ListenerId> id_;
  std::deque<UpdatePtr> way_;  // to the client
  bool reading_ = true;
  bool arriving_ = false;  // an arrival is scheduled
  bool blocked_ = false;   // the writer waits for writable()
  bool ending_ = false;    // the end follows the updates in transit
  std::optional<StreamEnd> end_;
  bool over_ = false;
};

}  // namespace iris::sim
