#include "tests/sim/feed_stream.h"

#include <algorithm>
#include <utility>

#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {

FeedStream::FeedStream(Host& host, ListenSpec spec, Pace pace, Random random, FeedReader& reader)
    : host_(host),
      world_(host.world()),
      life_(host.life()),
      spec_(std::move(spec)),
      pace_(pace),
      random_(random),
      reader_(&reader) {}

std::uint64_t FeedStream::latency_us() {
  return world_.options.delay_us + random_.below(world_.options.jitter_us + 1);
}

void FeedStream::begin() {
  world_.timeline.after(latency_us(), [self = shared_from_this()] {
    if (self->over_) return;
    self->host_.enter_life(self->life_, [self] {
      if (self->over_) return;  // the client did not wait
      const std::string who = self->spec_.session + " on h" + std::to_string(self->host_.number());
      self->judge_.emplace(self->world_.ghost, self->spec_, who);
      const auto id = self->host_.serving()->listeners().open(self->spec_, *self);
      if (id) {
        self->id_ = *id;
      } else {
        self->end(std::nullopt);
      }
    });
  });
}

// --- The node's end.

bool FeedStream::write(const UpdatePtr& update, bool) {
  CHECK(!blocked_ && !ending_);
  if (!host_.effect()) return !(blocked_ = true);
  judge_->told(*update);
  world_.timeline.note(update->revision);
  ++world_.stats.updates;
  way_.push_back(update);
  arrive_later();
  blocked_ = way_.size() >= pace_.window;
  return !blocked_;
}

void FeedStream::close(StreamEnd why, const std::string& text) {
  CHECK(!text.empty());
  id_.reset();
  if (!host_.effect()) return;
  TRACE(host_.tag(), spec_.session + " is ended: " + text);
  judge_->ended(why);
  end(why);
}

void FeedStream::end(std::optional<StreamEnd> why) {
  ending_ = true;
  end_ = why;
  arrive_later();
}

void FeedStream::process_ended(const Host& host, std::uint64_t life) {
  if (over_ || &host != &host_ || life != life_) return;
  id_.reset();
  // Bytes that the kernel has taken may still arrive.
  if (random_.below(2) == 0) way_.clear();
  if (!ending_) end(std::nullopt);
}

// --- The client's end.

void FeedStream::set_reading(bool reading) {
  reading_ = reading;
  if (reading) arrive_later();
}

void FeedStream::cut(std::uint64_t delay_us) {
  reader_ = nullptr;
  over_ = true;
  way_.clear();
  world_.timeline.after(delay_us, [self = shared_from_this()] {
    self->host_.enter_life(self->life_, [self] {
      if (!self->id_) return;
      self->host_.serving()->listeners().cancelled(*self->id_);
      self->id_.reset();
    });
  });
}

bool FeedStream::is_read() const {
  return std::all_of(way_.begin(), way_.end(),
                     [](const UpdatePtr& update) { return update->op == Update::Op::bookmark; });
}

void FeedStream::arrive_later() {
  if (arriving_ || !reading_ || over_ || (way_.empty() && !ending_)) return;
  arriving_ = true;
  const std::uint64_t delay_us = latency_us() + random_.below(pace_.read_us + 1);
  world_.timeline.after(delay_us, [self = shared_from_this()] { self->arrive(); });
}

// All updates in transit arrive together: the delay is one of time, not of turns.
void FeedStream::arrive() {
  arriving_ = false;
  if (over_ || !reading_) return;
  for (std::size_t count = way_.size(); count > 0 && !over_; --count) {
    const UpdatePtr update = std::move(way_.front());
    way_.pop_front();
    if (reader_ != nullptr) reader_->heard(*this, *update);
  }
  if (over_) return;
  if (ending_) return tell_end();
  if (!std::exchange(blocked_, false) || !id_) return;
  host_.enter_life(life_, [self = shared_from_this()] {
    if (self->id_) self->host_.serving()->listeners().writable(*self->id_);
  });
}

void FeedStream::tell_end() {
  over_ = true;
  if (reader_ != nullptr) std::exchange(reader_, nullptr)->over(*this, end_);
}

}  // namespace iris::sim
