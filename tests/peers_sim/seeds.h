// Seeds: which ones a test runs: IRIS_SEED=S that one alone, IRIS_SEEDS=N so many from IRIS_FIRST
// (1) on, else as many as the test says, or a tenth under a sanitizer.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace iris::peers_sim {

struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t count = 0;
};

inline std::uint64_t number_of_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::stoull(text) : otherwise;
}

inline Seeds seeds_of(std::uint64_t usual) {
  if (const std::uint64_t one = number_of_environment("IRIS_SEED", 0); one > 0) return {one, 1};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  usual /= 10;
#endif
  return {number_of_environment("IRIS_FIRST", 1), number_of_environment("IRIS_SEEDS", usual)};
}

}  // namespace iris::peers_sim
