// Sessions: Connect, and the four calls that change what a session hears of.
#include <sys/random.h>

#include <array>

#include "src/api/context.h"
#include "src/machine/machine.h"

namespace iris {
namespace {

constexpr CallLimits call_limits = {.ahead = 32, .open_max = 4'000};
constexpr std::size_t session_bytes = 10;  // 20 hex digits, as sessions have always looked

std::string new_session() {
  std::array<unsigned char, session_bytes> bytes{};
  // Never fails for so few bytes once the system is up.
  CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  std::string session;
  for (const unsigned char byte : bytes) {
    session += "0123456789ABCDEF"[byte / 16];
    session += "0123456789ABCDEF"[byte % 16];
  }
  return session;
}

template <class Request>
Status check_session_and_source(const Limits& names, const Request& request) {
  if (Status right = check_name(names, "session", request.session()); !right) return right;
  return check_name(names, "source", request.source());
}

// Subscribe and Unsubscribe of a whole source. What was not subscribed is answered empty.
template <class Command, class Call>
void change_source(ApiContext& api, Call& call) {
  const auto& request = call.request;
  if (const Status right = check_session_and_source(api.options.limits, request); !right) {
    return refuse(api, call, right.error());
  }
  submit(api, call, Command{request.session(), request.source(), std::nullopt},
         [](Call& done, const Outcome& outcome) {
           if (std::is_same_v<Command, Unsubscribe> && !outcome.changed) return;
           done.response.set_source(done.request.source());
         });
}

// The same of one key.
template <class Command, class Call>
void change_key(ApiContext& api, Call& call) {
  const auto& request = call.request;
  const Limits& names = api.options.limits;
  if (const Status right = check_session_and_source(names, request); !right) {
    return refuse(api, call, right.error());
  }
  if (const Status right = check_name(names, "key", request.key()); !right) {
    return refuse(api, call, right.error());
  }
  submit(api, call, Command{request.session(), request.source(), request.key()},
         [](Call& done, const Outcome& outcome) {
           if (std::is_same_v<Command, Unsubscribe> && !outcome.changed) return;
           done.response.set_source(done.request.source());
           done.response.set_key(done.request.key());
         });
}

}  // namespace

void add_session_calls(ApiContext& api) {
  using ConnectCall = UnaryCall<pb::ConnectRequest, pb::ConnectResponse>;
  using SubscribeCall = UnaryCall<pb::SubscribeRequest, pb::SubscribeResponse>;
  using SubscribeKeyCall = UnaryCall<pb::SubscribeKeyRequest, pb::SubscribeKeyResponse>;
  using UnsubscribeCall = UnaryCall<pb::UnsubscribeRequest, pb::UnsubscribeResponse>;
  using UnsubscribeKeyCall = UnaryCall<pb::UnsubscribeKeyRequest, pb::UnsubscribeKeyResponse>;
  add_unary<ConnectCall>(api, api.iris, call_limits, [](ApiContext&, ConnectCall& call) {
    call.response.set_session(new_session());
    call.finish();
  });
  add_unary<SubscribeCall>(api, api.iris, call_limits, change_source<Subscribe, SubscribeCall>);
  add_unary<SubscribeKeyCall>(api, api.iris, call_limits, change_key<Subscribe, SubscribeKeyCall>);
  add_unary<UnsubscribeCall>(api, api.iris, call_limits,
                             change_source<Unsubscribe, UnsubscribeCall>);
  add_unary<UnsubscribeKeyCall>(api, api.iris, call_limits,
                                change_key<Unsubscribe, UnsubscribeKeyCall>);
}

}  // namespace iris
