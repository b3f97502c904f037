#include "src/listeners/update_queue.h"

#include <algorithm>
#include <utility>

#include "src/listeners/budget.h"

namespace iris::listening {

void UpdateQueue::push(UpdatePtr update) {
  queued_.change(id_, bytes_, bytes_ + update->cost_bytes());
  bytes_ += update->cost_bytes();
  updates_.push_back(std::move(update));
}

void UpdateQueue::count_out(const Update& update) {
  queued_.change(id_, bytes_, bytes_ - update.cost_bytes());
  bytes_ -= update.cost_bytes();
}

void UpdateQueue::write(const Filter& filter, std::uint64_t tick, std::size_t& budget) {
  if (prune_due_ && writable_ && budget > 0) {
    spend(budget, updates_.size() * cost::prune);
    prune(filter);
  }
  while (writable_ && !updates_.empty() && budget > 0) {
    const UpdatePtr update = std::move(updates_.front());
    updates_.pop_front();
    count_out(*update);
    ++status_.delivered;
    written_tick_ = tick;
    has_written_ = true;
    promised_ = !updates_.empty();
    spend(budget, cost::write + (update->encoded ? 0 : update->cost_bytes() / cost::bytes));
    writable_ = stream_.write(update, promised_);
  }
}

bool UpdateQueue::has_small_write() const {
  return !prune_due_ && !updates_.empty() && updates_.front()->cost_bytes() < large_update_bytes;
}

void UpdateQueue::prune(const Filter& filter) {
  if (!std::exchange(prune_due_, false)) return;
  bool spare = promised_;
  std::erase_if(updates_, [&](const UpdatePtr& update) {
    if (std::exchange(spare, false)) return false;
    if (update->is_marker()) return false;
    const std::uint64_t due_at = update->of_state ? state_revision_ + 1 : update->revision;
    if (filter.wants(update->source, update->key, due_at)) return false;
    count_out(*update);
    return true;
  });
}

void UpdateQueue::drop_states() {
  const auto is_resync = [](const UpdatePtr& update) { return update->op == Update::Op::resync; };
  const auto begin = std::find_if(updates_.begin(), updates_.end(), is_resync);
  for (auto update = begin; update != updates_.end(); ++update) count_out(**update);
  updates_.erase(begin, updates_.end());
}

template <typename Is>
UpdatePtr UpdateQueue::drop_last(const Is& is_one) {
  UpdatePtr first;
  const std::size_t spared = promised_ ? 1 : 0;
  while (updates_.size() > spared && is_one(*updates_.back())) {
    first = std::move(updates_.back());
    updates_.pop_back();
    count_out(*first);
  }
  return first;
}

std::optional<std::uint64_t> UpdateQueue::drop_log_updates() {
  const UpdatePtr first = drop_last([](const Update& update) { return update.entry != nullptr; });
  return first ? std::optional(first->revision) : std::nullopt;
}

bool UpdateQueue::drop_rows() {
  return drop_last([](const Update& update) { return update.of_state; }) != nullptr;
}

}  // namespace iris::listening
