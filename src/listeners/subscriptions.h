// Subscriptions: those of one listener's session, as of the revision at which they were loaded and
// of every change since.
// Loop thread, but for load(). Owns the filter, and keeps the matcher in step with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/listeners/filter.h"
#include "src/listeners/indexing.h"
#include "src/listeners/listeners.h"
#include "src/listeners/matcher.h"
#include "src/machine/machine.h"
#include "store/store.h"

namespace iris::listening {

class Subscriptions {
 public:
  Subscriptions(Matcher& matcher, RetiredFilters& retired, ListenerId id)
      : matcher_(matcher), retired_(retired), id_(id) {}
  ~Subscriptions() { set_filter({}); }
  Subscriptions(const Subscriptions&) = delete;
  Subscriptions& operator=(const Subscriptions&) = delete;

  struct Loaded {
    std::uint64_t revision = 0;
    std::optional<SessionInfo> info;  // none: the session is not replicated
    Filter filter;
  };
  // Any thread; the view may ask the disk.
  [[nodiscard]] static Loaded load(const store::View& view, const std::string& session);
  // False, and nothing changes, where the session expired since the last set() and was made again:
  // its subscriptions were interrupted.
  [[nodiscard]] bool set(Loaded loaded);

  enum class Change {
    none,     // or one subscription more
    ended,    // one subscription ended
    expired,  // the session did
  };
  // The command at `revision`, which concerns this session. Ignored up to loaded().
  Change apply(std::uint64_t revision, const CommandView& command);
  // As if nothing had been subscribed later than `revision`.
  void lower_since(std::uint64_t revision);

  // Puts what was loaded into the matcher, piece by piece. A listener is live only after that.
  void index(std::size_t& budget) { indexing_.go_on(matcher_, filter_, budget); }
  [[nodiscard]] bool is_indexed() const { return indexing_.complete(); }
  // Each filter that is set has an id of its own in the matcher: the one before may still leave it.
  [[nodiscard]] Matcher::Id matcher_id() const { return indexing_.id(); }
  [[nodiscard]] static ListenerId listener_of(Matcher::Id id) { return {id >> set_bits}; }

  [[nodiscard]] const Filter& filter() const { return filter_; }
  [[nodiscard]] bool is_replicated() const { return replicated_; }
  [[nodiscard]] std::uint64_t loaded() const { return loaded_; }

 private:
  static constexpr int set_bits = 20;
  void set_filter(Filter filter);
  [[nodiscard]] Matcher::Id next_matcher_id();

  Matcher& matcher_;
  RetiredFilters& retired_;
  const ListenerId id_;
  std::uint64_t sets_ = 0;
  Filter filter_;
  Indexing indexing_{0};
  std::uint64_t loaded_ = 0;
  std::uint64_t subscribed_ = 0;  // revision of the last Subscribe
  std::uint64_t born_ = 0;        // of the Subscribe that made the session
  bool replicated_ = false;
};

}  // namespace iris::listening
