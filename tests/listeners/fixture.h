// Fixture: one node that follows one cluster, and streams of it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/listeners/harness.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::testing {

using Texts = std::vector<std::string>;

struct Fixture {
  Cluster cluster;
  ListeningNode node{cluster};

  ListenerId listen(RecordedStream& stream, ListenSpec spec = {"one"}) {
    const auto id = node.listeners->open(std::move(spec), stream);
    REQUIRE(id);
    node.settle();
    return *id;
  }
  // As a client that reads `count` updates.
  void read(RecordedStream& stream, ListenerId id, std::size_t count) {
    stream.credit = count;
    while (stream.credit > 0) {
      const std::size_t before = stream.credit;
      stream.must_wait = false;
      node.listeners->writable(id);
      node.settle();
      if (stream.credit == before) return;
    }
  }
  Texts settle(RecordedStream& stream) {
    node.settle();
    return stream.take();
  }
};

}  // namespace iris::testing
