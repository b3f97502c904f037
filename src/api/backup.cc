// Maintenance.Snapshot: the whole data, at one revision that contains all that was acknowledged
// before the call, as the stream of bytes that store/ writes and reads back. One chunk is in
// memory; a client that does not read is cut off.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "src/api/context.h"

namespace iris {
namespace {

constexpr std::size_t chunk_bytes = 256u << 10;
// The stream ends with the SHA-256 of all before it.
constexpr std::size_t hash_bytes = 32;
// A pinned state keeps files from being deleted: few at a time.
constexpr CallLimits call_limits = {.ahead = 2, .open_max = 4};

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

class Backup final : public StreamHandler<pb::SnapshotRequest, pb::SnapshotChunk>,
                     private Stallable {
 public:
  using Call = StreamCall<pb::SnapshotRequest, pb::SnapshotChunk>;

  Backup(ApiContext& api, Call& call) : api_(api), call_(call) {
    api_.stallable.insert(this);
    waiting_ = true;
    // The call's own time is for the data, an hour maybe: without a quorum that is known sooner.
    const std::uint64_t limit_ms = std::min(call_.remaining_ms(), default_deadline_ms);
    api_.node.read(Consistency::linearizable, 0, limit_ms, [this](const Status& ready) {
      waiting_ = false;
      if (gone_) return give_up();
      if (!ready) return refuse(api_, call_, ready.error());
      pinned_ = api_.store.pin();
      read_chunk();
    });
  }
  ~Backup() override { api_.stallable.erase(this); }

 private:
  void read_chunk() {
    waiting_ = true;
    pinned_->read(chunk_bytes, [this](Result<std::string> bytes) {
      waiting_ = false;
      if (gone_) return give_up();
      if (!bytes) {
        pinned_.reset();
        return refuse(api_, call_, bytes.error());
      }
      last_ = bytes->empty();
      chunk_.Clear();
      if (last_) {
        chunk_.set_sha256(hex(tail_));
      } else {
        tail_.append(*bytes, bytes->size() - std::min(bytes->size(), hash_bytes));
        tail_.erase(0, tail_.size() - std::min(tail_.size(), hash_bytes));
        chunk_.set_data(std::move(*bytes));
      }
      call_.write(chunk_, false);
    });
  }

  void written(bool ok) override {
    ++moved_;
    if (!ok) return give_up();
    if (!last_) return read_chunk();
    pinned_.reset();
    call_.finish(grpc::Status::OK);
  }

  void cancelled() override {
    gone_ = true;
    CHECK(waiting_);  // the node or the read lane answers, and then it ends
  }

  void give_up() {
    pinned_.reset();
    call_.finish({grpc::StatusCode::CANCELLED, "the client went away, or did not read"});
  }

  void check_progress() override {
    if (call_.writing() && moved_ == moved_before_) call_.cancel();
    moved_before_ = moved_;
  }

  ApiContext& api_;
  Call& call_;
  std::unique_ptr<store::Export> pinned_;
  pb::SnapshotChunk chunk_;
  std::string tail_;  // the last bytes of the stream so far
  bool last_ = false;
  bool waiting_ = false;
  bool gone_ = false;
  std::uint64_t moved_ = 0;
  std::uint64_t moved_before_ = UINT64_MAX;  // at the last look; none yet
};

}  // namespace

void add_backup_calls(ApiContext& api) {
  add_stream(api, api.maintenance, &pb::Maintenance::AsyncService::RequestSnapshot, call_limits,
             [](ApiContext& context, Backup::Call& call) {
               return std::make_unique<Backup>(context, call);
             });
}

}  // namespace iris
