// Log and data on a healthy disk: what was written is there after a restart, in order, once.
#include <string>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

std::vector<std::uint64_t> indexes(const raft::Recovered& found) {
  std::vector<std::uint64_t> all;
  for (const raft::EntryPtr& one : found.entries) all.push_back(one->id.index.value);
  return all;
}

}  // namespace

TEST_CASE("a new folder holds a node that has never had a log, and keeps its id") {
  const TempFolder folder;
  raft::NodeId self;
  {
    Opened node(folder.raft());
    self = node.raft().self;
    REQUIRE(self != raft::NodeId{});
    REQUIRE(node->recovered().cluster == raft::ClusterId{});
    REQUIRE(node.raft().state == raft::HardState{});
    REQUIRE(node.raft().floor == raft::SnapshotMetadata{});
    REQUIRE(node.raft().entries.empty());
    REQUIRE(node.raft().applied == raft::Index{});
  }
  Opened again(folder.raft());
  REQUIRE(again.raft().self == self);
  const TempFolder other;
  REQUIRE(Opened(other.raft()).raft().self != self);
}

TEST_CASE("entries of every kind, term, vote and cluster come back as they were written") {
  const TempFolder folder;
  const raft::HardState state{{3}, {77}};
  std::vector<raft::EntryPtr> entries{
      entry(1, 1, members_of({1})),
      std::make_shared<const raft::Entry>(raft::Entry{{{2}, {2}}, raft::NoOp{}}),
      entry(2, 3, std::string("\0bytes\xff", 7)),
      entry(3, 4, ""),
      entry(3, 5, std::string(100'000, 'x')),
  };
  raft::Members joint = members_of({1, 2});
  joint.outgoing = members_of({3}).voters;
  joint.learners = members_of({4, 5}).voters;
  entries.push_back(entry(3, 6, joint));
  {
    Opened node(folder.raft());
    bool adopted = false;
    node->adopt({42}, [&] { adopted = true; });
    node.await_durable(node.write(entries, state));
    REQUIRE(adopted);
  }
  Opened node(folder.raft());
  REQUIRE(node->recovered().cluster == raft::ClusterId{42});
  REQUIRE(node.raft().state == state);
  REQUIRE(node.raft().entries.size() == entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    REQUIRE(*node.raft().entries[i] == *entries[i]);
  }
}

TEST_CASE("a suffix that is overwritten leaves nothing behind, however long it was (hazard 23)") {
  const TempFolder folder;
  const std::uint64_t last_new = GENERATE(std::uint64_t{3}, std::uint64_t{5}, std::uint64_t{9});
  {
    Opened node(folder.raft());
    node.fill(1, 1, 2);
    node.write({entry(1, 3), entry(1, 4), entry(1, 5), entry(1, 6)});
    std::vector<raft::EntryPtr> fresh;
    for (std::uint64_t i = 3; i <= last_new; ++i) fresh.push_back(entry(2, i, "new"));
    node.await_durable(node.write(fresh, raft::HardState{{2}, {1}}));
  }
  {
    Opened node(folder.raft());
    REQUIRE(indexes(node.raft()).size() == last_new);
    REQUIRE(node.raft().entries[1]->id.term == raft::Term{1});
    for (std::uint64_t i = 3; i <= last_new; ++i) {
      REQUIRE(*node.raft().entries[i - 1] == *entry(2, i, "new"));
    }
    node.await_durable(node.write({entry(2, last_new + 1)}));  // the chain continues
  }
  REQUIRE(indexes(Opened(folder.raft()).raft()).size() == last_new + 1);
}

TEST_CASE("one answer covers all that was queued, and none comes from inside the call") {
  const TempFolder folder;
  Opened node(folder.raft());
  raft::Ticket last;
  for (std::uint64_t i = 1; i <= 500; ++i) {
    last = node.write({entry(1, i)}, raft::HardState{{1}, {}});
  }
  REQUIRE(node.durable == raft::Ticket{});
  node.await_durable(last);
  REQUIRE(node.loop().posts() < 100);  // 500 syncs would make 500 posts
}

TEST_CASE("a job sees its own writes and those of the jobs before it in the batch") {
  const TempFolder folder;
  Opened node(folder.raft());
  std::vector<std::string> seen;
  const auto look = [&seen](const View& view, const std::string& prefix) {
    std::string row;
    for (auto at = view.scan(Table::values, prefix, ""); at->valid(); at->next()) {
      row += std::string(at->key()) + "=" + std::string(at->value()) + " ";
    }
    seen.push_back(row);
  };
  node.apply(1, 1, [](Batch& batch) {
    for (const char* key : {"a1", "a3", "a5", "b1"}) batch.put(Table::values, key, "disk");
    batch.put(Table::sources, "a2", "another table");
  });
  node.await_applied(1);
  node.apply(1, 2, [&](Batch& batch) {
    batch.put(Table::values, "a2", "batch");
    batch.put(Table::values, "a3", "batch");
    batch.remove(Table::values, "a5");
    batch.remove(Table::values, "a9");
    look(batch, "a");
    std::string value;
    REQUIRE(batch.get(Table::values, "a3", value) == Found::yes);
    REQUIRE(value == "batch");
    REQUIRE(batch.get(Table::values, "a5", value) == Found::no);
    REQUIRE(batch.get(Table::values, "b1", value) == Found::yes);
    REQUIRE(value == "disk");
    REQUIRE(batch.applied() == raft::Index{1});
  });
  node.apply(1, 3, [&](Batch& batch) {
    look(batch, "");
    batch.remove(Table::values, "a1");
    batch.put(Table::values, "a5", "again");
    look(batch, "a");
    REQUIRE(batch.applied() == raft::Index{2});
  });
  node.await_applied(3);
  REQUIRE(seen == std::vector<std::string>{"a1=disk a2=batch a3=batch ",
                                           "a1=disk a2=batch a3=batch b1=disk ",
                                           "a2=batch a3=batch a5=again "});
  const auto rows = node.scan(Table::values, "a", "a3");
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0] == std::pair<std::string, std::string>("a3", "batch"));
}

