#include "src/discovery/formation.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "proto/iris.grpc.pb.h"
#include "raft/check.h"
#include "src/base/address.h"
#include "src/base/log.h"
#include "src/base/reason.h"

namespace iris {
namespace {

using Milliseconds = std::chrono::milliseconds;

// The answer of one target.
struct Answer {
  // `waiting`: it belongs to a cluster that has not reached it yet, and can admit nobody.
  // `old`: an Iris that knows nothing of the service Cluster.
  enum class Kind { nobody, self, empty, waiting, member, old } kind = Kind::nobody;
  std::string id;    // where somebody answered
  std::string text;  // why it cannot be joined, where there is more to say
};

// Of answers none of which admitted this node.
Neighbours neighbours(const std::vector<Answer>& answers) {
  bool all_empty = true;
  for (const Answer& answer : answers) {
    if (answer.kind == Answer::Kind::old || answer.kind == Answer::Kind::member) {
      return Neighbours::unjoinable;
    }
    all_empty =
        all_empty && (answer.kind == Answer::Kind::empty || answer.kind == Answer::Kind::self);
  }
  return all_empty ? Neighbours::empty : Neighbours::unknown;
}

}  // namespace

struct Formation::State {
  State(FormationOptions given, FormationHooks hooks_given)
      : options(std::move(given)),
        hooks(std::move(hooks_given)),
        own_address(grpc_address(options.raft_address)),
        credentials(options.credentials) {}

  // --- On the thread.
  void work();
  void round();
  Answer probe(const std::string& target);
  // True: admitted.
  bool join(const std::string& target);
  void weigh(const std::vector<Answer>& answers, std::size_t wanted);
  // Says what came of a target, where that is news or was not said for a while.
  void tell(const std::string& target, const std::string& text);
  template <class Call>
  grpc::Status call(std::uint32_t timeout_ms, Call with_context);
  std::shared_ptr<grpc::Channel> channel(const std::string& target);
  // False: stopped meanwhile. Cut short by new targets where it is between two rounds.
  enum class Pause { between_rounds, for_leader };
  bool pause(Milliseconds time, Pause what);

  const FormationOptions options;
  const FormationHooks hooks;
  const std::string own_address;  // of gRPC
  std::thread thread;

  std::mutex mutex;
  std::condition_variable changed;
  // Under mutex.
  std::vector<std::string> targets;
  std::size_t expect = 0;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  bool news = false;  // targets or credentials that no round has seen
  bool stopped = false;
  grpc::ClientContext* under_way = nullptr;

  // The thread's own.
  std::map<std::string, std::pair<std::string, std::chrono::steady_clock::time_point>> told;
  std::set<std::string> agreed;  // ids seen empty in the last round, where founding was in order
  std::mt19937_64 random{std::random_device{}()};
};

template <class Call>
grpc::Status Formation::State::call(std::uint32_t timeout_ms, Call with_context) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Milliseconds(timeout_ms));
  {
    const std::lock_guard lock(mutex);
    if (stopped) return grpc::Status::CANCELLED;
    under_way = &context;
  }
  grpc::Status status = with_context(&context);
  const std::lock_guard lock(mutex);
  under_way = nullptr;
  return status;
}

std::shared_ptr<grpc::Channel> Formation::State::channel(const std::string& target) {
  std::shared_ptr<grpc::ChannelCredentials> now;
  {
    const std::lock_guard lock(mutex);
    now = credentials;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // or gRPC's own back-off is in the way
  // Without $https_proxy: the leader dials back, and nodes talk, without one. A cluster behind a
  // proxy cannot be joined.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (now) arguments.SetSslTargetNameOverride(options.server_name);
  return grpc::CreateCustomChannel(target, now ? now : grpc::InsecureChannelCredentials(),
                                   arguments);
}

bool Formation::State::pause(Milliseconds time, Pause what) {
  std::unique_lock lock(mutex);
  changed.wait_for(lock, time, [&] { return stopped || (news && what == Pause::between_rounds); });
  return !stopped;
}

void Formation::State::tell(const std::string& target, const std::string& text) {
  constexpr auto repeat = std::chrono::seconds(30);
  const auto now = std::chrono::steady_clock::now();
  auto& [last, when] = told[target];
  if (last == text && now - when < repeat) return;
  last = text;
  when = now;
  log(LogLevel::warn, "not in a cluster yet, trying on", {{"target", target}, {"reason", text}});
}

Answer Formation::State::probe(const std::string& target) {
  const std::string own_id = hex_id(options.self.value);
  // Not every network leads a node's own address back to it.
  if (target == own_address) return {Answer::Kind::self, own_id, ""};
  const auto stub = pb::Cluster::NewStub(channel(target));
  pb::StatusResponse response;
  const grpc::Status status = call(options.probe_ms_max, [&](grpc::ClientContext* context) {
    return stub->Status(context, {}, &response);
  });
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return {Answer::Kind::old, "",
            "an Iris of 2017 serves there: it cannot be joined, nor can its data be taken over by "
            "joining; this node waits until it is gone"};
  }
  if (!status.ok()) {
    return {Answer::Kind::nobody, "",
            "it does not answer: " + client::plain_reason(status.error_message())};
  }
  if (response.id() == own_id) return {Answer::Kind::self, own_id, ""};
  // A node that is founding a cluster has voters before it has the id of its cluster (two syncs of
  // its disk); a node that was just admitted has the id first.
  if (response.voters() > 0) return {Answer::Kind::member, response.id(), ""};
  if (response.cluster_id().empty()) {
    return {Answer::Kind::empty, response.id(), "it belongs to no cluster itself"};
  }
  return {Answer::Kind::waiting, response.id(), "it waits for the cluster that admitted it"};
}

