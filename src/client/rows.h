// read_rows(): the rows of a list, to the end of their stream. Blocks the thread that calls; owns
// its queue.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

#include "raft/check.h"

namespace iris::client {

// `prepare(queue)` makes the reader of the stream, `take(row)` has each row. The node has until the
// context's own deadline for its first row, as for any answer. Once it has begun, `deadline` counts
// alone: else a list that takes longer than one attempt would be begun anew for ever.
template <class Row, class Prepare, class Take>
[[nodiscard]] grpc::Status read_rows(grpc::ClientContext& context,
                                     std::chrono::system_clock::time_point deadline,
                                     Prepare prepare, Take take) {
  const auto first_by = context.deadline();
  context.set_deadline(deadline);
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto await = [&] {
    CHECK(queue.Next(&tag, &ok));
    return ok;
  };
  bool late = false;
  const auto await_first = [&] {
    if (queue.AsyncNext(&tag, &ok, first_by) == grpc::CompletionQueue::GOT_EVENT) return ok;
    late = true;
    context.TryCancel();  // so that what is under way ends now
    return await();
  };
  grpc::Status status;
  {
    const std::unique_ptr<grpc::ClientAsyncReader<Row>> reader = prepare(&queue);
    Row row;
    reader->StartCall(nullptr);
    bool going = await_first();
    if (going) {
      reader->Read(&row, nullptr);
      going = await_first();
    }
    while (going) {
      take(row);
      reader->Read(&row, nullptr);
      going = await();
    }
    reader->Finish(&status, nullptr);
    await();
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  if (late && !status.ok()) return {grpc::StatusCode::DEADLINE_EXCEEDED, "no answer in time"};
  return status;
}

}  // namespace iris::client
