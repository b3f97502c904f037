// The variable in which a program's user names the file of the client's key. Any thread; pure but
// for the environment. For programs: the library itself reads none of it.
#pragma once

#include <cstdlib>

namespace iris::client {

// IRIS_KEY; but in a command of `iris-cli watch` that is the key that changed, and IRIS_CLIENT_KEY
// is what it was before.
[[nodiscard]] inline const char* key_variable() {
  return std::getenv("IRIS_WATCH_OP") != nullptr ? "IRIS_CLIENT_KEY" : "IRIS_KEY";
}

}  // namespace iris::client
