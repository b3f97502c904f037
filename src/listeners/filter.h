// Filter: the subscriptions of one session, each with the revision since which updates are due.
// Loop thread; a plain value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/listeners/digest.h"

namespace iris::listening {

class Filter {
 public:
  struct Source {
    std::optional<std::uint64_t> since;  // of the whole source; none: only single keys
    std::map<std::string, std::uint64_t, std::less<>> keys;  // key -> since
  };
  using Sources = std::map<std::string, Source, std::less<>>;

  // False, and nothing changes, where it was there already.
  bool add(std::string_view source, std::optional<std::string_view> key, std::uint64_t since);
  // False where it was not there.
  bool remove(std::string_view source, std::optional<std::string_view> key);

  // Removes one subscription, in the order of sources(), of each source first the whole source.
  // None: there is none.
  struct Name {
    std::string source;
    std::optional<std::string> key;
  };
  std::optional<Name> remove_first();
  // Makes may_want() cheap, for a filter that is made on another thread.
  void prepare() { hashes_ = hash_all(); }

  // As if nothing had been subscribed later than `since`.
  void lower_since(std::uint64_t since);

  // An update is due where the subscription is older than its revision.
  [[nodiscard]] bool wants(std::string_view source, std::string_view key,
                           std::uint64_t revision) const;
  // True for every command that is wanted, and by a collision of hashes for a few others. Ignores
  // since.
  [[nodiscard]] bool may_want(const Digest& digest) const;

  [[nodiscard]] const Sources& sources() const { return sources_; }
  [[nodiscard]] const Source* find(std::string_view source) const;
  // The revision of the oldest subscription; none where there are no subscriptions.
  [[nodiscard]] std::optional<std::uint64_t> first_since() const;

 private:
  struct Hashes {  // each sorted
    std::vector<std::uint64_t> whole;
    std::vector<std::uint64_t> keys;
    std::vector<std::uint64_t> sources;  // whole, or with a single key
  };
  [[nodiscard]] Hashes hash_all() const;

  Sources sources_;
  mutable std::optional<Hashes> hashes_;  // made by may_want()
};

}  // namespace iris::listening
