// Fixture: what all tests of store/ need: a temporary folder, a loop, an open store that records
// its events, and a child process to kill.
// Test thread only, but for Loop::post().
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/rocks.h"
#include "store/store.h"

namespace iris::store::test {

// A new folder, in memory where the system offers that (a killed process loses nothing there
// either), else in the folder for temporary files. Deleted with its owner.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string raft() const { return path_ + "/raft"; }  // a path; nothing is there

 private:
  std::string path_;
};

// The test thread is the loop thread: it runs what was posted while it waits.
class Loop {
 public:
  void post(std::function<void()> fn);
  // Runs until `done`, and all that was posted by then. False: the deadline passed.
  bool run_until(const std::function<bool()>& done,
                 std::chrono::milliseconds deadline = std::chrono::seconds(20));
  [[nodiscard]] std::size_t posts() const { return posts_; }  // run so far

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::size_t posts_ = 0;
};

[[nodiscard]] raft::EntryPtr entry(std::uint64_t term, std::uint64_t index,
                                   std::string command = "command");
[[nodiscard]] raft::EntryPtr entry(std::uint64_t term, std::uint64_t index, raft::Members members);
[[nodiscard]] raft::Members members_of(std::initializer_list<std::uint64_t> voters);
[[nodiscard]] raft::SnapshotMetadata mark(std::uint64_t term, std::uint64_t index);

[[nodiscard]] RocksOptions options_for(const std::string& path, Loop& loop);
// The error of opening `path`. REQUIRES: it does not open.
[[nodiscard]] Error open_error(const std::string& path);

// An open store. Each await is for a state; the test fails where it is not reached in time.
class Opened {
 public:
  explicit Opened(const std::string& path,
                  const std::function<void(RocksOptions&)>& change = nullptr);

  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] Store* operator->() { return store_.get(); }
  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] const raft::Recovered& raft() const { return store_->recovered().raft; }

  // These return at once. Tickets count up from 1.
  raft::Ticket write(std::vector<raft::EntryPtr> entries,
                     std::optional<raft::HardState> state = std::nullopt);
  raft::Ticket install(raft::SnapshotMetadata mark, std::vector<raft::EntryPtr> entries = {},
                       std::optional<raft::HardState> state = std::nullopt);
  void apply(std::uint64_t term, std::uint64_t index, std::function<void(Batch&)> job = nullptr,
             std::optional<raft::Members> members = std::nullopt);

  void await_durable(raft::Ticket ticket);
  void await_applied(std::uint64_t index);
  void await_trim(raft::SnapshotMetadata floor);
  void await_failure();
  void await_reads();  // all jobs of the read lane so far
  // Through the read lane. nullopt: the row is absent.
  std::optional<std::string> read(Table table, const std::string& key);
  std::vector<std::pair<std::string, std::string>> scan(Table table, const std::string& prefix = "",
                                                        const std::string& from = "");

  // Checks the disk and returns what is free for new data.
  std::uint64_t available_bytes();

  // Writes and applies the entries [first, last] of `term`, each a command that puts the row
  // "INDEX" -> "value INDEX" into the values. Returns when all are applied.
  void fill(std::uint64_t term, std::uint64_t first, std::uint64_t last);

  raft::Ticket durable;
  std::uint64_t applied = 0;
  std::vector<Error> failures;

 private:
  void require_done(const std::function<bool()>& done);
  Loop loop_;
  std::uint64_t ticket_ = 0;
  std::unique_ptr<Store> store_;
};

// The whole stream of an export, read in pieces.
[[nodiscard]] std::string read_all(Opened& node, Export& from, std::size_t piece_bytes);

// A process that runs one hidden test case of this program. The program is started anew, as threads
// do not survive a fork. Killed with its owner.
class Child {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;
  Child(const std::string& test_case, const Settings& settings);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // Waits for its end and returns the status of waitpid.
  int wait();
  void kill();
  // The complete lines that it wrote with say(): so far, or up to its end.
  std::string heard();
  std::string hear_all();

 private:
  bool listen(bool block);
  int pid_ = -1;
  int pipe_ = -1;
  std::string heard_;
};
// For use in the child.
[[nodiscard]] std::string setting(const std::string& name);
void say(const std::string& line);

// Paths of the files below `folder` that end in `ending`, sorted, so that RocksDB's newest is last.
[[nodiscard]] std::vector<std::string> files_in(const std::string& folder, std::string_view ending);
// Of the file system that `path` is on.
[[nodiscard]] std::uint64_t free_bytes(const std::string& path);
[[nodiscard]] std::uint64_t size_of(const std::string& path);
void flip_bit(const std::string& path, std::uint64_t offset);
void cut_to(const std::string& path, std::uint64_t size);
// The first offset of `bytes` in the file. REQUIRES: the file has them.
[[nodiscard]] std::uint64_t find_in(const std::string& path, std::string_view bytes);

}  // namespace iris::store::test
