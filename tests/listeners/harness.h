// A cluster as listeners see it, without Raft. Cluster: the committed log, applied at once to a
// store of its own (the leader). ListeningNode: a node that applies the same log at its own pace to
// its own store, trims it, takes snapshots, restarts; each lane moves only when the test says so.
// One thread, no time but tick().
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "src/listeners/listeners.h"
#include "tests/sim/model_store.h"

namespace iris::testing {

struct Cluster {
  Cluster() : disk({1}, 1), store(std::make_unique<sim::ModelStore>(disk)) {
    store->start({[](raft::Ticket) {}, [](const Error&) { CHECK(false); }});
  }

  std::uint64_t last() const { return log.size(); }
  // The entry after the last; its outcome, as every node will have it.
  Outcome apply(const Operation& operation) { return append(encode(operation)); }
  Outcome append(raft::Payload payload) {
    const raft::EntryId id{{1}, {log.size() + 1}};
    log.push_back(std::make_shared<raft::Entry>(raft::Entry{id, std::move(payload)}));
    Outcome outcome;
    store->apply(
        {id, std::nullopt, {}},
        [&](store::Batch& batch) { outcome = Machine::apply(*log.back(), feature_level, batch); },
        [] {});
    store->settle();
    outcomes.push_back(outcome);
    return outcome;
  }
  Outcome set(const std::string& source, const std::string& key, const std::string& value,
              std::optional<std::uint64_t> if_revision = {}) {
    return apply(SetValue{source, key, value, if_revision});
  }
  Outcome remove(const std::string& source, const std::string& key) {
    return apply(RemoveValue{source, key, {}});
  }
  Outcome remove_source(const std::string& source) { return apply(RemoveSource{source}); }
  Outcome subscribe(const std::string& session, const std::string& source,
                    std::optional<std::string> key = {}) {
    return apply(Subscribe{session, source, std::move(key)});
  }
  Outcome unsubscribe(const std::string& session, const std::string& source,
                      std::optional<std::string> key = {}) {
    return apply(Unsubscribe{session, source, std::move(key)});
  }
  // All of its data, as a snapshot carries it.
  [[nodiscard]] std::pair<raft::SnapshotMetadata, std::string> snapshot() const {
    const auto pinned = store->pin();
    std::string bytes;
    for (bool end = false; !end;) {
      pinned->read(1u << 20, [&](Result<std::string> chunk) {
        end = chunk->empty();
        bytes += *chunk;
      });
      store->settle();
    }
    return {pinned->mark(), std::move(bytes)};
  }

  std::vector<raft::EntryPtr> log;  // of index 1 and on
  std::vector<Outcome> outcomes;
  sim::ModelDisk disk;
  std::unique_ptr<sim::ModelStore> store;
};

class ListeningNode : public History {
 public:
  explicit ListeningNode(Cluster& cluster) : cluster_(cluster), disk_({2}, 2) { restart(); }

  // A new life, with the store of the one before, and the log from `first_` on.
  void restart() {
    listeners.reset();
    store.reset();
    disk_.crash({sim::ModelDisk::Keep::all, sim::ModelDisk::Keep::all, false});
    store = std::make_unique<sim::ModelStore>(disk_);
    store->start({[this](raft::Ticket) { durable_ = true; }, [](const Error&) { CHECK(false); }});
    applied_ = given_ = disk_.data().applied.index.value;
    barriers_.clear();
    pumps = 0;
    listeners = std::make_unique<Listeners>(
        options, *store, *this,
        ListenersHooks{[this] { ++pumps; },
                       [this](std::function<void(Status)> done) {
                         barriers_.emplace_back(cluster_.last(), std::move(done));
                       },
                       [this](const std::string& session) { served.insert(session); },
                       [this](const std::string& session) { served.erase(session); }});
    listeners->start();
  }

  // Hands entries up to `index` to the data lane.
  void give(std::uint64_t index) {
    for (; given_ < index; ++given_) {
      const raft::EntryPtr& entry = cluster_.log[given_];
      auto outcome = std::make_shared<Outcome>();
      store->apply(
          {entry->id, std::nullopt, {}},
          [entry, outcome](store::Batch& batch) {
            *outcome = Machine::apply(*entry, feature_level, batch);
          },
          [this, entry, outcome] {
            CHECK(*outcome == cluster_.outcomes[entry->id.index.value - 1]);
            if (std::holds_alternative<raft::Command>(entry->payload)) {
              listeners->on_applied(entry, *outcome);
            }
            applied_ = entry->id.index.value;
          });
    }
  }
  // Barriers whose index is applied.
  void pass_barriers() {
    while (!barriers_.empty() && barriers_.front().first <= applied_) {
      const auto done = std::move(barriers_.front().second);
      barriers_.pop_front();
      done(Unit{});
    }
  }
  void fail_barriers() {
    for (const auto& [index, done] : std::exchange(barriers_, {})) {
      done(fail(Errc::unavailable, "no leader is known"));
    }
  }
  bool pump() {
    if (pumps == 0) return false;
    CHECK(pumps == 1);  // asked for once
    pumps = 0;
    listeners->pump();
    return true;
  }
  // Everything that can happen without the clock, up to the end of the cluster's log.
  void settle() {
    give(cluster_.last());
    do {
      store->settle();
      pass_barriers();
    } while (pump() || store->run(sim::Lane::data) || store->run(sim::Lane::read));
  }
  void tick(std::uint64_t ms, bool leader_known = true) {
    for (std::uint64_t passed = 0; passed < ms; passed += options.tick_ms) {
      listeners->tick(leader_known);
      settle();
    }
  }

