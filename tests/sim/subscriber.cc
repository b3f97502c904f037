#include "tests/sim/subscriber.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "raft/members.h"
#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

constexpr std::uint64_t ms = 1000;
constexpr std::uint64_t second = 1000 * ms;
// The pause between two actions of a client that has settled.
constexpr std::uint64_t settled_think_us = 100 * ms;
// A client that heard nothing for this fraction of the lease subscribes anew before it listens.
constexpr std::uint64_t subscribe_again_part = 4;

}  // namespace

Subscriber::Subscriber(World& world, Calls& calls, std::uint64_t number)
    : world_(world),
      calls_(calls),
      number_(number),
      name_("S" + std::to_string(number)),
      random_(world.random(RandomStream::subscribers, number)),
      kind_(std::array{Kind::plain, Kind::resumes, Kind::resumes, Kind::resumes,
                       Kind::initial}[random_.below(5)]),
      roams_(random_.below(2) == 0),
      heartbeat_ms_(0),
      home_(random_.below(world.hosts.size())),
      shadow_(world.ghost, name_, kind_ != Kind::plain) {
  if (kind_ != Kind::plain && random_.below(4) != 0) {
    heartbeat_ms_ = static_cast<std::uint32_t>(random_.between(50, 1000));
  }
  pace_.window = random_.between(1, 8);
  if (random_.below(3) == 0) pace_.read_us = world.options.read_us;
}

Subscriber::~Subscriber() = default;

void Subscriber::start() {
  world_.timeline.after(random_.below(2 * world_.options.subscriber_think_us) + 1,
                        [this] { subscribe(true); });
  later();
}

void Subscriber::settle() {
  settled_ = true;
  settled_at_ = world_.ghost.committed().value;
  if (stream_) stream_->set_reading(true);
}

void Subscriber::process_ended(const Host& host, std::uint64_t life) {
  for (const auto& stream : former_) stream->process_ended(host, life);
  if (stream_) stream_->process_ended(host, life);
}

std::uint64_t Subscriber::retold_us(std::uint64_t updates) const {
  const SimOptions& options = world_.options;
  return (1 + updates / pace_.window) * (options.delay_us + options.jitter_us + pace_.read_us);
}

const SessionModel::Session* Subscriber::session() const {
  return world_.ghost.sessions().find(name_);
}

// True: the client is due to hear that its session expired. A stream that begins after the expiry
// finds an unknown session, like that of a client which subscribes when it listens; so a stream
// without any update yet may not say so.
bool Subscriber::is_to_be_told() const {
  const SessionModel::Session* session = this->session();
  if (!stream_ || stream_->judge() == nullptr || session == nullptr) return false;
  const FeedJudge& judge = *stream_->judge();
  return judge.begun() > 0 && session->expired > std::max(judge.opened(), judge.begun());
}

std::string Subscriber::lacks() const {
  const SessionModel::Session* session = this->session();
  const bool subscribed = session != nullptr && !session->standing.empty();
  if (!stream_ || stream_->judge() == nullptr || !stream_->is_open()) return "has no stream";
  if (is_to_be_told()) {
    return "was not told that its session expired";
  }
  if (!subscribed) return "is not subscribed to anything";
  if (!stream_->is_read()) return "has not read all";
  const std::uint64_t committed = world_.ghost.committed().value;
  if (const char* what = stream_->judge()->lacks(committed)) return what;
  if (in_state_) return "is in the middle of a state";
  if (heartbeat_ms_ > 0 && revision_ < settled_at_) return "gets no heartbeats";
  return shadow_.differs(committed);
}

// --- Actions.

void Subscriber::later() {
  const std::uint64_t think_us =
      settled_ ? settled_think_us : random_.below(2 * world_.options.subscriber_think_us) + 1;
  world_.timeline.after(think_us, [this] {
    drop_former();
    settled_ ? act_settled() : act();
    later();
  });
}

