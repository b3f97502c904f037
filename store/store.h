// Store: what a node keeps on disk. A log, each write of which is synced and acknowledged by
// ticket, and data: ordered tables, written in batches and synced only before the log is trimmed.
// There are two implementations: rocks.h, and the simulator's model.
// Calls are made on the loop thread unless a line says otherwise, and return at once. The work is
// done on the store's own lanes (log, data, read, bulk), each a thread with a FIFO queue.
// Each completion is called on the loop, in the order of the calls to its lane, and never from
// inside a call. A destroyed store calls nothing any more.
// Errors: a failed write, sync or read of the disk is never retried. Events::failed is called
// once, and no completion after it. Only an import can fail on its own: its callbacks get a
// Status.
//
// What is durable when:
//   write    Events::durable: the log is synced up to that ticket. With an install: the data is the
//            snapshot, and the log follows it
//   apply    nothing is synced. After a power cut the data falls back to an earlier state, a whole
//            one, and the node applies the rest of the log again. A killed process loses nothing
//   trim     `done`: the data is synced up to floor.last, and the log is cut there
//   adopt    `done`: the folder belongs to the cluster
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "raft/types.h"

namespace iris::store {

// The tables of the data. Numbers are on disk: never reuse one. Keys and values belong to
// src/machine (see src/machine/layout.h); `meta` is the store's own.
enum class Table : std::uint8_t {
  meta = 0,
  sources = 1,
  values = 2,
  tombstones = 3,  // removed sources whose keys are not deleted yet
  no_ops = 4,      // indexes of commands that changed nothing
  sessions = 5,
  subscriptions = 6,
};

enum class Found {
  yes,
  no,
  incomplete,  // only the disk knows, and this view does not ask it
};

class Cursor {
 public:
  virtual ~Cursor() = default;
  [[nodiscard]] virtual bool valid() const = 0;
  // Valid until next(). REQUIRES, of these three: valid().
  [[nodiscard]] virtual std::string_view key() const = 0;
  [[nodiscard]] virtual std::string_view value() const = 0;
  virtual void next() = 0;
};

// A consistent state of the data. One thread at a time.
class View {
 public:
  virtual ~View() = default;
  // The last entry whose effects are in this view: all entries up to it, and none after it. Of a
  // Batch: the last entry applied before the present job. 0 for cached(), which is no single state.
  [[nodiscard]] virtual raft::Index applied() const = 0;
  [[nodiscard]] virtual Found get(Table table, std::string_view key, std::string& value) const = 0;
  // Keys of `table` that begin with `prefix`, from the first >= `from` on, in byte order.
  [[nodiscard]] virtual std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                                     std::string_view from) const = 0;
};

// A View that sees its own writes. Data lane only.
class Batch : public View {
 public:
  // The first front_bytes_max bytes of a row, or all of a shorter one. Layouts keep there what a
  // command has to know of a value; this may cost half of get() (row_batch.h has the figures).
  static constexpr std::size_t front_bytes_max = 16;
  [[nodiscard]] virtual Found front(Table table, std::string_view key, std::string& front) const {
    const Found found = get(table, key, front);
    if (found == Found::yes && front.size() > front_bytes_max) front.resize(front_bytes_max);
    return found;
  }
  virtual void put(Table table, std::string_view key, std::string_view value) = 0;
  virtual void remove(Table table, std::string_view key) = 0;
  // Removes every key that begins with `prefix`. REQUIRES: no put() of such a key follows in this
  // batch.
  virtual void remove_prefix(Table table, std::string_view prefix) = 0;
};

// A pinned state of the data as a stream of bytes, in the format of store/snapshot.h. The pinned
// state keeps memory and files from being freed until the Export is destroyed.
class Export {
 public:
  virtual ~Export() = default;
  [[nodiscard]] virtual const raft::SnapshotMetadata& mark() const = 0;
  // The next bytes of the stream, at most bytes_max; an empty string at the end. Nothing is called
  // once the Export is destroyed. REQUIRES: the read before is done.
  virtual void read(std::size_t bytes_max, std::function<void(Result<std::string>)> done) = 0;
};

// What a folder holds at start.
struct Recovery {
  raft::ClusterId cluster;  // 0: not of any cluster yet
  raft::Recovered raft;     // raft.self is drawn when the folder is made
};

struct Events {
  std::function<void(raft::Ticket)> durable;  // this ticket and all before it are synced
  std::function<void(Error)> failed;  // the disk refused: the process must report it and end
};

