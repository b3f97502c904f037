// Moving updates out to streams: the second half of listener_hub.h.
#include <algorithm>

#include "raft/check.h"
#include "src/base/log.h"
#include "src/listeners/hub.h"

namespace iris {
namespace {

using Kind = CommandView::Kind;

constexpr std::size_t state_items_max = 64;      // asked for in one read
constexpr std::size_t grave_checks_max = 1'000;  // listeners whose keys are looked up in one read

void spend(std::size_t& work, std::size_t amount) { work -= std::min(work, amount); }

}  // namespace

// --- Turns.

void Listeners::Hub::schedule() {
  if (std::exchange(scheduled_, true)) return;
  hooks_.schedule_pump();
}

// Below a page, so that the stream always has something to write while the next is fetched.
bool Listeners::Hub::wants_more(const Listener& listener) const {
  if (!listener.queue.empty() && listener.queue_bytes >= options_.page_bytes) return false;
  switch (listener.stage) {
    case Stage::replay:
    case Stage::stalled:
      return true;
    case Stage::grave:
    case Stage::state:
      return !listener.reading;
    case Stage::barrier:
    case Stage::loading:
    case Stage::live:
    case Stage::state_begins:
      break;
  }
  return false;
}

bool Listeners::Hub::has_work(const Listener& listener) const {
  return (listener.writable && !listener.queue.empty()) || wants_more(listener);
}

void Listeners::Hub::make_ready(Listener& listener) {
  if (listener.ready || !has_work(listener)) return;
  listener.ready = true;
  ready_.push_back(listener.id);
  schedule();
}

void Listeners::Hub::pump() {
  scheduled_ = false;
  enter_states();
  std::size_t work = Work::pump;
  while (!ready_.empty() && work > 0) {
    Listener* listener = find(ready_.front());
    ready_.pop_front();
    if (listener == nullptr) continue;
    listener->ready = false;
    std::size_t turn = std::min(work, Work::turn);
    spend(work, 1);
    const std::size_t before = turn;
    serve(*listener, turn);
    spend(work, before - turn);
    make_ready(*listener);
  }
  if (!ready_.empty()) schedule();
}

void Listeners::Hub::serve(Listener& listener, std::size_t& work) {
  drain(listener, work);
  refill(listener, work);
  drain(listener, work);
}

void Listeners::Hub::drain(Listener& listener, std::size_t& work) {
  if (listener.prune_due && listener.writable && work > 0) {
    spend(work, listener.queue.size() * Work::prune);
    prune(listener);
  }
  while (listener.writable && !listener.queue.empty() && work > 0) {
    const UpdatePtr update = std::move(listener.queue.front());
    listener.queue.pop_front();
    listener.queue_bytes -= update->cost_bytes();
    status_.queued_bytes -= update->cost_bytes();
    ++status_.delivered;
    listener.written_tick = tick_;
    listener.told = true;
    listener.promised = !listener.queue.empty();
    spend(work, Work::write + (update->encoded ? 0 : update->cost_bytes() / Work::bytes));
    listener.writable = listener.stream->write(update, listener.promised);
  }
}

void Listeners::Hub::push(Listener& listener, UpdatePtr update) {
  listener.queue_bytes += update->cost_bytes();
  status_.queued_bytes += update->cost_bytes();
  listener.queue.push_back(std::move(update));
}

// Unsubscribed: what was not written yet is not written any more. But for one, where the stream
// holds others back to share a packet with it. However much was unsubscribed meanwhile, the queue
// is gone through once.
void Listeners::Hub::prune(Listener& listener) {
  if (!std::exchange(listener.prune_due, false)) return;
  const Filter& filter = listener.filter;
  bool spare = listener.promised;
  std::erase_if(listener.queue, [&](const UpdatePtr& update) {
    if (std::exchange(spare, false)) return false;
    if (update->source.empty()) return false;  // a mark
    const std::uint64_t due_at = update->of_state ? listener.view_revision + 1 : update->revision;
    if (filter.wants(update->source, update->key, due_at)) return false;
    listener.queue_bytes -= update->cost_bytes();
    status_.queued_bytes -= update->cost_bytes();
    return true;
  });
}

void Listeners::Hub::refill(Listener& listener, std::size_t& work) {
  if (listener.stage == Stage::replay) replay(listener, work);
  if (!wants_more(listener)) return;
  if (listener.stage == Stage::grave) {
    read_grave_page(listener);
  } else if (listener.stage == Stage::state) {
    read_state_page(listener);
  } else if (listener.stage == Stage::stalled) {
    begin_state(listener, true);
  }
}

// What was under way for the stage is let go; the caller sets the next one.
void Listeners::Hub::leave_stage(Listener& listener) {
  ++listener.job;
  listener.reading = false;
  release_grave(listener);
  listener.view.reset();
  beginning_.erase(listener.id);
}

// --- Replay.

void Listeners::Hub::replay(Listener& listener, std::size_t& work) {
  while (wants_more(listener) && work > 0) {
    if (listener.position + 1 < tail_.first()) return begin_state(listener, true);
    const auto index = tail_.find(listener.filter, listener.position, work);
    if (!index) {
      if (listener.position >= tail_.last()) {
        listener.stage = Stage::live;
        keep_log(listener, std::nullopt);
      }
      return;
    }
    if (!replay_entry(listener, *index)) return;
    spend(work, Work::update);
  }
}

bool Listeners::Hub::replay_entry(Listener& listener, std::uint64_t index) {
  const raft::EntryPtr entry = history_.entry({index});
  if (!entry) {  // trimmed, and on_trimmed() is still to come
    begin_state(listener, true);
    return false;
  }
  const auto command = parse(std::get<raft::Command>(entry->payload));
  CHECK(command.has_value());  // it had an effect
  if (command->kind == Kind::remove_source) {
    if (listener.filter.find(command->source) != nullptr) {
      begin_grave(listener, index, command->source);
      return false;
    }
  } else if (listener.filter.wants(command->source, *command->key, index)) {
    push(listener, update_of(entry, *command));
  }
  listener.position = index;
  return true;
}

// Of a command that had an effect on one key.
UpdatePtr Listeners::Hub::update_of(const raft::EntryPtr& entry, const CommandView& command) {
  const auto op = command.kind == Kind::set_value ? Update::Op::put : Update::Op::remove;
  const auto make = [&] {
    return entry_update(op, entry, command.source, *command.key, command.value);
  };
  if (command.value.size() < great_bytes_min) return make();
  if (++great_looked_ > great_.size()) {
    great_looked_ = 0;
    std::erase_if(great_, [](const auto& one) { return one.second.expired(); });
  }
  std::weak_ptr<const Update>& shared = great_[entry->id.index.value];
  UpdatePtr update = shared.lock();
  if (!update) shared = update = make();
  return update;
}

// --- Graves. `position` stays before the RemoveSource until all its keys are queued.

void Listeners::Hub::begin_grave(Listener& listener, std::uint64_t revision,
                                 std::string_view source) {
  leave_stage(listener);
  listener.stage = Stage::grave;
  listener.grave = revision;
  listener.grave_source = source;
  listener.grave_key.clear();
  listener.keeps_grave = true;
  kept_graves_.insert(revision);
}

void Listeners::Hub::release_grave(Listener& listener) {
  if (!std::exchange(listener.keeps_grave, false)) return;
  kept_graves_.erase(kept_graves_.find(listener.grave));
  purge_graves();
}

void Listeners::Hub::end_grave(Listener& listener) {
  leave_stage(listener);
  replay_from(listener, listener.grave);
}

// The next keys it is subscribed to one by one, a page of them at most.
std::vector<std::string> Listeners::Hub::grave_keys(const Listener& listener,
                                                    const Filter::Source* source,
                                                    bool& more) const {
  std::vector<std::string> keys;
  if (source == nullptr) return keys;
  auto key = source->keys.upper_bound(listener.grave_key);
  for (; key != source->keys.end() && keys.size() < options_.page_rows; ++key) {
    if (key->second < listener.grave) keys.push_back(key->first);
  }
  more = key != source->keys.end();
  return keys;
}

void Listeners::Hub::read_grave_page(Listener& listener) {
  const Filter::Source* source = listener.filter.find(listener.grave_source);
  const bool whole = source != nullptr && source->since && *source->since < listener.grave;
  GraveRequest request{listener.grave, listener.grave_key, std::nullopt};
  bool more_keys = false;
  if (!whole) {
    request.keys = grave_keys(listener, source, more_keys);
    if (request.keys->empty()) return end_grave(listener);
  }
  listener.reading = true;
  const PageLimits limits{options_.page_bytes, options_.page_rows};
  if (!whole) {
    grave_checks_.push_back({listener.id, listener.job, std::move(request), more_keys, {}});
    return check_graves();
  }
  auto page = std::make_shared<GravePage>();
  GraveKey key(listener.grave, listener.grave_key);
  const auto [waiting, first] = grave_reads_.try_emplace(key);
  waiting->second.emplace_back(listener.id, listener.job);
  if (!first) return;
  read(
      std::nullopt, nullptr,
      [request = std::move(request), limits, page](const store::View& view) {
        *page = read_grave(view, request, limits);
      },
      [this, page, key = std::move(key)] { share_grave_page(key, *page); });
}

void Listeners::Hub::check_graves() {
  if (checking_graves_) return;
  auto checks = std::make_shared<std::vector<GraveCheck>>();
  std::size_t keys = 0;
  while (!grave_checks_.empty() && checks->size() < grave_checks_max && keys < options_.page_rows) {
    GraveCheck check = std::move(grave_checks_.front());
    grave_checks_.pop_front();
    if (find(check.id, check.job) == nullptr) continue;
    keys += check.request.keys->size();
    checks->push_back(std::move(check));
  }
  if (checks->empty()) return;
  checking_graves_ = true;
  read(
      std::nullopt, nullptr,
      [checks,
       limits = PageLimits{options_.page_bytes, options_.page_rows}](const store::View& view) {
        for (GraveCheck& check : *checks) check.page = read_grave(view, check.request, limits);
      },
      [this, checks] {
        checking_graves_ = false;
        for (GraveCheck& check : *checks) {
          if (check.more_keys) check.page.complete = false;
          if (Listener* waiting = find(check.id, check.job)) take_grave_page(*waiting, check.page);
        }
        check_graves();
      });
}

void Listeners::Hub::share_grave_page(const GraveKey& key, const GravePage& page) {
  const auto waiting = grave_reads_.find(key);
  if (waiting == grave_reads_.end()) return;  // a snapshot came meanwhile
  const auto waiters = std::move(waiting->second);
  grave_reads_.erase(waiting);
  for (const auto& [id, job] : waiters) {
    if (Listener* listener = find(id, job)) take_grave_page(*listener, page);
  }
}

void Listeners::Hub::take_grave_page(Listener& listener, const GravePage& page) {
  listener.reading = false;
  if (page.purged) return begin_state(listener, true);
  for (const UpdatePtr& row : page.rows) {
    if (listener.filter.wants(row->source, row->key, row->revision)) push(listener, row);
  }
  listener.grave_key = page.last_key;
  if (page.complete) return end_grave(listener);
  make_ready(listener);
}

// --- States.

void Listeners::Hub::begin_state(Listener& listener, bool resync) {
  prune(listener);  // rows of a former state are as of its revision, which is known until here
  leave_stage(listener);
  listener.stage = Stage::state_begins;
  listener.resync = resync;
  if (resync) {
    ++status_.resyncs;
    log(LogLevel::debug, "a listener lost the log and gets the state",
        {{"session", listener.spec.session}, {"position", listener.position}});
  }
  listener.view = store_.hold();
  listener.view_revision = listener.view->applied().value;
  keep_log(listener, listener.view_revision);
  listener.cursor = {};
  // Who cannot be told to forget what it knows is told what changed.
  listener.newer_than = listener.marks ? 0 : listener.position;
  beginning_.insert(listener.id);
  schedule();
}

// Else the log could be trimmed past the state while it is told, and it would be told again and
// again.
void Listeners::Hub::keep_log(Listener& listener, std::optional<std::uint64_t> after) {
  if (listener.keeps_log_after) kept_log_.erase(kept_log_.find(*listener.keeps_log_after));
  listener.keeps_log_after = after;
  if (after) kept_log_.insert(*after);
}

// A state that begins is the whole of what its listener is to know: what an earlier one put into
// the queue and nobody has read says nothing more. Else each snapshot that is installed would leave
// something there of one that does not read (hazard 88). Only marks tell where a state began.
void Listeners::Hub::drop_untold_states(Listener& listener) {
  const auto is_resync = [](const UpdatePtr& update) { return update->op == Update::Op::resync; };
  const auto begin = std::find_if(listener.queue.begin(), listener.queue.end(), is_resync);
  for (auto update = begin; update != listener.queue.end(); ++update) {
    listener.queue_bytes -= (*update)->cost_bytes();
    status_.queued_bytes -= (*update)->cost_bytes();
  }
  listener.queue.erase(begin, listener.queue.end());
}

// A view may be ahead of on_applied(). Subscriptions are as of on_applied(): so a state waits until
// the two have met, and then covers exactly the subscriptions made up to its revision. Younger ones
// get what follows from the log.
void Listeners::Hub::enter_states() {
  for (const ListenerId id : std::set<ListenerId>(beginning_)) {
    Listener& listener = *find(id);
    if (history_.applied().value < listener.view_revision) continue;
    beginning_.erase(id);
    listener.stage = Stage::state;
    if (listener.resync && listener.marks) {
      drop_untold_states(listener);
      push(listener, mark_update(Update::Op::resync, listener.view_revision));
    }
    make_ready(listener);
  }
}

// Who cannot be told to forget is asked about every single key: if it is not there, it is told so.
std::vector<StateItem> Listeners::Hub::next_items(const Listener& listener) const {
  std::vector<StateItem> items;
  const StateCursor& cursor = listener.cursor;
  const auto covered = [&](std::uint64_t since) { return since <= listener.view_revision; };
  const auto& sources = listener.filter.sources();
  for (auto source = sources.lower_bound(cursor.source);
       source != sources.end() && items.size() < state_items_max; ++source) {
    const auto& [name, subscriptions] = *source;
    const bool begun = name == cursor.source;
    bool whole = begun && cursor.whole;
    bool from_first = !begun;
    std::string_view told = begun ? cursor.told : std::string_view();
    if (subscriptions.since && covered(*subscriptions.since) && (!begun || cursor.inside)) {
      items.push_back({name, std::nullopt, false});
      whole = from_first = true;
    } else if (begun && cursor.inside) {  // unsubscribed meanwhile, but for single keys
      told = cursor.key;
      from_first = !listener.marks;
    }
    if (whole && listener.marks) continue;
    auto key = from_first ? subscriptions.keys.begin() : subscriptions.keys.upper_bound(cursor.key);
    for (; key != subscriptions.keys.end() && items.size() < state_items_max; ++key) {
      if (covered(key->second)) items.push_back({name, key->first, whole || key->first <= told});
    }
  }
  return items;
}

void Listeners::Hub::read_state_page(Listener& listener) {
  StateRequest request;
  request.items = next_items(listener);
  if (request.items.empty()) return end_state(listener);
  const StateItem& first = request.items.front();
  if (!first.key && first.source == listener.cursor.source) {
    request.start_after = listener.cursor.key;
  }
  request.newer_than = listener.newer_than;
  request.tell_absent = !listener.marks;
  listener.reading = true;
  auto items = request.items;
  auto page = std::make_shared<StatePage>();
  read(
      ReadFor{listener.id, listener.job}, listener.view,
      [request = std::move(request), page,
       limits = PageLimits{options_.page_bytes, options_.page_rows}](const store::View& view) {
        *page = read_state(view, request, limits);
      },
      [this, page, items = std::move(items), id = listener.id, job = listener.job] {
        if (Listener* waiting = find(id, job)) take_state_page(*waiting, items, *page);
      });
}

void Listeners::Hub::take_state_page(Listener& listener, const std::vector<StateItem>& items,
                                     StatePage& page) {
  listener.reading = false;
  for (UpdatePtr& row : page.rows) {
    // Unsubscribed while it was read: not any more.
    if (listener.filter.wants(row->source, row->key, listener.view_revision + 1)) {
      push(listener, std::move(row));
    }
  }
  if (page.items_done < items.size() && !page.last_key.empty()) {
    listener.cursor = {items[page.items_done].source, page.last_key, true, false, {}};
  } else {
    CHECK(page.items_done > 0);
    const StateItem& last = items[page.items_done - 1];
    StateCursor& cursor = listener.cursor;
    std::string told = cursor.inside && items.front().key ? cursor.key : cursor.told;
    if (last.source != cursor.source) told.clear();
    const bool whole = told.empty() && (!last.key || last.absent_only);
    cursor = {last.source, last.key.value_or(""), false, whole, std::move(told)};
  }
  make_ready(listener);
}

void Listeners::Hub::end_state(Listener& listener) {
  if (listener.marks) push(listener, mark_update(Update::Op::synced, listener.view_revision));
  leave_stage(listener);
  replay_from(listener, listener.view_revision);
}

// --- Reads.

void Listeners::Hub::read(std::optional<ReadFor> reader, std::shared_ptr<const store::View> view,
                          std::function<void(const store::View&)> work,
                          std::function<void()> done) {
  reads_.push_back({reader, std::move(view), std::move(work), std::move(done)});
  start_reads();
}

void Listeners::Hub::start_reads() {
  while (reading_ < options_.reads_max && !reads_.empty()) {
    Read next = std::move(reads_.front());
    reads_.pop_front();
    if (next.reader && find(next.reader->id, next.reader->job) == nullptr) continue;
    ++reading_;
    auto done = [weak = weak_from_this(), answer = std::move(next.done)] {
      const auto hub = weak.lock();
      if (!hub) return;
      --hub->reading_;
      answer();
      hub->start_reads();
    };
    if (next.view) {
      store_.read_held(std::move(next.view), std::move(next.work), std::move(done));
    } else {
      store_.read(std::move(next.work), std::move(done));
    }
  }
}

}  // namespace iris
