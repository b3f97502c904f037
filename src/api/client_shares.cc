#include "src/api/client_shares.h"

#include "raft/check.h"

namespace iris {

ClientShares::~ClientShares() { CHECK(first_ == nullptr); }

ClientShares::Share& ClientShares::enter(const std::string& connection) {
  Share& share = shares_[connection];
  ++share.calls;
  return share;
}

void ClientShares::leave(Share& share) {
  CHECK(share.calls > 0);
  --share.calls;
}

Status ClientShares::may_call(const Share& share) const {
  if (share.calls <= limits_.calls_max) return Unit{};
  return fail(Errc::limit, "over the limit of " + std::to_string(limits_.calls_max) +
                               " open calls of one connection");
}

Status ClientShares::may_read(const Share& share) const {
  if (!share.full) return Unit{};
  return fail(Errc::limit, "answers of " + std::to_string(share.answer_bytes) +
                               " bytes that this connection has not read yet leave no room for "
                               "more: the limit is " +
                               std::to_string(limits_.answer_bytes_max));
}

Status ClientShares::may_answer(Share& share, std::size_t bytes) const {
  if (share.answer_bytes == 0 || share.answer_bytes + bytes <= limits_.answer_bytes_max) {
    return Unit{};
  }
  share.full = true;
  return fail(Errc::limit, "answers of " + std::to_string(share.answer_bytes) +
                               " bytes that this connection has not read yet leave no room for " +
                               std::to_string(bytes) + " more: the limit is " +
                               std::to_string(limits_.answer_bytes_max));
}

void ClientShares::begin(Answer& answer, Share& share, std::size_t bytes, Patience patience) {
  CHECK(answer.share_ == nullptr);
  answer.share_ = &share;
  answer.bytes_ = bytes;
  answer.begun_ = sweeps_;
  answer.patience_ = patience;
  answer.broken_off_ = false;
  answer.previous_ = last_;
  answer.next_ = nullptr;
  (last_ == nullptr ? first_ : last_->next_) = &answer;
  last_ = &answer;
  share.answer_bytes += bytes;
  answer_bytes_ += bytes;
  if (answer_bytes_ - broken_off_bytes_ > limits_.total_answer_bytes_max) relieve();
}

void ClientShares::end(Answer& answer) {
  CHECK(answer.share_ != nullptr);
  (answer.previous_ == nullptr ? first_ : answer.previous_->next_) = answer.next_;
  (answer.next_ == nullptr ? last_ : answer.next_->previous_) = answer.previous_;
  answer.share_->answer_bytes -= answer.bytes_;
  answer_bytes_ -= answer.bytes_;
  if (answer.broken_off_) {
    answer.share_->broken_off_bytes -= answer.bytes_;
    broken_off_bytes_ -= answer.bytes_;
  }
  answer.share_->taken = sweeps_;
  if (answer.bytes_ > 0) answer.share_->full = false;  // not for the refusals themselves
  answer.share_ = nullptr;
}

void ClientShares::sweep() {
  for (Answer* answer = first_; answer != nullptr; answer = answer->next_) {
    if (answer->begun_ == sweeps_) break;  // the younger ones follow
    const bool moves = answer->share_->taken == sweeps_;
    if (answer->patience_ == Patience::answer || !moves) break_off(*answer);
  }
  ++sweeps_;
  std::erase_if(shares_, [](const auto& each) { return each.second.calls == 0; });
}

void ClientShares::break_off(Answer& answer) {
  if (answer.broken_off_) return;
  answer.broken_off_ = true;
  answer.share_->broken_off_bytes += answer.bytes_;
  broken_off_bytes_ += answer.bytes_;
  answer.break_off();
}

// Linear in the connections and answers that there are, and rare: each time frees a whole share.
void ClientShares::relieve() {
  const auto held = [](const Share& share) { return share.answer_bytes - share.broken_off_bytes; };
  const Share* greatest = nullptr;
  for (const auto& [connection, share] : shares_) {
    if (greatest == nullptr || held(share) > held(*greatest)) greatest = &share;
  }
  for (Answer* answer = first_; answer != nullptr; answer = answer->next_) {
    if (answer->share_ == greatest) break_off(*answer);
  }
}

}  // namespace iris
