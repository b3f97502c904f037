// raft/log.h: the log in memory and its stable index.
#include <cstdint>
#include <utility>
#include <vector>

#include "raft/log.h"
#include "tests/raft/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::raft::test {
namespace {

constexpr HardState state{Term{9}, NodeId{1}};

// Entries of these terms after the floor (2, 10), all on disk.
Log log_with(const std::vector<std::uint64_t>& terms) {
  std::vector<EntryPtr> entries;
  for (const std::uint64_t term : terms) entries.push_back(entry(term, 11 + entries.size()));
  return Log(id(2, 10), std::move(entries), state);
}

// Gives all unwritten entries to one ticket.
std::vector<std::uint64_t> write(Log& log, std::uint64_t ticket) {
  std::vector<std::uint64_t> indexes;
  for (const EntryPtr& written : log.take_unwritten()) indexes.push_back(written->id.index.value);
  log.open(Ticket{ticket}, state);
  return indexes;
}

TEST_CASE("a log begins after its floor") {
  const Log log = log_with({});
  CHECK(log.first() == Index{11});
  CHECK(log.last() == Index{10});
  CHECK(log.last_id() == id(2, 10));
  CHECK(log.stable() == Index{10});
  CHECK(log.bytes() == 0);
  CHECK(log.holds(id(2, 10)));
  CHECK_FALSE(log.holds(id(1, 10)));
  CHECK_FALSE(log.holds(id(2, 9)));
  CHECK_FALSE(log.holds(id(2, 11)));
}

TEST_CASE("a conflict hint skips whole terms (hazard 39)") {
  const Log log = log_with({2, 2, 4, 4, 4, 7});  // 11 to 16
  CHECK(log.last_not_after(id(9, 99)) == id(7, 16));
  CHECK(log.last_not_after(id(7, 16)) == id(7, 16));
  CHECK(log.last_not_after(id(6, 16)) == id(4, 15));
  CHECK(log.last_not_after(id(4, 14)) == id(4, 14));
  CHECK(log.last_not_after(id(3, 15)) == id(2, 12));
  CHECK(log.last_not_after(id(1, 15)) == id(2, 10));  // none above the floor
  CHECK(log.last_not_after(id(9, 4)) == id(2, 10));
}

TEST_CASE("a ticket claims its last index, and one ack covers all earlier tickets") {
  Log log = log_with({});
  log.append(entry(3, 11));
  CHECK(write(log, 1) == std::vector<std::uint64_t>{11});
  log.append(entry(3, 12));
  log.append(entry(3, 13));
  CHECK(write(log, 2) == std::vector<std::uint64_t>{12, 13});
  CHECK(log.stable() == Index{10});
  log.persisted(Ticket{1});
  CHECK(log.stable() == Index{11});
  log.append(entry(3, 14));
  CHECK(write(log, 3) == std::vector<std::uint64_t>{14});
  log.persisted(Ticket{3});
  CHECK(log.stable() == Index{14});
  CHECK_FALSE(log.has_open_tickets());
  log.persisted(Ticket{2});  // obsolete
  CHECK(log.stable() == Index{14});
}

TEST_CASE("a late ack of overwritten entries proves nothing of the new ones (hazard 31)") {
  Log log = log_with({});
  for (std::uint64_t index = 11; index <= 15; ++index) log.append(entry(3, index));
  write(log, 1);
  log.truncate_from(Index{13});
  log.append(entry(4, 13));
  log.append(entry(4, 14));
  log.append(entry(4, 15));
  CHECK(write(log, 2) == std::vector<std::uint64_t>{13, 14, 15});
  log.check_invariants();
  log.persisted(Ticket{1});
  CHECK(log.stable() == Index{12});
  log.persisted(Ticket{2});
  CHECK(log.stable() == Index{15});
}

TEST_CASE("cutting stable entries lowers the stable index, and unwritten ones stay unwritten") {
  Log log = log_with({3, 3, 3});
  log.append(entry(3, 14));
  log.truncate_from(Index{12});
  CHECK(log.stable() == Index{11});
  CHECK_FALSE(log.has_unwritten());
  log.append(entry(4, 12));
  CHECK(write(log, 1) == std::vector<std::uint64_t>{12});
  log.check_invariants();
}

TEST_CASE("until a snapshot's ticket is done the stable index is the commit index") {
  Log log = log_with({3, 3, 3});
  log.append(entry(3, 14));
  write(log, 1);
  log.restart(id(5, 40), Index{12});
  CHECK(log.stable() == Index{12});
  CHECK(log.last_id() == id(5, 40));
  CHECK(log.bytes() == 0);
  log.append(entry(5, 41));
  CHECK(write(log, 2) == std::vector<std::uint64_t>{41});
  log.check_invariants();
  log.persisted(Ticket{1});
  CHECK(log.stable() == Index{12});
  log.persisted(Ticket{2});
  CHECK(log.stable() == Index{41});
}

TEST_CASE("trimming moves the floor and counts the bytes") {
  Log log = log_with({3});
  log.append(entry(4, 12, Command(1000, 'x')));
  CHECK(log.bytes() == 2 * entry_overhead_bytes + 1000);
  write(log, 1);
  log.persisted(Ticket{1});
  log.trim(Index{11});
  CHECK(log.floor() == id(3, 11));
  CHECK(log.bytes() == entry_overhead_bytes + 1000);
  log.trim(Index{12});
  CHECK(log.floor() == id(4, 12));
  CHECK(log.bytes() == 0);
  CHECK(log.last() == Index{12});
  log.check_invariants();
}

}  // namespace
}  // namespace iris::raft::test
