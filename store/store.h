// Store: what a node keeps. A log (synced, ordered by tickets) and data (ordered tables, batched,
// synced only before the log is trimmed). Two implementations: rocks.h and the simulator's model.
// All calls on the loop thread unless a line says otherwise; the work is done on the store's own
// lanes and every completion comes back to the loop, in the order of the calls of its lane.
// Never retries a failed write or sync: Events::failed is called once, and nothing after it
// succeeds.
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
  graves = 3,  // removed sources whose keys are not deleted yet
  voids = 4,   // indexes of commands that changed nothing
  sessions = 5,
  subscriptions = 6,
};

enum class Found {
  yes,
  no,
  incomplete
};  // incomplete: only the disk knows, and this view may not ask

class Cursor {
 public:
  virtual ~Cursor() = default;
  [[nodiscard]] virtual bool valid() const = 0;
  // REQUIRES: valid(). Good until next().
  [[nodiscard]] virtual std::string_view key() const = 0;
  [[nodiscard]] virtual std::string_view value() const = 0;
  virtual void next() = 0;
};

// A consistent state of the data.
class View {
 public:
  virtual ~View() = default;
  // The last entry whose effects are in this view: all up to it and none after it. Of a Batch: the
  // last one applied before the batch. Not of cached(), which is no single state (returns 0).
  [[nodiscard]] virtual raft::Index applied() const = 0;
  [[nodiscard]] virtual Found get(Table table, std::string_view key, std::string& value) const = 0;
  // Keys of `table` that begin with `prefix`, from the first >= `from` on, in byte order.
  [[nodiscard]] virtual std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                                     std::string_view from) const = 0;
};

// A View that sees its own writes. Used on the data lane only.
class Batch : public View {
 public:
  // The first front_bytes_max bytes of a row, or all of a shorter one: what a command has to know
  // of a value is in front of it, and this may cost much less than get().
  static constexpr std::size_t front_bytes_max = 16;
  [[nodiscard]] virtual Found front(Table table, std::string_view key, std::string& front) const {
    const Found found = get(table, key, front);
    if (found == Found::yes && front.size() > front_bytes_max) front.resize(front_bytes_max);
    return found;
  }
  virtual void put(Table table, std::string_view key, std::string_view value) = 0;
  virtual void remove(Table table, std::string_view key) = 0;
  // Removes every key with this prefix. May not be followed by put() under that prefix in this
  // batch.
  virtual void remove_prefix(Table table, std::string_view prefix) = 0;
};

// A pinned state of the data as a stream of bytes (the format is store/snapshot.h's).
class Export {
 public:
  virtual ~Export() = default;
  [[nodiscard]] virtual const raft::SnapshotMark& mark() const = 0;
  // At most bytes_max bytes; an empty string at the end. Asked one at a time; `done` on the loop.
  virtual void read(std::size_t bytes_max, std::function<void(Result<std::string>)> done) = 0;
};

// What is found in (or made for) a folder at start.
struct Recovery {
  raft::ClusterId cluster;  // 0: not of any cluster yet
  raft::Recovered raft;     // raft.self is made at the first start of a folder
};

struct Events {
  std::function<void(raft::Ticket)> durable;  // this ticket and all before it are on disk
  std::function<void(Error)> failed;          // the disk refused: say it and exit
};

struct DiskUse {
  std::uint64_t used_bytes = 0;
  // Of the file system, less what the store holds in memory and will write there, and what its
  // compactions may need.
  std::uint64_t free_bytes = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  [[nodiscard]] virtual const Recovery& recovered() const = 0;
  // Once, before anything below.
  virtual void start(Events events) = 0;

  // Makes the folder one of `cluster`, durably. REQUIRES: recovered().cluster was 0 and this is the
  // first call.
  virtual void adopt(raft::ClusterId cluster, std::function<void()> done) = 0;

  // The log lane: FIFO, one batch and one sync for all that is queued, then Events::durable once.
  virtual void write(raft::LogWrite write) = 0;

  // The data lane: `job` runs on it, over a batch that also records that everything up to `last` is
  // applied, and the configuration where one was among it. Jobs queued together share a batch.
  struct Applied {
    raft::EntryId last;
    std::optional<raft::Members> members;
    raft::Index members_index;
  };
  virtual void apply(Applied applied, std::function<void(Batch&)> job,
                     std::function<void()> done) = 0;
  // The data lane as well, but says nothing of `applied` (deleting what nobody can see any more).
  virtual void maintain(std::function<void(Batch&)> job, std::function<void()> done) = 0;

  // Reads what is applied so far from memory only; get() may answer incomplete, scan() is not
  // allowed.
  [[nodiscard]] virtual const View& cached() const = 0;
  // The read lane: `job` sees one consistent state that contains all applied before this call.
  virtual void read(std::function<void(const View&)> job, std::function<void()> done) = 0;

  // One consistent state that contains all applied before this call, for reads in several pieces
  // (a list paged at one revision). Costs disk space while it lives; release it on the loop.
  [[nodiscard]] virtual std::shared_ptr<const View> hold() = 0;
  // The read lane, over a held state.
  virtual void read_held(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                         std::function<void()> done) = 0;

  // Syncs the data, then drops the log up to and including floor.last, durably; then `done`.
  // REQUIRES: floor.last is applied (its apply() is done).
  virtual void trim(raft::SnapshotMark floor, std::function<void()> done) = 0;

  // Pins the data as applied now; the mark is what the data itself says. Memory and files stay
  // until the Export is destroyed.
  [[nodiscard]] virtual std::unique_ptr<Export> pin() = 0;
  // One import at a time; a new one drops a former. LogWrite.install names it by its mark.
  virtual void import_begin(raft::SnapshotMark mark) = 0;
  virtual void import_chunk(std::string bytes, std::function<void(Status)> done) = 0;
  virtual void import_finish(std::function<void(Status)> done) = 0;  // checks the stream's hash
  virtual void import_drop() = 0;

  // Measures the disk and, while space is scarce, makes the lanes compact and flush earlier. A step
  // of the host's tick, about every 100 ms, also while nothing is written.
  virtual void check_disk() = 0;
  // As of the last check_disk(), or of the start.
  [[nodiscard]] virtual DiskUse disk_use() const = 0;
};

}  // namespace iris::store
