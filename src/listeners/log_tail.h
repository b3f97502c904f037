// LogTail: a digest of every command in the log tail, by index, so that a listener that is behind
// finds what concerns it without reading the log.
// Loop thread. Owns 24 bytes an entry; the entries themselves are the core's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "src/listeners/filter.h"

namespace iris {

class LogTail {
 public:
  // Knows nothing up to and including `after`, and nothing behind it yet.
  void restart(std::uint64_t after);
  // The command at `index`; what was left out before it were no commands. REQUIRES: index > last().
  void append(std::uint64_t index, const Digest& digest);
  // The command before first(). REQUIRES: first() > 1.
  void prepend(const Digest& digest);
  void trim(std::uint64_t floor);

  [[nodiscard]] std::uint64_t first() const { return first_; }
  [[nodiscard]] std::uint64_t last() const { return first_ + digests_.size() - 1; }

  // The first command after `after` that may concern the filter. `after` moves up to the one before
  // it, or, where there is none, to last(), or as far as `looks_max` digests go, which it lowers.
  // REQUIRES: after + 1 >= first().
  [[nodiscard]] std::optional<std::uint64_t> find(const Filter& filter, std::uint64_t& after,
                                                  std::size_t& looks_max) const;

 private:
  std::uint64_t first_ = 1;  // index of digests_.front()
  std::deque<Digest> digests_;
};

}  // namespace iris
