#include "tests/store/fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "src/base/read_file.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
  const char* in_memory = "/dev/shm";
  const bool there = ::access(in_memory, W_OK) == 0;
  const fs::path place = there ? fs::path(in_memory) : fs::temp_directory_path();
  std::string pattern = (place / "iris-store-XXXXXX").string();
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void Loop::post(std::function<void()> fn) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(fn));
  wake_.notify_one();
}

bool Loop::run_until(const std::function<bool()>& done, std::chrono::milliseconds deadline) {
  constexpr std::chrono::milliseconds look_again{5};  // for states that are not posted
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (std::chrono::steady_clock::now() < end) {
    std::deque<std::function<void()>> now;
    bool idle = false;
    {
      const std::lock_guard lock(mutex_);
      idle = queue_.empty();
    }
    if (idle && done()) return true;  // may come back here
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, look_again, [this] { return !queue_.empty(); });
      now.swap(queue_);
    }
    for (const std::function<void()>& fn : now) fn();
    posts_ += now.size();
  }
  return done();
}

raft::EntryPtr entry(std::uint64_t term, std::uint64_t index, std::string command) {
  return std::make_shared<const raft::Entry>(
      raft::Entry{{{term}, {index}}, raft::Command(std::move(command))});
}

raft::EntryPtr entry(std::uint64_t term, std::uint64_t index, raft::Members members) {
  return std::make_shared<const raft::Entry>(raft::Entry{{{term}, {index}}, std::move(members)});
}

raft::Members members_of(std::initializer_list<std::uint64_t> voters) {
  raft::Members members;
  for (const std::uint64_t id : voters) {
    members.voters.push_back({{id}, "host-" + std::to_string(id) + ":32001"});
  }
  return members;
}

raft::SnapshotMetadata mark(std::uint64_t term, std::uint64_t index) {
  return {{{term}, {index}}, members_of({1, 2, 3}), {1}};
}

RocksOptions options_for(const std::string& path, Loop& loop) {
  RocksOptions options;
  options.path = path;
  options.post = [&loop](std::function<void()> fn) { loop.post(std::move(fn)); };
  return options;
}

Error open_error(const std::string& path) {
  Loop loop;
  Result<std::unique_ptr<Store>> store = open_rocks(options_for(path, loop));
  REQUIRE_FALSE(store.has_value());
  INFO(store.error().text);
  return store.error();
}

Opened::Opened(const std::string& path, const std::function<void(RocksOptions&)>& change) {
  RocksOptions options = options_for(path, loop_);
  if (change) change(options);
  Result<std::unique_ptr<Store>> opened = open_rocks(std::move(options));
  INFO((opened ? std::string("opened") : opened.error().text));
  REQUIRE(opened.has_value());
  store_ = std::move(*opened);
  applied = raft().applied.value;
  store_->start({[this](raft::Ticket ticket) { durable = ticket; },
                 [this](Error error) { failures.push_back(std::move(error)); }});
}

raft::Ticket Opened::write(std::vector<raft::EntryPtr> entries,
                           std::optional<raft::HardState> state) {
  const raft::Ticket ticket{++ticket_};
  store_->write({ticket, state, std::nullopt, std::move(entries)});
  return ticket;
}

raft::Ticket Opened::install(raft::SnapshotMetadata mark, std::vector<raft::EntryPtr> entries,
                             std::optional<raft::HardState> state) {
  const raft::Ticket ticket{++ticket_};
  store_->write({ticket, state, std::move(mark), std::move(entries)});
  return ticket;
}

void Opened::apply(std::uint64_t term, std::uint64_t index, std::function<void(Batch&)> job,
                   std::optional<raft::Members> members) {
  if (!job) job = [](Batch&) {};
  store_->apply({{{term}, {index}}, std::move(members), {index}}, std::move(job),
                [this, index] { applied = index; });
}

// A failure of the disk is the usual reason where `done` is not reached.
void Opened::require_done(const std::function<bool()>& done) {
  const bool in_time = loop_.run_until(done);
  INFO((failures.empty() ? std::string("no failure was told") : failures.front().text));
  REQUIRE(in_time);
}

void Opened::await_durable(raft::Ticket ticket) {
  require_done([&] { return durable >= ticket; });
}

void Opened::await_applied(std::uint64_t index) {
  require_done([&] { return applied >= index; });
}

void Opened::await_trim(raft::SnapshotMetadata floor) {
  bool done = false;
  store_->trim(std::move(floor), [&done] { done = true; });
  require_done([&] { return done; });
}

void Opened::await_failure() {
  REQUIRE(loop_.run_until([&] { return !failures.empty(); }));
}

std::optional<std::string> Opened::read(Table table, const std::string& key) {
  std::optional<std::string> value;
  bool done = false;
  store_->read(
      [&](const View& view) {
        std::string found;
        if (view.get(table, key, found) == Found::yes) value = found;
      },
      [&] { done = true; });
  REQUIRE(loop_.run_until([&] { return done; }));
  return value;
}

