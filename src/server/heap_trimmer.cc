#include "src/server/heap_trimmer.h"

#include <malloc.h>

#include <ctime>

#include "raft/check.h"

namespace iris {

namespace {

std::chrono::nanoseconds process_cpu() {
  timespec used{};
  CHECK(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace

HeapTrimmer::~HeapTrimmer() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HeapTrimmer::start() {
  thread_ = std::thread([this] { run(); });
}

void HeapTrimmer::run() {
  auto cpu = process_cpu();
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, look_every, [this] { return ended_; })) {
    lock.unlock();
    const auto now = process_cpu();
    if (::mallinfo2().fordblks > kept(now - cpu)) ::malloc_trim(0);
    cpu = now;
    lock.lock();
  }
}

}  // namespace iris
