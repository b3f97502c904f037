// The raft port alone: hosts that consist of Peers send each other numbered messages over streams
// that break at any byte. Judged: each message arrives once or not at all, in order, whole, from
// its sender; nothing of a former connection arrives after a newer one began; no queue grows past
// its limit; all links come up again once the network is well, and lose nothing from then on.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "src/net/tls.h"
#include "src/peers/framing.h"
#include "src/peers/peers.h"
#include "tests/peers_sim/seeds.h"
#include "tests/peers_sim/tap.h"
#include "tests/peers_sim/world.h"

#include "tests/peers/certificates.h"  // last, as it includes Catch, whose CHECK is another

namespace iris::peers_sim {
namespace {

using wire::Purpose;
using Channel = std::tuple<raft::NodeId, raft::NodeId, Purpose>;

constexpr raft::ClusterId cluster{0xc1};
// Dialler and acceptor each take five seconds to see that a connection is dead, and then a back-off
// and a dial; twice, as the connection that is dialled then may be one of the dead network's.
constexpr std::uint64_t up_again_us = 40'000'000;

// Numbers say from whom a message is, and its content follows from its number.
constexpr std::uint64_t count_mask = (std::uint64_t{1} << 40) - 1;
std::uint64_t numbered(raft::NodeId from, std::uint64_t count) { return from.value << 40 | count; }

std::string content_of(std::uint64_t number, std::size_t bytes) {
  std::string content(bytes, '\0');
  std::uint64_t word = number;
  for (std::size_t i = 0; i < bytes; ++i) {
    if (i % 8 == 0) word = sim::mix(word);
    content[i] = static_cast<char>(word >> (i % 8 * 8));
  }
  return content;
}

std::string content_in(const PeerBody& body) {
  if (const auto* forward = std::get_if<ForwardRequest>(&body)) return forward->command;
  if (const auto* chunk = std::get_if<SnapshotChunk>(&body)) return chunk->bytes;
  if (const auto* message = std::get_if<raft::Message>(&body)) {
    const auto& append = std::get<raft::AppendRequest>(message->body);
    return std::get<raft::Command>(append.entries.at(0)->payload);
  }
  return {};
}

PeerBody message_of(std::uint64_t number, std::string content, raft::NodeId from, raft::NodeId to,
                    std::uint64_t kind) {
  switch (kind) {
    case 0:
      return ForwardRequest{number, std::move(content)};
    case 1:
      return ReadIndexRequest{number};
    case 2: {
      auto entry = std::make_shared<raft::Entry>(
          raft::Entry{.id = {{1}, {number + 1}}, .payload = raft::Command(std::move(content))});
      return raft::Message{
          .from = from,
          .to = to,
          .term = {1},
          .body = raft::AppendRequest{.prev = {{1}, {number}}, .entries = {entry}}};
    }
    default: {
      raft::SnapshotMetadata mark{.last = {{1}, {1}}, .members = {.voters = {{from, "a:1"}}}};
      return SnapshotChunk{.transfer = number, .mark = mark, .bytes = std::move(content)};
    }
  }
}

Purpose purpose_of(const PeerBody& body) {
  return std::holds_alternative<SnapshotChunk>(body) ? Purpose::bulk : Purpose::control;
}

struct Sent {
  raft::NodeId to;
  std::size_t bytes = 0;
};

class LinksRun {
 public:
  LinksRun(const Plan& plan, const Tls* tls)
      : tls_(tls),
        tap_([this](const std::string& text) { world_.wrong("WRITTEN", text); }),
        work_(plan.seed, static_cast<std::uint64_t>(Stream::work)),
        world_(
            plan, [this](Host& host) { return make(host); },
            [this, tls](const Pipe& pipe, std::string_view bytes) {
              if (tls == nullptr) tap_.wrote(pipe, bytes);
            }) {}

  // Empty: all was well.
  std::string run() {
    world_.start_all();
    world_.begin_faults();
    work_later();
    world_.run_for(world_.plan().faults_us);
    world_.heal();
    if (!world_.until([this] { return all_connected(); }, up_again_us)) {
      world_.wrong("UP", "a member is not connected though nobody keeps it away");
    } else if (!world_.until([this] { return come_up(); }, up_again_us)) {
      world_.wrong("UP", "no fresh message came through from " + missing_);
    } else {
      lose_nothing();
    }
    return world_.violation();
  }
  [[nodiscard]] std::uint64_t hash() { return world_.timeline().hash(); }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t connections() { return world_.network().connections(); }

 private:
  struct Running : Program {
    std::unique_ptr<Peers> peers;
    std::uint64_t sends = 0;  // in this life
  };

