#include "tests/sim/host.h"

#include <algorithm>

#include "raft/members.h"
#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

// Inputs that the kernel keeps for a paused process.
constexpr std::size_t backlog_max = 10'000;
// A peer whose connection failed or was refused dials again after this time.
constexpr std::uint64_t redial_us = 300'000;
// A process that ends by itself: writes that the kernel has are kept, also unsynced ones; queued
// ones are lost.
constexpr ModelDisk::Crash by_itself{ModelDisk::Keep::some, ModelDisk::Keep::some, true};

}  // namespace

Host::Host(World& world, std::size_t number)
    : world_(world),
      number_(number),
      address_("h" + std::to_string(number) + ":1"),
      judge_(world, *this),
      build_(world.options.first_level) {
  wipe();
}

Host::~Host() {
  serving_.reset();
  node_.reset();
  store_.reset();
  if (twin_ != nullptr) rocks_->close(twin_->hand());
}

Node& Host::node() {
  CHECK(node_ != nullptr);
  return *node_;
}
const Node& Host::node() const {
  CHECK(node_ != nullptr);
  return *node_;
}
store::Store& Host::store() {
  if (twin_ != nullptr) return *twin_;
  CHECK(store_ != nullptr);
  return *store_;
}
SimTransport& Host::transport() {
  CHECK(transport_ != nullptr);
  return *transport_;
}

bool Host::leads() const { return node().core().role() == raft::Role::leader; }

std::pair<raft::Index, raft::Members> Host::latest_members() const {
  if (runs()) return {node().core().members_index(), node().core().members()};
  raft::MembersVersion latest = raft::latest_members(disk_->log().floor, disk_->log().entries);
  return {latest.index, std::move(latest.members)};
}

raft::Index Host::decided_members_index() const {
  const raft::CoreStatus status = node().core().status();
  const raft::EntryPtr made = node().core().entry(status.members_index);
  const bool undone = made != nullptr && world_.ghost.is_undone(made->id);
  return undone ? status.members_committed_index : status.members_index;
}

std::uint64_t Host::paused_us() const {
  return paused_us_ + (state_ == State::paused ? world_.now_us() - paused_since_us_ : 0);
}

// --- The folder.

void Host::wipe() {
  CHECK(!runs());
  is_first_ = false;
  planted_ = false;
  if (rocks_ != nullptr) lost_rocks_[id().value] = std::move(rocks_);
  if (disk_ != nullptr) world_.keep_lost(std::move(disk_));
  Random random = world_.random(RandomStream::hosts, number_ * 1000 + disks_++);
  // A small number made of host and folder, so that a trace can be read.
  const raft::NodeId id{(number_ + 1) * 100 + disks_};
  disk_ = std::make_unique<ModelDisk>(id, random.next());
  if (world_.options.rocks) {
    rocks_ = std::make_unique<RocksDisk>(*disk_, world_.digests, random.next());
  }
  state_ = State::off;
}

void Host::bring_back(raft::NodeId id) {
  CHECK(!runs() && was_here(id));
  if (rocks_ != nullptr) {
    lost_rocks_[disk_->self().value] = std::move(rocks_);
    rocks_ = std::move(lost_rocks_.at(id.value));
  }
  std::unique_ptr<ModelDisk> found = world_.take_lost(id);
  world_.keep_lost(std::move(disk_));
  disk_ = std::move(found);
  state_ = State::off;
}

void Host::move_to(std::string address) {
  CHECK(!runs());
  address_ = std::move(address);
}

// --- The process.

NodeHooks Host::make_hooks() {
  NodeHooks hooks;
  const std::uint64_t life = life_;
  hooks.schedule_flush = [this, life] {
    world_.timeline.after(1, [this, life] { enter_life(life, [this] { node_->flush(); }); });
  };
  hooks.on_applied = [this](const raft::EntryPtr& entry, const Outcome& outcome) {
    if (doomed_) return;
    judge_.applied(entry, outcome);
    if (serving_) serving_->on_applied(entry, outcome);
  };
  hooks.on_installed = [this](raft::Index index) {
    if (doomed_) return;
    judge_.installed(index);
    if (serving_) serving_->on_installed(index);
  };
  hooks.on_trimmed = [this](raft::Index floor) {
    if (serving_ && !doomed_) serving_->on_trimmed(floor);
  };
  hooks.log_kept = [this]() -> std::optional<raft::Index> {
    if (!serving_) return std::nullopt;
    return serving_->listeners().keeps_log_after();
  };
  hooks.on_sessions_served = [this](raft::NodeId from, const SessionsServed& served) {
    if (serving_ && !doomed_) serving_->on_sessions_served(from, served);
  };
  hooks.on_halt = [this](bool clean, const Error& why) {
    if (!doomed_) halted(clean, why);
  };
  return hooks;
}

