// Matcher: who wants an update. Finds the listeners of a source or key without looking at anybody
// else's subscriptions: the cost of an update is that of those it goes to.
// Loop thread. Owns names and ids only. Calls in the order of ids, so that a run can be repeated.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iris {

class Matcher {
 public:
  using Id = std::uint64_t;
  using Call = std::function<void(Id id)>;

  void add(Id id, std::string_view source, std::optional<std::string_view> key,
           std::uint64_t since);
  void remove(Id id, std::string_view source, std::optional<std::string_view> key);

  // Everybody whose subscription to the source or the key is older than `revision`, once each.
  void match(std::string_view source, std::string_view key, std::uint64_t revision,
             const Call& call) const;
  // Everybody with a subscription to the source or any key in it, once for each.
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

}  // namespace iris
