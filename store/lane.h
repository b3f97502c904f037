// Lane: a worker thread with a FIFO queue. It takes all jobs that are queued, runs them in
// batches, and posts the answers of a batch to the loop together: under load many jobs share one
// sync and one wake-up of the loop.
// push() on any thread; Hooks::run on the lane's thread. Owns its queue and its thread. A job that
// was taken is run: stop() runs what is queued, then joins.
// For the simulator a lane may have no thread: then a Runner is told when there is work, and
// stop() drops what is queued, as the end of a process does.
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

// Functions for the loop, in order.
using Answers = std::vector<std::function<void()>>;
// A job of the bulk lane. It may take long, and no client waits for it: snapshots out and in, files
// to delete.
using BulkJob = std::function<void(Answers& answers)>;

template <class Job>
class Lane {
 public:
  // `run` gets 1 to jobs_max jobs in the order they were pushed, and appends its answers. `post`
  // gets the answers of a batch, if there are any. Both on the lane's thread.
  struct Hooks {
    std::function<void(std::vector<Job>& jobs, Answers& answers)> run;
    std::function<void(Answers answers)> post;
  };

  // Called from push(). Runs `work` once, later.
  using Runner = std::function<void(std::function<void()> work)>;

  // `name`: of the thread, for debuggers; at most 15 characters. With a `runner` there is no
  // thread.
  Lane(const std::string& name, std::size_t jobs_max, Hooks hooks, Runner runner = nullptr)
      : jobs_max_(jobs_max), hooks_(std::move(hooks)), runner_(std::move(runner)) {
    CHECK(jobs_max > 0);
    if (runner_) return;
    thread_ = std::thread([this] { loop(); });
    // For people alone: without /proc there are no names.
    static_cast<void>(::pthread_setname_np(thread_.native_handle(), name.c_str()));
  }
  ~Lane() { stop(); }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Does not block, and the queue has no limit: the host bounds what it has under way. False: the
  // lane is stopped, and the job is dropped.
  [[nodiscard]] bool push(Job job) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      was_empty = queue_.empty();
      queue_.push_back(std::move(job));
    }
    if (!was_empty) return true;
    if (runner_) {
      runner_([this] { run_queued(); });
    } else {
      wake_.notify_one();
    }
    return true;
  }

  // Runs what is queued, now. REQUIRES: a runner.
  void run_queued() {
    CHECK(runner_);
    std::vector<Job> drained;
    {
      const std::lock_guard lock(mutex_);
      drained.swap(queue_);
    }
    run(drained);
  }

  // Runs what is queued, then joins the thread. A second call does nothing. REQUIRES: not called on
  // the lane itself.
  void stop() {
    std::vector<Job> dropped;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      if (runner_) dropped.swap(queue_);
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    std::vector<Job> drained;
    while (wait_for_jobs(drained)) {
      run(drained);
      drained.clear();
    }
  }

  void run(std::vector<Job>& drained) {
    std::vector<Job> batch;
    for (std::size_t next = 0; next < drained.size();) {
      batch.clear();
      const std::size_t end = std::min(drained.size(), next + jobs_max_);
      for (; next < end; ++next) batch.push_back(std::move(drained[next]));
      Answers answers;
      hooks_.run(batch, answers);
      if (!answers.empty()) hooks_.post(std::move(answers));
    }
  }

  // False: stopped, and the queue is empty.
  bool wait_for_jobs(std::vector<Job>& drained) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    drained.swap(queue_);
    return !drained.empty();
  }

  const std::size_t jobs_max_;
  const Hooks hooks_;
  const Runner runner_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last, as it uses all members above
};

}  // namespace iris::store
