// Commands: their bytes, and what they cost the state machine over tables in memory, without
// RocksDB.
#include <benchmark/benchmark.h>

#include <string>
#include <variant>
#include <vector>

#include "raft/check.h"
#include "src/machine/command.h"
#include "src/machine/machine.h"
#include "tests/machine/memory_batch.h"

namespace iris {
namespace {

SetValue set_value(std::uint64_t key) {
  return {"source", "key-" + std::to_string(key), std::string(256, 'v'), {}};
}

void encode_set(benchmark::State& state) {
  const Operation operation = set_value(1);
  for (auto _ : state) benchmark::DoNotOptimize(encode(operation));
}

std::string set_bytes(std::int64_t value_bytes) {
  SetValue set = set_value(1);
  set.value.assign(static_cast<std::size_t>(value_bytes), 'v');
  return encode(set);
}

void parse_set(benchmark::State& state) {
  const std::string bytes = set_bytes(state.range(0));
  for (auto _ : state) {
    const auto command = parse(bytes);
    CHECK(command);
    benchmark::DoNotOptimize(command->value.data());
  }
}

// The same with a copy of each field, as an Operation has it.
void decode_set(benchmark::State& state) {
  const std::string bytes = set_bytes(state.range(0));
  for (auto _ : state) {
    const auto command = decode(bytes);
    CHECK(command);
    benchmark::DoNotOptimize(std::get<SetValue>(*command).value.data());
  }
}

// Existing keys, as many as the argument says.
void apply_set(benchmark::State& state) {
  store::MemoryTables tables;
  store::MemoryBatch batch(tables);
  std::vector<raft::Entry> entries;
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t key = 0; key < keys; ++key) {
    entries.push_back({.id = {{1}, {key + 1}}, .payload = encode(set_value(key))});
  }
  std::uint64_t index = 0;
  const auto apply_next = [&] {
    raft::Entry& entry = entries[index % entries.size()];
    entry.id.index = {++index};
    benchmark::DoNotOptimize(Machine::apply(entry, feature_level, batch));
    tables.applied = entry.id.index;
  };
  while (index < keys) apply_next();
  for (auto _ : state) apply_next();
}

BENCHMARK(encode_set);
BENCHMARK(parse_set)->ArgName("value")->Arg(256)->Arg(64 << 10);
BENCHMARK(decode_set)->ArgName("value")->Arg(256)->Arg(64 << 10);
BENCHMARK(apply_set)->Arg(100)->Arg(10'000);

}  // namespace
}  // namespace iris
