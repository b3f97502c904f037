// Values: SetValue, GetValue, RemoveValue, RemoveSource. The busy path: a value is moved from the
// request into the command and on into the answer, never copied for it.
#include <optional>
#include <utility>

#include "src/api/context.h"
#include "src/machine/machine.h"

namespace iris {
namespace {

using SetValueCall = UnaryCall<pb::SetValueRequest, pb::SetValueResponse>;
using GetValueCall = UnaryCall<pb::GetValueRequest, pb::GetValueResponse>;
using RemoveValueCall = UnaryCall<pb::RemoveValueRequest, pb::RemoveValueResponse>;
using RemoveSourceCall = UnaryCall<pb::RemoveSourceRequest, pb::RemoveSourceResponse>;

// Measured: 200 calls asked for ahead carry half as much again as one.
constexpr CallLimits busy = {.ahead = 200, .open_max = 16'384};
constexpr CallLimits rare = {.ahead = 32, .open_max = 4'000};

template <class Request>
Status check_names(const Limits& limits, const Request& request) {
  if (Status right = check_optional_name(limits, "session", request.session()); !right) {
    return right;
  }
  return check_name(limits, "source", request.source());
}

template <class Request>
Status check_names_and_key(const Limits& limits, const Request& request) {
  if (Status right = check_names(limits, request); !right) return right;
  return check_name(limits, "key", request.key());
}

void set_value(ApiContext& api, SetValueCall& call) {
  auto& request = call.request;
  const Limits& limits = api.options.limits;
  if (const Status right = check_names_and_key(limits, request); !right) {
    return refuse(api, call, right.error());
  }
  if (const Status right = check_value(limits, request.source(), request.key(), request.value());
      !right) {
    return refuse(api, call, right.error());
  }
  Operation operation =
      SetValue{std::move(*request.mutable_source()), std::move(*request.mutable_key()),
               std::move(*request.mutable_value()), std::nullopt};
  auto& set = std::get<SetValue>(operation);
  if (request.has_if_revision()) set.if_revision = request.if_revision();
  submit(api, call, operation, [](SetValueCall& done, const Outcome& outcome) {
    done.response.set_revision(outcome.revision);
  });
  call.response.set_value(std::move(set.value));  // the answer repeats it
}

void fill(pb::GetValueResponse& response, store::Found found, Value& value) {
  CHECK(found != store::Found::incomplete);
  if (found == store::Found::no) return;  // as ever: OK and empty
  response.set_found(true);
  response.set_value(std::move(value.bytes));
  response.set_revision(value.revision);
}

void finish_get(ApiContext& api, GetValueCall& call) {
  if (const Status may = call.may_answer(call.response.value().size()); !may) {
    pb::GetValueResponse().Swap(&call.response);  // many may be refused before one is gone
    return refuse(api, call, may.error());
  }
  call.finish();
}

// The state is new enough: from memory if it is there, else on the read lane.
void answer_get(ApiContext& api, GetValueCall& call) {
  if (const Status may = call.may_read(); !may) return refuse(api, call, may.error());
  const auto& request = call.request;
  Value value;
  const auto found = get_value(api.store.cached(), request.source(), request.key(), value);
  if (found != store::Found::incomplete) {
    fill(call.response, found, value);
    return finish_get(api, call);
  }
  api.store.read(
      [&call](const store::View& view) {
        Value read;
        const auto there = get_value(view, call.request.source(), call.request.key(), read);
        fill(call.response, there, read);
      },
      [&api, &call] { finish_get(api, call); });
}

void get_value_call(ApiContext& api, GetValueCall& call) {
  const auto& request = call.request;
  if (const Status right = check_names_and_key(api.options.limits, request); !right) {
    return refuse(api, call, right.error());
  }
  const auto consistency = consistency_of(request);
  if (!consistency) return refuse(api, call, consistency.error());
  api.node.read(
      *consistency, request.min_revision(), call.remaining_ms(),
      [&api, &call](const Status& ready) {
        if (!ready) return refuse(api, call, ready.error());
        answer_get(api, call);
      },
      &call.waiting);
}

void remove_value(ApiContext& api, RemoveValueCall& call) {
  auto& request = call.request;
  if (const Status right = check_names_and_key(api.options.limits, request); !right) {
    return refuse(api, call, right.error());
  }
  RemoveValue command{request.source(), request.key(), std::nullopt};
  if (request.has_if_revision()) command.if_revision = request.if_revision();
  submit(api, call, command, [](RemoveValueCall& done, const Outcome& outcome) {
    done.response.set_session(done.request.session());
    done.response.set_source(done.request.source());
    done.response.set_key(done.request.key());
    done.response.set_revision(outcome.revision);
  });
}

void remove_source(ApiContext& api, RemoveSourceCall& call) {
  auto& request = call.request;
  if (const Status right = check_names(api.options.limits, request); !right) {
    return refuse(api, call, right.error());
  }
  submit(api, call, RemoveSource{request.source()},
         [](RemoveSourceCall& done, const Outcome& outcome) {
           done.response.set_session(done.request.session());
           done.response.set_source(done.request.source());
           done.response.set_revision(outcome.revision);
         });
}

}  // namespace

void add_value_calls(ApiContext& api) {
  add_unary<SetValueCall>(api, api.iris, busy, set_value);
  add_unary<GetValueCall>(api, api.iris, busy, get_value_call);
  add_unary<RemoveValueCall>(api, api.iris, rare, remove_value);
  add_unary<RemoveSourceCall>(api, api.iris, rare, remove_source);
}

}  // namespace iris
