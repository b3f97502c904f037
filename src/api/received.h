// Received: a request as its client sent it, right or not; ReceivingService: a service of generated
// code that hands out calls with such requests. gRPC itself answers bytes that do not parse, or a
// name that is not UTF-8, with INTERNAL, and the service never hears of the call. Here the call
// arrives, and is refused by a sentence like any other bad request.
// Any thread.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>

#include "raft/result.h"

namespace iris {

template <class Message>
struct Received {
  Message message;
  bool parsed = true;  // else `message` has what was read before the fault
};

// Errc::invalid_argument naming the field that is not UTF-8, or else the message that was expected.
[[nodiscard]] Error parse_error(const google::protobuf::Message& message);

// Number of the method that takes this request, in its service. REQUIRES: one method does.
[[nodiscard]] int method_index(const google::protobuf::Descriptor& request);

// `Base` is the generated service with its methods marked as asynchronous.
template <class Base>
class ReceivingService final : public Base {
 public:
  template <class Request, class Response>
  void ask(grpc::ServerContext* context, Received<Request>* request,
           grpc::ServerAsyncResponseWriter<Response>* writer, grpc::ServerCompletionQueue* queue,
           void* tag) {
    static const int index = method_index(*Request::descriptor());
    this->RequestAsyncUnary(index, context, request, writer, queue, queue, tag);
  }
  template <class Request, class Row>
  void ask(grpc::ServerContext* context, Received<Request>* request,
           grpc::ServerAsyncWriter<Row>* writer, grpc::ServerCompletionQueue* queue, void* tag) {
    static const int index = method_index(*Request::descriptor());
    this->RequestAsyncServerStreaming(index, context, request, writer, queue, queue, tag);
  }
};

}  // namespace iris

namespace grpc {

template <class Message>
class SerializationTraits<iris::Received<Message>> {
 public:
  static Status Deserialize(ByteBuffer* bytes, iris::Received<Message>* to) {
    to->parsed = SerializationTraits<Message>::Deserialize(bytes, &to->message).ok();
    return {};
  }
};

}  // namespace grpc
