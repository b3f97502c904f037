#include "store/rocks.h"

#include <utility>

#include "raft/check.h"
#include "store/engine.h"
#include "store/rocks_store.h"

namespace iris::store {

namespace {

constexpr int data_files_open_min = 32;

// Names -join, as without it an emptied folder may become a cluster of its own.
unexpected<Error> refuse_to_open(const std::string& path, const Error& error) {
  if (error.code != Errc::corrupt) return fail(error.code, error.text);
  return fail(error.code, error.text + "; where other members have the data, empty " + path +
                              " and start this node with -join");
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocks(RocksOptions options) {
  CHECK(options.post != nullptr);
  CHECK(!options.path.empty());
  CHECK(options.data_files_open_max >= data_files_open_min);
  options.budget = make_budget(options);
  Result<Folder> folder = Folder::open(options.path, options.first_self);
  if (!folder) return refuse_to_open(options.path, folder.error());
  const std::string path = options.path;
  auto store = std::make_unique<RocksStore>(std::move(options), std::move(*folder));
  if (Status opened = store->open(); !opened) return refuse_to_open(path, opened.error());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace iris::store
