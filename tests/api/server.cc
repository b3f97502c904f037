#include "tests/api/server.h"

#include "raft/check.h"

namespace iris::test {
namespace {

constexpr raft::NodeId self{0x1111};
constexpr raft::NodeId leader{0x2222};
constexpr raft::ClusterId cluster_id{0x7777};
constexpr std::uint32_t tick_ms = 10;

raft::Members two_voters() {
  return {{{self, "127.0.0.1:2"}, {leader, "leader.example:40001"}}, {}, {}};
}

}  // namespace

class TestServer::Silence final : public Transport {
 public:
  void set_peers(const std::vector<raft::Member>&) override {}
  void send(raft::NodeId, PeerBody) override {}
  void probe(const std::string&, std::function<void(Result<PeerIdentity>)> done) override {
    done(fail(Errc::io, "nobody is there"));
  }
  std::size_t queued_bytes(raft::NodeId) const override { return 0; }
};

TestServer::TestServer(TestServerOptions options) : options_(std::move(options)) {
  disk_ = std::make_unique<sim::ModelDisk>(self, 1);
  disk_->profile = options_.disk;
  const auto schedule = [this](std::uint64_t delay_us, std::function<void()> fn) {
    auto timer = std::make_shared<asio::steady_timer>(loop_, std::chrono::microseconds(delay_us));
    timer->async_wait([timer, fn = std::move(fn)](const asio::error_code&) { fn(); });
  };
  if (options_.cluster == TestServerOptions::Cluster::leaderless) {
    // An earlier run, in which this node became a member.
    sim::ModelStore store(*disk_);
    store.start({[](raft::Ticket) {}, [](const Error&) { CHECK(false); }});
    store.adopt(cluster_id, [] {});
    raft::LogWrite write;
    write.ticket = {1};
    write.state = raft::HardState{{1}, {}};
    write.entries = {std::make_shared<raft::Entry>(raft::Entry{{{1}, {1}}, two_voters()})};
    store.write(std::move(write));
    store.settle();
  }
  store_ = std::make_unique<sim::ModelStore>(*disk_, schedule);
  make_node(options_.cluster);

  ApiOptions api = options_.api;
  api.host = "127.0.0.1";
  api_ = std::make_unique<Api>(loop_, *node_, *store_, *listeners_, std::move(api));
  const Status started = api_->start();
  CHECK(started);
  api_->set_alive(true);
  api_->set_ready(true);
  ticker_.expires_after(std::chrono::milliseconds(tick_ms));
  tick();
  thread_ = std::thread([this] { loop_.run(); });
  channel_ = new_channel();
  iris_ = pb::Iris::NewStub(channel_);
  cluster_ = pb::Cluster::NewStub(channel_);
}

TestServer::~TestServer() {
  if (!stopping_) stop();
  asio::post(loop_, [this] { loop_.stop(); });
  thread_.join();
  api_.reset();
  listeners_.reset();
  store_.reset();
  node_.reset();
}

void TestServer::make_node(TestServerOptions::Cluster cluster) {
  silence_ = std::make_unique<Silence>();
  NodeOptions options;
  options.tick_ms = tick_ms;
  options.raft.election_ticks = 50;
  options.raft.heartbeat_ticks = 5;
  options.address = "127.0.0.1:2";
  options.cluster_seed = cluster_id.value;
  options.disk_reserve_bytes = options_.api.disk_reserve_bytes;
  NodeHooks hooks;
  hooks.schedule_flush = [this] { asio::post(loop_, [this] { node_->flush(); }); };
  hooks.on_applied = [this](const raft::EntryPtr& entry, const Outcome& outcome) {
    listeners_->on_applied(entry, outcome);
  };
  hooks.on_installed = [this](raft::Index index) { listeners_->on_installed(index); };
  hooks.log_kept = [this] { return listeners_->keeps_log_after(); };
  hooks.on_trimmed = [this](raft::Index floor) { listeners_->on_trimmed(floor); };
  hooks.on_halt = [](bool, const Error&) { CHECK(false); };
  node_ = std::make_unique<Node>(options, *store_, *silence_, std::move(hooks));
  history_ = std::make_unique<NodeHistory>(*node_);
  make_listeners();
  node_->start();
  listeners_->start();
  if (cluster == TestServerOptions::Cluster::alone) node_->bootstrap();
}

void TestServer::make_listeners() {
  ListenersHooks hooks;
  hooks.schedule_pump = [this] { asio::post(loop_, [this] { listeners_->pump(); }); };
  hooks.barrier = [this](std::function<void(Status)> done) {
    node_->read(Consistency::linearizable, 0, 5'000, std::move(done));
  };
  hooks.opened = hooks.closed = [](const std::string&) {};
  listeners_ = std::make_unique<Listeners>(ListenersOptions{}, *store_, *history_, hooks);
}

void TestServer::tick() {
  ticker_.expires_at(ticker_.expiry() + std::chrono::milliseconds(tick_ms));
  ticker_.async_wait([this](const asio::error_code& error) {
    if (error || stopped_) return;
    if (options_.cluster == TestServerOptions::Cluster::leaderless) hear_of_leader();
    node_->tick();
    listeners_->tick(node_->core().leader().value != 0);
    tick();
  });
}

void TestServer::hear_of_leader() {
  raft::Message message{leader, self, {2}, raft::Heartbeat{{0}, {0}, {++round_}}};
  node_->receive({leader, std::move(message)});
}

std::future<void> TestServer::begin_stop(std::uint32_t drain_ms) {
  stopping_ = true;
  auto done = std::make_shared<std::promise<void>>();
  asio::post(loop_, [this, drain_ms, done] {
    api_->set_ready(false);
    api_->set_alive(false);
    listeners_->stop();
    node_->stop();
    api_->stop(drain_ms, [this, done] {
      stopped_ = true;
      ticker_.cancel();
      done->set_value();
    });
  });
  return done->get_future();
}

std::string TestServer::address() const { return "127.0.0.1:" + std::to_string(api_->port()); }

std::shared_ptr<grpc::Channel> TestServer::new_channel(
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetSslTargetNameOverride("Iris");
  return grpc::CreateCustomChannel(
      address(), credentials ? credentials : grpc::InsecureChannelCredentials(), arguments);
}

std::unique_ptr<grpc::ClientContext> context(std::chrono::milliseconds timeout) {
  auto made = std::make_unique<grpc::ClientContext>();
  made->set_deadline(std::chrono::system_clock::now() + timeout);
  return made;
}

std::string trailer(const grpc::ClientContext& context, const std::string& name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(name);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

}  // namespace iris::test
