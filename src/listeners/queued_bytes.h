// QueuedBytes: the bytes in all queues of a node together, and the listeners whose queues are
// greatest, so that a total bound can be held (hazard 126).
// Loop thread; a plain value.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <set>

#include "src/listeners/listeners.h"

namespace iris::listening {

class QueuedBytes {
 public:
  explicit QueuedBytes(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // The queue of this listener has `to` bytes instead of `from`.
  void change(ListenerId id, std::size_t from, std::size_t to);
  // greatest() does not name this listener again until its queue has twice or half the bytes.
  // `bytes`: in its queue.
  void pass_over(ListenerId id, std::size_t bytes);

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool fits(std::size_t more) const { return bytes_ + more <= bytes_max_; }
  // Beyond half of the bound no store is read ahead for a stream that takes nothing.
  [[nodiscard]] bool tight() const { return bytes_ > bytes_max_ / 2; }
  // A listener with most bytes: no other has twice as many. None: all have less than 1 KiB.
  [[nodiscard]] std::optional<ListenerId> greatest() const;

 private:
  // By powers of two, so that an update seldom moves a listener from one class to another.
  std::array<std::set<ListenerId>, 48> classes_;
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
};

}  // namespace iris::listening