void Host::make_store() {
  const Schedule schedule = [this, life = life_](std::uint64_t delay_us, std::function<void()> fn) {
    world_.timeline.after(
        delay_us, [this, life, fn = std::move(fn)]() mutable { enter_life(life, std::move(fn)); });
  };
  if (rocks_ != nullptr) {
    TwinStore::Hooks hooks{schedule, [this] { return effect(); }, [this] { doomed_ = true; }};
    twin_ = std::make_unique<TwinStore>(*rocks_, std::move(hooks), mix(id().value + life_));
    return;
  }
  store_ = std::make_unique<ModelStore>(*disk_, schedule);
  store_->set_gate([this] { return effect(); });
}

void Host::make_node() {
  ++life_;
  ++world_.stats.starts;
  make_store();
  transport_ = std::make_unique<SimTransport>(*this);
  NodeOptions options = world_.options.node;
  options.address = address_;
  options.level = build_;
  options.raft.seed = mix(world_.options.seed ^ mix(number_ * 1'000'003 + life_));
  options.cluster_seed = mix(options.raft.seed);
  options.life_seed = mix(options.raft.seed + 1);
  node_ = std::make_unique<Node>(options, store(), *transport_, make_hooks());
  if (world_.options.subscribers > 0) serving_ = std::make_unique<Serving>(*this);
}

void Host::start() {
  CHECK(!runs());
  if (std::exchange(outdated_, false)) build_ = newest_level;
  make_node();
  state_ = State::up;
  paused_us_ = 0;
  TRACE(tag(), "starts as node " + to_text(id()) + " at " + address_ + ", level " +
                   std::to_string(build_.value));
  enter([this] {
    node_->start();
    if (!doomed_) judge_.started();
    if (serving_ && !doomed_ && !ends()) serving_->start();
    if (!doomed_ && !ends() && is_first_ && !node_->initialized()) node_->bootstrap();
  });
  tick_later();
}

void Host::start_as_first() {
  is_first_ = true;
  start();
}

void Host::tick() {
  node_->tick();
  if (serving_ && !doomed_) serving_->tick();
}

void Host::tick_later() {
  const std::uint64_t interval_us =
      std::uint64_t{world_.options.node.tick_ms} * tick_per_mille_;  // ms * (1/1000) = us
  world_.timeline.after(interval_us, [this, life = life_] {
    if (life != life_ || !runs()) return;
    if (state_ == State::paused) {
      tick_missed_ = true;
    } else {
      enter([this] { tick(); });
      if (runs() && world_.now_us() >= dial_at_us_) {
        dial_at_us_ = world_.now_us() + redial_us;
        transport_->dial();
      }
    }
    tick_later();
  });
}

void Host::preload(raft::ClusterId cluster, const raft::EntryPtr& first) {
  if (rocks_ != nullptr) return rocks_->preload(cluster, first);
  disk_->preload(cluster, first);
}

void Host::disarm() {
  effects_left_ = UINT64_MAX;
  if (rocks_ != nullptr) rocks_->files().die_after(UINT64_MAX);
}

void Host::crash(ModelDisk::Crash how) {
  CHECK(runs() && !inside_);
  ++world_.stats.crashes;
  crash_ = how;
  TRACE(tag(), "crashes");
  end(State::off);
}

void Host::crash_after_effects(std::uint64_t effects, ModelDisk::Crash how) {
  CHECK(runs());
  effects_left_ = effects;
  crash_ = how;
  // Or amid the operations of RocksDB for one of them, whichever comes first.
  if (rocks_ != nullptr) rocks_->files().die_after(1 + effects);
}

bool Host::effect() {
  if (doomed_ || ending_) return false;
  if (effects_left_ == 0) {
    // Others have seen the effects before this moment.
    judge_.check();
    doomed_ = true;
    return false;
  }
  if (effects_left_ != UINT64_MAX) --effects_left_;
  return true;
}

void Host::pause() {
  if (state_ != State::up) return;
  TRACE(tag(), "stands still");
  state_ = State::paused;
  paused_since_us_ = world_.now_us();
  tick_missed_ = false;
}

