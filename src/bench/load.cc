#include "src/bench/load.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <sys/prctl.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "raft/check.h"

namespace iris::bench {
namespace {

using namespace std::chrono_literals;

// A pause after a refusal: a node that refuses at once would otherwise be asked without end.
constexpr auto pause_after_error = 10ms;
// Longer than any single load here; keeps sums of times from overflowing.
constexpr auto endless = std::chrono::hours(24 * 365);

std::uint64_t nanoseconds(Clock::duration time) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::nanoseconds(time).count()));
}

void raise(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

void Tally::merge(const Tally& other) {
  sets.merge(other.sets);
  gets.merge(other.gets);
  delays.merge(other.delays);
  for (std::size_t i = 0; i < codes; ++i) raise(ended[i], other.ended[i].load());
  raise(answered, other.answered.load());
  raise(unsent, other.unsent.load());
}

class Load::Worker {
 public:
  Worker(Load& load, std::uint64_t seed, std::vector<Connection*> connections)
      : load_(load), random_(seed), connections_(std::move(connections)) {
    std::string value(load.options_.value_bytes, '\0');
    for (auto& byte : value) byte = static_cast<char>(random_());  // nothing to compress
    for (auto* connection : connections_) {
      for (std::uint32_t i = 0; i < load.options_.in_flight; ++i) {
        auto place = std::make_unique<Place>();
        place->connection = connection;
        place->set.set_source(load.options_.source);
        place->set.set_value(value);
        place->get.set_source(load.options_.source);
        place->get.set_consistency(load.options_.stale ? pb::STALE : pb::LINEARIZABLE);
        places_.push_back(std::move(place));
      }
    }
  }

  void start(double rate) {
    if (rate > 0) {
      for (auto& place : places_) free_.push_back(place.get());
      pacer_ = std::thread([this, rate] { pace(rate); });
    }
    waiter_ = std::thread([this, rate] {
      wait(rate > 0);
      load_.worker_ended();
    });
  }
  ~Worker() {
    if (pacer_.joinable()) pacer_.join();
    if (waiter_.joinable()) waiter_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Tally tally;  // of the waiter, but for delays and unsent: of the pacer

 private:
  // The place of one call in flight.
  struct Place {
    Connection* connection = nullptr;
    Clock::time_point due;
    Phase phase = Phase::warm_up;
    bool is_get = false;
    bool pausing = false;
    pb::SetValueRequest set;
    pb::SetValueResponse set_answer;
    pb::GetValueRequest get;
    pb::GetValueResponse get_answer;
    std::optional<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<pb::SetValueResponse>> setter;
    std::unique_ptr<grpc::ClientAsyncResponseReader<pb::GetValueResponse>> getter;
    grpc::Status status;
    grpc::Alarm alarm;
  };

  // --- Both threads; in an open loop the pacer, else the waiter.

  [[nodiscard]] std::uint64_t choose_key() {
    const std::uint64_t keys = load_.options_.keys;
    if (load_.plan_.in_order) return load_.next_key_.fetch_add(1) % keys;
    return std::uniform_int_distribution<std::uint64_t>(0, keys - 1)(random_);
  }

  void send(Place& place, Clock::time_point due, Phase phase) {
    place.due = due;
    place.phase = phase;
    place.is_get =
        std::uniform_int_distribution<std::uint32_t>(0, 99)(random_) < load_.plan_.read_percent;
    char key[24];
    const int length =
        std::snprintf(key, sizeof key, "k%010llu", static_cast<unsigned long long>(choose_key()));
    place.context.emplace();
    place.context->set_deadline(std::chrono::system_clock::now() + load_.options_.timeout);
    auto& stub = *place.connection->stub;
    if (place.is_get) {
      place.get.set_key(key, static_cast<std::size_t>(length));
      place.getter = stub.AsyncGetValue(&*place.context, place.get, &queue_);
      place.getter->Finish(&place.get_answer, &place.status, &place);
    } else {
      place.set.set_key(key, static_cast<std::size_t>(length));
      place.setter = stub.AsyncSetValue(&*place.context, place.set, &queue_);
      place.setter->Finish(&place.set_answer, &place.status, &place);
    }
  }

  // --- The waiter.

  void wait(bool paced) {
    if (!paced) {
      for (auto& place : places_) next(*place);
    }
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      auto& place = *static_cast<Place*>(tag);
      const bool paused = std::exchange(place.pausing, false);
      if (!paused) ended(place);
      if (paced) {
        release(place);
      } else if (!paused && !place.status.ok()) {
        place.pausing = true;
        place.alarm.Set(&queue_, std::chrono::system_clock::now() + pause_after_error, &place);
      } else {
        next(place);
      }
    }
  }

  // Closed loop: the next call in this place, or none any more.
  void next(Place& place) {
    const auto now = Clock::now();
    const Phase phase = load_.admit(now);
    if (phase != Phase::over) return send(place, now, phase);
    if (++places_done_ == places_.size()) queue_.Shutdown();
  }

  void ended(Place& place) {
    const auto now = Clock::now();
    const bool good = place.status.ok();
    if (good && load_.phase_at(now) == Phase::measured) raise(tally.answered);
    if (place.phase != Phase::measured) return;
    raise(tally.ended[static_cast<std::size_t>(place.status.error_code())]);
    if (good) (place.is_get ? tally.gets : tally.sets).add(nanoseconds(now - place.due));
  }

  void release(Place& place) {
    const std::lock_guard lock(mutex_);
    free_.push_back(&place);
    if (free_.size() == 1) freed_.notify_one();
  }

  // --- The pacer.

  void pace(double rate) {
    ::prctl(PR_SET_TIMERSLACK, 1);  // nanosecond: to be on time is its only duty
    const std::chrono::duration<double> period(1.0 / rate);
    std::uint64_t count = 0;
    while (true) {
      const auto due = load_.start_ + std::chrono::duration_cast<Clock::duration>(
                                          period * static_cast<double>(count++));
      const Phase phase = load_.admit(due);
      if (phase == Phase::over) break;
      std::this_thread::sleep_until(due);
      Place* place = acquire();
      const auto now = Clock::now();
      if (place == nullptr) {  // the end came first
        raise(tally.unsent);
        continue;
      }
      if (phase == Phase::measured) tally.delays.add(nanoseconds(now - due));
      send(*place, due, phase);
    }
    queue_.Shutdown();  // what was sent still ends
  }

  // A free place, waited for until the end of the load.
  [[nodiscard]] Place* acquire() {
    std::unique_lock lock(mutex_);
    while (free_.empty()) {
      if (load_.phase_at(Clock::now()) == Phase::over) return nullptr;
      freed_.wait_for(lock, 10ms);
    }
    Place* place = free_.back();
    free_.pop_back();
    return place;
  }

  Load& load_;
  std::mt19937_64 random_;
  const std::vector<Connection*> connections_;
  std::vector<std::unique_ptr<Place>> places_;
  std::size_t places_done_ = 0;
  grpc::CompletionQueue queue_;
  std::thread waiter_;

  std::thread pacer_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Place*> free_;  // under mutex_
};

Load::Load(const Options& options, const LoadPlan& plan, std::vector<Connection>& connections)
    : options_(options), plan_(plan) {
  CHECK(connections.size() >= options.threads);
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    std::vector<Connection*> own;
    for (std::size_t c = i; c < connections.size(); c += options.threads) {
      own.push_back(&connections[c]);
    }
    workers_.push_back(std::make_unique<Worker>(*this, options.seed + i, std::move(own)));
  }
}

