// CHECK: an invariant that holds or the process ends, in release builds too.
// Any thread. Owns nothing. For bugs only: what the outside world may do wrong is a Result.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace iris {

[[noreturn]] inline void check_failed(const char* file, int line, const char* text) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, text);
  std::fflush(stderr);
  std::abort();
}

}  // namespace iris

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::iris::check_failed(__FILE__, __LINE__, #condition))
