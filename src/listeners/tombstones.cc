#include "src/listeners/tombstones.h"

#include <utility>
#include <vector>

#include "src/listeners/relief.h"
#include "src/listeners/shared.h"

namespace iris::listening {
namespace {

// The next keys that are subscribed to one by one, at most `keys_max`; `more`: others follow.
std::vector<std::string> single_keys(const Tombstones& stage, const Filter::Source* source,
                                     std::size_t keys_max, bool& more) {
  std::vector<std::string> keys;
  if (source == nullptr) return keys;
  auto key = source->keys.upper_bound(stage.key);
  for (; key != source->keys.end() && keys.size() < keys_max; ++key) {
    if (key->second < stage.revision) keys.push_back(key->first);
  }
  more = key != source->keys.end();
  return keys;
}

// All removals are queued.
void finish(Shared& shared, Listener& listener) {
  Replay::enter(shared, listener, std::get<Tombstones>(listener.stage).revision);
}

}  // namespace

void Tombstones::enter(Shared& shared, Listener& listener, std::uint64_t revision,
                       std::string_view source) {
  Tombstones stage;
  stage.revision = revision;
  stage.source = source;
  stage.pin = shared.purge.keep(revision);
  change_stage(shared, listener, std::move(stage));
}

void Tombstones::unpin(Shared& shared) {
  if (!pin.holds()) return;
  pin.reset();
  shared.purge.run();
}

void Tombstones::serve(Shared& shared, Listener& listener, std::size_t&) {
  auto& stage = std::get<Tombstones>(listener.stage);
  const Filter::Source* source = listener.subscriptions.filter().find(stage.source);
  const Job job = listener.current_job();
  if (source != nullptr && source->since && *source->since < stage.revision) {
    stage.reading = true;
    return shared.tombstone_reads.read_all(job, stage.revision, stage.key);
  }
  TombstoneRequest request{stage.revision, stage.key, std::nullopt, false};
  request.keys = single_keys(stage, source, shared.options.page_rows, request.more_keys);
  if (request.keys->empty()) return finish(shared, listener);
  stage.reading = true;
  shared.tombstone_reads.look_up(job, std::move(request));
}

void Tombstones::take(Shared& shared, Listener& listener, const TombstonePage& page) {
  auto& stage = std::get<Tombstones>(listener.stage);
  stage.reading = false;
  if (page.purged) return State::enter(shared, listener, true);
  make_space(shared, bytes_of(page.rows));  // this listener has nothing to give up in this stage
  for (const UpdatePtr& row : page.rows) {
    if (listener.subscriptions.filter().wants(row->source, row->key, row->revision)) {
      listener.queue.push(row);
    }
  }
  stage.key = page.last_key;
  if (page.complete) return finish(shared, listener);
  shared.turns.make_ready(listener);
}

}  // namespace iris::listening
