#include "tests/store/original.h"

#include <fstream>
#include <memory>
#include <optional>

#include "raft/core.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

raft::SnapshotMetadata back_up(Opened& node, const std::string& file) {
  const std::unique_ptr<Export> pinned = node->pin();
  std::ofstream(file, std::ios::binary) << read_all(node, *pinned, 1000);
  return pinned->mark();
}

Original::Original(raft::Level level) {
  raft::Members members = members_of({1, 2, 3});
  members.level = level;
  Opened node(folder.raft());
  bool adopted = false;
  node->adopt({99}, [&] { adopted = true; });
  std::vector<raft::EntryPtr> entries{entry(4, 1, members)};
  for (std::uint64_t i = 2; i <= 70; ++i) entries.push_back(entry(4, i));
  node.await_durable(node.write(entries, raft::HardState{{4}, {2}}));
  for (std::uint64_t i = 1; i <= 60; ++i) {
    const std::string key = std::to_string(i);
    node.apply(
        4, i, [key](Batch& batch) { batch.put(Table::values, key, "value " + key); },
        i == 1 ? std::optional(members) : std::nullopt);
  }
  node.await_applied(60);
  self = node.raft().self;
  rows = node.scan(Table::values);
  of = back_up(node, file());
}

void require_leads_alone(Opened& node) {
  raft::Core core({}, node.raft());
  core.campaign();
  std::optional<raft::Term> led;
  for (int turn = 0; turn < 100 && !led; ++turn) {
    core.tick();
    while (core.has_output()) {
      raft::Output out = core.take_output();
      REQUIRE(out.send.empty());
      if (out.write) {
        const raft::Ticket ticket = node.write(out.write->entries, out.write->state);
        node.await_durable(ticket);
        core.persisted(out.write->ticket);
      }
    }
    core.check_invariants();
    if (core.role() == raft::Role::leader && core.commit_index() == core.status().last) {
      led = core.term();
    }
  }
  REQUIRE(led.has_value());
}

}  // namespace iris::store::test