  // REQUIRES: floor <= applied().
  void trim(std::uint64_t floor) {
    CHECK(floor <= applied_);
    if (floor < first_) return;
    first_ = floor + 1;
    listeners->on_trimmed({floor});
  }
  // Installs the cluster's state as a snapshot. Entries that were given are applied before.
  void install() {
    if (const auto index = install_data()) listeners->on_installed(*index);
  }
  // All of that but the news for the listeners; nothing where there is none.
  std::optional<raft::Index> install_data() {
    store->settle();
    const auto [mark, bytes] = cluster_.snapshot();
    if (mark.last.index.value <= applied_) return std::nullopt;
    store->import_begin(mark);
    store->import_chunk(bytes, [](const Status& status) { CHECK(status.has_value()); });
    store->settle();
    store->import_finish([](const Status& status) { CHECK(status.has_value()); });
    store->settle();
    raft::LogWrite write;
    write.ticket = {++ticket_};
    write.install = mark;
    durable_ = false;
    store->write(std::move(write));
    while (!durable_) CHECK(store->run(sim::Lane::log));
    applied_ = given_ = mark.last.index.value;
    first_ = applied_ + 1;
    return mark.last.index;
  }

  std::uint64_t applied_index() const { return applied_; }
  std::uint64_t first_index() const { return first_; }
  [[nodiscard]] const sim::DataState& data() const { return disk_.data(); }

  ListenersOptions options;  // of the next restart()
  std::unique_ptr<sim::ModelStore> store;
  std::unique_ptr<Listeners> listeners;
  std::set<std::string> served;
  int pumps = 0;  // asked for

 private:
  [[nodiscard]] raft::EntryPtr entry(raft::Index index) const override {
    if (index.value < first_ || index.value > cluster_.last()) return nullptr;
    return cluster_.log[index.value - 1];
  }
  [[nodiscard]] raft::Index first() const override { return {first_}; }
  [[nodiscard]] raft::Index applied() const override { return {applied_}; }

  Cluster& cluster_;
  sim::ModelDisk disk_;
  std::uint64_t given_ = 0;
  std::uint64_t applied_ = 0;
  std::uint64_t first_ = 1;
  std::uint64_t ticket_ = 0;
  bool durable_ = false;
  std::deque<std::pair<std::uint64_t, std::function<void(Status)>>> barriers_;
};

// One Listen as its client sees it, as far as it reads.
class RecordedStream : public UpdateStream {
 public:
  bool write(const UpdatePtr& update, bool more) override {
    CHECK(!end && (!must_wait || credit > 0));
    updates.push_back(update);
    more_followed = more;
    if (credit > 0) --credit;
    must_wait = limited && credit == 0;
    return !must_wait;
  }
  void close(StreamEnd why, const std::string& because) override {
    CHECK(!end);
    end = why;
    text = because;
  }

  // "s/k=v@3", "s/k-@4", "bookmark@5"; since the last call.
  std::vector<std::string> take() {
    std::vector<std::string> texts;
    for (; taken < updates.size(); ++taken) texts.push_back(describe(*updates[taken]));
    return texts;
  }
  static std::string describe(const Update& update) {
    const std::string at = "@" + std::to_string(update.revision);
    const std::string name = std::string(update.source).append("/").append(update.key);
    switch (update.op) {
      case Update::Op::put:
        return name + "=" + std::string(update.value) + at;
      case Update::Op::remove:
        CHECK(update.value.empty());
        return name + "-" + at;
      case Update::Op::bookmark:
        return "bookmark" + at;
      case Update::Op::synced:
        return "synced" + at;
      case Update::Op::resync:
        break;
    }
    return "resync" + at;
  }

  std::vector<UpdatePtr> updates;
  std::size_t taken = 0;
  bool more_followed = false;
  bool limited = false;  // takes `credit` updates, then waits for writable()
  std::size_t credit = 0;
  bool must_wait = false;
  std::optional<StreamEnd> end;
  std::string text;
};

}  // namespace iris::testing
