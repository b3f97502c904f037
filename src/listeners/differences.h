// Differences: a list of numbered changes, told to another node so that each arrives although
// messages are lost. Told is the teller's half, Known the receiver's; both are arithmetic alone.
// Loop thread; plain values.
//
// Each change has a number, which counts up from 1, and the last change of a thing stands for those
// before it. A message has the changes after one number up to another. The receiver's answer says
// what it knows, and whether a message that it could not use asks for more.
#pragma once

#include <algorithm>
#include <cstdint>

namespace iris::listening {

class Told {
 public:
  // The receiver knows nothing: it is another, or begins anew.
  void begin_anew() { *this = Told(); }
  // Changes up to here were sent, and those after are to be sent next.
  [[nodiscard]] std::uint64_t up_to() const { return up_to_; }
  [[nodiscard]] bool is_answered() const { return answered_; }
  // More may be under way. A receiver that has never answered may be of a former build, which
  // never does.
  [[nodiscard]] bool may_tell() const { return !answered_ || up_to_ - known_ < window; }

  void tell(std::uint64_t up_to, std::uint64_t tick) {
    if (up_to_ == known_) waiting_since_ = tick;
    up_to_ = up_to;
  }
  void answer(std::uint64_t known, bool missed, std::uint64_t tick) {
    answered_ = true;
    if (missed) {
      up_to_ = known_ = known;
    } else if (known > known_) {
      known_ = known;
      up_to_ = std::max(up_to_, known);
      waiting_since_ = tick;
    }
  }
  // What was not answered for so long is sent again. True: it is so.
  bool repeat_after(std::uint64_t patience_ticks, std::uint64_t tick) {
    if (up_to_ == known_ || tick - waiting_since_ < patience_ticks) return false;
    up_to_ = known_;
    return true;
  }

 private:
  static constexpr std::uint64_t window = 8'000;  // changes

  std::uint64_t up_to_ = 0;
  std::uint64_t known_ = 0;  // by the receiver, as far as it has answered
  std::uint64_t waiting_since_ = 0;
  bool answered_ = false;
};

class Known {
 public:
  void begin_anew() { *this = Known(); }
  [[nodiscard]] std::uint64_t up_to() const { return up_to_; }
  // Changes are missing before the last message.
  [[nodiscard]] bool missed() const { return missed_; }

  // A message with the changes in (after, up_to]. True: they are to be carried out; those that were
  // known already say the same or something newer.
  [[nodiscard]] bool take(std::uint64_t after, std::uint64_t up_to) {
    missed_ = after > up_to_;
    if (missed_ || up_to <= up_to_) return false;
    up_to_ = up_to;
    return true;
  }

 private:
  std::uint64_t up_to_ = 0;
  bool missed_ = false;
};

}  // namespace iris::listening
