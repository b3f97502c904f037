// Xxh3: the 128 bits of XXH3 over a sequence of pieces. It finds damage and mistakes; it does not
// stand against somebody who makes two inputs of the same hash on purpose.
// One thread at a time. Owns its state, half a kilobyte.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace iris {

struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Hash128&) const = default;
};

// 32 hex digits, as xxhsum writes them.
[[nodiscard]] std::string hex_text(const Hash128& hash);

class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(const Xxh3&) = delete;
  Xxh3& operator=(const Xxh3&) = delete;

  // Where one piece ends and the next begins does not count.
  void add(std::string_view bytes);
  // Of all that was added so far.
  [[nodiscard]] Hash128 result() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris
