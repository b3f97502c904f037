#include "src/api/errors.h"

#include "raft/check.h"
#include "src/machine/machine.h"

namespace iris {

bool not_done(Errc code) {
  return code == Errc::not_leader || code == Errc::unavailable || code == Errc::busy ||
         code == Errc::limit;
}

grpc::Status to_grpc(const Error& error) {
  using grpc::StatusCode;
  switch (error.code) {
    case Errc::invalid_argument:
      return {StatusCode::INVALID_ARGUMENT, error.text};
    case Errc::not_found:
      return {StatusCode::NOT_FOUND, error.text};
    case Errc::condition_failed:
      return {StatusCode::ABORTED, error.text};
    case Errc::limit:
      return {StatusCode::RESOURCE_EXHAUSTED, error.text};
    case Errc::not_leader:
    case Errc::unavailable:
    case Errc::busy:
      return {StatusCode::UNAVAILABLE, error.text};
    case Errc::unknown_outcome:
      return {StatusCode::DEADLINE_EXCEEDED,
              "the outcome is unknown, it may have been done: " + error.text};
    case Errc::refused:
      return {StatusCode::FAILED_PRECONDITION, error.text};
    case Errc::io:
      return {StatusCode::UNAVAILABLE, error.text};
    case Errc::corrupt:
      return {StatusCode::DATA_LOSS, error.text};
    case Errc::unimplemented:
      return {StatusCode::UNIMPLEMENTED, error.text};
  }
  CHECK(false);
}

std::optional<Error> objection(const Outcome& outcome) {
  switch (outcome.code) {
    case Outcome::Code::done:
      return std::nullopt;
    case Outcome::Code::condition_failed:
      return Error{Errc::condition_failed,
                   outcome.revision == 0 ? "if_revision did not hold: there is no such key"
                                         : "if_revision did not hold: the value's revision is " +
                                               std::to_string(outcome.revision)};
    case Outcome::Code::limit:
      return Error{Errc::limit, "at most " + std::to_string(sessions_max) + " sessions, and " +
                                    std::to_string(subscriptions_per_session_max) +
                                    " subscriptions in one with " +
                                    std::to_string(subscription_bytes_per_session_max >> 20) +
                                    " MiB of names, are taken"};
    case Outcome::Code::malformed:
      break;
  }
  return Error{Errc::unimplemented,
               "the cluster does not understand this command; do all nodes run the same version?"};
}

}  // namespace iris
