// Lane: one thread, one FIFO. Drains the queue, runs what it found as one batch, posts the answers
// to the loop in one post. push() on any thread, run on the lane's own, answers on the loop.
// Owns its queue and its thread and nothing else; the only mutex of a lane is here.
// Never drops a job it took: stop() runs what is queued, then joins.
// For the simulator a lane may have no thread: whoever wants it run is told when there is work, and
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

  // Runs what it is given later, once. Called from push().
  using Runner = std::function<void(std::function<void()> work)>;

  // `name` is what the thread is called in a debugger: at most 15 characters. With a `runner` there
  // is none.
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

  // False: stopped; the job is dropped.
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

  // REQUIRES: a runner. What is queued, now.
  void run_queued() {
    CHECK(runner_);
    std::vector<Job> drained;
    {
      const std::lock_guard lock(mutex_);
      drained.swap(queue_);
    }
    run(drained);
  }

  // Runs what is queued, joins the thread. Not on the lane itself. A second call does nothing.
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

  // False: stopped, and nothing is left to do.
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
  std::thread thread_;  // starts when everything above is there
};

}  // namespace iris::store
