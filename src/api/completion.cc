#include "src/api/completion.h"

#include <asio/post.hpp>
#include <utility>

#include "raft/check.h"

namespace iris {

CompletionThread::CompletionThread(asio::io_context& loop,
                                   std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : loop_(loop), queue_(std::move(queue)) {}

CompletionThread::~CompletionThread() {
  CHECK(!thread_.joinable());
  // gRPC wants a queue to be shut down and empty before it is destroyed, also an unused one.
  queue_->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
  }
}

void CompletionThread::start() {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this] { work(); });
}

void CompletionThread::stop(std::function<void()> done) {
  CHECK(thread_.joinable() && !stopped_);
  stopped_ = std::move(done);
  queue_->Shutdown();
}

void CompletionThread::work() {
  std::vector<Event> batch;
  batch.reserve(batch_events_max);
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    batch.push_back({static_cast<Completion*>(tag), ok});
    while (batch.size() < batch_events_max &&
           queue_->AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC)) ==
               grpc::CompletionQueue::GOT_EVENT) {
      batch.push_back({static_cast<Completion*>(tag), ok});
    }
    hand_over(batch);
  }
  // Posted after every take_over(), so it runs after the last of them.
  asio::post(loop_, [this] {
    thread_.join();
    std::exchange(stopped_, nullptr)();
  });
}

void CompletionThread::hand_over(std::vector<Event>& batch) {
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = handed_over_.empty();
    if (was_empty) {
      handed_over_.swap(batch);
    } else {
      handed_over_.insert(handed_over_.end(), batch.begin(), batch.end());
    }
  }
  batch.clear();
  if (was_empty) {
    asio::post(loop_, [this] { take_over(); });
  }
}

void CompletionThread::take_over() {
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(handed_over_);
  }
  for (const Event& event : taken_) event.completion->completed(event.ok);
  taken_.clear();
}

}  // namespace iris
