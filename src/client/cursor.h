// Cursor: how far a stream of updates got, and how to go on where it stopped, on whatever node.
// Pure arithmetic, one thread. Decides which updates are delivered: none twice, none passed over.
//
// Live updates come in the order (revision, source, key). A node is asked for everything after the
// last revision that is known to be complete, and what was delivered already is dropped here. State
// (after a resync, or as initial state) comes in key order under older revisions and moves nothing;
// when it is cut off half way it begins anew, with a resync so that the receiver starts afresh.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include "src/client/client.h"

namespace iris::client {

class Cursor {
 public:
  Cursor(Position after, bool send_initial)
      : position_(send_initial ? Position{} : std::move(after)), in_state_(send_initial) {}

  // The request for the next stream. after_revision 0: from now on.
  [[nodiscard]] std::uint64_t after_revision() const {
    if (in_state_ || position_.revision == 0) return 0;
    return position_.is_whole() ? position_.revision : position_.revision - 1;
  }
  [[nodiscard]] bool send_initial() const { return in_state_; }

  // The changes since the position are lost: the next stream begins with the state, after a resync
  // where the receiver has a part of a state already.
  void start_over() {
    state_seen_ = state_seen_ || !in_state_;
    in_state_ = true;
  }

  // A stream begins. True: the receiver is told a resync first, for the state it has is half.
  [[nodiscard]] bool begin_stream() const { return in_state_ && state_seen_; }

  // Takes the next update of the stream. False: it is old, drop it.
  [[nodiscard]] bool take(const Update& update) {
    switch (update.op) {
      case Update::Op::resync:
        in_state_ = true;
        state_seen_ = true;
        return true;
      case Update::Op::synced:
        in_state_ = false;
        state_seen_ = false;
        position_ = {update.revision, {}};
        return true;
      case Update::Op::bookmark:
        if (in_state_ || update.revision < position_.revision) return false;
        position_ = {update.revision, {}};
        return true;
      case Update::Op::put:
      case Update::Op::remove:
        break;
    }
    if (in_state_) {
      state_seen_ = true;
      return true;
    }
    if (delivered(update)) return false;
    position_ = {update.revision, update.key, update.source};
    return true;
  }

  // Nowhere while the receiver has half a state: it cannot go on from there.
  [[nodiscard]] Position position() const { return in_state_ ? Position{} : position_; }

 private:
  [[nodiscard]] bool delivered(const Update& update) {
    if (update.revision != position_.revision) return update.revision < position_.revision;
    if (position_.is_whole()) return true;
    if (position_.source.empty()) position_.source = update.source;  // kept by a former build
    return std::tie(update.source, update.key) <= std::tie(position_.source, position_.key);
  }

  Position position_;
  bool in_state_;            // state is awaited or on its way; ends with synced
  bool state_seen_ = false;  // part of it was delivered
};

}  // namespace iris::client
