// Result<T>: a value, or the reason why the world refused. The names are std::expected's, so that
// C++23 can replace it. Errc is the one list of reasons in Iris; src/api maps each to a gRPC code.
// Any thread. Bugs are CHECKs, never Errors; the text of an Error never holds a user's value.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "raft/check.h"

namespace iris {

enum class Errc {
  invalid_argument,  // the request is malformed; the text names the field
  not_found,         // an admin call named what does not exist
  condition_failed,  // if_revision did not hold
  limit,             // a limit was reached; the text names limit and flag
  not_leader,        // not proposed here: safe to retry elsewhere
  unavailable,       // not proposed, no leader known within the deadline: safe to retry
  unknown_outcome,   // proposed, and whether it was or will be applied is not known
  refused,           // a membership change or transfer that must not be done now; says why
  busy,              // one such operation is under way already
  io,                // the disk or the network said no
  corrupt,           // own bytes on disk are damaged; the text names the record
  unimplemented,     // this build does not serve it
};

struct Error {
  Errc code;
  std::string text;  // one sentence for people
};

template <class E>
class unexpected {
 public:
  explicit unexpected(E error) : error_(std::move(error)) {}
  [[nodiscard]] E& error() { return error_; }

 private:
  E error_;
};

[[nodiscard]] inline unexpected<Error> fail(Errc code, std::string text) {
  return unexpected<Error>(Error{code, std::move(text)});
}

template <class T>
class [[nodiscard]] Result {
 public:
  // NOLINTBEGIN(google-explicit-constructor): both convert on purpose, as std::expected
  // does, so that a function returns either as it is.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(unexpected<Error> error) : state_(std::in_place_index<1>, std::move(error.error())) {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // REQUIRES: has_value()
  [[nodiscard]] T& value() {
    CHECK(has_value());
    return std::get<0>(state_);
  }
  [[nodiscard]] const T& value() const {
    CHECK(has_value());
    return std::get<0>(state_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !has_value()
  [[nodiscard]] const Error& error() const {
    CHECK(!has_value());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

struct Unit {
  bool operator==(const Unit&) const = default;
};
using Status = Result<Unit>;

}  // namespace iris
