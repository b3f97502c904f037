#include "tests/sim/rocks_env.h"

#include <cstdint>
#include <utility>

#include "raft/check.h"

// RocksDB's own, of which no header is installed: the random numbers of a thread, which begin with
// the thread's address.
namespace rocksdb {
class Random {
 public:
  static Random* GetTLSInstance();
  std::uint32_t seed;
};
}  // namespace rocksdb

namespace iris::sim {

void RocksEnv::same_chances() { rocksdb::Random::GetTLSInstance()->seed = 1; }

RocksEnv::RocksEnv(std::shared_ptr<RocksFiles> files)
    : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
  file_system_ = std::move(files);  // RocksDB goes both ways
  system_clock_ = rocksdb::Env::Default()->GetSystemClock();
}

void RocksEnv::settle() {
  while (true) {
    std::unique_lock lock(mutex_);
    CHECK(!threads_ && running_ == 0);
    if (put_off_.empty()) return;
    const Work work = put_off_.front();
    put_off_.pop_front();
    lock.unlock();
    work.function(work.argument);
  }
}

void RocksEnv::Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                        void (*dropped)(void*)) {
  const Work work{this, function, argument, dropped};
  {
    const std::lock_guard lock(mutex_);
    if (!threads_) return put_off_.push_back(work);
    ++running_;
  }
  target()->Schedule(run, new Work(work), priority, tag, drop);
}

int RocksEnv::UnSchedule(void* tag, Priority priority) {
  return target()->UnSchedule(tag, priority);  // nothing is put off while a database closes
}

void RocksEnv::run(void* work) {
  const std::unique_ptr<Work> mine(static_cast<Work*>(work));
  mine->function(mine->argument);
  mine->env->ended();
}

void RocksEnv::drop(void* work) {
  const std::unique_ptr<Work> mine(static_cast<Work*>(work));
  if (mine->dropped != nullptr) mine->dropped(mine->argument);
  mine->env->ended();
}

void RocksEnv::ended() {
  const std::lock_guard lock(mutex_);
  if (--running_ == 0) idle_.notify_all();
}

RocksEnv::BesideThreads::BesideThreads(RocksEnv& env) : env_(env) {
  const std::lock_guard lock(env_.mutex_);
  CHECK(!std::exchange(env_.threads_, true) && env_.put_off_.empty());
}

RocksEnv::BesideThreads::~BesideThreads() {
  std::unique_lock lock(env_.mutex_);
  env_.idle_.wait(lock, [this] { return env_.running_ == 0; });
  env_.threads_ = false;
}

}  // namespace iris::sim