void Subscriber::act() {
  switch (random_.below(12)) {
    case 0:
    case 1:
      return subscribe(false);
    case 2:
      return unsubscribe();
    case 3:
    case 4:
      if (roams_ || random_.below(4) == 0) take_over();
      return;
    case 5:
      return leave(random_.below(500 * ms));
    case 6:
      return leave(random_.below(
          std::min(2 * world_.options.session_ttl_ms, std::uint64_t{10'000}) * ms + 1));
    case 7:
      return stop_reading();
    default:
      return;
  }
}

void Subscriber::act_settled() {
  if (stream_ && !serves(stream_->host())) leave(0);
  const SessionModel::Session* session = this->session();
  const bool subscribed = session != nullptr && !session->standing.empty();
  if (!subscribed && !is_to_be_told() && !expired_ && calls_.open() == 0) subscribe(false);
}

void Subscriber::stop_reading() {
  if (!stream_) return;
  stream_->set_reading(false);
  world_.timeline.after(random_.below(4 * second),
                        [stream = stream_] { stream->set_reading(true); });
}

void Subscriber::leave(std::uint64_t pause_us) {
  if (!stream_) return;
  TRACE(-1, name_ + " leaves h" + std::to_string(stream_->host().number()));
  // A node notices late that a connection broke without a FIN.
  stream_->cut(random_.below(2) == 0 ? 0 : random_.below(3 * second));
  former_.push_back(std::exchange(stream_, nullptr));
  reconnect_later(pause_us);
}

void Subscriber::take_over() {
  if (!stream_ || connecting_) return;
  TRACE(-1, name_ + " takes its session over from h" + std::to_string(stream_->host().number()));
  ++world_.stats.takeovers;
  stream_->abandon();
  stream_->set_reading(true);
  world_.timeline.after(random_.below(2 * second), [former = stream_] { former->cut(0); });
  former_.push_back(std::exchange(stream_, nullptr));
  connect();
}

void Subscriber::drop_former() {
  std::erase_if(former_,
                [](const auto& stream) { return stream->is_over() && !stream->is_open(); });
}

// --- Its session.

Host* Subscriber::pick_voice() {
  Host& host = *world_.hosts[random_.below(world_.hosts.size())];
  return host.runs() && host.node().initialized() ? &host : nullptr;
}

void Subscriber::subscribe(bool then_connect) {
  Host* voice = pick_voice();
  if (voice == nullptr) {
    if (then_connect) reconnect_later(random_.below(200 * ms));
    return;
  }
  Subscribe operation{name_, "s" + std::to_string(random_.below(world_.options.sources)), {}};
  if (random_.below(3) != 0) {
    operation.key = "k" + std::to_string(random_.below(world_.options.keys));
  }
  calls_.write(*voice, std::move(operation), world_.options.call_ms,
               [this, then_connect](CallResult answer, std::uint64_t) {
                 if (!then_connect) return;
                 if (answer != CallResult::ok) return reconnect_later(random_.below(200 * ms));
                 expired_ = false;
                 heard_us_ = world_.now_us();
                 connect();
               });
}

void Subscriber::unsubscribe() {
  const SessionModel::Session* session = this->session();
  Host* voice = pick_voice();
  if (voice == nullptr || session == nullptr || session->standing.empty()) return;
  const auto& one = session->standing[random_.below(session->standing.size())];
  calls_.write(*voice, Unsubscribe{name_, one.source, one.key}, world_.options.call_ms,
               [](CallResult, std::uint64_t) {});
}

// --- Its streams.

bool Subscriber::serves(const Host& host) const {
  if (!host.runs() || !host.node().initialized()) return false;
  return !settled_ || contains(world_.ghost.members().voters, host.id());
}

Host* Subscriber::pick_listening() {
  if (roams_ || (settled_ && !serves(*world_.hosts[home_]))) {
    home_ = random_.below(world_.hosts.size());
  }
  Host& host = *world_.hosts[home_];
  return serves(host) ? &host : nullptr;
}

void Subscriber::reconnect_later(std::uint64_t pause_us) {
  if (std::exchange(connecting_, true)) return;
  world_.timeline.after(pause_us + 1, [this] {
    connecting_ = false;
    if (stream_) return;
    const std::uint64_t patience_us = world_.options.session_ttl_ms * ms / subscribe_again_part;
    if (expired_ || world_.now_us() - heard_us_ > patience_us) return subscribe(true);
    connect();
  });
}

void Subscriber::connect() {
  if (stream_) return;
  Host* host = pick_listening();
  if (host == nullptr) return reconnect_later(random_.below(200 * ms));
  const ListenSpec spec = ask();
  TRACE(host->tag(), name_ + " listens after " + std::to_string(spec.after_revision) +
                         (spec.send_initial ? " with the state" : "") +
                         (spec.earlier ? " and earlier" : "") + ", heartbeats " +
                         std::to_string(spec.heartbeat_ms));
  ++world_.stats.streams;
  stream_ = std::make_shared<FeedStream>(
      *host, spec, pace_, world_.random(RandomStream::streams, number_ * 1'000'000 + streams_++),
      *this);
  stream_->begin();
}

ListenSpec Subscriber::ask() {
  ListenSpec spec;
  spec.session = name_;
  spec.heartbeat_ms = heartbeat_ms_;
  const std::uint64_t after = key_.empty() || revision_ == 0 ? revision_ : revision_ - 1;
  const bool unknown = after == 0;  // nothing heard yet, or only of the very first revision
  if (kind_ == Kind::plain || (kind_ == Kind::resumes && unknown && heartbeat_ms_ > 0)) {
    // Again from its Subscribe on.
    revision_ = 0;
    key_.clear();
    in_state_ = false;
    shadow_.forget();
  } else if (kind_ == Kind::initial || in_state_ || unknown) {
    spec.send_initial = true;
    in_state_ = true;
    shadow_.begin_state();
  } else {
    spec.after_revision = after;
    spec.earlier = random_.below(2) == 0;
  }
  return spec;
}

void Subscriber::over(const FeedStream& from, std::optional<StreamEnd> end) {
  if (&from != stream_.get()) return;
  former_.push_back(std::exchange(stream_, nullptr));
  if (end == StreamEnd::not_found) expired_ = true;
  reconnect_later(random_.below(200 * ms));
}

// --- Updates.

void Subscriber::heard(const FeedStream& from, const Update& update) {
  CHECK(&from == stream_.get());
  heard_us_ = world_.now_us();
  switch (update.op) {
    case Update::Op::bookmark:
      revision_ = update.revision;
      key_.clear();
      ++world_.stats.bookmarks;
      return check(update.revision);
    case Update::Op::resync:
      ++world_.stats.resyncs;
      in_state_ = true;
      return shadow_.begin_state();
    case Update::Op::synced:
      in_state_ = false;
      revision_ = update.revision;
      key_.clear();
      shadow_.end_state(update.revision);
      return check(update.revision);
    case Update::Op::put:
    case Update::Op::remove:
      break;
  }
  if (in_state_) return shadow_.take_row(update);
  if (update.of_state) return shadow_.take(update);
  heard_change(update);
}

void Subscriber::heard_change(const Update& update) {
  const bool same = update.revision == revision_;
  using Place = std::pair<std::string_view, std::string_view>;
  const bool passed = key_.empty() || Place(update.source, update.key) <= Place(source_, key_);
  if (update.revision < revision_ || (same && passed)) {
    // A stream that was cut within a revision may repeat that from its beginning.
    VERIFY(same && !key_.empty(), "WU",
           name_ + " is told " + std::to_string(update.revision) + " again after " +
               std::to_string(revision_));
    return;
  }
  if (!same) check(update.revision - 1);
  revision_ = update.revision;
  const bool whole = update.op == Update::Op::put && !update.more;
  source_ = whole ? "" : update.source;
  key_ = whole ? "" : update.key;
  shadow_.take(update);
}

void Subscriber::check(std::uint64_t revision) const {
  const std::string difference = shadow_.differs(revision);
  VERIFY(difference.empty(), "WR",
         name_ + " knows another state at " + std::to_string(revision) + ": " + difference);
}

}  // namespace iris::sim
