#include "src/machine/machine.h"

#include <algorithm>
#include <map>
#include <vector>

#include "raft/check.h"
#include "src/machine/layout.h"

namespace iris {
namespace {

using store::Batch;
using store::Found;
using store::Table;
using store::View;
using Code = Outcome::Code;

// REQUIRES: a view that may ask the disk.
bool get(const View& view, Table table, std::string_view key, std::string& value) {
  const Found found = view.get(table, key, value);
  CHECK(found != Found::incomplete);
  return found == Found::yes;
}

std::optional<layout::SourceRecord> find_source(const View& view, std::string_view source) {
  std::string record;
  if (!get(view, Table::sources, source, record)) return std::nullopt;
  return layout::parse_source_record(record);
}

// The same on the data lane, where each command asks it: a record fits into Batch::front().
static_assert(layout::source_record_bytes <= Batch::front_bytes_max);
std::optional<layout::SourceRecord> find_source(const Batch& batch, std::string_view source) {
  std::string record;
  if (batch.front(Table::sources, source, record) != Found::yes) return std::nullopt;
  return layout::parse_source_record(record);
}

SessionInfo session_info(std::string_view record) {
  const auto parsed = layout::parse_session_record(record);
  return {parsed.subscribed, parsed.subscriptions, parsed.born, parsed.bytes};
}

// Keys and bytes of them that the expiry of a session holds in memory at once.
constexpr std::size_t removed_keys_max = 1'000;
constexpr std::size_t removed_bytes_max = 1u << 20;

// One command being applied.
class Application {
 public:
  Application(std::uint64_t revision, raft::Level level, Batch& batch)
      : revision_(revision), counts_bytes_(level >= raft::Level{1}), batch_(batch) {}

  Outcome run(std::string_view bytes) {
    const auto command = parse(bytes);
    if (!command) return without_effect(Code::malformed);
    using Kind = CommandView::Kind;
    switch (command->kind) {
      case Kind::set_value:
        return set_value(*command);
      case Kind::remove_value:
        return remove_value(*command);
      case Kind::remove_source:
        return remove_source(*command);
      case Kind::subscribe:
        return subscribe(*command);
      case Kind::unsubscribe:
        return unsubscribe(*command);
      case Kind::expire_sessions:
        break;
    }
    return expire_sessions(*command);
  }

 private:
  [[nodiscard]] Outcome done(bool changed) const { return {Code::done, changed, revision_}; }

  // A replay of the log skips the commands that are recorded here.
  Outcome without_effect(Code code) {
    batch_.put(Table::no_ops, layout::number_key(revision_), {});
    return {code, false, revision_};
  }

  Outcome condition_failed(std::uint64_t current) {
    Outcome outcome = without_effect(Code::condition_failed);
    outcome.revision = current;
    return outcome;
  }

  // 0: absent.
  [[nodiscard]] std::uint64_t current_revision(std::string_view value_key) const {
    std::string front;
    if (batch_.front(Table::values, value_key, front) != Found::yes) return 0;
    return layout::parse_value_record(front).revision;  // it comes before the value
  }

  Outcome set_value(const CommandView& command) {
    const auto source = find_source(batch_, command.source);
    std::string key = layout::value_key(source ? source->generation : revision_, *command.key);
    const std::uint64_t current = source ? current_revision(key) : 0;
    if (command.if_revision && *command.if_revision != current) return condition_failed(current);
    batch_.put(Table::values, key, layout::value_record({revision_, command.value}));
    if (current == 0) {  // an overwrite leaves the count as it is
      const auto record = source ? layout::SourceRecord{source->generation, source->keys + 1}
                                 : layout::SourceRecord{revision_, 1};
      batch_.put(Table::sources, command.source, layout::source_record(record));
    }
    return done(true);
  }

