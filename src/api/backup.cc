// Maintenance.Snapshot: the whole data, at one revision that contains all that was acknowledged
// before the call, as the stream of bytes that store/ writes and reads back.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "src/api/data_stream.h"
#include "src/base/hex.h"

namespace iris {
namespace {

constexpr std::size_t chunk_bytes = 256u << 10;
// The stream ends with the SHA-256 of all before it.
constexpr std::size_t hash_bytes = 32;
// A pinned state keeps files from being deleted: few at a time.
constexpr CallLimits call_limits = {.ahead = 2, .open_max = 8, .connection_max = 2};

class Backup final : public DataStream<pb::SnapshotRequest, pb::SnapshotChunk> {
 public:
  Backup(ApiContext& api, Call& call) : DataStream(api, call) {
    // The call's own time is for the data, an hour maybe: without a quorum that is known sooner.
    const std::uint64_t limit_ms = std::min(call.remaining_ms(), default_deadline_ms);
    api.node.read(Consistency::linearizable, 0, limit_ms, awaited([this](const Status& ready) {
                    if (!ready) return end(ready.error());
                    pinned_ = api_.store.pin();
                    read_chunk();
                  }),
                  &waiting_in_node_);
  }

 private:
  void read_chunk() {
    pinned_->read(chunk_bytes, awaited([this](Result<std::string> bytes) {
                    if (!bytes) return end(bytes.error());
                    last_ = bytes->empty();
                    chunk_.Clear();
                    if (last_) {
                      chunk_.set_sha256(hex(tail_));
                    } else {
                      remember_tail(*bytes);
                      chunk_.set_data(std::move(*bytes));
                    }
                    call_.write(chunk_, false);
                  }));
  }

  void remember_tail(const std::string& bytes) {
    tail_.append(bytes, bytes.size() - std::min(bytes.size(), hash_bytes));
    tail_.erase(0, tail_.size() - std::min(tail_.size(), hash_bytes));
  }

  void next() override { last_ ? end() : read_chunk(); }

  void release() override { pinned_.reset(); }

  std::unique_ptr<store::Export> pinned_;
  pb::SnapshotChunk chunk_;
  std::string tail_;  // the last bytes of the stream so far
  bool last_ = false;
};

}  // namespace

void add_backup_calls(ApiContext& api) { add_stream<Backup>(api, api.maintenance, call_limits); }

}  // namespace iris
