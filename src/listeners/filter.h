// Filter: what one session is subscribed to, and since when. Digest: what is kept of a command in
// the log tail, so that a listener that is behind can pass over what does not concern it without
// looking at the command.
// Loop thread; plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"
#include "src/machine/command.h"

namespace iris {

struct Digest {
  enum class Kind : std::uint8_t {
    none,    // changed no value
    value,   // of one key
    source,  // of every key of a source
  };
  Kind kind = Kind::none;
  std::uint64_t source = 0;  // hash of the source
  std::uint64_t key = 0;     // hash of source and key
};
// The command in an entry; valid as long as the entry. REQUIRES: it is one, and had an effect.
[[nodiscard]] CommandView command_of(const raft::Entry& entry);
// Of a command that had an effect.
[[nodiscard]] Digest digest_of(const CommandView& command);

class Filter {
 public:
  struct Source {
    std::optional<std::uint64_t> since;  // of the whole source; none: only of the keys below
    std::map<std::string, std::uint64_t, std::less<>> keys;  // key -> since
  };
  using Sources = std::map<std::string, Source, std::less<>>;

  // False, and nothing changes, where it was there already.
  bool add(std::string_view source, std::optional<std::string_view> key, std::uint64_t since);
  // False where it was not there.
  bool remove(std::string_view source, std::optional<std::string_view> key);

  // As if nothing here was subscribed later than `since`.
  void lower_since(std::uint64_t since);

  // An update is due where the subscription is older.
  [[nodiscard]] bool wants(std::string_view source, std::string_view key,
                           std::uint64_t revision) const;
  // May answer true for what is not wanted, never false for what is. Ignores since.
  [[nodiscard]] bool may_want(const Digest& digest) const;

  [[nodiscard]] const Sources& sources() const { return sources_; }
  [[nodiscard]] const Source* find(std::string_view source) const;
  // The revision of the oldest subscription; none where there are no subscriptions.
  [[nodiscard]] std::optional<std::uint64_t> first_since() const;

 private:
  struct Hashes {  // each sorted
    std::vector<std::uint64_t> whole;
    std::vector<std::uint64_t> keys;
    std::vector<std::uint64_t> sources;  // with anything in them
  };
  [[nodiscard]] Hashes hash_all() const;

  Sources sources_;
  mutable std::optional<Hashes> hashes_;  // made when asked for
};

}  // namespace iris
