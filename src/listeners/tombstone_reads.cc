#include "src/listeners/tombstone_reads.h"

#include <memory>
#include <optional>

namespace iris::listening {
namespace {

constexpr std::size_t look_ups_max = 1'000;  // jobs in one read

}  // namespace

void TombstoneReads::read_all(const Job& job, std::uint64_t revision,
                              const std::string& start_after) {
  PageKey key(revision, start_after);
  const auto [waiting, first] = waiting_.try_emplace(key);
  waiting->second.push_back(job);
  if (!first) return;
  auto page = std::make_shared<TombstonePage>();
  reads_.add(
      std::nullopt, nullptr,
      [request = TombstoneRequest{revision, start_after, std::nullopt, false}, limits = limits_,
       page](const store::View& view) { *page = read_tombstone(view, request, limits); },
      [this, page, key = std::move(key)] { share(key, *page); });
}

void TombstoneReads::share(const PageKey& key, const TombstonePage& page) {
  const auto waiting = waiting_.find(key);
  if (waiting == waiting_.end()) return;
  const auto jobs = std::move(waiting->second);
  waiting_.erase(waiting);
  for (const Job& job : jobs) done_(job, page);
}

void TombstoneReads::look_up(const Job& job, TombstoneRequest request) {
  look_ups_.push_back({job, std::move(request), {}});
  start_look_ups();
}

void TombstoneReads::start_look_ups() {
  if (looking_up_) return;
  auto batch = std::make_shared<std::vector<LookUp>>();
  std::size_t keys = 0;
  while (!look_ups_.empty() && batch->size() < look_ups_max && keys < limits_.rows_max) {
    LookUp next = std::move(look_ups_.front());
    look_ups_.pop_front();
    if (!wanted_(next.job)) continue;
    keys += next.request.keys->size();
    batch->push_back(std::move(next));
  }
  if (batch->empty()) return;
  looking_up_ = true;
  reads_.add(
      std::nullopt, nullptr,
      [batch, limits = limits_](const store::View& view) {
        for (LookUp& each : *batch) each.page = read_tombstone(view, each.request, limits);
      },
      [this, batch] {
        looking_up_ = false;
        for (const LookUp& each : *batch) done_(each.job, each.page);
        start_look_ups();
      });
}

}  // namespace iris::listening
