// The log as the core sees it: all entries since the floor in memory, and how much of it is on
// disk. One thread. Owns the entries and the open tickets; no I/O, no decisions.
//
//   floor            stable      written        last
//     |  entries ...   |  in open  | not in any  |
//     |  on disk       |  tickets  | ticket yet  |
//
// Tickets become durable in order, so an ack covers all earlier ones. Each open ticket claims its
// last index as durable. When the log is cut at i, every claim and the stable index fall to i - 1,
// so a late ack of overwritten entries proves nothing about those that took their place.
#pragma once

#include <deque>
#include <vector>

#include "raft/types.h"

namespace iris::raft {

class Log {
 public:
  // REQUIRES: entries contiguous after `floor`. They are on disk, as is `state`.
  Log(EntryId floor, std::vector<EntryPtr> entries, HardState state);

  [[nodiscard]] EntryId floor() const { return floor_; }
  [[nodiscard]] Index first() const { return floor_.index.next(); }
  [[nodiscard]] Index last() const { return {floor_.index.value + entries_.size()}; }
  [[nodiscard]] EntryId last_id() const { return id_at(last()); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }  // as entry_bytes() counts
  // REQUIRES: floor().index <= index <= last().
  [[nodiscard]] EntryId id_at(Index index) const;
  // REQUIRES: first() <= index <= last().
  [[nodiscard]] const EntryPtr& at(Index index) const;
  // The log contains exactly this entry, or it is the floor.
  [[nodiscard]] bool holds(EntryId id) const;
  // The last entry that a log containing `limit` may have in common with this one: the greatest
  // index <= limit.index whose term <= limit.term; the floor where there is none above it.
  [[nodiscard]] EntryId last_not_after(EntryId limit) const;

  void append(EntryPtr entry);      // REQUIRES: entry->id.index == last().next()
  void truncate_from(Index index);  // REQUIRES: floor().index < index <= last()
  void trim(Index floor);           // REQUIRES: floor().index <= floor <= stable()
  // A snapshot that ends with `last` replaces everything. Until its ticket is durable, the disk has
  // the former log, of which only entries up to `committed` count. REQUIRES: last.index >
  // committed.
  void restart(EntryId last, Index committed);

  // --- The disk.
  [[nodiscard]] Index stable() const { return stable_; }
  [[nodiscard]] const HardState& durable_state() const { return durable_state_; }
  [[nodiscard]] bool has_unwritten() const { return written_ < last(); }
  [[nodiscard]] std::vector<EntryPtr> take_unwritten();
  // `ticket` goes to the disk with all entries that were unwritten and with `state`.
  void open(Ticket ticket, HardState state);
  [[nodiscard]] bool has_open_tickets() const { return !open_.empty(); }
  void persisted(Ticket ticket);

  void check_invariants() const;

 private:
  struct OpenTicket {
    Ticket ticket;
    Index claim;
    HardState state;
  };

  void lower_claims(Index limit);

  EntryId floor_;
  std::deque<EntryPtr> entries_;
  std::size_t bytes_ = 0;
  Index written_;
  Index stable_;
  HardState durable_state_;
  std::deque<OpenTicket> open_;
};

}  // namespace iris::raft
