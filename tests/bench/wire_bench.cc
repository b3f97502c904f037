// The hand-written wire format (src/peers/wire, protobuf.h) against the code that protoc generates
// from the same peer.proto: an AppendRequest of 64 entries to bytes, and back into the core's
// types. Both ends start and end with raft::Message, as the node does.
#include <benchmark/benchmark.h>
#include <google/protobuf/arena.h>

#include <memory>
#include <string>
#include <utility>

#include "proto/peer.pb.h"
#include "raft/check.h"
#include "src/peers/wire.h"

namespace iris {
namespace {

constexpr raft::NodeId sender{0xa1b2c3d4e5f60718};
constexpr raft::NodeId receiver{0x18070f6e5d4c3b2a};
constexpr std::uint64_t entries = 64;

PeerBody append_of(std::size_t command_bytes) {
  raft::AppendRequest append;
  append.prev = {{7}, {1'000'000}};
  append.commit = {999'990};
  for (std::uint64_t i = 1; i <= entries; ++i) {
    append.entries.push_back(std::make_shared<raft::Entry>(
        raft::Entry{.id = {{7}, {1'000'000 + i}}, .payload = raft::Command(command_bytes, 'c')}));
  }
  return raft::Message{.from = sender, .to = receiver, .term = {7}, .body = std::move(append)};
}

void count(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * entries));
}

std::string written(const PeerBody& body) {
  std::string batch;
  CHECK(wire::write(body, batch));
  return batch;
}

void write_by_hand(benchmark::State& state) {
  const PeerBody body = append_of(static_cast<std::size_t>(state.range(0)));
  std::string batch;
  for (auto _ : state) {
    batch.clear();
    CHECK(wire::write(body, batch));
    benchmark::DoNotOptimize(batch.data());
  }
  count(state, batch.size());
}

void read_by_hand(benchmark::State& state) {
  const std::string batch = written(append_of(static_cast<std::size_t>(state.range(0))));
  for (auto _ : state) {
    const Status status = wire::read(batch, sender, receiver, [](PeerBody body) {
      benchmark::DoNotOptimize(body);
      return true;
    });
    CHECK(status);
  }
  count(state, batch.size());
}

void fill(peer::Batch& batch, const raft::Message& message) {
  peer::Raft& raft = *batch.add_messages()->mutable_raft();
  raft.set_from(message.from.value);
  raft.set_to(message.to.value);
  raft.set_term(message.term.value);
  const auto& append = std::get<raft::AppendRequest>(message.body);
  peer::AppendRequest& request = *raft.mutable_append_request();
  request.mutable_prev()->set_term(append.prev.term.value);
  request.mutable_prev()->set_index(append.prev.index.value);
  request.set_commit(append.commit.value);
  for (const raft::EntryPtr& entry : append.entries) {
    peer::Entry& each = *request.add_entries();
    each.set_term(entry->id.term.value);
    each.set_index(entry->id.index.value);
    each.set_command(std::get<raft::Command>(entry->payload));
  }
}

void write_generated(benchmark::State& state) {
  const PeerBody body = append_of(static_cast<std::size_t>(state.range(0)));
  std::string bytes;
  for (auto _ : state) {
    google::protobuf::Arena arena;
    auto* batch = google::protobuf::Arena::CreateMessage<peer::Batch>(&arena);
    fill(*batch, std::get<raft::Message>(body));
    bytes.clear();
    CHECK(batch->AppendToString(&bytes));
    benchmark::DoNotOptimize(bytes.data());
  }
  count(state, bytes.size());
}

void read_generated(benchmark::State& state) {
  const std::string bytes = written(append_of(static_cast<std::size_t>(state.range(0))));
  for (auto _ : state) {
    google::protobuf::Arena arena;
    auto* batch = google::protobuf::Arena::CreateMessage<peer::Batch>(&arena);
    CHECK(batch->ParseFromString(bytes));
    const peer::Raft& raft = batch->messages(0).raft();
    const peer::AppendRequest& request = raft.append_request();
    raft::AppendRequest append;
    append.prev = {{request.prev().term()}, {request.prev().index()}};
    append.commit = {request.commit()};
    append.entries.reserve(static_cast<std::size_t>(request.entries_size()));
    for (peer::Entry& each :
         *batch->mutable_messages(0)->mutable_raft()->mutable_append_request()->mutable_entries()) {
      CHECK(each.index() == append.prev.index.value + append.entries.size() + 1);
      append.entries.push_back(std::make_shared<raft::Entry>(raft::Entry{
          .id = {{each.term()}, {each.index()}}, .payload = std::move(*each.mutable_command())}));
    }
    PeerBody body = raft::Message{
        .from = {raft.from()}, .to = {raft.to()}, .term = {raft.term()}, .body = std::move(append)};
    benchmark::DoNotOptimize(body);
  }
  count(state, bytes.size());
}

// A stranger's message: entries without a field, two bytes each. By hand the first wrong entry ends
// it, with nothing allocated; generated code makes all of them before anything can be checked.
std::string empty_entries(std::size_t count) {
  peer::Batch batch;
  peer::Raft& raft = *batch.add_messages()->mutable_raft();
  raft.set_from(sender.value);
  raft.set_to(receiver.value);
  raft.set_term(7);
  for (std::size_t i = 0; i < count; ++i) raft.mutable_append_request()->add_entries();
  return batch.SerializeAsString();
}

void refuse_by_hand(benchmark::State& state) {
  const std::string bytes = empty_entries(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    CHECK(!wire::read(bytes, sender, receiver, [](const PeerBody&) { return true; }));
  }
}

void refuse_generated(benchmark::State& state) {
  const std::string bytes = empty_entries(static_cast<std::size_t>(state.range(0)));
  std::uint64_t allocated = 0;
  for (auto _ : state) {
    google::protobuf::Arena arena;
    auto* batch = google::protobuf::Arena::CreateMessage<peer::Batch>(&arena);
    CHECK(batch->ParseFromString(bytes));
    allocated = arena.SpaceAllocated();
  }
  state.counters["bytes_allocated_per_byte"] =
      static_cast<double>(allocated) / static_cast<double>(bytes.size());
}

BENCHMARK(refuse_by_hand)->Arg(1 << 20)->Unit(benchmark::kMicrosecond);
BENCHMARK(refuse_generated)->Arg(1 << 20)->Unit(benchmark::kMicrosecond);
BENCHMARK(write_by_hand)->Arg(64)->Arg(300)->Arg(4096);
BENCHMARK(write_generated)->Arg(64)->Arg(300)->Arg(4096);
BENCHMARK(read_by_hand)->Arg(64)->Arg(300)->Arg(4096);
BENCHMARK(read_generated)->Arg(64)->Arg(300)->Arg(4096);

}  // namespace
}  // namespace iris
