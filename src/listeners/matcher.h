// Matcher: finds the listeners that are subscribed to a source or key. Looks at no other
// subscriptions: an update costs what the listeners cost that get it.
// Loop thread. Owns names and ids only. Its order is one of ids, so that a run can be repeated.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iris::listening {

class Matcher {
 public:
  using Id = std::uint64_t;
  using Call = std::function<void(Id id)>;

  // REQUIRES: this subscription is not there (add), is there (remove). No key: the whole source.
  // `since`: revision of the Subscribe.
  void add(Id id, std::string_view source, std::optional<std::string_view> key,
           std::uint64_t since);
  void remove(Id id, std::string_view source, std::optional<std::string_view> key);

  // Calls with each listener whose subscription to the source or the key is older than `revision`,
  // once. `call` must not change this, here and below.
  void match(std::string_view source, std::string_view key, std::uint64_t revision,
             const Call& call) const;
  // Calls with each listener that is subscribed to the source or to any key in it, once for each
  // such subscription.
  void match_source(std::string_view source, const Call& call) const;

  [[nodiscard]] bool empty() const { return sources_.empty(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Watchers = std::map<Id, std::uint64_t>;  // -> since
  struct Source {
    Watchers whole;
    std::map<std::string, Watchers, std::less<>> keys;
  };
  std::unordered_map<std::string, Source, Hash, std::equal_to<>> sources_;
};

}  // namespace iris::listening