bool Formation::State::join(const std::string& target) {
  const auto stub = pb::Iris::NewStub(channel(target));
  pb::JoinRequest request;
  request.set_address(options.raft_address);
  pb::JoinResponse response;
  const grpc::Status status = call(options.join_ms_max, [&](grpc::ClientContext* context) {
    return stub->Join(context, request, &response);
  });
  if (!status.ok()) tell(target, "the join was refused: " + status.error_message());
  return status.ok();
}

void Formation::State::round() {
  std::vector<std::string> now;
  std::size_t wanted = 0;
  {
    const std::lock_guard lock(mutex);
    now = targets;
    wanted = expect;
    if (std::exchange(news, false)) agreed.clear();
  }
  std::vector<Answer> answers;
  for (const std::string& target : now) {
    Answer answer = probe(target);
    const bool may_found = answer.kind == Answer::Kind::empty && wanted > 0;
    if (!answer.text.empty() && !may_found) tell(target, answer.text);
    if (answer.kind == Answer::Kind::self && wanted == 0 && now.size() == 1) {
      tell(target, "that is this very node");
    }
    if (answer.kind == Answer::Kind::member && join(target)) {
      log(LogLevel::info, "admitted to a cluster", {{"by", target}});
      agreed.clear();
      // Its leader calls soon; if not, this was the wrong address, and is said again.
      if (!pause(Milliseconds(options.join_ms_max), Pause::for_leader)) return;
      tell(target, "admitted, but no member has reached this node at " + options.raft_address +
                       " (flag -advertise says how others reach it)");
      return;
    }
    answers.push_back(std::move(answer));
  }
  if (wanted > 0) weigh(answers, wanted);
  const std::lock_guard lock(mutex);
  if (stopped || !hooks.looked) return;
  hooks.post([looked = hooks.looked, now = std::move(now), found = neighbours(answers)] {
    looked(now, found);
  });
}

// Decides whether this node founds the cluster.
void Formation::State::weigh(const std::vector<Answer>& answers, std::size_t wanted) {
  std::set<std::string> empty = {hex_id(options.self.value)};
  for (const Answer& answer : answers) {
    if (answer.kind == Answer::Kind::empty) {
      empty.insert(answer.id);
    } else if (answer.kind != Answer::Kind::self) {
      agreed.clear();
      return;  // it may be, or know, a cluster
    }
  }
  const bool least = *empty.begin() == hex_id(options.self.value);
  if (empty.size() != wanted || !least) {
    if (empty.size() != wanted) {
      tell(options.counted_by,
           std::to_string(empty.size()) + " of " + std::to_string(wanted) + " nodes are there");
    }
    agreed.clear();
    return;
  }
  if (empty.size() > 1 && agreed != empty) {
    agreed = empty;
    return;
  }
  const std::lock_guard lock(mutex);
  if (std::exchange(stopped, true)) return;
  hooks.post(hooks.found);
}

void Formation::State::work() {
  std::uint64_t wait_ms = options.round_ms_min;
  while (true) {
    round();
    std::uniform_int_distribution<std::uint64_t> jitter(wait_ms / 2, wait_ms);
    if (!pause(Milliseconds(jitter(random)), Pause::between_rounds)) return;
    std::uint64_t most = options.round_ms_max;
    {
      const std::lock_guard lock(mutex);
      if (expect > 0) most = std::min(most, std::uint64_t{options.founding_round_ms_max});
    }
    wait_ms = std::min<std::uint64_t>(2 * wait_ms, most);
  }
}

Formation::Formation(FormationOptions options, FormationHooks hooks)
    : state_(std::make_unique<State>(std::move(options), std::move(hooks))) {
  CHECK(state_->hooks.post && state_->hooks.found);
}

Formation::~Formation() {
  stop();
  if (state_->thread.joinable()) state_->thread.join();
}

void Formation::set_targets(std::vector<std::string> targets, std::size_t expect) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->targets != targets || state_->expect != expect) state_->news = true;
    state_->targets = std::move(targets);
    state_->expect = expect;
    state_->changed.notify_all();
  }
  if (!state_->thread.joinable()) {
    state_->thread = std::thread([state = state_.get()] { state->work(); });
  }
}

void Formation::set_credentials(std::shared_ptr<grpc::ChannelCredentials> credentials) {
  const std::lock_guard lock(state_->mutex);
  state_->credentials = std::move(credentials);
  state_->news = true;
  state_->changed.notify_all();
}

void Formation::stop() {
  const std::lock_guard lock(state_->mutex);
  state_->stopped = true;
  if (state_->under_way != nullptr) state_->under_way->TryCancel();
  state_->changed.notify_all();
}

}  // namespace iris
