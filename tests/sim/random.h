// Random: the simulator's only source of randomness. One 64-bit seed makes any number of
// independent streams (network, disk, workload, faults), so that a change in one does not shift the
// others. One thread. Owns 32 bytes of state. Never used by production code.
#pragma once

#include <array>
#include <cstdint>

#include "raft/check.h"

namespace iris::sim {

// SplitMix64 (Steele, Lea, Flood 2014): spreads a seed over 64 bits.
[[nodiscard]] inline std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// xoshiro256++ (Blackman, Vigna 2019).
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) {
    std::uint64_t word = mix(seed ^ mix(stream + 1));
    for (auto& part : state_) part = word = mix(word);
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // In [0, bound). REQUIRES: bound > 0. The bias of the multiplication is below 2^-32 for the small
  // bounds used here.
  std::uint64_t below(std::uint64_t bound) {
    CHECK(bound > 0);
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  // In [low, high]. REQUIRES: low <= high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    CHECK(low <= high);
    return low + below(high - low + 1);
  }
  // True in `per_million` of a million calls. Integers only: the same on every machine.
  bool chance(std::uint64_t per_million) {
    return per_million > 0 && below(1'000'000) < per_million;
  }

 private:
  __extension__ using Wide = unsigned __int128;
  static std::uint64_t rotate(std::uint64_t word, int bits) {
    return (word << bits) | (word >> (64 - bits));
  }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace iris::sim