  Outcome remove_value(const CommandView& command) {
    auto source = find_source(batch_, command.source);
    const std::string key = source ? layout::value_key(source->generation, *command.key) : "";
    const std::uint64_t current = source ? current_revision(key) : 0;
    if (command.if_revision && *command.if_revision != current) return condition_failed(current);
    if (current == 0) return without_effect(Code::done);
    batch_.remove(Table::values, key);
    if (source->keys == 1) {  // a source vanishes with its last key
      batch_.remove(Table::sources, command.source);
    } else {
      --source->keys;
      batch_.put(Table::sources, command.source, layout::source_record(*source));
    }
    return done(true);
  }

  Outcome remove_source(const CommandView& command) {
    const auto source = find_source(batch_, command.source);
    if (!source) return without_effect(Code::done);
    batch_.remove(Table::sources, command.source);
    batch_.put(Table::tombstones, layout::number_key(revision_),
               layout::tombstone_record({source->generation, source->keys, command.source}));
    return done(true);
  }

  // A repetition changes no subscription, not even its `since`, so a client that retries loses no
  // update. It shows that the session is alive.
  Outcome subscribe(const CommandView& command) {
    auto session = find_session(batch_, command.session);
    const std::string key =
        layout::subscription_key(command.session, {command.source, command.key});
    std::string record;
    const bool known = session && get(batch_, Table::subscriptions, key, record);
    if (!known) {
      if (session ? !has_space(command.session, *session, key.size()) : !count_sessions(+1)) {
        return {Code::limit, false, revision_};
      }
      batch_.put(Table::subscriptions, key, layout::number_key(revision_));
    }
    if (!session) session = SessionInfo{.born = revision_, .bytes = 0};
    session->subscribed = revision_;
    if (!known) {
      ++session->subscriptions;
      if (counts_bytes_) *session->bytes += key.size();
    }
    put_session(command.session, *session);
    return done(!known);
  }

  // For one more subscription, of a key of so many bytes.
  bool has_space(std::string_view name, SessionInfo& session, std::size_t key_bytes) const {
    if (session.subscriptions >= subscriptions_per_session_max) return false;
    if (!counts_bytes_) return true;
    count_bytes(name, session);
    return *session.bytes + key_bytes <= subscription_bytes_per_session_max;
  }

  // A row that has no count is of a former version. Its subscriptions are counted this once, as
  // they are at this place in the log, so every node comes to the same.
  void count_bytes(std::string_view name, SessionInfo& session) const {
    if (session.bytes) return;
    session.bytes = 0;
    const std::string prefix = layout::subscription_prefix(name);
    for (auto cursor = batch_.scan(Table::subscriptions, prefix, prefix); cursor->valid();
         cursor->next()) {
      *session.bytes += cursor->key().size();
    }
  }

  // A build of level 0 takes a row with a count of bytes for damage.
  void put_session(std::string_view session, const SessionInfo& info) {
    batch_.put(Table::sessions, session,
               layout::session_record({info.subscribed, info.subscriptions, info.born,
                                       counts_bytes_ ? info.bytes : std::nullopt}));
  }

  Outcome unsubscribe(const CommandView& command) {
    auto session = find_session(batch_, command.session);
    if (!session) return done(false);
    const std::string key =
        layout::subscription_key(command.session, {command.source, command.key});
    std::string record;
    if (!get(batch_, Table::subscriptions, key, record)) return done(false);
    if (counts_bytes_) count_bytes(command.session, *session);
    batch_.remove(Table::subscriptions, key);
    // The session stays until it expires, even empty: its client may subscribe again.
    --session->subscriptions;
    if (counts_bytes_) *session->bytes -= key.size();
    put_session(command.session, *session);
    return done(true);
  }

  Outcome expire_sessions(const CommandView& command) {
    bool changed = false;
    for (const std::string_view name : command.sessions) {
      const auto session = find_session(batch_, name);
      if (!session || session->subscribed > command.up_to) continue;
      remove_session(name);
      changed = true;
    }
    return done(changed);
  }

