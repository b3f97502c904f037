// Pins: revisions that are still needed, and the least of them.
// Loop thread. A Pin holds one revision until it is reset or destroyed; Pins outlives its pins.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

namespace iris::listening {

class Pin;

class Pins {
 public:
  [[nodiscard]] Pin hold(std::uint64_t revision);
  [[nodiscard]] std::optional<std::uint64_t> least() const {
    return held_.empty() ? std::nullopt : std::optional(*held_.begin());
  }

 private:
  friend class Pin;
  std::multiset<std::uint64_t> held_;
};

class Pin {
 public:
  Pin() = default;
  ~Pin() { reset(); }
  Pin(Pin&& other) noexcept : pins_(std::exchange(other.pins_, nullptr)), at_(other.at_) {}
  Pin& operator=(Pin&& other) noexcept {
    if (this == &other) return *this;
    reset();
    pins_ = std::exchange(other.pins_, nullptr);
    at_ = other.at_;
    return *this;
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

  [[nodiscard]] bool holds() const { return pins_ != nullptr; }
  void reset() {
    if (Pins* pins = std::exchange(pins_, nullptr)) pins->held_.erase(at_);
  }

 private:
  friend class Pins;
  Pin(Pins& pins, std::multiset<std::uint64_t>::iterator at) : pins_(&pins), at_(at) {}

  Pins* pins_ = nullptr;  // none: it holds nothing
  std::multiset<std::uint64_t>::iterator at_;
};

inline Pin Pins::hold(std::uint64_t revision) { return {*this, held_.insert(revision)}; }

}  // namespace iris::listening
