#include "src/listeners/reads.h"

#include <utility>

namespace iris::listening {

void Reads::add(std::optional<Job> job, std::shared_ptr<const store::View> view, Work work,
                std::function<void()> done) {
  waiting_.push_back({job, std::move(view), std::move(work), std::move(done)});
  start();
}

void Reads::start() {
  while (under_way_ < reads_max_ && !waiting_.empty()) {
    Read next = std::move(waiting_.front());
    waiting_.pop_front();
    if (next.job && !wanted_(*next.job)) continue;
    ++under_way_;
    auto done = alive_.guard([this, answer = std::move(next.done)] {
      --under_way_;
      answer();
      start();
    });
    if (next.view) {
      store_.read_held(std::move(next.view), std::move(next.work), std::move(done));
    } else {
      store_.read(std::move(next.work), std::move(done));
    }
  }
}

}  // namespace iris::listening
