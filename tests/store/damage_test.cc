// Damage to a folder at rest is reported, or does no harm: nothing acknowledged is lost in silence.
// RocksDB alone would not notice all of it (store/engine.cc and store/high_water_mark.h).
#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t batches = 40;

std::string command(std::uint64_t index) {
  return "command " + std::to_string(1000 + index) + std::string(40, '.');
}

// A log of `batches` entries, each synced in a batch of its own, all applied.
void write_log(const std::string& path) {
  Opened node(path);
  for (std::uint64_t i = 1; i <= batches; ++i) {
    node.await_durable(node.write({entry(1, i, command(i))}, raft::HardState{{1}, {5}}));
  }
}

// Opens the folder. True: an error reports damage. REQUIRES: else everything is there.
bool noticed(const std::string& path) {
  Loop loop;
  const Result<std::unique_ptr<Store>> store = open_rocks(options_for(path, loop));
  if (!store) {
    INFO(store.error().text);
    REQUIRE((store.error().code == Errc::corrupt || store.error().code == Errc::io));
    REQUIRE(store.error().text.find(path) != std::string::npos);
    return true;
  }
  const raft::Recovered& found = (*store)->recovered().raft;
  REQUIRE(found.state == raft::HardState{{1}, {5}});
  REQUIRE(found.entries.size() == batches);
  for (std::uint64_t i = 1; i <= batches; ++i) {
    REQUIRE(*found.entries[i - 1] == *entry(1, i, command(i)));
  }
  return false;
}

std::string newest(const std::string& folder, std::string_view ending) {
  const std::vector<std::string> files = files_in(folder, ending);
  REQUIRE_FALSE(files.empty());
  return *std::max_element(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return fs::last_write_time(a) < fs::last_write_time(b);
  });
}

// A folder that is restored after each damage.
class Patient {
 public:
  explicit Patient(const std::function<void(const std::string&)>& make) {
    make(folder_.raft());
    fs::copy(folder_.raft(), saved(), fs::copy_options::recursive);
  }
  void heal() {
    fs::remove_all(path());
    fs::copy(saved(), path(), fs::copy_options::recursive);
  }
  [[nodiscard]] std::string path() const { return folder_.raft(); }

 private:
  [[nodiscard]] std::string saved() const { return folder_.path() + "/saved"; }
  TempFolder folder_;
};

}  // namespace

TEST_CASE("a bit that flips anywhere in the log's write-ahead file is noticed (hazards 97, 101)") {
  Patient patient(write_log);
  const std::string file = newest(patient.path() + "/log", ".log");
  const std::uint64_t size = size_of(file);
  REQUIRE(size > batches * 100);
  std::uint64_t flips = 0;
  for (std::uint64_t at = 0; at < size; at += 19, ++flips) {
    INFO("byte " << at << " of " << size);
    flip_bit(file, at);
    REQUIRE(noticed(patient.path()));
    patient.heal();
  }
  REQUIRE(flips > 200);
  REQUIRE_FALSE(noticed(patient.path()));  // without damage it opens
}

TEST_CASE("a log that lost synced records at its end is noticed, cut anywhere (hazard 97)") {
  Patient patient(write_log);
  const std::string file = newest(patient.path() + "/log", ".log");
  const std::uint64_t size = size_of(file);
  for (std::uint64_t at = 1; at < size; at += 61) {
    INFO("cut to " << at << " of " << size);
    cut_to(file, at);
    REQUIRE(noticed(patient.path()));
    REQUIRE(noticed(patient.path()));  // also at the next start
    patient.heal();
  }
  cut_to(file, size - 1);
  const Error error = open_error(patient.path());
  REQUIRE(error.text.find("lost synced records") != std::string::npos);
  REQUIRE(error.text.find("batch " + std::to_string(batches + 1)) != std::string::npos);
  REQUIRE(error.text.find("empty " + patient.path() + " and start this node with -join") !=
          std::string::npos);
  patient.heal();
  fs::remove(file);
  REQUIRE(noticed(patient.path()));
}

TEST_CASE("a record that was torn before it was synced is dropped in silence (hazard 32)") {
  std::uint64_t begin = 0;
  const auto log_of = [](const std::string& path) { return newest(path + "/log", ".log"); };
  Patient patient([&](const std::string& path) {
    write_log(path);
    {
      Opened node(path);  // writes go to a new file
      begin = size_of(log_of(path));
      // A batch that was not acknowledged: the high-water mark is the one from before it.
      fs::copy(path + "/log.mark", path + "/noted");
      node.await_durable(node.write({entry(1, batches + 1, command(batches + 1))}));
    }
    fs::rename(path + "/noted", path + "/log.mark");
  });
  const std::uint64_t end = size_of(log_of(patient.path()));
  REQUIRE(end > begin + 100);
  for (std::uint64_t at = begin; at < end; at += 3) {
    INFO("cut to " << at << " of " << end);
    cut_to(log_of(patient.path()), at);
    REQUIRE_FALSE(noticed(patient.path()));  // only the damaged file was at fault
    patient.heal();
  }
}

