#include "src/peers/link.h"

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>
#include <utility>

#include "src/base/log.h"

namespace iris {
namespace {

constexpr std::size_t spare_bytes_max = 2 * frame_target_bytes;  // a larger buffer is not kept

const char* name_of(wire::Purpose purpose) {
  return purpose == wire::Purpose::bulk ? "bulk" : "control";
}

}  // namespace

Link::Link(const LinkShared& shared, raft::Member peer, wire::Purpose purpose)
    : shared_(shared),
      peer_(std::move(peer)),
      purpose_(purpose),
      name_(hex_id(peer_.id.value) + name_of(purpose) + " "),
      timer_(shared.dial.loop),
      back_off_ms_(shared.options.back_off_ms_min),
      used_at_(Stream::Clock::now()) {}

Link::~Link() { close(); }

void Link::close() {
  if (std::exchange(state_, State::closed) == State::closed) return;
  drop_queue();
  timer_.cancel();
  if (dial_ != nullptr) dial_->cancel();
  if (stream_ != nullptr) stream_->close();
}

void Link::keep(bool kept) {
  kept_ = kept;
  used_at_ = Stream::Clock::now();
  if (state_ == State::idle) kept ? dial() : retire();
}

void Link::send(const PeerBody& body) {
  if (state_ == State::closed || !enqueue(body)) {
    ++shared_.stats.messages_dropped;
    return;
  }
  used_at_ = Stream::Clock::now();
  if (state_ == State::idle) dial();
  schedule_flush();
}

// Appends to the open frame, or to a new one. False: dropped.
bool Link::enqueue(const PeerBody& body) {
  const std::size_t bytes_max = shared_.options.queue_bytes_max;
  const std::size_t before = queue_.size();
  const bool opened = !frame_open_;
  if (queued_bytes() < bytes_max) {
    if (opened) {
      frame_begin_ = begin_frame(queue_);
      frame_open_ = true;
    }
    const Status written = wire::write(body, queue_);
    if (written && queued_bytes() <= bytes_max) {
      ++queued_messages_;
      if (queue_.size() - frame_begin_ >= frame_target_bytes) {
        seal_frame(queue_, frame_begin_);
        frame_open_ = false;
      }
      return true;
    }
    queue_.resize(before);
    if (opened) frame_open_ = false;
    if (!written) {
      say(LogLevel::warn, "a message to a peer was not sent", written.error().text);
      return false;
    }
  }
  say(LogLevel::warn, "the queue to a peer is full",
      "the limit is " + std::to_string(bytes_max) + " bytes; the newest messages are dropped");
  return false;
}

void Link::drop_queue() {
  shared_.stats.messages_dropped += std::exchange(queued_messages_, 0);
  queue_.clear();
  frame_open_ = false;
}

// --- Connecting.

void Link::dial() {
  state_ = State::dialling;
  ++shared_.stats.dials;
  const wire::Hello hello{.sender = shared_.identity(), .expected = peer_.id, .purpose = purpose_};
  dial_ = Dial::start(
      shared_.dial, peer_.address, hello, shared_.options.dial_ms_max,
      [weak = weak_from_this()](Result<Dialled> result) {
        const auto self = weak.lock();
        if (self != nullptr) self->on_dialled(std::move(result));
      },
      [weak = weak_from_this()](const std::vector<asio::ip::address>& addresses) {
        const auto self = weak.lock();
        if (self != nullptr) self->shared_.resolved(*self, addresses);
      });
}

void Link::on_dialled(Result<Dialled> result) {
  dial_ = nullptr;
  if (state_ != State::dialling) return;
  if (!result) {
    say(LogLevel::warn, "cannot reach a peer", result.error().text);
    drop_queue();
    unreached_ = true;
    return wait();
  }
  unreached_ = false;
  state_ = State::connected;
  connected_at_ = Stream::Clock::now();
  peer_level_ = result->peer.level;
  stream_ = std::move(result->stream);
  if (purpose_ == wire::Purpose::bulk) stream_->keep_kernel_queue_short();
  say(LogLevel::info, "connected to a peer");
  // The other end never writes after its welcome: all that can be read is the end.
  stream_->receive([weak = weak_from_this()](const Result<std::string_view>& payload) {
    const auto self = weak.lock();
    if (self == nullptr || self->state_ != State::connected) return false;
    self->on_lost(payload ? "it wrote on a connection it accepted" : payload.error().text);
    return false;
  });
  arm(shared_.options.keep_alive_ms);
  flush();
}

// Without this a leader would wait up to back_off_ms_max for a quorum that is up already. Once for
// each failed dial, so that two nodes that end each other's connections do not spin.
void Link::on_peer_heard() {
  if (state_ != State::waiting || !std::exchange(unreached_, false)) return;
  back_off_ms_ = shared_.options.back_off_ms_min;
  timer_.cancel();
  dial();
}

void Link::on_lost(const std::string& why) {
  using std::chrono::milliseconds;
  const auto lived = Stream::Clock::now() - connected_at_;
  // One that ends as soon as it stands is no success: else two nodes that disagree would spin.
  if (lived >= milliseconds(back_off_ms_)) back_off_ms_ = shared_.options.back_off_ms_min;
  if (lived >= milliseconds(shared_.options.back_off_ms_max)) shared_.complaints.forget(name_);
  say(LogLevel::warn, "lost the connection to a peer", why);
  stream_->close();
  stream_ = nullptr;
  sending_bytes_ = 0;
  wait();
}

void Link::wait() {
  state_ = State::waiting;
  // Half of the wait is fixed, half is random: nodes that lost a peer together come back apart.
  std::uniform_int_distribution<std::uint32_t> chance(back_off_ms_ / 2, back_off_ms_);
  arm(chance(shared_.jitter));
  back_off_ms_ = std::min(back_off_ms_ * 2, shared_.options.back_off_ms_max);
}

void Link::arm(std::uint32_t wait_ms) {
  timer_.expires_after(std::chrono::milliseconds(wait_ms));
  timer_.async_wait([weak = weak_from_this()](const std::error_code& error) {
    const auto self = weak.lock();
    if (self == nullptr || error || Stream::Clock::now() < self->timer_.expiry()) return;
    self->on_time();
  });
}

void Link::on_time() {
  if (state_ == State::waiting) {
    if (kept_ || queued_messages_ > 0) return dial();
    return retire();
  }
  if (state_ != State::connected) return;
  const auto unused = Stream::Clock::now() - used_at_;
  if (!kept_ && queued_bytes() == 0 &&
      unused >= std::chrono::milliseconds(shared_.options.linger_ms)) {
    stream_->close();
    stream_ = nullptr;
    return retire();
  }
  if (std::exchange(quiet_, true) && queued_bytes() == 0) {
    seal_frame(queue_, begin_frame(queue_));  // "still here"
    flush();
    quiet_ = true;
  }
  arm(shared_.options.keep_alive_ms);
}

void Link::retire() {
  state_ = State::idle;
  asio::post(shared_.dial.loop, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr || self->state_ != State::idle || self->kept_) return;
    self->shared_.retired(*self);
  });
}