struct DiskUse {
  std::uint64_t used_bytes = 0;  // of the raft folder, at most a second old while it is written to
  // Free bytes of the file system, less what the store holds in memory and will write there, and
  // less what its compactions may take.
  std::uint64_t free_bytes = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // What the folder held at start. REQUIRES: it has not been taken.
  [[nodiscard]] virtual const Recovery& recovered() const = 0;
  // Hands it over, and keeps nothing of it: the log may be large, and most of it is trimmed soon.
  // Once.
  [[nodiscard]] virtual Recovery take_recovered() = 0;
  // Called once, before all calls below.
  virtual void start(Events events) = 0;

  // Makes the folder one of `cluster`, durably. Log lane. REQUIRES: the recovered cluster was 0,
  // and this is the first adopt().
  virtual void adopt(raft::ClusterId cluster, std::function<void()> done) = 0;

  // Log lane. All writes that are queued are one batch with one sync; then Events::durable is
  // called once, with the last ticket. REQUIRES: tickets rise; write.install is the mark of an
  // import that has finished, which it takes.
  virtual void write(raft::LogWrite write) = 0;

  // Data lane. `job` runs there, over a batch that also records that all entries up to `last` are
  // applied, and the latest configuration where one was among them. Jobs queued together share a
  // batch, which is written as a whole or not at all; then `done` is called. REQUIRES: last.index
  // is higher than that of the apply() before.
  struct Applied {
    raft::EntryId last;
    std::optional<raft::Members> members;
    raft::Index members_index;
  };
  virtual void apply(Applied applied, std::function<void(Batch&)> job,
                     std::function<void()> done) = 0;
  // As apply(), but leaves the applied entry as it is: for deleting rows that no reader can see any
  // more.
  virtual void maintain(std::function<void(Batch&)> job, std::function<void()> done) = 0;

  // Reads the newest applied state from memory only. get() may answer incomplete; scan() must not
  // be called.
  [[nodiscard]] virtual const View& cached() const = 0;
  // Read lane. `job` sees one consistent state that contains all that was applied before this call.
  virtual void read(std::function<void(const View&)> job, std::function<void()> done) = 0;

  // One consistent state that contains all that was applied before this call, for reads in several
  // pieces, as of a list that is paged at one revision. While it lives, files that it needs stay on
  // disk. The loop may ask it for applied(); the rest may wait for the disk. REQUIRES: it is
  // released on the loop.
  [[nodiscard]] virtual std::shared_ptr<const View> hold() = 0;
  // Read lane, over a state of hold().
  virtual void read_held(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                         std::function<void()> done) = 0;
  // Data lane. As hold(), but the state contains exactly what the calls of apply() and maintain()
  // before this one have changed, and nothing of those after it.
  virtual void hold_applied(std::function<void(std::shared_ptr<const View>)> done) = 0;
  // Bulk lane, over a state of hold() or hold_applied(): for reads of much that nobody waits for.
  // They leave the block cache to others.
  virtual void read_bulk(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                         std::function<void()> done) = 0;

  // Data lane, then log lane. Syncs the data, drops the log up to and including floor.last,
  // durably, then calls `done`. A floor that is below the log's first entry changes nothing.
  // REQUIRES: floor.last is applied, and its apply() is done.
  virtual void trim(raft::SnapshotMetadata floor, std::function<void()> done) = 0;

  // Pins the data as it is applied now. The Export's mark is what the data records of itself.
  [[nodiscard]] virtual std::unique_ptr<Export> pin() = 0;
  // Bulk lane. Receives a snapshot into files beside the data, which stays as it is. There is one
  // import at a time, and a new one drops the former. Once finish has succeeded, LogWrite.install
  // installs it, named by its mark. Errc::corrupt: the stream is damaged or of another mark.
  // Errc::refused: it is of a newer format. Errc::io: it cannot be written, or would leave too
  // little of the disk free. After an error every further call for that import fails as well.
  virtual void import_begin(raft::SnapshotMetadata mark) = 0;
  virtual void import_chunk(std::string bytes, std::function<void(Status)> done) = 0;
  // Checks that the stream is whole, and its hash.
  virtual void import_finish(std::function<void(Status)> done) = 0;
  virtual void import_drop() = 0;

  // Bulk lane. Marks the folder as one that may never be used again; open_rocks() refuses it from
  // then on and repeats `why`, one sentence. `done`: that is durable, or why not; the process has
  // nothing else to do but to end.
  virtual void condemn(std::string why, std::function<void(Status)> done) = 0;

  // Read lane. Measures the disk and, while space is scarce, makes the lanes compact and flush
  // earlier. A step of the host's tick, about every 100 ms, also while nothing is written.
  virtual void check_disk() = 0;
  // As of the last check_disk() that is done, or of the start.
  [[nodiscard]] virtual DiskUse disk_use() const = 0;
};

}  // namespace iris::store
