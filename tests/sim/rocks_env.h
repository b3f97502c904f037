// RocksEnv: RocksDB's environment in the simulator: the files of a RocksFiles, and its background
// work (flushes of memtables) done at moments that the simulator decides, so that a seed replays
// exactly: at the end of a lane's job, one piece after another, on the simulator's own thread.
// RocksDB throws dice too, for the shape of its memtables, and so for the moment when one is full:
// same_chances() has them fall the same way in every run.
// Where RocksDB waits for its own background work (it opens, closes, flushes by itself), that runs
// on threads, as there is nobody else: see BesideThreads.
// One thread, but for background work. Owns what is put off.
#pragma once

#include <rocksdb/env.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

#include "tests/sim/rocks_files.h"

namespace iris::sim {

class RocksEnv final : public rocksdb::EnvWrapper {
 public:
  explicit RocksEnv(std::shared_ptr<RocksFiles> files);

  // From here on this thread's dice fall as they do behind every such call.
  static void same_chances();

  // Does what is put off, and what that puts off. REQUIRES: not from inside RocksDB.
  void settle();

  // While one lives, background work runs on threads. Then waits for all of it.
  class BesideThreads {
   public:
    // REQUIRES: there is no other, and settle() came after the last job.
    explicit BesideThreads(RocksEnv& env);
    ~BesideThreads();
    BesideThreads(const BesideThreads&) = delete;
    BesideThreads& operator=(const BesideThreads&) = delete;

   private:
    RocksEnv& env_;
  };

  // --- rocksdb::Env
  [[nodiscard]] const char* Name() const override { return "RocksEnv"; }
  void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                void (*dropped)(void*)) override;
  int UnSchedule(void* tag, Priority priority) override;

 private:
  struct Work {
    RocksEnv* env;
    void (*function)(void*);
    void* argument;
    void (*dropped)(void*);
  };
  static void run(void* work);
  static void drop(void* work);
  void ended();

  std::mutex mutex_;
  std::condition_variable idle_;
  bool threads_ = false;      // under mutex_
  std::size_t running_ = 0;   // under mutex_; given to threads, and not ended
  std::deque<Work> put_off_;  // under mutex_
};

}  // namespace iris::sim
