// What the heap trimmer leaves free, at the bound between a quiet and a busy process and beyond it.

#include "src/server/heap_trimmer.h"

#include "tests/catch.h"

namespace iris {
namespace {

TEST_CASE("a busy process keeps more free memory than a quiet one") {
  using std::chrono::nanoseconds;
  const nanoseconds bound = HeapTrimmer::busy_cpu;
  CHECK(HeapTrimmer::kept(nanoseconds{0}) == HeapTrimmer::kept_bytes);
  CHECK(HeapTrimmer::kept(bound) == HeapTrimmer::kept_bytes);
  CHECK(HeapTrimmer::kept(bound + nanoseconds{1}) == HeapTrimmer::kept_busy_bytes);
}

}  // namespace
}  // namespace iris
