// Client::State: what the calls of a client share: its options, the pool of nodes, and how a call
// is made of a plan. Any thread. Private to the library.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "src/base/utf8.h"
#include "src/client/call.h"
#include "src/client/client.h"
#include "src/client/credentials.h"
#include "src/client/pool.h"

namespace iris {

namespace client {

inline pb::Iris::Stub& stub_of(Node& node, pb::Iris::Stub*) { return *node.iris; }
inline pb::Cluster::Stub& stub_of(Node& node, pb::Cluster::Stub*) { return *node.cluster; }

struct Name {
  const char* field;
  const std::string& text;
};

// Strings of protobuf are UTF-8: a node could not parse a message with any other bytes in one.
[[nodiscard]] inline std::optional<Error> objection(std::initializer_list<Name> names) {
  for (const auto& [field, text] : names) {
    if (is_utf8(text)) continue;
    return Error{Code::invalid_argument, std::string(field) + " is not valid UTF-8"};
  }
  return std::nullopt;
}

}  // namespace client

struct Client::State {
  client::Options options;
  std::shared_ptr<client::Pool> pool;

  [[nodiscard]] client::CallPlan plan(client::Repeat repeat,
                                      std::chrono::milliseconds timeout) const {
    return {repeat, timeout.count() > 0 ? timeout : options.timeout};
  }
  [[nodiscard]] client::CallPlan read(std::chrono::milliseconds timeout) const {
    return plan(client::Repeat::always, timeout);
  }
  [[nodiscard]] client::CallPlan write(std::chrono::milliseconds timeout) const {
    return plan(client::Repeat::unless_unknown, timeout);
  }
  // A read from one address; from any where it is empty.
  [[nodiscard]] client::Result<client::CallPlan> read_at(const std::string& address,
                                                         std::chrono::milliseconds timeout) const {
    client::CallPlan made = read(timeout);
    if (address.empty()) return made;
    const auto dialled = client::dialled_address(address);
    if (!dialled) return dialled.error();
    made.only = pool->find(*dialled);
    if (made.only == nullptr) {
      return client::Error{client::Code::invalid_argument,
                           address + " is none of this client's addresses"};
    }
    return made;
  }

  // A unary call by a method of one of the two stubs.
  template <class Stub, class Request, class Response>
  [[nodiscard]] std::optional<client::Error> ask(const client::CallPlan& made,
                                                 grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                              const Request&,
                                                                              Response*),
                                                 const Request& request, Response& response) const {
    return client::call(*pool, made, [&](client::Node& node, grpc::ClientContext& context) {
      Stub& stub = client::stub_of(node, static_cast<Stub*>(nullptr));
      return (stub.*method)(&context, request, &response);
    });
  }
};

}  // namespace iris