TEST_CASE("removing a prefix takes what is on disk and in the batch, few rows or many") {
  const TempFolder folder;
  const int count = GENERATE(0, 3, 64, 65, 1000);
  Opened node(folder.raft());
  node.apply(1, 1, [count](Batch& batch) {
    for (int i = 0; i < count; ++i) batch.put(Table::values, "p" + std::to_string(i), "disk");
    batch.put(Table::values, "o", "before");
    batch.put(Table::values, "q", "after");
  });
  node.await_applied(1);
  node.apply(1, 2, [count](Batch& batch) {
    batch.put(Table::values, "p new", "batch");
    batch.put(Table::values, "p0", "batch");
    batch.remove_prefix(Table::values, "p");
    std::string value;
    REQUIRE(batch.get(Table::values, "p new", value) == Found::no);
    REQUIRE(batch.get(Table::values, "p0", value) == Found::no);
    REQUIRE(batch.get(Table::values, "p" + std::to_string(count / 2), value) == Found::no);
    REQUIRE_FALSE(batch.scan(Table::values, "p", "")->valid());
    REQUIRE(batch.scan(Table::values, "", "o")->valid());
  });
  node.apply(1, 3, [](Batch& batch) {
    std::string all;
    for (auto at = batch.scan(Table::values, "", ""); at->valid(); at->next()) all += at->key();
    REQUIRE(all == "oq");
  });
  node.await_applied(3);
  REQUIRE(node.scan(Table::values).size() == 2);
}

TEST_CASE("the end of the key space is no trap for a scan or a removal") {
  const TempFolder folder;
  Opened node(folder.raft());
  const std::string top = "\xff\xff";
  node.apply(1, 1, [&](Batch& batch) {
    batch.put(Table::values, top, "1");
    batch.put(Table::values, top + "\xff", "2");
    batch.put(Table::tombstones, "", "empty key");
  });
  node.await_applied(1);
  REQUIRE(node.scan(Table::values, top).size() == 2);
  REQUIRE(node.scan(Table::tombstones).size() == 1);
  node->maintain([&](Batch& batch) { batch.remove_prefix(Table::values, top); }, [] {});
  node.apply(1, 2);
  node.await_applied(2);
  REQUIRE(node.scan(Table::values).empty());
  REQUIRE(node.scan(Table::tombstones).size() == 1);
}

