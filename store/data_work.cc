#include "store/data_work.h"

#include <utility>

#include "raft/check.h"
#include "store/views.h"

namespace iris::store {

void DataWork::run(std::vector<DataJob>& jobs, Answers& answers) {
  for (DataJob& job : jobs) {
    std::visit([this, &answers](auto& known) { take(known, answers); }, job);
    if (batch_.bytes() > batch_bytes_max) write(answers);
  }
  write(answers);
  if (alarm_.raised()) answers.clear();
}

void DataWork::take(BatchJob& job, Answers& /*answers*/) {
  if (alarm_.raised()) return;
  batch_.set_applied(applied_.index);
  if (job.applied) {
    CHECK(job.applied->last.index > applied_.index);  // nothing is applied twice (hazards 59, 70)
    CHECK(job.applied->last.term >= applied_.term);
    applied_ = job.applied->last;
    if (!batch_applied_) batch_applied_.emplace();
    batch_applied_->last = applied_;
    if (job.applied->members) {
      batch_applied_->members = std::move(job.applied->members);
      batch_applied_->members_index = job.applied->members_index;
    }
  }
  job.job(batch_);
  waiting_.push_back(std::move(job.done));
}

void DataWork::take(SyncJob& job, Answers& answers) {
  write(answers);
  CHECK(job.applied <= applied_.index);
  if (!alarm_.raised() && fine(data_->sync())) job.then();
}

void DataWork::take(HoldJob& job, Answers& answers) {
  write(answers);
  if (alarm_.raised()) return;
  answers.emplace_back(
      [done = std::move(job.done), view = std::make_shared<const PinnedView>(
                                       std::make_shared<const Pinned>(data_->family()), alarm_)] {
        done(view);
      });
}

void DataWork::take(FlipJob& job, Answers& answers) {
  write(answers);
  if (alarm_.raised()) {
    job.flipped.set_value(fail(Errc::io, "the disk has refused already"));
    return;
  }
  CHECK(job.staged->mark.last.index > applied_.index);  // never backwards (hazards 48, 61)
  if (Status installed = data_->install(*job.staged); !fine(installed)) {
    job.flipped.set_value(unexpected(installed.error()));
    return;
  }
  applied_ = job.staged->mark.last;
  batch_.begin(data_->family());
  job.flipped.set_value(data_->family());
}

void DataWork::take(DiskBudget::Pressure pressure, Answers& answers) {
  write(answers);
  if (alarm_.raised()) return;
  const bool early = pressure != DiskBudget::Pressure::none;
  if (std::exchange(early_, early) != early) data_->compact_early(early);
  if (pressure == DiskBudget::Pressure::flush) data_->flush_soon();
}

// A job that could not read a row has raised the alarm: its batch is never written.
void DataWork::write(Answers& answers) {
  if (alarm_.raised() || waiting_.empty()) return;
  if (!fine(data_->write(batch_, batch_applied_))) return;
  batch_applied_.reset();
  for (std::function<void()>& done : waiting_) answers.push_back(std::move(done));
  waiting_.clear();
}

bool DataWork::fine(const Status& status) {
  if (!status) alarm_.raise(status.error());
  return status.has_value();
}

}  // namespace iris::store
