#include "src/server/heap_trimmer.h"

#include <malloc.h>

namespace iris {

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
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, look_every, [this] { return ended_; })) {
    lock.unlock();
    if (::mallinfo2().fordblks > kept_bytes) ::malloc_trim(0);
    lock.lock();
  }
}

}  // namespace iris
