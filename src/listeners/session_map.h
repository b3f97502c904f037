// SessionMap: values by the name of a session. Looked up, never walked: its order is not the same
// in every run. Values do not move.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iris::listening {

struct SessionHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view session) const {
    return std::hash<std::string_view>{}(session);
  }
};
template <typename Value>
using SessionMap = std::unordered_map<std::string, Value, SessionHash, std::equal_to<>>;

}  // namespace iris::listening