TEST_CASE("applied entry and configuration are in the batch of their rows (hazards 67, 70)") {
  const TempFolder folder;
  {
    Opened node(folder.raft());
    node.await_durable(node.write({entry(1, 1, members_of({1, 2})), entry(1, 2), entry(1, 3)},
                                  raft::HardState{{1}, {}}));
    node.apply(1, 1, nullptr, members_of({1, 2}));
    node.apply(1, 2, [](Batch& batch) { batch.put(Table::values, "k", "v"); });
    node.await_applied(2);
  }
  Opened node(folder.raft());
  REQUIRE(node.raft().applied == raft::Index{2});
  REQUIRE(node.raft().entries.size() == 3);
  REQUIRE(node.read(Table::values, "k") == "v");
  REQUIRE(node->hold()->applied() == raft::Index{2});
}

TEST_CASE("a held view stays as it was while the data goes on") {
  const TempFolder folder;
  Opened node(folder.raft());
  node.fill(1, 1, 3);
  std::shared_ptr<const View> held = node->hold();
  node.apply(1, 4, [](Batch& batch) { batch.remove_prefix(Table::values, ""); });
  node.await_applied(4);
  REQUIRE(node.scan(Table::values).empty());
  std::size_t rows = 0;
  bool done = false;
  node->read_held(
      held,
      [&](const View& view) {
        REQUIRE(view.applied() == raft::Index{3});
        for (auto at = view.scan(Table::values, "", ""); at->valid(); at->next()) ++rows;
      },
      [&] { done = true; });
  REQUIRE(node.loop().run_until([&] { return done; }));
  REQUIRE(rows == 3);
}

TEST_CASE("hold_applied sees all jobs before it and none after it, though they share a batch") {
  const TempFolder folder;
  Opened node(folder.raft());
  node.fill(1, 1, 3);
  std::vector<std::shared_ptr<const View>> held;
  const auto hold = [&] {
    node->hold_applied([&](std::shared_ptr<const View> view) { held.push_back(std::move(view)); });
  };
  const auto put = [](const char* value) {
    return [value](Batch& batch) { batch.put(Table::values, "k", value); };
  };
  node.apply(1, 4, put("four"));
  hold();
  node.apply(1, 5, put("five"));
  node->maintain(put("maintained"), [] {});
  hold();
  node.apply(1, 6, put("six"));
  node.await_applied(6);
  REQUIRE(node.loop().run_until([&] { return held.size() == 2; }));
  std::string value;
  REQUIRE(held[0]->applied() == raft::Index{4});
  REQUIRE(held[0]->get(Table::values, "k", value) == Found::yes);
  REQUIRE(value == "four");
  REQUIRE(held[1]->applied() == raft::Index{5});
  REQUIRE(held[1]->get(Table::values, "k", value) == Found::yes);
  REQUIRE(value == "maintained");
}

TEST_CASE("a bulk read sees its held view, and brings nothing into the cache") {
  const TempFolder folder;
  { Opened(folder.raft()).fill(1, 1, 1000); }
  Opened node(folder.raft());  // all is in files now, nothing in memory
  std::size_t rows = 0;
  bool done = false;
  std::string value;
  node->read_bulk(
      node->hold(),
      [&](const View& view) {
        for (auto at = view.scan(Table::values, "", ""); at->valid(); at->next()) ++rows;
      },
      [&] { done = true; });
  REQUIRE_FALSE(done);
  REQUIRE(node.loop().run_until([&] { return done; }));
  REQUIRE(rows == 1000);
  REQUIRE(node->cached().get(Table::values, "7", value) == Found::incomplete);
}

TEST_CASE("memory answers at once, the disk only through the read lane") {
  const TempFolder folder;
  std::string value;
  {
    Opened node(folder.raft());
    node.fill(1, 1, 1000);  // more than one block: the first is read at the start
    REQUIRE(node->cached().get(Table::values, "7", value) == Found::yes);
    REQUIRE(value == "value 7");
    REQUIRE(node->cached().get(Table::values, "absent", value) == Found::no);
  }
  Opened node(folder.raft());  // all is in files now, nothing in memory
  REQUIRE(node->cached().get(Table::values, "7", value) == Found::incomplete);
  REQUIRE(node.read(Table::values, "7") == "value 7");
  REQUIRE(node->cached().get(Table::values, "7", value) ==
          Found::yes);  // read() has brought it into the cache
  REQUIRE(value == "value 7");
}