TEST_CASE("a bit that flips in the log's tables is noticed or harms nothing (hazard 101)") {
  Patient patient([](const std::string& path) {
    write_log(path);
    const Opened flushes(path);
  });
  const std::string file = newest(patient.path() + "/log", ".sst");
  const std::uint64_t size = size_of(file);
  std::uint64_t found = 0;
  std::uint64_t flips = 0;
  for (std::uint64_t at = 0; at < size; at += 37, ++flips) {
    INFO("byte " << at << " of " << size);
    flip_bit(file, at);
    if (noticed(patient.path())) ++found;
    patient.heal();
  }
  REQUIRE(found > flips / 2);  // the rest hit properties of the file, which are never read
}

TEST_CASE("a damaged log record is named by its index (hazards 97, 101)") {
  const TempFolder folder;
  {
    Opened node(folder.raft());
    std::vector<raft::EntryPtr> entries;
    for (std::uint64_t i = 1; i <= 100; ++i) {  // each in a block of its own
      entries.push_back(entry(1, i, command(i) + std::string(100'000, 'x')));
    }
    node.await_durable(node.write(entries, raft::HardState{{1}, {}}));
  }
  { const Opened flushes(folder.raft()); }
  const std::string file = newest(folder.raft() + "/log", ".sst");
  flip_bit(file, find_in(file, command(70)));
  const Error error = open_error(folder.raft());
  INFO(error.text);
  REQUIRE(error.code == Errc::corrupt);
  REQUIRE(error.text.find("log record 70") != std::string::npos);
}

TEST_CASE("damage to the high-water mark is noticed only where both copies have it") {
  Patient patient(write_log);
  const std::string note = patient.path() + "/log.mark";
  flip_bit(note, 2);
  REQUIRE_FALSE(noticed(patient.path()));
  patient.heal();
  flip_bit(note, 514);
  REQUIRE_FALSE(noticed(patient.path()));
  patient.heal();
  flip_bit(note, 2);
  flip_bit(note, 514);
  REQUIRE(noticed(patient.path()));
}

TEST_CASE("damage to the data that its log can repair is repaired (hazard 70)") {
  const TempFolder folder;
  {
    Opened node(folder.raft());
    node.fill(1, 1, 30);
  }
  const std::string file = newest(folder.raft() + "/data", ".log");
  flip_bit(file, find_in(file, "value 20"));
  Opened node(folder.raft());
  REQUIRE(node.raft().applied < raft::Index{20});  // an earlier state, but a whole one
  REQUIRE(node.raft().entries.size() == 30);
  REQUIRE(node.scan(Table::values).size() == node.raft().applied.value);
}

TEST_CASE("damage to the data that its log cannot repair stops the start (hazards 65, 100)") {
  const TempFolder folder;
  {
    Opened node(folder.raft());
    node.fill(1, 1, 30);
    node.await_trim(mark(1, 25));
  }
  const std::string file = newest(folder.raft() + "/data", ".log");
  flip_bit(file, find_in(file, "value 20"));
  const Error error = open_error(folder.raft());
  REQUIRE(error.code == Errc::corrupt);
  REQUIRE(error.text.find("entry 25") != std::string::npos);
}

TEST_CASE("a damaged row ends the node when it is read, and is not served (hazard 101)") {
  const TempFolder folder;
  {
    Opened node(folder.raft());
    node.fill(1, 1, 2000);
  }
  { const Opened flushes(folder.raft()); }
  const std::string file = newest(folder.raft() + "/data", ".sst");
  flip_bit(file, size_of(file) / 2);
  Opened node(folder.raft());
  bool answered = false;
  node->read(
      [](const View& view) {
        for (auto at = view.scan(Table::values, "", ""); at->valid(); at->next()) {
        }
      },
      [&answered] { answered = true; });
  node.await_failure();
  REQUIRE(node.failures.size() == 1);
  REQUIRE(node.failures[0].code == Errc::corrupt);
  node.write({entry(1, 2001)});
  node.apply(1, 2001);
  node->trim(mark(1, 10), [&answered] { answered = true; });
  REQUIRE_FALSE(node.loop().run_until(
      [&] { return answered || node.durable != raft::Ticket{} || node.applied == 2001; },
      std::chrono::milliseconds(300)));
  REQUIRE(node.failures.size() == 1);  // reported once
}

}  // namespace iris::store::test
