// Tombstones: the stage of a listener whose replay reached a RemoveSource. The keys that it removed
// are read from the store, in pages, and sent as removals under its revision, sorted by key.
// Loop thread. Listener::position stays before the RemoveSource until the last of them is queued.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/listeners/pages.h"
#include "src/listeners/pins.h"

namespace iris::listening {

struct Listener;
struct Shared;

struct Tombstones {
  std::uint64_t revision = 0;  // of the RemoveSource
  std::string source;
  std::string key;       // looked at up to here
  Pin pin;               // keeps the tombstone in the store; reset when the stream stalls
  bool reading = false;  // a page is on its way

  static void enter(Shared& shared, Listener& listener, std::uint64_t revision,
                    std::string_view source);
  // Lets the tombstone be purged. The next page may find that it was; then State follows.
  void unpin(Shared& shared);

  // Asks for a page; Replay follows where no key is left that the listener is subscribed to.
  static void serve(Shared& shared, Listener& listener, std::size_t& budget);
  // REQUIRES: the listener is in this stage, and waits for this page.
  static void take(Shared& shared, Listener& listener, const TombstonePage& page);
  [[nodiscard]] bool wants_more() const { return !reading; }
};

}  // namespace iris::listening
