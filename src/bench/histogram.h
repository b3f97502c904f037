// Histogram: how often which time was measured, in a fixed table: 128 steps for each doubling, so
// that every answer is at most 0.8 % too high, from 1 ns to 18 minutes; longer times count as that.
// One thread adds; any thread may read meanwhile, and sees each count as of some moment not long
// ago.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace iris::bench {

class Histogram {
 public:
  static constexpr unsigned step_bits = 7;  // 128 steps a doubling
  static constexpr unsigned value_bits = 40;
  static constexpr std::uint64_t value_max = (1ull << value_bits) - 1;

  void add(std::uint64_t value) {
    value = std::min(value, value_max);
    raise(counts_[bucket(value)], 1);
    raise(count_, 1);
    raise(sum_, value);
    if (value > max_.load(std::memory_order_relaxed)) {
      max_.store(value, std::memory_order_relaxed);
    }
  }

  // Adds what another has. REQUIRES: nobody else adds to this one.
  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < buckets; ++i) {
      raise(counts_[i], other.counts_[i].load(std::memory_order_relaxed));
    }
    raise(count_, other.count());
    raise(sum_, other.sum_.load(std::memory_order_relaxed));
    max_.store(std::max(max(), other.max()), std::memory_order_relaxed);
  }

  [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t max() const { return max_.load(std::memory_order_relaxed); }
  [[nodiscard]] double mean() const {
    const std::uint64_t all = count();
    if (all == 0) return 0;
    return static_cast<double>(sum_.load(std::memory_order_relaxed)) / static_cast<double>(all);
  }
  // A value that at least `share` of all are not above: the highest of its step, never above max().
  // 0 where there is none. REQUIRES: 0 <= share <= 1.
  [[nodiscard]] std::uint64_t quantile(double share) const {
    const auto wanted = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count()))));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets; ++i) {
      seen += counts_[i].load(std::memory_order_relaxed);
      if (seen >= wanted) return std::min(highest(i), max());
    }
    return max();
  }

 private:
  static constexpr std::size_t steps = 1u << step_bits;
  // Values below 2 * steps have a bucket each; then `steps` for each doubling.
  static constexpr std::size_t buckets = (value_bits - step_bits + 1) * steps;

  static constexpr std::size_t bucket(std::uint64_t value) {
    if (value < 2 * steps) return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - step_bits - 1;
    return shift * steps + static_cast<std::size_t>(value >> shift);
  }
  static constexpr std::uint64_t highest(std::size_t index) {
    if (index < 2 * steps) return index;
    const std::size_t shift = index / steps - 1;
    return ((static_cast<std::uint64_t>(index - shift * steps) + 1) << shift) - 1;
  }

  // There is one writer: no locked instruction is needed.
  static void raise(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, buckets> counts_{};
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<std::uint64_t> sum_ = 0;
  std::atomic<std::uint64_t> max_ = 0;
};

}  // namespace iris::bench
