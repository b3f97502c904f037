#include "src/peers/dial.h"

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>
#include <utility>

#include "src/base/address.h"
#include "src/base/log.h"

namespace iris {
namespace {

std::string name_of(const PeerIdentity& peer) {
  return "node " + hex_id(peer.node.value) + " at " + peer.address;
}

}  // namespace

Dial::Dial(const DialContext& context, std::string address, wire::Hello hello, Done done,
           Resolved resolved)
    : context_(context),
      address_(std::move(address)),
      hello_(std::move(hello)),
      done_(std::move(done)),
      resolved_(std::move(resolved)),
      timer_(context.loop),
      socket_(context.loop) {}

std::shared_ptr<Dial> Dial::start(const DialContext& context, std::string address,
                                  wire::Hello hello, std::uint32_t limit_ms, Done done,
                                  Resolved resolved) {
  std::shared_ptr<Dial> dial(new Dial(context, std::move(address), std::move(hello),
                                      std::move(done), std::move(resolved)));
  dial->deadline_ = Stream::Clock::now() + std::chrono::milliseconds(limit_ms);
  dial->arm(dial->deadline_);
  const auto parsed = parse_address(dial->address_);
  asio::post(context.loop, [dial, parsed] {
    if (dial->done_ == nullptr) return;
    if (parsed) {
      dial->resolve(*parsed);
    } else {
      dial->give_up(parsed.error().code, parsed.error().text);
    }
  });
  return dial;
}

void Dial::cancel() {
  done_ = nullptr;
  resolved_ = nullptr;
  timer_.cancel();
  context_.names.cancel(lookup_);
  std::error_code ignored;
  socket_.close(ignored);
  if (stream_ != nullptr) stream_->close();
}

void Dial::finish(Result<Dialled> result) {
  Done done = std::exchange(done_, nullptr);
  stream_ = result ? nullptr : stream_;  // cancel() closes what nobody takes over
  cancel();
  done(std::move(result));
}

void Dial::give_up(Errc code, const std::string& why) { finish(fail(code, why)); }

void Dial::arm(Stream::Clock::time_point at) {
  timer_.expires_at(at);
  timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
    // A wait that had already expired when the timer was set anew still comes here.
    const bool stale = Stream::Clock::now() < self->timer_.expiry();
    if (!error && !stale && self->done_ != nullptr) self->on_time();
  });
}

void Dial::on_time() {
  if (Stream::Clock::now() < deadline_) {  // only this endpoint's share of the time is over
    last_error_ = asio::error::timed_out;
    return connect_next();
  }
  give_up(Errc::io, std::string("no answer in time while ") + step_);
}

void Dial::resolve(const Address& address) {
  std::error_code not_literal;
  const auto literal = asio::ip::make_address(address.host, not_literal);
  if (!not_literal) return on_resolved(std::vector{literal}, address.port);
  lookup_ = context_.names.start(address.host, [self = shared_from_this(), port = address.port](
                                                   const NameLookup::Addresses& addresses) {
    if (self->done_ != nullptr) self->on_resolved(addresses, port);
  });
}

void Dial::on_resolved(const NameLookup::Addresses& addresses, std::uint16_t port) {
  if (!addresses) {
    return give_up(Errc::io, "its name is not resolved: " + addresses.error().text);
  }
  if (resolved_) resolved_(*addresses);
  for (const auto& each : *addresses) endpoints_.emplace_back(each, port);
  std::reverse(endpoints_.begin(), endpoints_.end());
  connect_next();
}

// Tries one address after the other, each with its share of the time left: one of them may drop
// all packets.
void Dial::connect_next() {
  step_ = "connecting";
  if (endpoints_.empty()) return give_up(Errc::io, last_error_.message());
  const auto now = Stream::Clock::now();
  arm(now + (deadline_ - now) / static_cast<int>(endpoints_.size()));
  const Tcp::endpoint endpoint = endpoints_.back();
  endpoints_.pop_back();
  socket_ = io::Socket(context_.loop);
  const auto on_end = [self = shared_from_this(),
                       attempt = ++attempt_](const std::error_code& error) {
    if (self->done_ != nullptr && attempt == self->attempt_) self->on_connected(error);
  };
  socket_.async_connect(endpoint, on_end);
}

void Dial::on_connected(const std::error_code& error) {
  if (error) {
    last_error_ = error;
    return connect_next();
  }
  ssl_st* session = nullptr;
  if (context_.tls != nullptr) {
    session = context_.tls->new_dialler();
    if (session == nullptr) return give_up(Errc::io, "TLS: out of memory");
  }
  arm(deadline_);
  stream_ = std::make_shared<Stream>(std::move(socket_), session);
  step_ = "shaking hands";
  stream_->handshake(Stream::Side::dialler, [self = shared_from_this()](const Status& status) {
    if (self->done_ == nullptr) return;
    if (!status) return self->give_up(status.error().code, status.error().text);
    self->say_hello();
  });
}

void Dial::say_hello() {
  std::string frame;
  const std::size_t begun = begin_frame(frame);
  frame += wire::write(hello_);
  seal_frame(frame, begun);
  step_ = "waiting for its welcome";
  // Where sending fails because the other end refused us, it said so before it hung up.
  stream_->send(std::move(frame), [self = shared_from_this()](const Status&, const std::string&) {
    if (self->done_ != nullptr) self->await_welcome();
  });
}

void Dial::await_welcome() {
  stream_->receive([self = shared_from_this()](const Result<std::string_view>& payload) {
    if (self->done_ == nullptr) return false;
    if (!payload) {
      // A peer says why before it hangs up. One that wants TLS says nothing to a dialler that does
      // not begin with it, and other programs do not know what a hello is.
      const bool plain = self->context_.tls == nullptr;
      const std::string guess = plain ? " (does it want TLS? is it an Iris of 2017, or no Iris?)"
                                      : " (is it an Iris of 2017, or no Iris?)";
      const Error& why = payload.error();
      self->give_up(why.code, why.code == Errc::io ? why.text + guess : why.text);
      return false;
    }
    const auto welcome = wire::read_welcome(*payload);
    const Status good = welcome ? self->judge(*welcome) : fail(Errc::refused, welcome.error().text);
    if (!good) {
      self->give_up(good.error().code, good.error().text);
    } else {
      self->finish(Dialled{self->stream_, welcome->sender});
    }
    return false;
  });
}

Status Dial::judge(const wire::Welcome& welcome) const {
  const PeerIdentity& peer = welcome.sender;
  if (!welcome.refusal.empty())
    return fail(Errc::refused, name_of(peer) + " said: " + welcome.refusal);
  if (!wire::speaks(welcome.version, welcome.version_oldest)) {
    return fail(Errc::refused, name_of(peer) + " speaks protocol versions " +
                                   std::to_string(welcome.version_oldest) + " to " +
                                   std::to_string(welcome.version) + ", this one " +
                                   std::to_string(wire::version_oldest) + " to " +
                                   std::to_string(wire::version));
  }
  if (hello_.purpose == wire::Purpose::probe) return Unit{};
  if (hello_.expected.value != 0 && peer.node != hello_.expected) {
    return fail(Errc::refused, "there is " + name_of(peer) + " where node " +
                                   hex_id(hello_.expected.value) + " was expected");
  }
  const raft::ClusterId own = hello_.sender.cluster;
  if (peer.cluster.value != 0 && own.value != 0 && peer.cluster != own) {
    return fail(Errc::refused, name_of(peer) + " belongs to cluster " + hex_id(peer.cluster.value) +
                                   ", this node to " + hex_id(own.value));
  }
  return check_levels(hello_.sender, peer);
}

}  // namespace iris
