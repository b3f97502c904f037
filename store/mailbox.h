// Mailbox: brings answers from the lanes to the loop, in order. The loop is woken once for all
// answers that come before it gets to them.
// put() on any thread, all else on the loop. Owns the answers until they are run. The loop's own
// queue holds only a weak reference to them, so that after close() no answer of a user outlives
// the store.
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

  // Drops the answers that have not run. Nothing is delivered after this.
  void close() {
    Answers dropped;  // destroyed after the lock is released: a destructor may come back here
    std::deque<std::function<void()>> unrun;
    const std::lock_guard lock(box_->mutex);
    dropped.swap(box_->answers);
    unrun.swap(box_->running);
  }

 private:
  struct Box {
    std::mutex mutex;
    Answers answers;
    std::deque<std::function<void()>> running;  // loop only: answers that are being delivered
  };

  // An answer may destroy the store: close() then drops the answers behind it.
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
