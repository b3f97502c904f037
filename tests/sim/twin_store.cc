#include "tests/sim/twin_store.h"

#include "store/snapshot.h"
#include "tests/sim/model_view.h"
#include "tests/sim/report.h"

namespace iris::sim {

namespace {

// The delay from the end of a job on a lane to its completion on the loop.
constexpr std::uint64_t post_us = 5;

// A cursor over the rows of both stores, which must be equal.
class TwinCursor final : public store::Cursor {
 public:
  TwinCursor(std::unique_ptr<store::Cursor> real, std::unique_ptr<store::Cursor> model)
      : real_(std::move(real)), model_(std::move(model)) {
    compare();
  }
  [[nodiscard]] bool valid() const override { return model_->valid(); }
  [[nodiscard]] std::string_view key() const override { return model_->key(); }
  [[nodiscard]] std::string_view value() const override { return model_->value(); }
  void next() override {
    real_->next();
    model_->next();
    compare();
  }

 private:
  void compare() const {
    VERIFY(real_->valid() == model_->valid(), "SMS", "a scan of the data has another end");
    if (!model_->valid()) return;
    VERIFY(real_->key() == model_->key() && real_->value() == model_->value(), "SMS",
           "a scan of the data finds another row than was stored");
  }

  const std::unique_ptr<store::Cursor> real_;
  const std::unique_ptr<store::Cursor> model_;
};

// A batch that writes to both stores; its reads must be equal in both.
class TwinBatch final : public store::Batch {
 public:
  TwinBatch(store::Batch& real, store::Batch& model) : real_(real), model_(model) {}
  [[nodiscard]] raft::Index applied() const override { return real_.applied(); }
  [[nodiscard]] store::Found get(store::Table table, std::string_view key,
                                 std::string& value) const override {
    const store::Found found = real_.get(table, key, value);
    std::string expected;
    const store::Found should = model_.get(table, key, expected);
    VERIFY(found == should && (found != store::Found::yes || value == expected), "SMS",
           "the data has another row than was stored");
    return found;
  }
  [[nodiscard]] store::Found front(store::Table table, std::string_view key,
                                   std::string& front) const override {
    const store::Found found = real_.front(table, key, front);
    std::string expected;
    const store::Found should = model_.front(table, key, expected);
    VERIFY(found == should && (found != store::Found::yes || front == expected), "SMS",
           "the front of a row is another than was stored");
    return found;
  }
  [[nodiscard]] std::unique_ptr<store::Cursor> scan(store::Table table, std::string_view prefix,
                                                    std::string_view from) const override {
    return std::make_unique<TwinCursor>(real_.scan(table, prefix, from),
                                        model_.scan(table, prefix, from));
  }
  void put(store::Table table, std::string_view key, std::string_view value) override {
    real_.put(table, key, value);
    model_.put(table, key, value);
  }
  void remove(store::Table table, std::string_view key) override {
    real_.remove(table, key);
    model_.remove(table, key);
  }
  void remove_prefix(store::Table table, std::string_view prefix) override {
    real_.remove_prefix(table, prefix);
    model_.remove_prefix(table, prefix);
  }

