#include "src/listeners/subscriptions.h"

#include <string_view>
#include <utility>

#include "raft/check.h"

namespace iris::listening {
namespace {

using Kind = CommandView::Kind;

}  // namespace

Subscriptions::Loaded Subscriptions::load(const store::View& view, const std::string& session) {
  Loaded loaded;
  loaded.revision = view.applied().value;
  loaded.info = find_session(view, session);
  list_subscriptions(view, session, [&](const SubscriptionView& subscription) {
    loaded.filter.add(subscription.source, subscription.key, subscription.since);
    return true;
  });
  loaded.filter.prepare();
  return loaded;
}

bool Subscriptions::set(Loaded loaded) {
  const SessionInfo info = loaded.info.value_or(SessionInfo{});
  if (replicated_ && loaded.info && info.born != born_) return false;
  set_filter(std::move(loaded.filter));
  loaded_ = loaded.revision;
  replicated_ = loaded.info.has_value();
  subscribed_ = info.subscribed;
  born_ = info.born;
  return true;
}

Subscriptions::Change Subscriptions::apply(std::uint64_t revision, const CommandView& command) {
  if (revision <= loaded_) return Change::none;
  if (command.kind == Kind::subscribe) {
    if (!std::exchange(replicated_, true)) born_ = revision;
    subscribed_ = revision;
    if (filter_.add(command.source, command.key, revision) &&
        indexing_.reached(command.source, command.key)) {
      matcher_.add(matcher_id(), command.source, command.key, revision);
    }
    return Change::none;
  }
  if (command.kind == Kind::unsubscribe) {
    if (!filter_.remove(command.source, command.key)) return Change::none;
    if (indexing_.reached(command.source, command.key)) {
      matcher_.remove(matcher_id(), command.source, command.key);
    }
    return Change::ended;
  }
  return replicated_ && subscribed_ <= command.up_to ? Change::expired : Change::none;
}

void Subscriptions::lower_since(std::uint64_t revision) {
  CHECK(!indexing_.begun());
  filter_.lower_since(revision);
}

void Subscriptions::set_filter(Filter filter) {
  retired_.add(matcher_, std::exchange(filter_, std::move(filter)),
               std::exchange(indexing_, Indexing(next_matcher_id())));
}

Matcher::Id Subscriptions::next_matcher_id() {
  return id_.value << set_bits | (sets_++ & ((1u << set_bits) - 1));
}

}  // namespace iris::listening
