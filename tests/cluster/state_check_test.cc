// Three real nodes, one of which has a row on its disk that no log made: the test changes it while
// that node is stopped, as a bad sector does that no checksum notices.
#include <rocksdb/db.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/cluster/nodes.h"

namespace iris::test {
namespace {

constexpr char values_table = 2;  // store::Table::values: the first byte of its rows
constexpr Milliseconds patience(30'000);

struct Database {
  explicit Database(const std::string& path) {
    std::vector<std::string> names;
    REQUIRE(rocksdb::DB::ListColumnFamilies({}, path, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names)
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    rocksdb::DB* opened = nullptr;
    REQUIRE(rocksdb::DB::Open({}, path, families, &handles, &opened).ok());
    db.reset(opened);
  }
  ~Database() {
    for (auto* handle : handles) REQUIRE(db->DestroyColumnFamilyHandle(handle).ok());
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
};

// Turns the last bit of the first value. REQUIRES: no process has the folder.
void change_a_value(const std::string& data_folder) {
  const Database data(data_folder + "/data");
  for (auto* handle : data.handles) {
    if (handle->GetName().rfind("rows-", 0) != 0) continue;
    const std::unique_ptr<rocksdb::Iterator> row(data.db->NewIterator({}, handle));
    row->Seek(std::string(1, values_table));
    REQUIRE(row->Valid());
    REQUIRE(row->key()[0] == values_table);
    std::string value = row->value().ToString();
    value.back() = static_cast<char>(value.back() ^ 1);
    rocksdb::WriteOptions synced;
    synced.sync = true;
    REQUIRE(data.db->Put(synced, handle, row->key(), value).ok());
    return;
  }
  FAIL("the data has no family of rows");
}

pb::StatusResponse status_of(const Nodes& nodes, std::size_t i) {
  pb::StatusResponse status;
  static_cast<void>(nodes.api(i).status(status, Milliseconds(1000)));
  return status;
}

// Each of these nodes has heard that its data at `revision` or later is equal.
void await_equal(Nodes& nodes, const std::vector<std::size_t>& which, std::uint64_t revision) {
  for (const std::size_t i : which) {
    const bool equal = await(patience, [&] {
      const pb::StatusResponse status = status_of(nodes, i);
      return status.state_check() == "equal" && status.state_check_revision() >= revision;
    });
    if (!equal) nodes.keep_evidence();
    REQUIRE(equal);
    CHECK(status_of(nodes, i).state_hash().size() == 32);
    CHECK(status_of(nodes, i).state_check_s() > 1'500'000'000);
  }
}

std::uint64_t write(Nodes& nodes, const std::string& key) {
  const WriteAnswer written = nodes.api(0).set("colors", key, "blue", patience);
  REQUIRE(written.answer == CallAnswer::ok);
  return written.revision;
}

}  // namespace

TEST_CASE(
    "a node whose disk has another row is found, stops for good, and comes back as a new one") {
  Nodes nodes({.count = 3, .tls = false, .flags = {"-state-check-interval", "1s"}});
  nodes.start_all();
  await_equal(nodes, {0, 1, 2}, write(nodes, "sky"));
  CHECK(status_of(nodes, 0).alarm().empty());

  REQUIRE(nodes.stop(2) == 0);
  change_a_value(nodes.data_folder(2));
  nodes.start(2);
  write(nodes, "rain");  // where nothing changes, the next check is far
  const std::optional<int> ended = nodes.wait_exit(2, patience);
  if (!ended) nodes.keep_evidence();
  REQUIRE(ended == 1);
  CHECK(
      nodes.log_text(2).find("its data differs from that of a majority of the members: at index") !=
      std::string::npos);

  // Its folder serves no more, whatever is tried.
  nodes.start(2);
  REQUIRE(nodes.wait_exit(2, patience) == 1);
  CHECK(nodes.log_text(2).find("is not used any more") != std::string::npos);
  await_equal(nodes, {0, 1}, write(nodes, "sea"));

  std::filesystem::rename(nodes.data_folder(2), nodes.data_folder(2) + ".odd");
  nodes.start(2);
  nodes.await_voters(3);
  await_equal(nodes, {0, 1, 2}, write(nodes, "sun"));
  const ReadAnswer read = nodes.api(2).get("colors", "sky", patience);
  CHECK(read.value == "blue");
}

TEST_CASE("two nodes that differ go on, and say so until an operator decides") {
  Nodes nodes({.count = 2, .tls = false, .flags = {"-state-check-interval", "1s"}});
  nodes.start_all();
  await_equal(nodes, {0, 1}, write(nodes, "sky"));
  REQUIRE(nodes.stop(1) == 0);
  change_a_value(nodes.data_folder(1));
  nodes.start(1);
  nodes.await_voters(2);
  write(nodes, "sea");
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    const bool told =
        await(patience, [&] { return status_of(nodes, i).state_check() == "no majority"; });
    if (!told) nodes.keep_evidence();
    REQUIRE(told);
    CHECK(status_of(nodes, i).alarm().find("members differ in their data at revision") == 0);
  }
  CHECK(status_of(nodes, 0).state_hash() != status_of(nodes, 1).state_hash());
  CHECK(nodes.running(0));
  CHECK(nodes.running(1));
}

}  // namespace iris::test
