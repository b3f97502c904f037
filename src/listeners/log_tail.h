// LogTail: a digest of every command in the log tail, by index, so that a listener that is behind
// finds what concerns it without a look at the entries.
// Loop thread. Owns 24 bytes an entry; the entries themselves are the core's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "src/listeners/filter.h"
#include "src/listeners/listeners.h"

namespace iris::listening {

class LogTail {
 public:
  // Forgets all. The next digest is that of after + 1 or a later entry.
  void restart(std::uint64_t after);
  // Of the command at `index`; indexes that are left out before it hold no commands.
  // REQUIRES: index > last().
  void append(std::uint64_t index, const Digest& digest);
  // Of the entry before first(). REQUIRES: first() > 1.
  void prepend(const Digest& digest);
  // Prepends entries after `floor` as far as history has them, for a node that restarts. `no_ops`:
  // revisions of those commands among them that changed no value, sorted.
  void learn(const History& history, std::uint64_t floor, const std::vector<std::uint64_t>& no_ops);
  // Forgets entries up to `floor`.
  void trim(std::uint64_t floor);

  [[nodiscard]] std::uint64_t first() const { return first_; }
  [[nodiscard]] std::uint64_t last() const { return first_ + digests_.size() - 1; }

  // The first command after `after` that may concern the filter. `after` moves up to the entry
  // before it; where there is none, to last(), or as far as `looks_max` looks at digests reach.
  // `looks_max` is lowered by the looks that were taken.
  // REQUIRES: after + 1 >= first().
  [[nodiscard]] std::optional<std::uint64_t> find(const Filter& filter, std::uint64_t& after,
                                                  std::size_t& looks_max) const;

 private:
  std::uint64_t first_ = 1;  // index of digests_.front()
  std::deque<Digest> digests_;
};

}  // namespace iris::listening
