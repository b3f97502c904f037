#include "src/node/state_hashing.h"

#include <utility>

namespace iris {

void StateHashing::asked(raft::NodeId from, const StateHashRequest& request) {
  if (host_.stopped || from != host_.core->leader()) return;
  if (work_ != nullptr && work_->asker == from && work_->request.id == request.id) {
    if (work_->over) reply_(from, work_->answer);  // the reply was lost
    return;
  }
  work_ = std::make_shared<Work>();
  work_->asker = from;
  work_->request = request;
  settle();
}

const StateHash* StateHashing::told(raft::NodeId from, std::uint64_t id) const {
  const bool known = work_ != nullptr && work_->over && !work_->answer.passed &&
                     work_->asker == from && work_->request.id == id;
  return known ? &work_->answer.hash : nullptr;
}

raft::Index StateHashing::wanted() const {
  return work_ != nullptr && !work_->held && !work_->over ? work_->request.index : raft::Index{};
}

void StateHashing::given(raft::Index last) {
  given_ = last;
  if (wanted().value != 0) settle();
}

// Only at one moment is the state that of the index: when all entries up to it, and none after it,
// have gone to the data lane.
void StateHashing::settle() {
  if (given_ < work_->request.index) return;
  if (given_ == work_->request.index) return hold();
  end({work_->request.id, true, {}});
}

void StateHashing::hold() {
  work_->held = true;
  host_.store.hold_applied([this, work = std::weak_ptr<Work>(work_),
                            gone = host_.guard()](std::shared_ptr<const store::View> view) {
    if (gone.expired() || work.expired() || work.lock() != work_) return;
    work_->view = std::move(view);
    work_->hasher.emplace(work_->request.history_after);
    read();
  });
}

void StateHashing::tick() {
  host_.refill(allowance_bytes_, host_.options.state_check_bytes_per_second);
  if (work_ != nullptr && work_->view != nullptr) read();
}

// One piece at a time, so that chunks of snapshots, which share the lane, come between.
void StateHashing::read() {
  if (work_->reading || allowance_bytes_ <= 0) return;
  work_->reading = true;
  const std::size_t piece = host_.options.state_check_piece_bytes;
  host_.store.read_bulk(
      work_->view,
      [work = work_, piece](const store::View& view) {
        work->read_bytes = work->hasher->read(view, piece);
      },
      [this, weak = std::weak_ptr<Work>(work_), gone = host_.guard()] {
        if (gone.expired()) return;
        const std::shared_ptr<Work> work = weak.lock();
        if (work != nullptr && work == work_) was_read(*work);
      });
}

void StateHashing::was_read(Work& work) {
  work.reading = false;
  allowance_bytes_ -= static_cast<std::int64_t>(work.read_bytes);
  if (!work.hasher->done()) return read();
  const StateHash hash = work.hasher->result();
  work.hasher.reset();
  work.view.reset();
  // An installation that came before the view was taken may have moved the state on.
  const bool passed = hash.index != work.request.index;
  end({work.request.id, passed, passed ? StateHash{} : hash});
}

void StateHashing::end(const StateHashReply& answer) {
  work_->over = true;
  work_->answer = answer;
  reply_(work_->asker, work_->answer);
}

}  // namespace iris
