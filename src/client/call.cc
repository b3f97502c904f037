#include "src/client/call.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "src/base/trailers.h"
#include "src/client/verdict.h"

namespace iris::client {
namespace {

using std::chrono::milliseconds;

// With several nodes, an attempt that may be repeated gets half of the time that is left, so that a
// node that says nothing does not use it up.
constexpr milliseconds attempt_min{250};
// A write is not tried again so late that its answer could not come in time: its outcome would be
// unknown for nothing.
constexpr milliseconds write_again_min{50};

milliseconds attempt_time(const CallPlan& plan, milliseconds left, bool others) {
  if (plan.repeat == Repeat::unless_unknown || !others) return left;
  return std::min(left, std::max(left / 2, attempt_min));
}

// The reason for people. Where gRPC itself refused a request for its size, the flag is added, as
// the node would name it.
std::string words_of(const grpc::Status& status) {
  const std::string& said = status.error_message();
  // Only gRPC's own text means that the time is over: a node answers the same code with a reason.
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && said == "Deadline Exceeded") {
    return "no answer in time";
  }
  if (said.starts_with("Received message larger than max")) {
    return "the request is longer than a node takes (server flag -max-value-bytes): " + said;
  }
  return said;
}

std::string seconds_text(milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s"
                                  : std::to_string(time.count()) + " ms";
}

}  // namespace

std::optional<Error> call(Pool& pool, const CallPlan& plan, const Attempt& attempt) {
  const auto deadline = Clock::now() + plan.timeout;
  const bool others = plan.only == nullptr && pool.size() > 1;
  std::string last;  // what the last node that was asked said
  while (true) {
    const auto* stop = plan.abort != nullptr ? &plan.abort->flag() : nullptr;
    const bool again = !last.empty() && plan.repeat == Repeat::unless_unknown;
    Node* node = pool.pick(again ? deadline - write_again_min : deadline, stop, plan.only);
    if (node == nullptr) {
      if (stop != nullptr && stop->load()) return Error{Code::not_done, "stopped"};
      Error error = pool.why(plan.only);
      if (!last.empty()) error = {Code::not_done, last};
      if (error.code == Code::not_done) {
        error.text =
            "no node took the call within " + seconds_text(plan.timeout) + ": " + error.text;
      }
      return error;
    }
    const auto left =
        std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(1));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + attempt_time(plan, left, others));
    if (plan.abort != nullptr && !plan.abort->begin(context)) {
      return Error{Code::not_done, "stopped"};
    }
    const grpc::Status status = attempt(*node, context);
    if (plan.abort != nullptr) plan.abort->end();

    const auto& trailers = context.GetServerTrailingMetadata();
    const Verdict verdict = judge(status, trailers.find(trailer_not_done) != trailers.end());
    if (verdict.kind == Verdict::Kind::done) {
      pool.answered(*node);
      return std::nullopt;
    }
    last = words_of(status) + " (" + node->address + ")";
    if (verdict.kind == Verdict::Kind::final) {
      pool.answered(*node);
      return Error{verdict.code, last};
    }
    pool.failed(*node);
    if (verdict.kind == Verdict::Kind::unknown && plan.repeat == Repeat::unless_unknown) {
      // Some nodes' own reasons contain the words already.
      const bool said = last.find("outcome is unknown") != std::string::npos;
      return Error{Code::unknown,
                   (said ? "" : "the outcome is unknown, it may have been done: ") + last};
    }
  }
}

}  // namespace iris::client