TEST_CASE("a trimmed log starts behind its floor, goes on, and keeps the tail below applied") {
  const TempFolder folder;
  const raft::SnapshotMetadata floor = mark(1, 6);
  {
    Opened node(folder.raft());
    node.fill(1, 1, 10);
    node.await_trim(floor);
    node.await_trim(mark(1, 4));  // below the floor: nothing to do
    node.await_durable(node.write({entry(1, 11)}));
  }
  {
    Opened node(folder.raft());
    REQUIRE(node.raft().floor == floor);
    REQUIRE(node.raft().applied == raft::Index{10});
    REQUIRE(indexes(node.raft()) == std::vector<std::uint64_t>{7, 8, 9, 10, 11});
    node.apply(1, 11);
    node.await_applied(11);
    node.await_trim(mark(1, 11));  // the whole log
    node.await_durable(node.write({entry(1, 12)}));
  }
  Opened node(folder.raft());
  REQUIRE(indexes(node.raft()) == std::vector<std::uint64_t>{12});
  REQUIRE(node.raft().floor == mark(1, 11));
}

TEST_CASE("the space of a trimmed log comes back") {
  const TempFolder folder;
  constexpr std::uint64_t rounds = 60;
  constexpr std::uint64_t entries_per_round = 16;
  constexpr std::size_t command_bytes = 64u << 10;  // 60 MiB together
  constexpr std::size_t memtable_bytes = 2u << 20;
  Opened node(folder.raft(),
              [](RocksOptions& options) { options.log_memtable_bytes = memtable_bytes; });
  std::uint64_t index = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::vector<raft::EntryPtr> entries;
    for (std::uint64_t i = 0; i < entries_per_round; ++i) {
      entries.push_back(entry(1, ++index, std::string(command_bytes, 'x')));
    }
    node.await_durable(node.write(std::move(entries), raft::HardState{{1}, {}}));
    node.apply(1, index);
    node.await_applied(index);
    node.await_trim(mark(1, index));
  }
  const auto used = [&] {
    std::uint64_t bytes = 0;
    for (const std::string& file : files_in(folder.raft() + "/log", "")) bytes += size_of(file);
    return bytes;
  };
  REQUIRE(node.loop().run_until([&] { return used() < 10 * memtable_bytes; }));
}

TEST_CASE("a job that is queued when the store ends is done, not answered, and holds nothing") {
  const TempFolder folder;
  Loop loop;
  std::size_t answers = 0;
  {
    Result<std::unique_ptr<Store>> opened = open_rocks(options_for(folder.raft(), loop));
    REQUIRE(opened.has_value());
    const std::unique_ptr<Store> store = std::move(*opened);
    store->start({[&](raft::Ticket) { ++answers; }, [](const Error&) {}});
    for (std::uint64_t i = 1; i <= 100; ++i) {
      store->write({{i}, raft::HardState{{1}, {}}, std::nullopt, {entry(1, i)}});
      // Answers that own a view, as those of paged lists do: none may outlive the store.
      const std::shared_ptr<const View> view = store->hold();
      store->read_held(
          view, [](const View&) {}, [view, &answers] { ++answers; });
      store->read([](const View&) {}, [view, &answers] { ++answers; });
      std::shared_ptr<Export> pinned = store->pin();
      Export& source = *pinned;
      source.read(100, [pinned, &answers](const Result<std::string>&) { ++answers; });
    }
  }
  REQUIRE(loop.run_until([] { return true; }));  // runs all that was posted
  REQUIRE(answers == 0);
  REQUIRE(Opened(folder.raft()).raft().entries.size() == 100);
}

TEST_CASE("the use of the disk is measured") {
  const TempFolder folder;
  Opened node(folder.raft());
  REQUIRE(node->disk_use().used_bytes > 0);
  REQUIRE(node->disk_use().free_bytes > 0);
}

}  // namespace iris::store::test
