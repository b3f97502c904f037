#include "src/listeners/subscriptions.h"

#include <string_view>
#include <utility>

namespace iris::listening {
namespace {

using Kind = CommandView::Kind;

// `call(source, key, since)` for each subscription.
template <typename Call>
void for_each_subscription(const Filter& filter, const Call& call) {
  for (const auto& [source, subscriptions] : filter.sources()) {
    if (subscriptions.since) call(source, std::nullopt, *subscriptions.since);
    for (const auto& [key, since] : subscriptions.keys) call(source, key, since);
  }
}
using Key = std::optional<std::string_view>;

}  // namespace

Subscriptions::Loaded Subscriptions::load(const store::View& view, const std::string& session) {
  Loaded loaded;
  loaded.revision = view.applied().value;
  loaded.info = find_session(view, session);
  list_subscriptions(view, session, [&](const SubscriptionView& subscription) {
    loaded.filter.add(subscription.source, subscription.key, subscription.since);
    return true;
  });
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
    if (filter_.add(command.source, command.key, revision)) {
      matcher_.add(id_.value, command.source, command.key, revision);
    }
    return Change::none;
  }
  if (command.kind == Kind::unsubscribe) {
    if (!filter_.remove(command.source, command.key)) return Change::none;
    matcher_.remove(id_.value, command.source, command.key);
    return Change::ended;
  }
  return replicated_ && subscribed_ <= command.up_to ? Change::expired : Change::none;
}

void Subscriptions::lower_since(std::uint64_t revision) {
  Filter filter = filter_;
  filter.lower_since(revision);
  set_filter(std::move(filter));
}

void Subscriptions::set_filter(Filter filter) {
  for_each_subscription(filter_, [&](std::string_view source, Key key, std::uint64_t) {
    matcher_.remove(id_.value, source, key);
  });
  filter_ = std::move(filter);
  for_each_subscription(filter_, [&](std::string_view source, Key key, std::uint64_t since) {
    matcher_.add(id_.value, source, key, since);
  });
}

}  // namespace iris::listening
