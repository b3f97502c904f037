// Random commands, and clients that stop reading, go, resume, subscribe and unsubscribe, on a node
// that lags, trims, restarts and installs snapshots, its lanes in random order. Every client checks
// each update as it comes (client.h), and at the end its map against the oracle's.
#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/listeners/client.h"
#include "tests/listeners/harness.h"
#include "tests/sim/random.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::testing {
namespace {

class Run {
 public:
  explicit Run(std::uint64_t seed) : random_(seed), node_(cluster_) {
    node_.options.buffer_bytes = random_.between(200, 6'000);
    node_.options.page_rows = random_.between(1, 5);
    node_.options.page_bytes = random_.between(100, 1'000);
    node_.options.purge_records = random_.between(1, 4);
    node_.options.reads_max = random_.between(1, 3);
    node_.options.queued_bytes_max = random_.between(1'500, 20'000);
    node_.options.states_max = random_.between(1, 4);
    node_.options.state_stall_ms = 100;
    node_.options.stall_ms = 200;
    loses_log_ = random_.below(2) == 0;
    node_.restart();
    for (int i = 0; i < 6; ++i) {
      clients_.push_back(std::make_unique<Client>(
          oracle_, std::string(1, static_cast<char>('A' + i)), i % 3 != 0));
    }
    ids_.resize(clients_.size());
  }

  void go(int steps) {
    for (int step = 0; step < steps; ++step) this->step();
    settle();
    for (const auto& client : clients_) client->check_settled(!loses_log_);
    CHECK(node_.listeners->status().queued_bytes == 0);
  }

 private:
  void step() {
    switch (random_.below(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
        return write();
      case 6:
      case 7:
        return subscribe();
      case 8:
      case 9:
        return node_.give(random_.between(node_.applied_index(), cluster_.last()));
      case 10:
      case 11:
      case 12:
        return static_cast<void>(node_.store->run(sim::Lane::data));
      case 13:
      case 14:
      case 15:
        return static_cast<void>(node_.store->run(sim::Lane::read));
      case 16:
      case 17:
        return static_cast<void>(node_.pump());
      case 18:
        return node_.pass_barriers();
      case 19:
      case 20:
        return stream();
      case 21:
      case 22:
        return read();
      default:
        return rare();
    }
  }

  void apply(const Operation& operation) {
    last_ = cluster_.apply(operation);
    oracle_.apply(operation, last_);
  }

  std::string source() { return std::string(1, static_cast<char>('s' + random_.below(3))); }
  std::string key() { return std::to_string(random_.below(6)); }
  Client& client() { return *clients_[random_.below(clients_.size())]; }

  void write() {
    std::optional<std::uint64_t> if_revision;
    if (random_.below(4) == 0) {
      if_revision = random_.below(2) == 0 ? 0 : random_.below(cluster_.last() + 1);
    }
    switch (random_.below(8)) {
      case 0:
        return apply(RemoveSource{source()});
      case 1:
      case 2:
        return apply(RemoveValue{source(), key(), if_revision});
      default:
        return apply(SetValue{source(), key(), std::string(random_.below(40), 'v'), if_revision});
    }
  }

  void subscribe() {
    Client& who = client();
    const std::string where = source();
    std::optional<std::string> what;
    if (random_.below(2) == 0) what = key();
    if (random_.below(3) > 0) {
      apply(Subscribe{who.session(), where, what});
      who.subscribed(where, what, last_);
    } else {
      apply(Unsubscribe{who.session(), where, what});
      who.unsubscribed(where, what, last_.revision);
    }
  }

  void stream() {
    const std::size_t which = random_.below(clients_.size());
    Client& who = *clients_[which];
    if (who.is_open()) {
      node_.listeners->cancelled(ids_[which]);
      who.cut();
      if (random_.below(2) == 0) return;
    }
    open(which);
  }

  void open(std::size_t which) {
    Client& who = *clients_[which];
    // A client that is refused knows that its session is gone, and begins again.
    const auto id = node_.listeners->open(
        who.ask(random_.below(6) == 0, static_cast<std::uint32_t>(random_.below(2) * 100)), who);
    CHECK(id.has_value());
    ids_[which] = *id;
  }

  void read() {
    const std::size_t which = random_.below(clients_.size());
    Client& who = *clients_[which];
    who.reading = random_.below(3) > 0;
    if (!who.is_open() || !who.must_wait) return;
    who.must_wait = false;
    node_.listeners->writable(ids_[which]);
  }

  void rare() {
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2:
        for (int i = 0; i < 15; ++i) node_.listeners->tick(true);
        return;
      case 3:
        for (int i = 0; i < 30; ++i) node_.listeners->tick(true);
        return;
      case 4:
      case 5:
        if (loses_log_) node_.trim(random_.between(node_.first_index() - 1, node_.applied_index()));
        return;
      case 6:
        if (loses_log_ && random_.below(3) == 0) node_.install();
        return;
      case 7:
        if (random_.below(4) == 0) restart();
        return;
      case 8:
        return expire();
      default:
        apply(Subscribe{"nobody", source(), {}});
    }
  }

  void restart() {
    for (const auto& client : clients_) {
      if (client->is_open()) client->cut();
    }
    node_.restart();
  }

  void expire() {
    Client& who = client();
    const std::uint64_t up_to = cluster_.last();
    if (random_.below(3) > 0) return;
    apply(ExpireSessions{up_to, {who.session()}});
    who.expired(last_.revision);
  }

  // Every client reads and listens, everything is applied.
  void settle() {
    for (int round = 0; round < 3; ++round) {  // a client that was refused comes again
      node_.settle();
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        Client& who = *clients_[i];
        who.reading = true;
        if (who.is_open()) continue;
        if (who.end == StreamEnd::not_found) {  // as it was told to
          const std::string where = source();
          apply(Subscribe{who.session(), where, {}});
          who.subscribed(where, {}, last_);
        }
        open(i);
      }
      for (int reads = 0; reads < 10'000; ++reads) {
        bool waited = false;
        for (std::size_t i = 0; i < clients_.size(); ++i) {
          if (!clients_[i]->is_open() || !clients_[i]->must_wait) continue;
          waited = true;
          clients_[i]->must_wait = false;
          node_.listeners->writable(ids_[i]);
        }
        node_.settle();
        if (!waited) break;
      }
    }
  }

  sim::Random random_;
  Cluster cluster_;
  Oracle oracle_;
  ListeningNode node_;
  Outcome last_;
  bool loses_log_ = false;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<ListenerId> ids_;
};

TEST_CASE("every stream replays to the state, whatever happens (hazards 83 to 91)") {
  // More seeds than a test has time for: IRIS_SEEDS=20000.
  const char* asked = std::getenv("IRIS_SEEDS");
  const std::uint64_t seeds = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 500;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    Run(seed).go(1'500);
  }
  const auto& counts = Client::counts;
  CAPTURE(counts.updates, counts.rows, counts.resyncs, counts.synced, counts.bookmarks,
          counts.repeated);
  // Runs that did not reach these cases would prove nothing.
  CHECK(counts.updates > 20'000);
  CHECK(counts.rows > 2'000);
  CHECK(counts.resyncs > 200);
  CHECK(counts.synced > 500);
  CHECK(counts.bookmarks > 100);
  CHECK(counts.repeated > 20);
}

}  // namespace
}  // namespace iris::testing
