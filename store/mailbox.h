// Mailbox: the way of answers from the lanes to the loop. Posted once when it was empty; the loop
// then takes all that is there, in order.
// put() on any thread, everything else on the loop. Owns the answers until they are run: the loop's
// own queue never holds anything of a user, so close() leaves nothing behind that could outlive the
// store.
#pragma once

#include <deque>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "store/lane.h"

namespace iris::store {

class Mailbox {
 public:
  using Post = std::function<void(std::function<void()>)>;

  explicit Mailbox(Post post) : post_(std::move(post)) {}
  ~Mailbox() { close(); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  void put(Answers answers) {
    {
      const std::lock_guard lock(box_->mutex);
      const bool was_empty = box_->answers.empty();
      box_->answers.insert(box_->answers.end(), std::make_move_iterator(answers.begin()),
                           std::make_move_iterator(answers.end()));
      if (!was_empty) return;
    }
    post_([box = std::weak_ptr<Box>(box_)] { deliver(box); });
  }

  // What is there is dropped, unrun. Nothing is delivered after this.
  void close() {
    Answers dropped;  // outlives the lock: what goes with it may call back
    std::deque<std::function<void()>> unrun;
    const std::lock_guard lock(box_->mutex);
    dropped.swap(box_->answers);
    unrun.swap(box_->running);
  }

 private:
  struct Box {
    std::mutex mutex;
    Answers answers;
    std::deque<std::function<void()>> running;  // loop only: what is being delivered
  };

  // An answer may be the end of the store: those behind it go first then, in close().
  static void deliver(const std::weak_ptr<Box>& where) {
    const std::shared_ptr<Box> box = where.lock();
    if (box == nullptr) return;
    {
      const std::lock_guard lock(box->mutex);
      for (std::function<void()>& answer : box->answers) box->running.push_back(std::move(answer));
      box->answers.clear();
    }
    while (!box->running.empty()) {
      const std::function<void()> answer = std::move(box->running.front());
      box->running.pop_front();
      answer();
    }
  }

  const Post post_;
  const std::shared_ptr<Box> box_ = std::make_shared<Box>();
};

}  // namespace iris::store