void Host::resume() {
  if (state_ != State::paused) return;
  TRACE(tag(), "goes on with " + std::to_string(backlog_.size()) + " things to do");
  paused_us_ += world_.now_us() - paused_since_us_;
  state_ = State::up;
  const std::uint64_t life = life_;
  // However late a timer is, it is one tick; it comes before or after the other inputs by chance.
  const bool tick_first = (world_.now_us() & 1) != 0;
  const auto late_tick = [&] {
    if (tick_missed_) enter_life(life, [this] { tick(); });
  };
  if (tick_first) late_tick();
  std::deque<std::function<void()>> backlog;
  backlog.swap(backlog_);
  for (auto& fn : backlog) enter_life(life, std::move(fn));
  if (!tick_first) late_tick();
}

void Host::enter(std::function<void()> fn) {
  if (state_ == State::paused) {
    if (backlog_.size() < backlog_max) backlog_.push_back(std::move(fn));
    return;
  }
  if (state_ != State::up) return;
  CHECK(!inside_);
  inside_ = true;
  fn();
  inside_ = false;
  judge();
}

void Host::judge() {
  if (!doomed_) judge_.check();
  if (doomed_) {
    ++world_.stats.crashes;
    TRACE(tag(), "crashes between two effects");
    end(State::off);
  } else if (ending_) {
    crash_ = by_itself;
    end(*ending_);
  }
}

void Host::end(State state) {
  state_ = state;
  serving_.reset();
  node_.reset();
  transport_.reset();
  if (rocks_ != nullptr) {
    std::unique_ptr<store::Store> real = twin_->hand();
    twin_.reset();
    rocks_->crash(std::move(real), crash_.log != ModelDisk::Keep::none);
  } else {
    store_.reset();
    disk_->crash(crash_);
  }
  backlog_.clear();
  greeted_.clear();
  doomed_ = false;
  ending_.reset();
  effects_left_ = UINT64_MAX;
  if (world_.on_process_end) world_.on_process_end(*this, life_);
}

void Host::halted(bool clean, const Error& why) {
  TRACE(tag(), "ends: " + why.text);
  if (clean) {
    // A second join that was under way may have made it a member again.
    VERIFY(world_.ghost.did_without(id(), decided_members_index()), "CF",
           "node " + to_text(id()) + " ends as removed and is a member: " + why.text);
  } else {
    outdated_ = why.code == Errc::unimplemented;
    VERIFY(!outdated_ || world_.ghost.members().level > build_, "FL",
           "node " + to_text(id()) + " demands a newer build in vain: " + why.text);
    VERIFY(planted_ || !disk_->condemned(), "OD",
           "node " + to_text(id()) + " is called odd and is not: " + why.text);
    VERIFY(planted_ || outdated_ || may_fail_, "NC",
           "node " + to_text(id()) + " blames a healthy disk: " + why.text);
  }
  ending_ = clean ? State::removed : State::failed;
}

// --- Inputs.

PeerIdentity Host::identity() const {
  return {id(), disk_->log().cluster, address_, build_,
          runs() ? node_->cluster_level() : raft::Level{}};
}

bool Host::admits(const PeerIdentity& from, std::uint64_t from_life) {
  const auto found = std::find_if(greeted_.begin(), greeted_.end(),
                                  [&](const auto& each) { return each.first == from.node; });
  if (found != greeted_.end() && found->second.life == from_life) {
    const Greeted& greeted = found->second;
    const bool steady = greeted.accepted && transport_->knows(from.node);
    if (steady || world_.now_us() < greeted.at_us + redial_us) return greeted.accepted;
  }
  const bool accepted = node_->greet(from).has_value();
  const Greeted greeted{from_life, world_.now_us(), accepted};
  if (found != greeted_.end()) {
    found->second = greeted;
  } else {
    greeted_.emplace_back(from.node, greeted);
  }
  return accepted;
}

bool Host::has_admitted(raft::NodeId node, std::uint64_t life) const {
  return runs() && transport_->knows(node) &&
         std::any_of(greeted_.begin(), greeted_.end(), [&](const auto& each) {
           return each.first == node && each.second.life == life && each.second.accepted;
         });
}

void Host::greet(const PeerIdentity& from, std::uint64_t from_life) {
  enter([this, from, from_life] { static_cast<void>(admits(from, from_life)); });
}

void Host::deliver(const PeerIdentity& from, std::uint64_t from_life, PeerMessage message) {
  enter([this, from, from_life, message = std::move(message)]() mutable {
    if (!admits(from, from_life)) return;
    TRACE(tag(), "gets from " + to_text(from.node) + ": " + to_text(message.body));
    node_->receive(std::move(message));
  });
}

}  // namespace iris::sim
