#include "src/client/pool.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "raft/check.h"
#include "src/base/reason.h"

namespace iris::client {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds backoff_min{50};
constexpr milliseconds backoff_max{2'000};
constexpr milliseconds connect_timeout{2'000};  // of one attempt to connect
// The next address is dialled too when this one has not answered in this time.
constexpr milliseconds stagger{150};
// A look at the nodes at least this often while waiting; also the longest delay of a stop.
constexpr milliseconds slice{10};
// A connection that broke while nobody used it is noticed only when somebody polls it. Looking
// costs a millisecond, so only after a pause.
constexpr milliseconds quiet{500};
constexpr milliseconds probe_timeout{300};
constexpr milliseconds keepalive{10'000};
constexpr milliseconds keepalive_timeout{5'000};

std::chrono::system_clock::time_point wall(milliseconds from_now) {
  return std::chrono::system_clock::now() + from_now;
}

grpc::ChannelArguments channel_arguments(const std::string& server_name) {
  grpc::ChannelArguments arguments;
  // Two clients in one process do not share a connection's fate.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(backoff_min.count()));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(connect_timeout.count()));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(backoff_max.count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(keepalive.count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(keepalive_timeout.count()));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Nodes are no web sites: $http_proxy, which gRPC takes even for this host, is not for them.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // No retries by gRPC: src/client/call.cc alone decides which calls are repeated.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // An answer that is too long for us would turn a done write into an error.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
  return arguments;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Our side of TLS said no: it will say so again.
bool refused_by_us(std::string_view text) {
  return contains(text, "Ssl handshake failed") || contains(text, "in peer certificate");
}

// The reason why a channel is down is told only to a call. This one fails at once while it is.
std::string probe(Node& node) {
  grpc::ClientContext context;
  context.set_deadline(wall(probe_timeout));
  pb::StatusResponse response;
  const auto status = node.cluster->Status(&context, {}, &response);
  return status.ok() ? std::string() : status.error_message();
}

}  // namespace

Pool::Pool(const std::vector<std::string>& addresses,
           const std::shared_ptr<grpc::ChannelCredentials>& credentials,
           const std::string& server_name)
    : jitter_(std::random_device{}()) {
  CHECK(!addresses.empty() && addresses.size() <= Options::addresses_max);
  const auto arguments = channel_arguments(server_name);
  for (const auto& address : addresses) {
    auto node = std::make_unique<Node>();
    node->address = address;
    node->channel = grpc::CreateCustomChannel(address, credentials, arguments);
    node->iris = pb::Iris::NewStub(node->channel);
    node->cluster = pb::Cluster::NewStub(node->channel);
    nodes_.push_back(std::move(node));
  }
}

Node* Pool::find(const std::string& address) {
  for (const auto& node : nodes_) {
    if (node->address == address) return node.get();
  }
  return nullptr;
}

Pool::Look Pool::look(Node& node) {
  auto state = node.channel->GetState(true);
  if (state == GRPC_CHANNEL_READY) {
    if (is_quiet(node) && node.channel->WaitForStateChange(state, wall(milliseconds(0)))) {
      state = node.channel->GetState(true);
    }
  }
  switch (state) {
    case GRPC_CHANNEL_READY:
      return Look::ready;
    case GRPC_CHANNEL_TRANSIENT_FAILURE:
      return Look::unreachable;
    default:
      return Look::connecting;
  }
}

// The best of the current node and the first `dialled` that is connected and not passed over. One
// that fell silent only where none of them is connecting.
Node* Pool::choose(Clock::time_point now, std::size_t dialled, Node* only) {
  Node* current = nullptr;
  {
    const std::lock_guard lock(mutex_);
    current = only != nullptr ? only : current_;
  }
  std::vector<Node*> order;
  if (current != nullptr) order.push_back(current);
  for (std::size_t i = 0; i < dialled && only == nullptr; ++i) {
    if (nodes_[i].get() != current) order.push_back(nodes_[i].get());
  }
  Node* silent = nullptr;
  bool connecting = false;
  for (Node* node : order) {
    const Look seen = look(*node);
    connecting = connecting || seen == Look::connecting;
    if (seen != Look::ready) continue;
    const std::lock_guard lock(mutex_);
    if (node->passed_over > now) continue;
    if (node->silent <= now) return node;
    if (silent == nullptr) silent = node;
  }
  return connecting ? nullptr : silent;
}

// Until something changes at a node that is dialled, at most a slice.
void Pool::wait(Clock::time_point until, std::size_t dialled, Node* only) {
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
  const auto deadline = wall(std::clamp(left, milliseconds(1), slice));
  grpc::CompletionQueue queue;
  for (std::size_t i = 0; i < dialled; ++i) {
    Node* node = nodes_[i].get();
    if (only != nullptr && node != only) continue;
    node->channel->NotifyOnStateChange(node->channel->GetState(true), deadline, &queue, node);
  }
  queue.Shutdown();
  void* tag = nullptr;
  bool changed = false;
  while (queue.Next(&tag, &changed)) {
  }
}

bool Pool::refused_everywhere(Node* only) const {
  for (const auto& node : nodes_) {
    if (only != nullptr && node.get() != only) continue;
    if (node->channel->GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE) return false;
    if (!refused_by_us(probe(*node))) return false;
  }
  return true;
}

Node* Pool::pick(Clock::time_point deadline, const std::atomic<bool>* stop, Node* only) {
  const auto start = Clock::now();
  Clock::duration ask_after = stagger;
  while (stop == nullptr || !stop->load(std::memory_order_relaxed)) {
    const auto now = Clock::now();
    if (now >= deadline) return nullptr;
    if (Node* node = choose(now, 0, only); node != nullptr) return node;
    std::size_t dialled = only != nullptr ? nodes_.size() : 1;
    // Everybody who is dialled and down, or slow, lets the next one have a try.
    while (dialled < nodes_.size() &&
           (now - start >= stagger * dialled || look(*nodes_[dialled - 1]) == Look::unreachable ||
            passed_over(*nodes_[dialled - 1], now))) {
      ++dialled;
    }
    if (only == nullptr) {
      if (Node* node = choose(now, dialled, only); node != nullptr) return node;
    }
    // Again and again, ever more rarely: a handshake under way at the first look may be refused
    // later.
    if (now - start >= ask_after) {
      ask_after *= 2;
      if (refused_everywhere(only)) return nullptr;
    }
    wait(deadline, dialled, only);
  }
  return nullptr;
}

// Nobody has looked for a while; now somebody does.
bool Pool::is_quiet(Node& node) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  return now - std::exchange(node.heard, now) > quiet;
}

bool Pool::passed_over(const Node& node, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  return std::max(node.passed_over, node.silent) > now;
}

void Pool::answered(Node& node) {
  const std::lock_guard lock(mutex_);
  node.failures = 0;
  node.passed_over = {};
  node.silent = {};
  node.heard = Clock::now();
  current_ = &node;
}

void Pool::failed(Node& node) {
  const std::lock_guard lock(mutex_);
  pass_over(node);
}

void Pool::fell_silent(Node& node) {
  const std::lock_guard lock(mutex_);
  pass_over(node);
  node.silent = Clock::now() + connect_timeout;
}

// REQUIRES: mutex_ is held.
void Pool::pass_over(Node& node) {
  const auto longest =
      std::min<milliseconds>(backoff_min * (1u << std::min(node.failures, 6u)), backoff_max);
  std::uniform_int_distribution<std::int64_t> spread(longest.count() / 2, longest.count());
  ++node.failures;
  node.passed_over = Clock::now() + milliseconds(spread(jitter_));
  if (current_ == &node) current_ = nullptr;
}

Error Pool::why(const Node* only) const {
  std::string text;
  bool all_refused = true;
  for (const auto& node : nodes_) {
    if (only != nullptr && node.get() != only) continue;
    std::string reason = "does not answer";
    bool refused = false;
    if (node->channel->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
      const std::string said = probe(*node);
      refused = refused_by_us(said) || hung_up(said);
      reason = plain_reason(said);
    }
    all_refused = all_refused && refused;
    text += (text.empty() ? "" : "; ") + node->address + ": " + reason;
  }
  return {all_refused ? Code::refused : Code::not_done, std::move(text)};
}

}  // namespace iris::client
