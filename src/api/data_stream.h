// DataStream: what lists and backups have in common: an answer in many messages that holds one
// state of the data and reads it piece by piece, the next piece when the client has taken the last.
// So one piece is in memory, however slow the client is. A client that takes nothing for
// ApiOptions::answer_stall_ms is broken off, since a held state keeps old files on the disk.
// Loop thread. The derived class owns the held state.
#pragma once

#include <utility>

#include "src/api/context.h"

namespace iris {

template <class Request, class Row>
class DataStream : public StreamHandler<Request, Row> {
 public:
  using Call = StreamCall<Request, Row>;

 protected:
  DataStream(ApiContext& api, Call& call) : api_(api), call_(call) { ++api_.open_answers; }
  ~DataStream() override { --api_.open_answers; }

  // The row given to write() is gone: writes or reads the next, or ends the call.
  virtual void next() = 0;
  // Lets go of the held state.
  virtual void release() = 0;

  // Makes a callback, for the node or the read lane, that goes on with `then` where the client is
  // still there. One may be waited for at a time.
  template <class Then>
  [[nodiscard]] auto awaited(Then then) {
    waiting_ = true;
    return [this, then = std::move(then)]<class... Result>(Result&&... result) {
      waiting_ = false;
      if (gone_) return give_up();
      then(std::forward<Result>(result)...);
    };
  }
  void end(const grpc::Status& status = grpc::Status::OK) {
    release();
    call_.finish(status);
  }
  void end(const Error& error) {
    release();
    refuse(api_, call_, error);
  }

  ApiContext& api_;
  Call& call_;
  WaitingCall waiting_in_node_;

 private:
  void written(bool ok) override {
    if (!ok) return give_up();
    next();
  }

  void cancelled() override {
    gone_ = true;
    CHECK(waiting_);  // the awaited answer ends the call
    api_.node.abandon(waiting_in_node_);
  }

  void give_up() { end({grpc::StatusCode::CANCELLED, "the client went away, or did not read"}); }

  bool waiting_ = false;
  bool gone_ = false;  // the client, while something was waited for
};

}  // namespace iris
