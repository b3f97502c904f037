// WriteLoad: writes that never stop while a server stops. Each that is answered is followed by the
// next, until the connection breaks.
// One thread for what is public; gRPC's threads call back.
#pragma once

#include <grpcpp/channel.h>

#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proto/iris.grpc.pb.h"
#include "src/base/trailers.h"
#include "tests/api/server.h"

namespace iris::test {

class WriteLoad {
 public:
  // So many calls at a time, on a connection.
  void add(const std::shared_ptr<grpc::Channel>& channel, std::size_t calls) {
    stubs_.push_back(pb::Iris::NewStub(channel));
    for (std::size_t i = 0; i < calls; ++i) {
      {
        const std::lock_guard lock(mutex_);
        ++open_;
      }
      Call& call = calls_.emplace_back();
      call.stub = stubs_.back().get();
      start(call);
    }
  }
  [[nodiscard]] bool await_done(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return done_ >= count; });
  }
  // Once every connection is broken: the answers that a stop must not give, and how often each
  // came.
  [[nodiscard]] std::string await_end() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(30), [&] { return open_ == 0; })) {
      return std::to_string(open_) + " calls are not over";
    }
    std::string text;
    for (const auto& [answer, count] : wrong_) text += answer + " (" + std::to_string(count) + ") ";
    return text;
  }

 private:
  struct Call {
    pb::Iris::Stub* stub = nullptr;
    std::unique_ptr<grpc::ClientContext> context;
    pb::SetValueRequest request;
    pb::SetValueResponse response;
  };

  void start(Call& call) {
    call.context = context();
    call.request.set_source("s");
    call.request.set_key("k");
    call.stub->async()->SetValue(call.context.get(), &call.request, &call.response,
                                 [this, &call](const grpc::Status& status) { end(call, status); });
  }
  void end(Call& call, const grpc::Status& status) {
    const bool not_done = trailer(*call.context, trailer_not_done) == "1";
    const bool broken = !status.ok() && !not_done;
    {
      const std::lock_guard lock(mutex_);
      if (status.ok()) ++done_;
      const bool right =
          status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE ||
          status.error_message().rfind("the outcome is unknown, it may have been done", 0) == 0;
      if (!right) ++wrong_[std::to_string(status.error_code()) + ": " + status.error_message()];
      if (broken) --open_;
      changed_.notify_all();
    }
    if (!broken) start(call);
  }

  std::vector<std::unique_ptr<pb::Iris::Stub>> stubs_;
  std::list<Call> calls_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t done_ = 0;
  std::size_t open_ = 0;
  std::map<std::string, std::size_t> wrong_;
};

}  // namespace iris::test