// --- Sending.

void Link::schedule_flush() {
  if (state_ != State::connected || sending_bytes_ > 0 || flush_scheduled_) return;
  flush_scheduled_ = true;
  // After the handlers that are ready now: what they send goes into the same write.
  asio::post(shared_.dial.loop, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->flush_scheduled_ = false;
    self->flush();
  });
}

void Link::flush() {
  if (state_ != State::connected || sending_bytes_ > 0 || queue_.empty()) return;
  if (std::exchange(frame_open_, false)) seal_frame(queue_, frame_begin_);
  sending_bytes_ = queue_.size();
  quiet_ = false;
  ++shared_.stats.writes;
  shared_.stats.messages_sent += std::exchange(queued_messages_, 0);
  std::string bytes = std::exchange(queue_, std::move(spare_));
  queue_.clear();
  stream_->send(std::move(bytes),
                [weak = weak_from_this()](const Status& status, std::string buffer) {
                  const auto self = weak.lock();
                  if (self == nullptr) return;
                  if (!status) return self->on_lost(status.error().text);
                  self->shared_.stats.bytes_sent += std::exchange(self->sending_bytes_, 0);
                  if (buffer.capacity() <= spare_bytes_max) self->spare_ = std::move(buffer);
                  self->flush();
                });
}

// Limited by Complaints: a link that flaps, or drops a thousand messages, says so once.
void Link::say(LogLevel level, const char* event, const std::string& why) {
  const auto left_out = shared_.complaints.allow(name_, event + why, LogLimiter::Clock::now());
  if (!left_out) return;
  if (why.empty()) {
    return log(level, event,
               {{"peer", hex_id(peer_.id.value)},
                {"address", peer_.address},
                {"purpose", name_of(purpose_)}});
  }
  log(level, event,
      {{"peer", hex_id(peer_.id.value)},
       {"address", peer_.address},
       {"purpose", name_of(purpose_)},
       {"why", why},
       {"left_out", *left_out}});
}

}  // namespace iris
