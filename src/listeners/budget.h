// Budget: the units of work that one pump() may still spend, so that the loop is back in a few
// milliseconds. The least unit is one look at a digest of the log tail.
#pragma once

#include <algorithm>
#include <cstddef>

namespace iris::listening {

namespace cost {
inline constexpr std::size_t pump = 200'000;  // the budget of one pump()
inline constexpr std::size_t turn = 20'000;   // and of one listener in it
inline constexpr std::size_t visit = 4;       // of a listener's turn, however little it does
inline constexpr std::size_t write = 500;     // of an update to a stream,
inline constexpr std::size_t bytes = 64;      // and 1 for so many bytes of it that are encoded
inline constexpr std::size_t update = 50;     // made from a log entry
inline constexpr std::size_t index = 100;     // of a subscription, into the matcher or out of it
inline constexpr std::size_t reload = 100;    // of a listener, after a snapshot was installed
inline constexpr std::size_t prune = 8;       // an update in a queue that is looked at
}  // namespace cost

inline void spend(std::size_t& budget, std::size_t units) { budget -= std::min(budget, units); }

}  // namespace iris::listening
