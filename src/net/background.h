// Background: what may wait for a disk is done on a thread of its own, and the loop hears of its
// end.
// Loop thread. A thread that still waits when this object goes is left to its end, which nobody
// hears of.
#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>

#include "raft/result.h"

namespace iris {

class Background {
 public:
  // `loop` outlives this object.
  explicit Background(asio::io_context& loop);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Runs `work` on a thread, then `done` on the loop. Errc::limit: the system gives no thread, and
  // neither runs. `work` touches nothing that may be gone before it ends.
  [[nodiscard]] Status run(std::function<void()> work, std::function<void()> done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace iris