Load::~Load() {
  stop();
  workers_.clear();
}

void Load::start() {
  start_ = Clock::now();
  measured_from_ = start_ + plan_.warm_up;
  measured_until_ = measured_from_ + (plan_.operations == 0 ? Clock::duration(plan_.duration)
                                                            : Clock::duration(endless));
  const double rate_each = static_cast<double>(plan_.rate) / static_cast<double>(workers_.size());
  for (auto& worker : workers_) worker->start(rate_each);
}

void Load::worker_ended() {
  const std::lock_guard lock(mutex_);
  ++ended_;
  ended_at_ = Clock::now();
  ended_changed_.notify_all();
}

bool Load::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return ended_changed_.wait_for(lock, time, [&] { return ended_ == workers_.size(); });
}

std::unique_ptr<LoadResult> Load::result() {
  auto result = std::make_unique<LoadResult>();
  {
    const std::lock_guard lock(mutex_);
    CHECK(ended_ == workers_.size());
    const auto end = std::min(ended_at_, measured_until_);
    result->seconds = std::max(0.0, std::chrono::duration<double>(end - measured_from_).count());
  }
  for (const auto& worker : workers_) result->tally.merge(worker->tally);
  return result;
}

Load::Phase Load::phase_at(Clock::time_point time) const {
  if (stopped_.load(std::memory_order_relaxed) || time >= measured_until_) return Phase::over;
  return time < measured_from_ ? Phase::warm_up : Phase::measured;
}

Load::Phase Load::admit(Clock::time_point due) {
  const Phase phase = phase_at(due);
  if (phase != Phase::measured || plan_.operations == 0) return phase;
  return admitted_.fetch_add(1, std::memory_order_relaxed) < plan_.operations ? phase : Phase::over;
}

Load::Progress Load::progress() const {
  Progress progress;
  const auto now = std::min(Clock::now(), measured_until_);
  progress.warming_up = now < measured_from_;
  progress.seconds = std::max(0.0, std::chrono::duration<double>(now - measured_from_).count());
  for (const auto& worker : workers_) {
    progress.answered += worker->tally.answered.load(std::memory_order_relaxed);
    for (std::size_t code = 1; code < codes; ++code) {
      progress.failed += worker->tally.ended[code].load(std::memory_order_relaxed);
    }
  }
  return progress;
}

}  // namespace iris::bench
