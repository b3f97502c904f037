#include "src/net/background.h"

#include <asio/post.hpp>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace iris {

struct Background::State {
  explicit State(asio::io_context& io) : loop(io) {}
  std::mutex mutex;
  bool closed = false;     // under mutex
  asio::io_context& loop;  // for threads with `mutex` held, and while not `closed`
};

Background::Background(asio::io_context& loop) : state_(std::make_shared<State>(loop)) {}

Background::~Background() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

Status Background::run(std::function<void()> work, std::function<void()> done) {
  // The object may go between the post and the call.
  auto told = [weak = std::weak_ptr<State>(state_), done = std::move(done)] {
    if (!weak.expired()) done();
  };
  try {
    std::thread([state = state_, work = std::move(work), told = std::move(told)]() mutable {
      work();
      const std::lock_guard lock(state->mutex);
      if (!state->closed) asio::post(state->loop, std::move(told));
    }).detach();
  } catch (const std::system_error& error) {
    return fail(Errc::limit, "no thread: " + error.code().message());
  }
  return Unit{};
}

}  // namespace iris
