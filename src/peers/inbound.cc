#include "src/peers/inbound.h"

#include <chrono>
#include <utility>

#include "src/base/log.h"

namespace iris {
namespace {

constexpr std::chrono::duration<std::uint32_t, std::milli> late_timer{200};

}  // namespace

Inbound::Inbound(const InboundShared& shared, std::shared_ptr<Stream> stream,
                 HandshakePlaces::Origin origin)
    : shared_(shared),
      stream_(std::move(stream)),
      origin_(std::move(origin)),
      timer_(shared.loop) {}

Inbound::~Inbound() { stream_->close(); }

void Inbound::start() {
  arm(shared_.options.handshake_ms_max);
  stream_->handshake(Stream::Side::acceptor, [weak = weak_from_this()](const Status& status) {
    const auto self = weak.lock();
    if (self == nullptr || self->ended_) return;
    if (!status) {
      self->refuse(status.error().text);
      return self->part();
    }
    self->stream_->receive([weak](const Result<std::string_view>& payload) {
      const auto receiver = weak.lock();
      return receiver != nullptr && !receiver->ended_ && receiver->on_hello(payload);
    });
  });
}

bool Inbound::on_hello(const Result<std::string_view>& payload) {
  if (!payload) {
    refuse(payload.error().text);
    part();
    return false;
  }
  const auto hello = wire::read_hello(*payload);
  if (!hello) {
    refuse(hello.error().text);
    part();
    return false;
  }
  answer(*hello, shared_.admit(*hello));
  return false;
}

void Inbound::answer(const wire::Hello& hello, const Status& admitted) {
  if (ended_) return;  // the hook that admitted it closed everything
  wire::Welcome welcome{.sender = shared_.identity()};
  if (!admitted) {
    welcome.refusal = admitted.error().text;
    refuse("node " + hex_id(hello.sender.node.value) + " at " + hello.sender.address + ": " +
           welcome.refusal);
  } else if (hello.purpose != wire::Purpose::probe) {
    hello_ = hello;
    shared_.admitted(*this);
  }
  std::string frame;
  const std::size_t begun = begin_frame(frame);
  frame += wire::write(welcome);
  seal_frame(frame, begun);
  stream_->send(std::move(frame),
                [weak = weak_from_this()](const Status& status, const std::string& /*buffer*/) {
                  const auto self = weak.lock();
                  if (self == nullptr || self->ended_) return;
                  if (!status) return self->end(status.error().text);
                  self->hello_ ? self->read_batches() : self->part();
                });
}

void Inbound::read_batches() {
  stream_->set_limit(frame_bytes_max);
  arm(shared_.options.silence_ms_max);
  stream_->receive([weak = weak_from_this()](const Result<std::string_view>& payload) {
    const auto self = weak.lock();
    return self != nullptr && !self->ended_ && self->on_batch(payload);
  });
}

bool Inbound::on_batch(const Result<std::string_view>& payload) {
  if (!payload) {
    const Error& error = payload.error();
    if (error.code == Errc::invalid_argument) {
      refuse(error.text);
      end({});
    } else {
      end(error.text);
    }
    return false;
  }
  const raft::NodeId from = hello_->sender.node;
  const Status read = wire::read(*payload, from, shared_.options.self, [&](PeerBody body) {
    ++shared_.stats.messages_received;
    shared_.receive(PeerMessage{from, std::move(body)});
    return !ended_;
  });
  if (ended_) return false;
  if (!read) {
    refuse(read.error().text);
    end({});
    return false;
  }
  return true;
}

void Inbound::refuse(const std::string& why) {
  ++shared_.stats.refused;
  say(LogLevel::warn, "refused a connection on the raft port", why);
}

// Lets the refusal arrive. Where the other end does not hang up, the handshake's time limit does.
void Inbound::part() {
  parting_ = true;
  stream_->drain([weak = weak_from_this()] {
    if (const auto self = weak.lock(); self != nullptr) self->end({});
  });
}

void Inbound::end(const std::string& why) {
  if (std::exchange(ended_, true)) return;
  if (!why.empty()) say(LogLevel::info, "a connection on the raft port ended", why);
  timer_.cancel();
  stream_->close();
  shared_.ended(*this);
}

void Inbound::arm(std::uint32_t wait_ms) {
  timer_.expires_after(std::chrono::milliseconds(wait_ms));
  timer_.async_wait([weak = weak_from_this()](const std::error_code& error) {
    const auto self = weak.lock();
    if (self == nullptr || self->ended_ || error) return;
    if (Stream::Clock::now() >= self->timer_.expiry()) self->on_time();
  });
}

void Inbound::on_time() {
  if (parting_) return end({});
  if (!hello_) {
    refuse("no handshake within " + std::to_string(shared_.options.handshake_ms_max) + " ms");
    return end({});
  }
  const auto now = Stream::Clock::now();
  // A loop that stood still (SIGSTOP, a stalled machine) comes here before it reads what has come
  // meanwhile; it must not call others silent for that.
  if (now - timer_.expiry() > late_timer) return arm(late_timer.count());
  const auto limit = std::chrono::milliseconds(shared_.options.silence_ms_max);
  const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(now - stream_->heard());
  if (silent >= limit) return end("silent for " + std::to_string(limit.count()) + " ms");
  arm(static_cast<std::uint32_t>((limit - silent).count()) + 1);
}

void Inbound::say(LogLevel level, const char* event, const std::string& why) {
  const bool member = hello_ && shared_.is_member(hello_->sender.node);
  const std::string peer = member ? hex_id(hello_->sender.node.value) : origin_.name;
  Complaints& about = member || origin_.member ? shared_.members : shared_.strangers;
  const auto left_out = about.allow(peer, event + why, LogLimiter::Clock::now());
  if (!left_out) return;
  log(level, event,
      {{"from", stream_->remote()},
       {"peer", hello_ ? hex_id(hello_->sender.node.value) : std::string("unknown")},
       {"why", why},
       {"left_out", *left_out}});
}

}  // namespace iris