std::vector<std::pair<std::string, std::string>> Opened::scan(Table table,
                                                              const std::string& prefix,
                                                              const std::string& from) {
  std::vector<std::pair<std::string, std::string>> rows;
  bool done = false;
  store_->read(
      [&](const View& view) {
        for (auto at = view.scan(table, prefix, from); at->valid(); at->next()) {
          rows.emplace_back(at->key(), at->value());
        }
      },
      [&] { done = true; });
  REQUIRE(loop_.run_until([&] { return done; }));
  return rows;
}

void Opened::await_reads() {
  bool done = false;
  store_->read([](const View&) {}, [&done] { done = true; });
  require_done([&] { return done; });
}

std::uint64_t Opened::available_bytes() {
  await_reads();  // a check that was asked for earlier may have measured already
  store_->check_disk();
  await_reads();
  return store_->disk_use().free_bytes;
}

void Opened::fill(std::uint64_t term, std::uint64_t first, std::uint64_t last) {
  std::vector<raft::EntryPtr> entries;
  for (std::uint64_t i = first; i <= last; ++i) entries.push_back(entry(term, i));
  await_durable(write(std::move(entries), raft::HardState{{term}, {}}));
  for (std::uint64_t i = first; i <= last; ++i) {
    const std::string key = std::to_string(i);
    apply(term, i, [key](Batch& batch) { batch.put(Table::values, key, "value " + key); });
  }
  await_applied(last);
}

namespace {
constexpr int child_output = 3;  // the child's end of the pipe
}

Child::Child(const std::string& test_case, const Settings& settings) {
  int ends[2] = {};
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
  REQUIRE(::posix_spawn_file_actions_adddup2(&actions, ends[1], child_output) == 0);
  std::vector<std::string> environment;
  for (char** one = environ; *one != nullptr; ++one) environment.emplace_back(*one);
  for (const auto& [name, value] : settings) {
    environment.push_back("IRIS_TEST_" + name + "=" + value);
  }
  std::vector<char*> variables;
  for (std::string& one : environment) variables.push_back(one.data());
  variables.push_back(nullptr);
  std::string program = fs::read_symlink("/proc/self/exe").string();
  std::string name = test_case;
  char* const arguments[] = {program.data(), name.data(), nullptr};
  REQUIRE(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, variables.data()) ==
          0);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  pipe_ = ends[0];
}

Child::~Child() {
  if (pid_ > 0) {
    kill();
    wait();
  }
  ::close(pipe_);
}

int Child::wait() {
  int status = 0;
  REQUIRE(::waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return status;
}

void Child::kill() { ::kill(pid_, SIGKILL); }

bool Child::listen(bool block) {
  pollfd ready{pipe_, POLLIN, 0};
  if (::poll(&ready, 1, block ? -1 : 0) <= 0) return false;
  char bytes[4096];
  const ssize_t got = ::read(pipe_, bytes, sizeof bytes);
  if (got <= 0) return false;
  heard_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

std::string Child::heard() {
  while (listen(false)) {
  }
  return heard_.substr(0, heard_.rfind('\n') + 1);
}

std::string Child::hear_all() {
  while (listen(true)) {
  }
  return heard();
}

std::string setting(const std::string& name) {
  const char* value = std::getenv(("IRIS_TEST_" + name).c_str());
  REQUIRE(value != nullptr);
  return value;
}

void say(const std::string& line) {
  const std::string bytes = line + "\n";
  REQUIRE(::write(child_output, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

std::vector<std::string> files_in(const std::string& folder, std::string_view ending) {
  std::vector<std::string> found;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file() && file.path().string().ends_with(ending)) {
      found.push_back(file.path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string read_all(Opened& node, Export& from, std::size_t piece_bytes) {
  std::string stream;
  bool end = false;
  while (!end) {
    bool answered = false;
    from.read(piece_bytes, [&](Result<std::string> bytes) {
      REQUIRE(bytes.has_value());
      REQUIRE(bytes->size() <= piece_bytes);
      end = bytes->empty();
      stream += *bytes;
      answered = true;
    });
    REQUIRE(node.loop().run_until([&] { return answered; }));
  }
  return stream;
}

std::uint64_t free_bytes(const std::string& path) {
  struct statvfs found = {};
  REQUIRE(::statvfs(path.c_str(), &found) == 0);
  return std::uint64_t{found.f_bavail} * found.f_frsize;
}

std::uint64_t size_of(const std::string& path) { return fs::file_size(path); }

void flip_bit(const std::string& path, std::uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const int byte = file.get();
  REQUIRE(file.good());
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 0x10));
  REQUIRE(file.flush().good());
}

void cut_to(const std::string& path, std::uint64_t size) { fs::resize_file(path, size); }

std::uint64_t find_in(const std::string& path, std::string_view bytes) {
  const std::size_t place = read_file(path).value().find(bytes);
  REQUIRE(place != std::string::npos);
  return place;
}

}  // namespace iris::store::test