 private:
  store::Batch& real_;
  store::Batch& model_;
};

// The digests of the tables without the changes of maintenance on this node.
std::uint64_t shared_digest(const DataState& state, std::size_t table) {
  return state.tables[table].digest() + state.maintained[table];
}

}  // namespace

TwinStore::TwinStore(RocksDisk& disk, Hooks hooks, std::uint64_t seed)
    : disk_(disk), hooks_(std::move(hooks)), random_(seed) {
  real_ = disk_.take({[this, alive = alive_](std::function<void()> job) {
                        if (*alive) later(post_us, std::move(job));
                      },
                      [this, alive = alive_](store::LaneName lane, std::function<void()> work) {
                        if (!*alive) return;
                        later(duration(lane),
                              [this, lane, work = std::move(work)] { run_lane(lane, work); });
                      }});
}

TwinStore::~TwinStore() {
  *alive_ = false;
  CHECK(real_ == nullptr);
}

std::unique_ptr<store::Store> TwinStore::hand() {
  *alive_ = false;
  return std::move(real_);
}

void TwinStore::later(std::uint64_t delay_us, std::function<void()> fn) {
  hooks_.schedule(delay_us, [alive = alive_, fn = std::move(fn)] {
    if (*alive) fn();
  });
}

std::uint64_t TwinStore::duration(store::LaneName lane) {
  const DiskProfile& profile = disk_.model().profile;
  std::uint64_t result = lane == store::LaneName::log
                             ? random_.between(profile.log_sync_us_min, profile.log_sync_us_max)
                         : lane == store::LaneName::data
                             ? random_.between(profile.data_us_min, profile.data_us_max)
                             : random_.between(profile.read_us_min, profile.read_us_max);
  if (random_.chance(profile.stall_per_million)) result += random_.below(profile.stall_us_max + 1);
  return result;
}

void TwinStore::run_lane(store::LaneName lane, const std::function<void()>& work) {
  const bool writes = lane == store::LaneName::log || lane == store::LaneName::data;
  if (writes && disk_.model().profile.fail_writes) disk_.files().refuse_once();
  work();
  disk_.lane_ended();
  if (disk_.files().dead()) hooks_.power_off();
}

void TwinStore::start(store::Events events) {
  events_ = std::move(events);
  store::Events heard;
  heard.durable = [this](raft::Ticket ticket) {
    std::uint64_t number = 0;
    while (!tickets_.empty() && tickets_.front().first <= ticket) {
      number = tickets_.front().second;
      tickets_.pop_front();
    }
    disk_.durable(number);
    events_.durable(ticket);
  };
  heard.failed = [this](const Error& error) {
    if (!disk_.files().dead()) events_.failed(disk_.without_path(error));
  };
  real_->start(std::move(heard));
}

// --- The log.

void TwinStore::adopt(raft::ClusterId cluster, std::function<void()> done) {
  if (!hooks_.gate()) return;
  LogJob job;
  job.adopt = cluster;
  const std::uint64_t number = disk_.asked(std::move(job));
  real_->adopt(cluster, [this, number, done = std::move(done)] {
    disk_.durable(number);
    done();
  });
}

void TwinStore::write(raft::LogWrite write) {
  if (!hooks_.gate()) return;
  LogJob job;
  if (write.install) {
    CHECK(import_ != nullptr && import_->staged != nullptr);
    job.staged = std::move(import_->staged);
    import_.reset();
  }
  const raft::Ticket ticket = write.ticket;
  job.write = write;
  tickets_.emplace_back(ticket, disk_.asked(std::move(job)));
  real_->write(std::move(write));
}

void TwinStore::trim(raft::SnapshotMetadata floor, std::function<void()> done) {
  if (!hooks_.gate()) return;
  disk_.trim_asked(floor);
  real_->trim(std::move(floor), [this, done = std::move(done)] {
    disk_.trim_done();
    done();
  });
}

// --- The data.

void TwinStore::apply(Applied applied, std::function<void(store::Batch&)> job,
                      std::function<void()> done) {
  if (!hooks_.gate()) return;
  real_->apply(
      applied,
      [this, applied, job = std::move(job)](store::Batch& real) { both(job, real, applied); },
      std::move(done));
}

void TwinStore::maintain(std::function<void(store::Batch&)> job, std::function<void()> done) {
  if (!hooks_.gate()) return;
  real_->maintain(
      [this, job = std::move(job)](store::Batch& real) { both(job, real, std::nullopt); },
      std::move(done));
}

void TwinStore::both(const std::function<void(store::Batch&)>& job, store::Batch& real,
                     const std::optional<Applied>& applied) {
  DataState state = disk_.model().data();
  StateBatch model(state);
  VERIFY(model.applied() == real.applied(), "RP", "the data has applied another entry");
  TwinBatch twin(real, model);
  job(twin);
  if (applied) {
    state.applied = applied->last;
    if (applied->members) {
      state.members = *applied->members;
      state.members_index = applied->members_index;
    }
  } else {
    const DataState& before = disk_.model().data();
    for (std::size_t i = 0; i < table_count; ++i) {
      state.maintained[i] += before.tables[i].digest() - state.tables[i].digest();
    }
  }
  disk_.applied(std::move(state));
}

// --- Snapshots.

std::unique_ptr<store::Export> TwinStore::pin() {
  std::unique_ptr<store::Export> pinned = real_->pin();
  const DataState& state = disk_.model().data();
  VERIFY(disk_.files().dead() || pinned->mark() == state.mark(), "SN",
         "a pinned state is another than was applied");
  auto& digests = disk_.digests()[state.applied.index.value];
  for (std::size_t i = 0; i < table_count; ++i) digests[i] = shared_digest(state, i);
  return pinned;
}

void TwinStore::import_begin(raft::SnapshotMetadata mark) {
  import_ = std::make_shared<Import>();
  import_->mark = mark;
  real_->import_begin(std::move(mark));
}

void TwinStore::import_chunk(std::string bytes, std::function<void(Status)> done) {
  CHECK(import_ != nullptr);
  import_->bytes += bytes;
  real_->import_chunk(std::move(bytes), [this, done = std::move(done)](const Status& taken) {
    done(taken ? taken : unexpected(disk_.without_path(taken.error())));
  });
}

void TwinStore::import_finish(std::function<void(Status)> done) {
  CHECK(import_ != nullptr);
  real_->import_finish([this, import = import_, done = std::move(done)](const Status& finished) {
    Result<DataPtr> parsed = parse(*import);
    VERIFY(parsed.has_value() || !finished, "SN", "a damaged stream was staged");
    if (finished) import->staged = std::move(*parsed);
    done(finished ? finished : unexpected(disk_.without_path(finished.error())));
  });
}

void TwinStore::import_drop() {
  import_.reset();
  real_->import_drop();
}

// In the model alone: after the end of the process the real folder is opened once more, to be
// judged.
void TwinStore::condemn(std::string, std::function<void(Status)> done) {
  if (!hooks_.gate()) return;
  disk_.condemn();
  later(post_us, [done = std::move(done)] { done(Unit{}); });
}

Result<DataPtr> TwinStore::parse(const Import& import) const {
  auto state = std::make_shared<DataState>();
  store::SnapshotReader reader({
      [&](const raft::SnapshotMetadata& mark) {
        return mark == import.mark ? Status(Unit{}) : fail(Errc::corrupt, "another mark");
      },
      [&](store::Table table, std::string_view key, std::string_view value) {
        state->tables.at(static_cast<std::size_t>(table)).put(key, value);
        return Status(Unit{});
      },
  });
  if (Status fed = reader.feed(import.bytes); !fed) return unexpected(fed.error());
  if (Status end = reader.finish(); !end) return unexpected(end.error());
  state->applied = import.mark.last;
  state->members = import.mark.members;
  state->members_index = import.mark.members_index;
  const auto shared = disk_.digests().find(state->applied.index.value);
  VERIFY(shared != disk_.digests().end(), "SN", "a snapshot of a state that nobody pinned");
  for (std::size_t i = 0; i < table_count; ++i) {
    state->maintained[i] = shared->second[i] - state->tables[i].digest();
  }
  return DataPtr(std::move(state));
}

// The capacity is drawn for the model's bytes; the overhead of RocksDB is not counted.
store::DiskUse TwinStore::disk_use() const {
  const std::uint64_t used = disk_.model().used_bytes();
  const std::uint64_t capacity = disk_.model().profile.capacity_bytes;
  return {used, used < capacity ? capacity - used : 0};
}

}  // namespace iris::sim
