#include "src/listeners/state.h"

#include <set>
#include <utility>
#include <vector>

#include "src/base/log.h"
#include "src/listeners/relief.h"
#include "src/listeners/shared.h"

namespace iris::listening {
namespace {

void begin(Shared& shared, Listener& listener, State& stage) {
  stage.begun = true;
  if (stage.resync && listener.takes_markers) {
    // This state is all that the client is to know: an earlier one that waits in the queue says
    // nothing more. Else each snapshot that is installed would leave something in the queue of a
    // client that does not read (hazard 88). Only markers tell where a state began.
    listener.queue.drop_states();
    listener.queue.push(marker_update(Update::Op::resync, stage.revision));
  }
  shared.turns.make_ready(listener);
}

void take(Shared& shared, Listener& listener, const std::vector<StateItem>& items,
          StatePage& page) {
  make_space(shared, bytes_of(page.rows));
  auto* in_state = std::get_if<State>(&listener.stage);
  if (in_state == nullptr) return;  // it was this listener that gave its queue up
  State& stage = *in_state;
  stage.reading = false;
  for (UpdatePtr& row : page.rows) {
    // Else the subscription ended while the page was read.
    if (listener.subscriptions.filter().wants(row->source, row->key, stage.revision + 1)) {
      listener.queue.push(std::move(row));
    }
  }
  stage.cursor.advance(items, page);
  shared.turns.make_ready(listener);
}

void finish(Shared& shared, Listener& listener, std::uint64_t revision) {
  if (listener.takes_markers) {
    listener.queue.push(marker_update(Update::Op::synced, revision));
  }
  Replay::enter(shared, listener, revision);
}

// Its turn has come.
void take_view(Shared& shared, Listener& listener, State& stage) {
  // The revision of an earlier state, some of whose rows may be queued, is known until here.
  listener.queue.prune(listener.subscriptions.filter());
  stage.own_rows = listener.takes_markers || !listener.queue.ends_with_row();
  ++shared.views;
  stage.view = shared.store.hold();
  stage.revision = stage.view->applied().value;
  listener.queue.set_state_revision(stage.revision);
  listener.log_pin = shared.log_pins.hold(stage.revision);
  shared.states_to_begin.insert(listener.id);
}

void give_turns(Shared& shared) {
  while (shared.views < shared.options.states_max && !shared.states_waiting.empty()) {
    Listener* listener = shared.find(shared.states_waiting.front());
    shared.states_waiting.pop_front();
    auto* stage = listener == nullptr ? nullptr : std::get_if<State>(&listener->stage);
    if (stage != nullptr && !stage->view) take_view(shared, *listener, *stage);
  }
}

}  // namespace

void State::release(Shared& shared, ListenerId id) {
  shared.states_to_begin.erase(id);
  if (!view) return;
  view.reset();
  --shared.views;
  if (!shared.states_waiting.empty()) shared.turns.schedule();
}

void State::enter(Shared& shared, Listener& listener, bool resync) {
  change_stage(shared, listener, State{});
  auto& stage = std::get<State>(listener.stage);
  stage.resync = resync;
  if (resync) {
    ++shared.status.resyncs;
    log(LogLevel::debug, "a listener lost the log and gets the state",
        {{"session", listener.spec.session}, {"position", listener.position}});
  }
  listener.log_pin.reset();
  // A client without markers cannot be told to forget: it gets the rows that changed.
  stage.newer_than = listener.takes_markers ? 0 : listener.position;
  shared.states_waiting.push_back(listener.id);
  give_turns(shared);
  shared.turns.schedule();
}

void State::begin_due(Shared& shared) {
  give_turns(shared);
  for (const ListenerId id : std::set<ListenerId>(shared.states_to_begin)) {
    Listener& listener = *shared.find(id);
    auto& stage = std::get<State>(listener.stage);
    if (shared.history.applied().value < stage.revision) continue;
    shared.states_to_begin.erase(id);
    begin(shared, listener, stage);
  }
}

void State::serve(Shared& shared, Listener& listener, std::size_t&) {
  auto& stage = std::get<State>(listener.stage);
  // A client without markers is sent a removal for each single key that is absent.
  const bool every_key = !listener.takes_markers;
  StateRequest request;
  request.items = stage.cursor.next(listener.subscriptions.filter(), stage.revision, every_key);
  if (request.items.empty()) return finish(shared, listener, stage.revision);
  request.start_after = stage.cursor.start_after(request.items);
  request.newer_than = stage.newer_than;
  request.tell_absent = every_key;
  stage.reading = true;
  auto items = request.items;
  auto page = std::make_shared<StatePage>();
  const Job job = listener.current_job();
  shared.reads.add(
      job, stage.view,
      [request = std::move(request), page, limits = shared.page_limits](const store::View& view) {
        *page = read_state(view, request, limits);
      },
      [&shared, page, items = std::move(items), job] {
        if (Listener* waiting = shared.find(job)) take(shared, *waiting, items, *page);
      });
}

}  // namespace iris::listening
