// Listeners for tests of them, and what they are told. Any thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/client/client.h"
#include "tests/catch.h"
#include "tests/client/update_text.h"

namespace iris::test {

// The updates that a listener got, without bookmarks; a test waits for them.
class Told {
 public:
  client::ListenHandlers handlers() {
    return {.on_update =
                [this](const client::Update& update) {
                  using Op = client::Update::Op;
                  if (update.op == Op::bookmark) return note(bookmarks_, update.revision);
                  note(updates_, text_of(update));
                },
            .on_connected = [this](const std::string& address) { note(connected_, address); },
            .on_lost = [this](const client::Error& error) { note(lost_, error); },
            .on_end = [this](const client::Error& error) { note(ended_, error); }};
  }
  [[nodiscard]] bool await(std::size_t count) {
    return wait([&] { return updates_.size() >= count; });
  }
  [[nodiscard]] bool await_update(const std::string& text) {
    return wait([&] { return std::ranges::find(updates_, text) != updates_.end(); });
  }
  [[nodiscard]] bool await_connected(std::size_t count) {
    return wait([&] { return connected_.size() >= count; });
  }
  [[nodiscard]] bool await_lost(std::size_t count) {
    return wait([&] { return lost_.size() >= count; });
  }
  [[nodiscard]] bool await_end() {
    return wait([&] { return !ended_.empty(); });
  }
  [[nodiscard]] bool await_bookmark(std::uint64_t revision) {
    return wait([&] { return !bookmarks_.empty() && bookmarks_.back() >= revision; });
  }
  Texts updates() {
    const std::lock_guard lock(mutex_);
    return updates_;
  }
  std::vector<std::string> connected() {
    const std::lock_guard lock(mutex_);
    return connected_;
  }
  std::vector<client::Error> lost() {
    const std::lock_guard lock(mutex_);
    return lost_;
  }
  client::Error end() {
    const std::lock_guard lock(mutex_);
    return ended_.at(0);
  }

 private:
  template <class T>
  void note(std::vector<T>& list, const T& what) {
    const std::lock_guard lock(mutex_);
    list.push_back(what);
    changed_.notify_all();
  }
  template <class Done>
  bool wait(Done done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), done);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Texts updates_;
  std::vector<std::uint64_t> bookmarks_;
  std::vector<std::string> connected_;
  std::vector<client::Error> lost_;
  std::vector<client::Error> ended_;
};

inline Client make_client(std::vector<std::string> addresses) {
  client::Options options;
  options.addresses = std::move(addresses);
  options.tls = std::nullopt;
  auto client = Client::create(std::move(options));
  REQUIRE(client);
  return std::move(*client);
}

inline client::Listener listen(Client& client, Told& told, client::ListenOptions options) {
  if (options.topics.empty()) options.topics = {{"s", std::nullopt}};
  auto listener = client.listen(std::move(options), told.handlers());
  REQUIRE(listener);
  return std::move(*listener);
}

}  // namespace iris::test
