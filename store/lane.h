// Lane: one thread, one FIFO. Drains the queue, runs what it found as one batch, posts the answers
// to the loop in one post. push() on any thread, run on the lane's own, answers on the loop.
// Owns its queue and its thread and nothing else; the only mutex of a lane is here.
// Never drops a job it took: stop() runs what is queued, then joins.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "raft/check.h"

namespace iris::store {

// What a batch has to say to the loop, in order.
using Answers = std::vector<std::function<void()>>;

template <class Job>
class Lane {
 public:
  // `run` gets 1..jobs_max jobs in the order they were pushed and appends its answers; `post` gets
  // them once per batch, if there are any.
  struct Hooks {
    std::function<void(std::vector<Job>& jobs, Answers& answers)> run;
    std::function<void(Answers answers)> post;
  };

  // `name` is what the thread is called in a debugger: at most 15 characters.
  Lane(const std::string& name, std::size_t jobs_max, Hooks hooks)
      : jobs_max_(jobs_max), hooks_(std::move(hooks)), thread_([this] { loop(); }) {
    CHECK(jobs_max > 0);
    CHECK(::pthread_setname_np(thread_.native_handle(), name.c_str()) == 0);
  }
  ~Lane() { stop(); }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // False: stopped; the job is dropped.
  [[nodiscard]] bool push(Job job) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      was_empty = queue_.empty();
      queue_.push_back(std::move(job));
    }
    if (was_empty) wake_.notify_one();
    return true;
  }

  // Runs what is queued, joins the thread. Not on the lane itself. A second call does nothing.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    std::vector<Job> drained;
    std::vector<Job> batch;
    while (wait_for_jobs(drained)) {
      for (std::size_t next = 0; next < drained.size();) {
        batch.clear();
        const std::size_t end = std::min(drained.size(), next + jobs_max_);
        for (; next < end; ++next) batch.push_back(std::move(drained[next]));
        Answers answers;
        hooks_.run(batch, answers);
        if (!answers.empty()) hooks_.post(std::move(answers));
      }
      drained.clear();
      batch.clear();
    }
  }

  // False: stopped, and nothing is left to do.
  bool wait_for_jobs(std::vector<Job>& drained) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    drained.swap(queue_);
    return !drained.empty();
  }

  const std::size_t jobs_max_;
  const Hooks hooks_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when everything above is there
};

}  // namespace iris::store