  std::unique_ptr<Program> make(Host& host) {
    auto program = std::make_unique<Running>();
    PeersOptions options = world_.plan().peers;
    options.self = host.id();
    options.seed = host.seed();
    PeersHooks hooks;
    hooks.identity = [&host] { return PeerIdentity{host.id(), cluster, host.address()}; };
    hooks.greet = [](const PeerIdentity&) { return Unit{}; };
    hooks.receive = [this, &host](const PeerMessage& message) { judge(host.id(), message); };
    program->peers = std::make_unique<Peers>(host.loop(), options, tls_, std::move(hooks));
    REQUIRE(program->peers->listen());
    program->peers->set_peers(world_.members());
    return program;
  }

  static Running& at(Host& host) { return static_cast<Running&>(host.program()); }

  // --- Work.

  void work_later() {
    world_.timeline().after(work_.between(1, 2 * world_.plan().message_every_us), [this] {
      if (world_.timeline().now_us() >= world_.plan().faults_us) return;
      Host& from = world_.host(work_.below(world_.size()));
      const std::size_t to = (from.number() + work_.between(1, world_.size() - 1)) % world_.size();
      const std::uint64_t burst = work_.below(4) == 0 ? work_.between(1, 20) : 1;
      const std::uint64_t kind = work_.below(4);
      for (std::uint64_t i = 0; i < burst; ++i) send(from, world_.host(to), kind);
      work_later();
    });
  }

  void send(Host& from, Host& to, std::uint64_t kind) {
    if (!from.runs() || from.paused()) return;
    const Plan& plan = world_.plan();
    const bool large = work_.chance(plan.large_messages);
    const std::size_t bytes_max = large ? 1u << 20 : plan.message_bytes_max;
    const std::size_t bytes = kind == 1 ? 0 : work_.between(1, bytes_max);
    const std::uint64_t number = numbered(from.id(), ++count_);
    sent_[number] = {to.id(), bytes};
    ++at(from).sends;
    Peers& peers = *at(from).peers;
    peers.send(to.id(), message_of(number, content_of(number, bytes), from.id(), to.id(), kind));
    if (peers.queued_bytes(to.id()) > 2 * plan.peers.queue_bytes_max) {
      world_.wrong("QUEUE", std::to_string(peers.queued_bytes(to.id())) + " bytes are queued");
    }
    if (peers.accepted_open() > (world_.size() - 1) * (2 + plan.peers.handshakes_per_address_max)) {
      world_.wrong("OPEN", std::to_string(peers.accepted_open()) + " connections are accepted");
    }
  }

  // --- Judgement.

  void judge(raft::NodeId to, const PeerMessage& message) {
    ++received_;
    const std::uint64_t number = number_of(message.body);
    const std::string name = "message " + std::to_string(number);
    const auto sent = sent_.find(number);
    if (sent == sent_.end()) return world_.wrong("WHOLE", name + " was never sent");
    if (numbered(message.from, 0) != number >> 40 << 40 || sent->second.to != to) {
      return world_.wrong("FROM", name + " came to another node, or from one");
    }
    if (content_in(message.body) != content_of(number, sent->second.bytes)) {
      return world_.wrong("WHOLE", name + " came with another content");
    }
    const Channel channel{message.from, to, purpose_of(message.body)};
    std::uint64_t& last = last_[channel];
    if ((number & count_mask) > fresh_after_) ++fresh_;
    if (number <= last) {
      return world_.wrong("ONCE", name + " came after " + std::to_string(last));
    }
    last = number;
    if (tls_ == nullptr) judge_connection(channel, number, name);
  }

  void judge_connection(const Channel& channel, std::uint64_t number, const std::string& name) {
    const auto [from, to, purpose] = channel;
    const auto by = tap_.connection_of(number);
    if (!by) return world_.wrong("WHOLE", name + " came before it was written");
    if (*by != tap_.latest(from, to, purpose)) {
      world_.wrong("FORMER", name + " came by connection " + std::to_string(*by) + " after " +
                                 std::to_string(tap_.latest(from, to, purpose)) + " was welcomed");
    }
  }

  // --- The end.

  // A link to a member is kept, also while nothing is sent.
  [[nodiscard]] bool all_connected() {
    bool all = true;
    for_each_channel([&](Host& from, Host& to, std::uint64_t) {
      all = all && at(from).peers->connected(to.id());
    });
    return all;
  }

