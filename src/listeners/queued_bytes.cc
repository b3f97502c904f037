#include "src/listeners/queued_bytes.h"

#include <algorithm>
#include <bit>

namespace iris::listening {
namespace {

constexpr std::size_t least_bytes = 1u << 10;  // of a queue that is in a class

// 0: in none.
std::size_t class_of(std::size_t bytes) {
  return std::min<std::size_t>(std::bit_width(bytes / least_bytes), 47);
}

}  // namespace

void QueuedBytes::change(ListenerId id, std::size_t from, std::size_t to) {
  bytes_ += to;
  bytes_ -= from;
  const std::size_t before = class_of(from);
  const std::size_t now = class_of(to);
  if (before == now) return;
  if (before > 0) classes_[before].erase(id);
  if (now > 0) classes_[now].insert(id);
}

void QueuedBytes::pass_over(ListenerId id, std::size_t bytes) {
  classes_[class_of(bytes)].erase(id);
}

std::optional<ListenerId> QueuedBytes::greatest() const {
  for (auto one = classes_.rbegin(); one != classes_.rend(); ++one) {
    if (!one->empty()) return *one->begin();
  }
  return std::nullopt;
}

}  // namespace iris::listening