  void remove_session(std::string_view session) {
    const std::string prefix = layout::subscription_prefix(session);
    // Key by key, not remove_prefix: the session may subscribe again in the same batch.
    std::vector<std::string> keys;
    for (std::string from = prefix;; from = keys.back() + '\0') {
      keys = first_keys(prefix, from);
      if (keys.empty()) break;
      for (const auto& key : keys) batch_.remove(Table::subscriptions, key);
    }
    batch_.remove(Table::sessions, session);
    CHECK(count_sessions(-1));
  }

  // Of Table::subscriptions, with this prefix, from `from` on: a bounded piece.
  [[nodiscard]] std::vector<std::string> first_keys(const std::string& prefix,
                                                    const std::string& from) const {
    std::vector<std::string> keys;
    std::size_t bytes = 0;
    for (auto cursor = batch_.scan(Table::subscriptions, prefix, from);
         cursor->valid() && keys.size() < removed_keys_max && bytes < removed_bytes_max;
         cursor->next()) {
      keys.emplace_back(cursor->key());
      bytes += keys.back().size();
    }
    return keys;
  }

  // Changes the number of sessions by 1 or -1; it is kept under the empty name. False, and nothing
  // is done, at the limit.
  bool count_sessions(int change) {
    std::string record;
    std::uint64_t count = 0;
    if (get(batch_, Table::sessions, {}, record)) count = layout::number(record);
    if (change > 0 && count >= sessions_max) return false;
    CHECK(change > 0 || count > 0);
    count = change > 0 ? count + 1 : count - 1;
    batch_.put(Table::sessions, {}, layout::number_key(count));
    return true;
  }

