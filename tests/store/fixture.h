// What every test of store/ needs: a folder that goes away, a loop to run on, and an open store
// that writes down what it was told. Test thread only, but Loop::post.
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

// A new folder, in memory where the system has a place for that (a killed process loses nothing
// there either), else below the system's temporary one. Deleted with its owner.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string raft() const { return path_ + "/raft"; }  // not made yet

 private:
  std::string path_;
};

// The loop thread is the test's: it runs what was posted while it waits.
class Loop {
 public:
  void post(std::function<void()> fn);
  // Until `done`; false after the deadline. Everything posted by then has run.
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
[[nodiscard]] raft::SnapshotMark mark(std::uint64_t term, std::uint64_t index);

[[nodiscard]] RocksOptions options_for(const std::string& path, Loop& loop);
// The reason why it does not open. REQUIRES: it does not.
[[nodiscard]] Error open_error(const std::string& path);

// An open store. Every wait is for a state, with a deadline, and REQUIREs it.
class Opened {
 public:
  explicit Opened(const std::string& path,
                  const std::function<void(RocksOptions&)>& change = nullptr);

  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] Store* operator->() { return store_.get(); }
  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] const raft::Recovered& raft() const { return store_->recovered().raft; }

  // Each returns at once; tickets count up from 1.
  raft::Ticket write(std::vector<raft::EntryPtr> entries,
                     std::optional<raft::HardState> state = std::nullopt);
  raft::Ticket install(raft::SnapshotMark mark, std::vector<raft::EntryPtr> entries = {},
                       std::optional<raft::HardState> state = std::nullopt);
  void apply(std::uint64_t term, std::uint64_t index, std::function<void(Batch&)> job = nullptr,
             std::optional<raft::Members> members = std::nullopt);

  void await_durable(raft::Ticket ticket);
  void await_applied(std::uint64_t index);
  void await_trim(raft::SnapshotMark floor);
  void await_failure();
  // Through the read lane; nothing: absent.
  std::optional<std::string> read(Table table, const std::string& key);
  std::vector<std::pair<std::string, std::string>> scan(Table table, const std::string& prefix = "",
                                                        const std::string& from = "");

  // All entries of term `term` in [first, last], each with a command, durable and applied as
  // values "INDEX" -> "value INDEX".
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

// A process of its own that runs one hidden test case of this program (threads do not survive a
// fork, so it is started anew). Killed with its owner, if it is still there.
class Child {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;
  Child(const std::string& test_case, const Settings& settings);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // Waits for its end and returns it as waitpid says.
  int wait();
  void kill();
  // What it wrote with say(), complete lines only, so far; or until its end.
  std::string heard();
  std::string hear_all();

 private:
  bool listen(bool block);
  int pid_ = -1;
  int pipe_ = -1;
  std::string heard_;
};
// In the child.
[[nodiscard]] std::string setting(const std::string& name);
void say(const std::string& line);

// Files below `folder` whose name ends so, sorted; the newest of one kind is the last.
[[nodiscard]] std::vector<std::string> files_in(const std::string& folder, std::string_view ending);
[[nodiscard]] std::uint64_t size_of(const std::string& path);
void flip_bit(const std::string& path, std::uint64_t offset);
void cut_to(const std::string& path, std::uint64_t size);
// The first place of `bytes` in the file. REQUIRES: they are there.
[[nodiscard]] std::uint64_t find_in(const std::string& path, std::string_view bytes);

}  // namespace iris::store::test
