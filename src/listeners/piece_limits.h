// PieceLimits: how much of a great list goes into one message between nodes, and how much of it is
// looked at in one turn of the loop.
#pragma once

#include <cstddef>

namespace iris::listening {

struct PieceLimits {
  std::size_t sessions_max = 1'000;
  std::size_t names_bytes_max = 48u << 10;  // a single name may exceed it
};

// Counts what is in a piece.
class Piece {
 public:
  explicit Piece(const PieceLimits& limits) : limits_(limits) {}
  // False: it does not fit any more, and the piece ends before it.
  [[nodiscard]] bool add(std::size_t name_bytes) {
    const bool fits =
        sessions_ < limits_.sessions_max && bytes_ + name_bytes <= limits_.names_bytes_max;
    if (!fits && sessions_ > 0) return false;
    ++sessions_;
    bytes_ += name_bytes;
    return true;
  }

 private:
  const PieceLimits& limits_;
  std::size_t sessions_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace iris::listening
