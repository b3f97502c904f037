#include "src/api/reset_watch.h"

#include <algorithm>
#include <utility>

namespace iris {

bool ResetBudget::spend(std::uint64_t total, Clock::time_point now) {
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - refilled_);
  const auto more = static_cast<std::uint64_t>(passed.count()) * limits_.per_second_max / 1'000;
  left_ = std::min(limits_.at_once_max, left_ + more);
  // Only for the time that gave something: looks in quick succession would lose the rest.
  refilled_ += std::chrono::milliseconds(more * 1'000 / limits_.per_second_max);
  const std::uint64_t fresh = total - std::exchange(spent_, total);
  if (fresh > left_) return false;
  left_ -= fresh;
  return true;
}

void ResetWatch::add(int descriptor, std::string peer, Clock::time_point now) {
  remove(descriptor);
  connections_.emplace(descriptor, Connection{.peer = std::move(peer),
                                              .socket = 0,
                                              .seen_bytes = 0,
                                              .started = 0,
                                              .looks_left = 0,
                                              .budget = ResetBudget(limits_, now)});
}

void ResetWatch::remove(int descriptor) {
  const auto found = connections_.find(descriptor);
  if (found == connections_.end()) return;
  sought_.erase(found->second.peer);
  connections_.erase(found);
}

std::vector<ResetWatch::Finding> ResetWatch::look(Clock::time_point now) {
  std::vector<Finding> over;
  const std::size_t count = std::min(connections_.size(), look_connections_max);
  auto each = connections_.upper_bound(looked_at_);
  for (std::size_t i = 0; i < count; ++i, ++each) {
    if (each == connections_.end()) each = connections_.begin();
    looked_at_ = each->first;
    const char* why = fault(each->first, each->second, now);
    if (why != nullptr) over.push_back({each->first, why});
  }
  if (!sought_.empty()) search();
  return over;
}

const char* ResetWatch::fault(int descriptor, Connection& connection, Clock::time_point now) {
  const std::uint64_t bytes = counts_.received_bytes(descriptor);
  if (bytes >= connection.seen_bytes + look_bytes_min) {
    connection.seen_bytes = bytes;
    connection.looks_left = looks_after_call;
  }
  if (connection.looks_left == 0) return nullptr;
  if (connection.socket == 0) {
    sought_[connection.peer] = descriptor;
    return nullptr;
  }
  --connection.looks_left;
  const auto figures = counts_.figures(connection.socket);
  if (!figures) return nullptr;
  if (std::exchange(connection.started, figures->started) != figures->started) {
    connection.looks_left = looks_after_call;
  }
  if (figures->open > limits_.open_max) return "its client has too many calls open";
  if (!connection.budget.spend(figures->failed, now)) return "its client resets too many calls";
  return nullptr;
}

void ResetWatch::search() {
  counts_.list(search_from_, look_connections_max,
               [this](std::string_view peer, ChannelzSocket socket) {
                 const auto found = sought_.find(std::string(peer));
                 if (found == sought_.end()) return;
                 connections_.at(found->second).socket = socket;
                 sought_.erase(found);
               });
}

}  // namespace iris
