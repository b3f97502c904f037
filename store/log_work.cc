#include "store/log_work.h"

#include <utility>

#include "raft/check.h"

namespace iris::store {

void LogWork::run(std::vector<LogJob>& jobs, Answers& answers) {
  for (LogJob& job : jobs) {
    if (alarm_.raised()) break;
    std::visit([this, &answers](auto& known) { take(known, answers); }, job);
    if (log_->staged_bytes() > batch_bytes_max) commit();
  }
  commit();
  answer_durable(answers);
  if (alarm_.raised()) answers.clear();
}

void LogWork::take(WriteJob& job, Answers& answers) {
  if (job.write.install) {
    if (Status installed = install(job, answers); !installed) alarm_.raise(installed.error());
  } else {
    if (job.write.state) log_->stage_state(*job.write.state);
    log_->stage_entries(job.write.entries);
  }
  unanswered_ = job.write.ticket;
}

void LogWork::take(AdoptJob& job, Answers& answers) {
  log_->stage_cluster(job.cluster);
  answer_durable(answers);
  answers.push_back(std::move(job.done));
}

void LogWork::take(TrimJob& job, Answers& answers) {
  log_->stage_trim(job.floor);
  answer_durable(answers);
  answers.push_back(std::move(job.done));
}

void LogWork::take(DiskBudget::Pressure pressure, Answers& /*answers*/) {
  const bool early = pressure != DiskBudget::Pressure::none;
  if (std::exchange(early_, early) != early) log_->compact_early(early);
  if (pressure == DiskBudget::Pressure::flush) log_->flush_soon();
}

// Three synced steps; recovery.h says what a crash between them means. The state is written with
// the first, as the mark may be of a term that this log does not know yet.
Status LogWork::install(WriteJob& job, Answers& answers) {
  CHECK(job.staged != nullptr && job.staged->mark == *job.write.install);
  const raft::SnapshotMetadata& mark = *job.write.install;
  if (job.write.state) log_->stage_state(*job.write.state);
  log_->stage_install({mark, {}});
  if (Status begun = log_->commit(); !begun) return begun;
  step("install noted");
  Result<std::function<void()>> flipped = flip_(std::move(job.staged));
  if (!flipped) return unexpected(flipped.error());
  if (Status staged = log_->stage_restart(mark); !staged) return staged;
  log_->stage_entries(job.write.entries);
  if (Status ended = log_->commit(); !ended) return ended;
  step("log restarted");
  answers.push_back(std::move(*flipped));
  return Unit{};
}

void LogWork::commit() {
  if (alarm_.raised() || !log_->anything_staged()) return;
  if (Status committed = log_->commit(); !committed) alarm_.raise(committed.error());
}

void LogWork::step(std::string_view name) {
  if (on_step_) on_step_(name);
}

void LogWork::answer_durable(Answers& answers) {
  if (!unanswered_) return;
  answers.emplace_back([this, ticket = *unanswered_] { durable_(ticket); });
  unanswered_.reset();
}

}  // namespace iris::store