  // Sends a message each so often until one came through on each channel.
  bool come_up() {
    if (world_.timeline().now_us() >= next_try_us_) {
      if (next_try_us_ == 0) heard_before_ = count_;
      next_try_us_ = world_.timeline().now_us() + 200'000;
      for_each_channel([this](Host& from, Host& to, std::uint64_t kind) { send(from, to, kind); });
    }
    all_up_ = true;
    for_each_channel([this](Host& from, Host& to, std::uint64_t kind) {
      const Purpose purpose = kind == 0 ? Purpose::control : Purpose::bulk;
      const std::uint64_t last = last_[{from.id(), to.id(), purpose}];
      if (last > numbered(from.id(), heard_before_)) return;
      if (all_up_) missing_ = from.address() + " to " + to.address();
      all_up_ = false;
    });
    return all_up_;
  }

  // Former connections of the broken network end; then nothing is lost any more.
  void lose_nothing() {
    world_.run_for(2 * Network::dead_after_us +
                   std::uint64_t{world_.plan().peers.linger_ms} * 1000);
    fresh_after_ = count_;
    std::uint64_t sends = 0;
    for (int burst = 0; burst < 5; ++burst) {
      for_each_channel([&](Host& from, Host& to, std::uint64_t kind) {
        send(from, to, kind);
        ++sends;
      });
    }
    const auto all = [&] { return fresh_ == sends; };
    if (!world_.until(all, 20'000'000)) {
      world_.wrong("LOST", std::to_string(sends - fresh_) + " of " + std::to_string(sends) +
                               " messages were lost in a network that works");
    }
    for (std::size_t number = 0; number < world_.size(); ++number) count_all(world_.host(number));
  }

  // Every message was put into a frame, or counted as dropped; none waits.
  void count_all(Host& host) {
    const PeersStats& stats = at(host).peers->stats();
    for (const raft::Member& other : world_.members()) {
      const std::size_t queued = at(host).peers->queued_bytes(other.id);
      if (queued > 2 * frame_header_bytes) {  // "still here" may be on its way
        world_.wrong("QUEUE", std::to_string(queued) + " bytes wait for nothing");
      }
    }
    if (stats.messages_sent + stats.messages_dropped == at(host).sends) return;
    world_.wrong("COUNT", std::to_string(at(host).sends) + " messages, but " +
                              std::to_string(stats.messages_sent) + " were sent and " +
                              std::to_string(stats.messages_dropped) + " dropped");
  }

  void for_each_channel(const std::function<void(Host&, Host&, std::uint64_t kind)>& work) {
    for (std::size_t from = 0; from < world_.size(); ++from) {
      for (std::size_t to = 0; to < world_.size(); ++to) {
        for (const std::uint64_t kind : {0, 3}) {
          if (from != to) work(world_.host(from), world_.host(to), kind);
        }
      }
    }
  }

  const Tls* tls_;
  Tap tap_;
  sim::Random work_;
  std::uint64_t count_ = 0;
  std::map<std::uint64_t, Sent> sent_;
  std::map<Channel, std::uint64_t> last_;  // message that came
  std::uint64_t received_ = 0;
  std::uint64_t fresh_after_ = count_mask;  // messages with a higher count are fresh
  std::uint64_t fresh_ = 0;                 // of those, received
  std::uint64_t next_try_us_ = 0;
  std::uint64_t heard_before_ = 0;
  bool all_up_ = false;
  std::string missing_;
  World world_;
};

void run_seeds(std::uint64_t first, std::uint64_t count, const Tls* tls) {
  std::uint64_t received = 0;
  std::uint64_t connections = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    LinksRun run(draw_plan(seed), tls);
    const std::string violation = run.run();
    if (!violation.empty()) FAIL(violation);
    received += run.received();
    connections += run.connections();
  }
  // Worlds in which nothing happens prove nothing.
  if (count < 10) return;
  CHECK(received > 100 * count);
  CHECK(connections > 10 * count);
}

}  // namespace

TEST_CASE("links over streams that break at any byte (hazards 106, 108, 111, 114, 116)") {
  const Seeds seeds = seeds_of(2000);
  run_seeds(seeds.first, seeds.count, nullptr);
}

TEST_CASE("links under TLS over streams that break at any byte (hazards 106, 108, 111)") {
  const auto tls = Authority().node();
  const Seeds seeds = seeds_of(40);
  run_seeds(seeds.first, seeds.count, tls.get());
}

TEST_CASE("a seed of the raft port's simulation replays exactly") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    const auto hash = [seed] {
      LinksRun run(draw_plan(seed), nullptr);
      REQUIRE(run.run().empty());
      return run.hash();
    };
    CHECK(hash() == hash());
  }
}

}  // namespace iris::peers_sim
