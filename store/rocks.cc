#include "store/rocks.h"

#include <utility>

#include "raft/check.h"
#include "store/engine.h"
#include "store/rocks_store.h"

namespace iris::store {

namespace {

constexpr int data_files_open_min = 32;

// With this reserve and more, memtables and tables have the sizes of RocksOptions. A flush of the
// log and one of the data at once take of the disk: a table each (32 MiB, and a tenth that RocksDB
// allocates too much), and the write-ahead files that are begun meanwhile (35 and 9 MiB).
constexpr std::uint64_t full_size_reserve_bytes = 128u << 20;

// Names -join, as without it an emptied folder may become a cluster of its own.
unexpected<Error> refuse_to_open(const std::string& path, const Error& error) {
  if (error.code != Errc::corrupt) return fail(error.code, error.text);
  return fail(error.code, error.text + "; where other members have the data, empty " + path +
                              " and start this node with -join");
}

}  // namespace

void fit_to_reserve(RocksOptions& options, std::uint64_t reserve_bytes) {
  CHECK(reserve_bytes == 0 || reserve_bytes >= disk_reserve_bytes_min);
  options.disk_kept_free_bytes = reserve_bytes / 2;
  if (reserve_bytes == 0 || reserve_bytes >= full_size_reserve_bytes) return;
  for (std::size_t* size : {&options.log_memtable_bytes, &options.data_memtable_bytes,
                            &options.table_file_bytes, &options.import_file_bytes}) {
    *size = *size / 1024 * reserve_bytes / full_size_reserve_bytes * 1024;
  }
}

Result<std::unique_ptr<Store>> open_rocks(RocksOptions options) {
  CHECK(options.post != nullptr);
  CHECK(!options.path.empty());
  CHECK(options.data_files_open_max >= data_files_open_min);
  options.budget = make_budget(options);
  Result<Folder> folder = Folder::open(options.path, options.first_self, options.level_max);
  if (!folder) return refuse_to_open(options.path, folder.error());
  const std::string path = options.path;
  auto store = std::make_unique<RocksStore>(std::move(options), std::move(*folder));
  if (Status opened = store->open(); !opened) return refuse_to_open(path, opened.error());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace iris::store
