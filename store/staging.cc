#include "store/staging.h"

#include <utility>

#include "raft/check.h"
#include "store/disk_budget.h"

namespace iris::store {

namespace {

// A snapshot that is being received leaves this part of disk_kept_free_bytes: what the log cannot
// write ends the node, and a node that ended so would be sent the same snapshot again.
constexpr std::uint64_t kept_free_part = 4;

}  // namespace

Staging::Staging(const RocksOptions& options, std::string folder, const DiskGauge& gauge,
                 std::function<void(BulkJob)> bulk)
    : options_(options), folder_(std::move(folder)), gauge_(gauge), bulk_(std::move(bulk)) {}

void Staging::begin(raft::SnapshotMetadata mark) {
  drop();
  slot_ = std::make_shared<Slot>();
  slot_->mark = mark;
  std::string folder = folder_ + "/" + std::to_string(++imports_);
  bulk_([this, slot = slot_, folder = std::move(folder), mark = std::move(mark)](Answers&) {
    slot->work = std::make_unique<Import>(options_, folder, mark);
  });
}

void Staging::chunk(std::string bytes, std::function<void(Status)> done) {
  CHECK(slot_ != nullptr);
  bulk_([this, slot = slot_, bytes = std::move(bytes), done = std::move(done)](Answers& answers) {
    answers.emplace_back([done, status = stage(*slot->work, bytes)] { done(status); });
  });
}

// What compactions may take is not set aside here: the snapshot replaces all that they work on.
Status Staging::stage(Import& import, const std::string& bytes) const {
  const std::uint64_t kept = options_.disk_kept_free_bytes / kept_free_part;
  const std::uint64_t wanted = kept + bytes.size() + options_.budget->memtable_bytes();
  if (gauge_.free_bytes() >= wanted) return import.chunk(bytes);
  return import.refuse("fewer than " + std::to_string(kept) + " bytes of the disk would stay free");
}

void Staging::finish(std::function<void(Status)> done) {
  CHECK(slot_ != nullptr);
  bulk_([this, slot = slot_, done = std::move(done)](Answers& answers) {
    answers.emplace_back([this, slot, done, finished = slot->work->finish()]() mutable {
      if (finished) slot->staged = *finished;
      done(finished ? Status(Unit{}) : unexpected(finished.error()));
      // Where the import was dropped meanwhile, this is its last owner: the lane deletes the files.
      bulk_([slot = std::move(slot)](Answers&) {});
    });
  });
}

// The lane deletes the files, after what it still has to do for this import.
void Staging::drop() {
  if (slot_ != nullptr) bulk_([slot = std::move(slot_)](Answers&) {});
}

std::shared_ptr<const Staged> Staging::take(const raft::SnapshotMetadata& mark) {
  CHECK(slot_ != nullptr && slot_->staged != nullptr);
  CHECK(slot_->mark == mark);
  const Staged* staged = slot_->staged.get();
  return {std::move(slot_), staged};  // shares the slot, which owns the import and so its files
}

}  // namespace iris::store
