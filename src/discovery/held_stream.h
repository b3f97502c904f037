// HeldStream: the Connect stream by which Stela knows that a client lives. One thread, which waits
// for its end for a while at a time. Owns the call and its queue; ended at the latest by its
// destructor.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>

#include "proto/stela.grpc.pb.h"
#include "raft/check.h"

namespace iris {

class HeldStream {
 public:
  HeldStream(stela::pb::Stela::Stub& stub, const stela::pb::ConnectRequest& request)
      : reader_(stub.AsyncConnect(&context_, request, &events_, this)) {}
  ~HeldStream() {
    static_cast<void>(finish());
    events_.Shutdown();
    void* tag = nullptr;
    bool good = false;
    while (events_.Next(&tag, &good)) {
    }
  }
  HeldStream(const HeldStream&) = delete;
  HeldStream& operator=(const HeldStream&) = delete;

  [[nodiscard]] grpc::ClientContext& context() { return context_; }
  [[nodiscard]] bool ended_within(std::chrono::milliseconds time) {
    const auto until = std::chrono::system_clock::now() + time;
    void* tag = nullptr;
    bool good = false;
    while (!ended_) {
      const auto next = events_.AsyncNext(&tag, &good, until);
      if (next == grpc::CompletionQueue::TIMEOUT) return false;
      CHECK(next == grpc::CompletionQueue::GOT_EVENT);
      if (good) {
        reader_->Read(&news_, this);  // of other services: not ours to follow
      } else {
        ended_ = true;
      }
    }
    return true;
  }
  // Ends it where it has not ended, and says why it has.
  grpc::Status finish() {
    if (finished_) return *finished_;
    context_.TryCancel();
    while (!ended_within(std::chrono::seconds(2))) {
    }
    grpc::Status status;
    void* tag = nullptr;
    bool good = false;
    reader_->Finish(&status, this);
    CHECK(events_.Next(&tag, &good));
    finished_ = status;
    return status;
  }

 private:
  grpc::ClientContext context_;
  grpc::CompletionQueue events_;
  stela::pb::ServiceMessage news_;
  std::unique_ptr<grpc::ClientAsyncReader<stela::pb::ServiceMessage>> reader_;
  bool ended_ = false;
  std::optional<grpc::Status> finished_;
};

}  // namespace iris
