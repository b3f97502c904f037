// Frames: the cost of sealing and of checking one, most of which is its CRC-32C.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "raft/check.h"
#include "src/peers/framing.h"

namespace iris {
namespace {

void seal(benchmark::State& state) {
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'p');
  std::string out;
  for (auto _ : state) {
    out.clear();
    const std::size_t begun = begin_frame(out);
    out += payload;
    seal_frame(out, begun);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * payload.size()));
}

void open(benchmark::State& state) {
  std::string frame;
  const std::size_t begun = begin_frame(frame);
  frame.append(static_cast<std::size_t>(state.range(0)), 'p');
  seal_frame(frame, begun);
  FrameReader reader(frame_bytes_max);
  for (auto _ : state) {
    std::size_t given = 0;
    while (true) {
      const auto payload = reader.next();
      CHECK(payload);
      if (*payload) {
        benchmark::DoNotOptimize((*payload)->data());
        break;
      }
      const auto space = reader.space();
      const std::size_t size = std::min(space.size(), frame.size() - given);
      std::copy_n(frame.data() + given, size, space.data());
      reader.filled(size);
      given += size;
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * frame.size()));
}

BENCHMARK(seal)->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(open)->Arg(64)->Arg(4096)->Arg(1 << 20);

}  // namespace
}  // namespace iris