  const std::uint64_t revision_;
  const bool counts_bytes_;  // the bytes of a session's subscriptions: since level 1
  Batch& batch_;
};

// The first key that a page may contain. A zero byte at the end makes the next key in byte order.
std::string first_key(const Page& page) {
  if (page.start_after.empty()) return page.prefix;
  return std::max(page.prefix, page.start_after + '\0');
}

// A page of the keys of `table` that begin with `bucket`; `row` gets each without the bucket.
void list(const View& view, Table table, const std::string& bucket, const Page& page,
          const std::function<bool(std::string_view key, std::string_view value)>& row) {
  std::uint64_t rows = 0;
  for (auto cursor = view.scan(table, bucket + page.prefix, bucket + first_key(page));
       cursor->valid(); cursor->next()) {
    if (!row(cursor->key().substr(bucket.size()), cursor->value())) return;
    if (++rows == page.limit) return;
  }
}

}  // namespace

Outcome Machine::apply(const raft::Entry& entry, raft::Level level, Batch& batch) {
  const std::uint64_t revision = entry.id.index.value;
  const auto* command = std::get_if<raft::Command>(&entry.payload);
  if (command == nullptr) return {Code::done, false, revision};
  return Application(revision, level, batch).run(*command);
}

Found get_value(const View& view, std::string_view source, std::string_view key, Value& value) {
  std::string record;
  Found found = view.get(Table::sources, source, record);
  if (found != Found::yes) return found;
  const auto parsed = layout::parse_source_record(record);
  found = view.get(Table::values, layout::value_key(parsed.generation, key), record);
  if (found != Found::yes) return found;
  value.revision = layout::parse_value_record(record).revision;
  value.bytes = std::move(record);
  value.bytes.erase(0, 8);  // the revision in front of it
  return Found::yes;
}

void list_sources(const View& view, const Page& page,
                  const std::function<bool(std::string_view source)>& row) {
  list(view, Table::sources, {}, page,
       [&](std::string_view source, std::string_view) { return row(source); });
}

void list_keys(const View& view, std::string_view source, const Page& page, const KeyRow& row) {
  const auto record = find_source(view, source);
  if (record) list_generation(view, record->generation, page, row);
}

std::optional<Tombstone> find_tombstone(const View& view, std::uint64_t revision) {
  std::string record;
  if (!get(view, Table::tombstones, layout::number_key(revision), record)) return std::nullopt;
  const auto parsed = layout::parse_tombstone_record(record);
  return Tombstone{parsed.generation, parsed.keys, std::string(parsed.source)};
}

void list_generation(const View& view, std::uint64_t generation, const Page& page,
                     const KeyRow& row) {
  list(view, Table::values, layout::number_key(generation), page,
       [&](std::string_view key, std::string_view record) {
         const auto parsed = layout::parse_value_record(record);
         return row(key, {parsed.value, parsed.revision});
       });
}

bool generation_has(const View& view, std::uint64_t generation, std::string_view key) {
  std::string record;
  return get(view, Table::values, layout::value_key(generation, key), record);
}

void list_no_ops(const View& view, std::uint64_t after,
                 const std::function<bool(std::uint64_t revision)>& row) {
  // after + 1 is at least 1, so the row of purged() is never taken for a no-op.
  for (auto cursor = view.scan(Table::no_ops, {}, layout::number_key(after + 1)); cursor->valid();
       cursor->next()) {
    if (!row(layout::number(cursor->key()))) return;
  }
}

std::uint64_t purged(const View& view) {
  std::string record;
  if (!get(view, Table::no_ops, layout::number_key(0), record)) return 0;
  return layout::number(record);
}

bool purge(Batch& batch, std::uint64_t floor, std::size_t records_max) {
  CHECK(floor <= batch.applied().value);
  CHECK(records_max > 0);
  const std::uint64_t before = purged(batch);
  if (before >= floor) return false;
  // The records to delete, by revision: the generation of a tombstone, or 0 for a no-op. Each scan
  // begins after `before`, so it passes none of the records that earlier calls deleted.
  std::map<std::uint64_t, std::uint64_t> due;
  for (const Table table : {Table::no_ops, Table::tombstones}) {
    auto cursor = batch.scan(table, {}, layout::number_key(before + 1));
    for (std::size_t rows = 0; cursor->valid() && rows < records_max; cursor->next(), ++rows) {
      const std::uint64_t revision = layout::number(cursor->key());
      if (revision > floor) break;
      due.emplace(revision, table == Table::no_ops
                                ? 0
                                : layout::parse_tombstone_record(cursor->value()).generation);
    }
  }
  std::size_t records = 0;
  std::uint64_t deleted_to = before;
  for (const auto& [revision, generation] : due) {
    if (records == records_max) break;
    if (generation == 0) {
      batch.remove(Table::no_ops, layout::number_key(revision));
    } else {
      batch.remove_prefix(Table::values, layout::number_key(generation));
      batch.remove(Table::tombstones, layout::number_key(revision));
    }
    deleted_to = revision;
    ++records;
  }
  const bool more = records == records_max;
  batch.put(Table::no_ops, layout::number_key(0), layout::number_key(more ? deleted_to : floor));
  return more;
}

std::optional<SessionInfo> find_session(const View& view, std::string_view session) {
  std::string record;
  if (session.empty() || !get(view, Table::sessions, session, record)) return std::nullopt;
  return session_info(record);
}

void list_sessions(
    const View& view, const Page& page,
    const std::function<bool(std::string_view session, const SessionInfo& info)>& row) {
  list(view, Table::sessions, {}, page, [&](std::string_view session, std::string_view record) {
    if (session.empty()) return true;  // the number of sessions
    return row(session, session_info(record));
  });
}

void list_subscriptions(const View& view, std::string_view session,
                        const std::function<bool(const SubscriptionView& subscription)>& row) {
  const std::string prefix = layout::subscription_prefix(session);
  for (auto cursor = view.scan(Table::subscriptions, prefix, prefix); cursor->valid();
       cursor->next()) {
    const auto parsed = layout::parse_subscription_key(cursor->key(), prefix.size());
    if (!row({parsed.source, parsed.key, layout::number(cursor->value())})) return;
  }
}

}  // namespace iris
