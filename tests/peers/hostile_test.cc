// src/peers against hostile peers: garbage, length bombs, slow and silent callers, wrong clusters,
// peers that do not read; and a process out of descriptors.
#include <sys/resource.h>

#include <algorithm>
#include <list>
#include <thread>

#include "src/peers/peers.h"
#include "tests/catch.h"
#include "tests/peers/harness.h"

namespace iris {
namespace {

// Accepts what a node dials, welcomes it as `id`, and reads only where it is told to.
class DeafPeer {
 public:
  DeafPeer(Loop& loop, std::uint64_t id)
      : acceptor_(loop.io, {asio::ip::address_v4::loopback(), 0}), id_(id) {
    accept();
  }
  [[nodiscard]] raft::Member member() const { return {{id_}, address()}; }
  [[nodiscard]] std::string address() const { return local(acceptor_.local_endpoint().port()); }

  wire::Welcome welcome;                            // what is said; the node is filled in
  std::function<bool(const wire::Hello&)> listens;  // none: to nobody
  std::size_t heard_bytes = 0;                      // behind the handshake
  std::size_t welcomed = 0;

 private:
  struct Caller {
    explicit Caller(tcp::socket from) : socket(std::move(from)) {}
    tcp::socket socket;
    FrameReader reader{handshake_bytes_max};
    std::array<char, 65536> buffer{};
  };

  void accept() {
    acceptor_.async_accept([this](const std::error_code& error, tcp::socket socket) {
      if (error) return;
      callers_.emplace_back(std::move(socket));
      read_hello(callers_.back());
      accept();
    });
  }
  void read_hello(Caller& caller) {
    const auto space = caller.reader.space();
    caller.socket.async_read_some(
        asio::buffer(space.data(), space.size()),
        [this, &caller](const std::error_code& error, std::size_t bytes) {
          if (error) return;
          caller.reader.filled(bytes);
          const auto payload = caller.reader.next();
          REQUIRE(payload);
          if (!*payload) return read_hello(caller);
          const auto hello = wire::read_hello(**payload);
          REQUIRE(hello);
          ++welcomed;
          wire::Welcome answer = welcome;
          if (answer.sender.node.value == 0) {
            answer.sender = {.node = {id_}, .cluster = {0xc1}, .address = address()};
          }
          std::error_code ignored;
          asio::write(caller.socket, asio::buffer(framed(wire::write(answer))), ignored);
          if (listens && listens(*hello)) listen(caller);
        });
  }
  void listen(Caller& caller) {
    caller.socket.async_read_some(asio::buffer(caller.buffer),
                                  [this, &caller](const std::error_code& error, std::size_t bytes) {
                                    heard_bytes += bytes;
                                    if (!error) listen(caller);
                                  });
  }

  tcp::acceptor acceptor_;
  std::uint64_t id_;
  std::list<Caller> callers_;
};

TEST_CASE("garbage on the raft port is refused, and harms nobody else (hazards 106, 107)") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  TestNode b(loop, quick_options(2));
  introduce(a, b);
  const LogCapture log;
  RawSocket http(loop, "GET / HTTP/1.1\r\nHost: iris\r\n\r\n", b.peers.port());
  REQUIRE(loop.until([&] { return http.closed; }));
  RawSocket random(loop, std::string(100'000, '\xa5'), b.peers.port());
  REQUIRE(loop.until([&] { return random.closed; }));
  RawSocket nonsense(loop, framed("no hello"), b.peers.port());
  REQUIRE(loop.until([&] { return nonsense.closed; }));
  CHECK(b.peers.stats().refused == 3);
  CHECK(log.count("refused a connection on the raft port") == 2);  // the first two read alike
  CHECK(log.count("the bytes are no frame of Iris") == 1);
  CHECK(log.count("Hello: malformed bytes") == 1);
  a.peers.send(b.id, ReadIndexRequest{1});
  REQUIRE(loop.until([&] { return b.got(1); }));
}

TEST_CASE(
    "a frame over the limit ends the connection with a line that names the limit (hazard 107)") {
  Loop loop;
  TestNode node(loop, quick_options(1));
  const LogCapture log;
  const auto header = [](std::uint32_t bytes) {
    std::string text("IRP\1", 4);
    for (int shift = 0; shift < 32; shift += 8) text += static_cast<char>(bytes >> shift & 0xff);
    return text + "crc?";
  };
  RawSocket early(loop, header(handshake_bytes_max + 1), node.peers.port());
  REQUIRE(loop.until([&] { return early.closed; }));
  CHECK(log.count("a frame of 4097 bytes is over the limit of 4096") == 1);

  RawSocket late(loop, framed(wire::write(hello_of(7))), node.peers.port());
  REQUIRE(loop.until([&] { return late.welcome().has_value(); }));
  late.write(header(frame_bytes_max + 1));
  REQUIRE(loop.until([&] { return late.closed; }));
  CHECK(log.count("\"peer\":\"0000000000000007\",\"why\":\"a frame of 33554433 bytes is over the "
                  "limit of 33554432\"") == 1);

  RawSocket damaged(loop, framed(wire::write(hello_of(7))), node.peers.port());
  REQUIRE(loop.until([&] { return damaged.welcome().has_value(); }));
  std::string batch = framed(samples::bytes(ReadIndexRequest{1}));
  batch.back() ^= 1;
  damaged.write(batch);
  REQUIRE(loop.until([&] { return damaged.closed; }));
  CHECK(log.count("a frame's checksum does not fit its bytes") == 1);
  CHECK(node.received.empty());
}

TEST_CASE("whoever opens a connection and says nothing is hung up on in time (hazard 110)") {
  Loop loop;
  PeersOptions options = quick_options(1);
  options.handshake_ms_max = 200;
  TestNode node(loop, options);
  const LogCapture log;
  const auto begun = Clock::now();
  RawSocket silent(loop, "", node.peers.port());
  RawSocket slow(loop, "I", node.peers.port());
  const std::string hello = framed(wire::write(hello_of(2)));
  std::size_t dripped = 1;
  REQUIRE(loop.until([&] {  // a byte a turn is not progress enough
    if (dripped + 1 < hello.size()) slow.write(hello.substr(dripped++, 1));
    return slow.closed && silent.closed;
  }));
  CHECK(Clock::now() - begun >= milliseconds(200));
  CHECK(log.count("no handshake within 200 ms") == 1);
  CHECK(node.peers.stats().refused == 2);
}

TEST_CASE("unfinished handshakes displace each other, never a peer (hazard 110)") {
  Loop loop;
  PeersOptions options = quick_options(1);
  options.handshakes_max = 4;
  TestNode node(loop, options);
  std::vector<std::unique_ptr<RawSocket>> silent;
  for (int i = 0; i < 4; ++i) {
    silent.push_back(std::make_unique<RawSocket>(loop, "", node.peers.port()));
  }
  REQUIRE(loop.until([&] { return node.peers.stats().accepted == 4; }));
  CHECK(std::none_of(silent.begin(), silent.end(), [](const auto& one) { return one->closed; }));
  TestNode peer(loop, quick_options(2));
  peer.peers.set_peers({node.member()});
  peer.peers.send(node.id, ReadIndexRequest{1});
  REQUIRE(loop.until([&] { return node.got(1); }));
  const auto closed = [&] {
    return std::count_if(silent.begin(), silent.end(), [](const auto& one) { return one->closed; });
  };
  REQUIRE(loop.until([&] { return closed() == 1; }));
}

TEST_CASE("a peer that falls silent is hung up on (hazard 111)") {
  Loop loop;
  PeersOptions options = quick_options(1);
  options.silence_ms_max = 200;
  TestNode node(loop, options);
  const LogCapture log;
  RawSocket peer(loop, framed(wire::write(hello_of(2))), node.peers.port());
  REQUIRE(loop.until([&] { return peer.welcome().has_value(); }));
  const auto begun = Clock::now();
  peer.write(framed(samples::bytes(ReadIndexRequest{1})));
  REQUIRE(loop.until([&] { return peer.closed; }));
  CHECK(Clock::now() - begun >= milliseconds(199));
  CHECK(node.got(1));
  CHECK(log.count("silent for 200 ms") == 1);
}

TEST_CASE("a loop that stood still does not call its peers silent (hazard 16)") {
  Loop loop;
  PeersOptions options = quick_options(1);
  options.silence_ms_max = 100;
  TestNode node(loop, options);
  RawSocket peer(loop, framed(wire::write(hello_of(2))), node.peers.port());
  REQUIRE(loop.until([&] { return peer.welcome().has_value(); }));
  peer.write(framed(samples::bytes(ReadIndexRequest{1})));
  std::this_thread::sleep_for(milliseconds(500));  // the fault itself
  REQUIRE(loop.until([&] { return node.got(1); }));
  REQUIRE(loop.until([&] { return peer.closed; }));  // now it is silent
}

TEST_CASE("nodes of two clusters refuse each other, and both say so (hazard 51)") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  TestNode b(loop, quick_options(2), nullptr, raft::ClusterId{0xc2});
  const LogCapture log;
  introduce(a, b);
  a.peers.send(b.id, ReadIndexRequest{1});
  REQUIRE(loop.until([&] { return a.peers.stats().dials > 2 && b.peers.stats().dials > 2; }));
  CHECK(b.received.empty());
  const std::string sentence =
      "this node is of cluster 00000000000000c2, the other of 00000000000000c1";
  CHECK(log.count("\"why\":\"node 0000000000000001 at " + a.address + ": " + sentence) == 1);
  CHECK(log.count("\"why\":\"node 0000000000000002 at " + b.address + " said: " + sentence) == 1);
}

TEST_CASE("another node than the one expected is not talked to (hazards 50, 58)") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  TestNode b(loop, quick_options(2));
  const LogCapture log;
  a.peers.set_peers({{{3}, b.address}, {{4}, a.address}});
  REQUIRE(loop.until([&] { return a.peers.stats().dials > 4; }));
  CHECK(log.count("said: here is node 0000000000000002 at " + b.address +
                  ", not node 0000000000000003") == 1);
  CHECK_FALSE(a.peers.connected({3}));
  CHECK(b.greeted == 0);

  DeafPeer liar(loop, 9);
  a.peers.set_peers({{{8}, liar.address()}});
  REQUIRE(loop.until([&] {
    return log.count("there is node 0000000000000009 at " + liar.address() +
                     " where node 0000000000000008 was expected") == 1;
  }));
  DeafPeer stranger(loop, 7);
  stranger.welcome.sender = {.node = {7}, .cluster = {0xc9}, .address = "h:1"};
  a.peers.set_peers({stranger.member()});
  REQUIRE(loop.until([&] {
    return log.count(
               "node 0000000000000007 at h:1 belongs to cluster 00000000000000c9, this node "
               "to 00000000000000c1") == 1;
  }));
}

TEST_CASE("a node does not let itself in") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  RawSocket self(loop, framed(wire::write(hello_of(1))), a.peers.port());
  REQUIRE(loop.until([&] { return self.welcome().has_value(); }));
  CHECK(self.welcome()->refusal == "here is node 0000000000000001 at " + a.address + ", itself");
}

TEST_CASE("protocols that have no version in common are told apart (hazards 107, 118)") {
  Loop loop;
  TestNode node(loop, quick_options(1));
  wire::Hello hello = hello_of(2);
  hello.version = 9;
  hello.version_oldest = 8;
  RawSocket later(loop, framed(wire::write(hello)), node.peers.port());
  REQUIRE(loop.until([&] { return later.welcome().has_value(); }));
  CHECK(later.welcome()->refusal == "node 0000000000000001 at " + node.address +
                                        " speaks protocol versions 1 to 1, the other end 8 to 9");
  REQUIRE(loop.until([&] { return later.closed; }));

  const LogCapture log;
  DeafPeer modern(loop, 3);
  modern.welcome.version = 9;
  modern.welcome.version_oldest = 8;
  modern.welcome.sender = {.node = {3}, .cluster = {0xc1}, .address = "h:1"};
  node.peers.set_peers({modern.member()});
  REQUIRE(loop.until([&] {
    return log.count(
               "node 0000000000000003 at h:1 speaks protocol versions 8 to 9, this one 1 to "
               "1") == 1;
  }));
}

TEST_CASE("a connection speaks for the node it was bound to and for no other (hazard 108)") {
  Loop loop;
  TestNode node(loop, quick_options(samples::receiver.value));
  RawSocket peer(loop, framed(wire::write(hello_of(2))), node.peers.port());
  REQUIRE(loop.until([&] { return peer.welcome().has_value(); }));
  peer.write(framed(samples::bytes(samples::message(1, raft::TimeoutNow{}))));  // from 0xa1
  REQUIRE(loop.until([&] { return peer.closed; }));
  CHECK(node.received.empty());
  CHECK(node.peers.stats().refused == 1);
}

TEST_CASE("a node that dials again is not heard on its former connection (hazard 108)") {
  Loop loop;
  TestNode node(loop, quick_options(1));
  RawSocket former(loop, framed(wire::write(hello_of(2))), node.peers.port());
  RawSocket bulk(loop, framed(wire::write(hello_of(2, wire::Purpose::bulk))), node.peers.port());
  REQUIRE(loop.until([&] { return former.welcome() && bulk.welcome(); }));
  RawSocket again(loop, framed(wire::write(hello_of(2))), node.peers.port());
  REQUIRE(loop.until([&] { return former.closed && again.welcome(); }));
  CHECK_FALSE(bulk.closed);
  CHECK_FALSE(again.closed);
}

TEST_CASE("the queue to a peer that does not read is bounded, the newest is dropped (hazard 112)") {
  Loop loop;
  PeersOptions options = quick_options(samples::sender.value);
  options.queue_bytes_max = wire::message_bytes_max + frame_header_bytes;
  TestNode node(loop, options);
  DeafPeer deaf(loop, samples::receiver.value);
  node.peers.set_peers({deaf.member()});
  REQUIRE(loop.until([&] { return node.peers.connected({samples::receiver}); }));
  const LogCapture log;
  const auto send = [&](std::size_t bytes) {
    node.peers.send(samples::receiver, ForwardRequest{1, std::string(bytes, 'x')});
    REQUIRE(node.peers.queued_bytes(samples::receiver) <= options.queue_bytes_max);
    loop.io.poll();
  };
  while (node.peers.stats().messages_dropped == 0) send(1u << 20);
  CHECK(node.peers.queued_bytes(samples::receiver) > options.queue_bytes_max - (2u << 20));
  while (node.peers.stats().messages_dropped < 100) send(1u << 20);
  // A small message still fits where a large one does not, to the last byte.
  const std::size_t left = options.queue_bytes_max - node.peers.queued_bytes(samples::receiver);
  const auto dropped = node.peers.stats().messages_dropped;
  const std::size_t overhead = frame_header_bytes + samples::bytes(ForwardRequest{1, "x"}).size();
  send(left - overhead - 3);  // the length of the command takes up to three bytes more
  CHECK(node.peers.stats().messages_dropped == dropped);
  send(1000);
  CHECK(node.peers.stats().messages_dropped == dropped + 1);
  CHECK(log.count("the queue to a peer is full") == 1);
}

TEST_CASE("a snapshot that nobody takes delays no heartbeat (hazard 113)") {
  Loop loop;
  TestNode node(loop, quick_options(samples::sender.value));
  DeafPeer peer(loop, samples::receiver.value);
  peer.listens = [](const wire::Hello& hello) { return hello.purpose == wire::Purpose::control; };
  node.peers.set_peers({peer.member()});
  const SnapshotChunk chunk{.mark = samples::mark(), .bytes = std::string(4u << 20, 'x')};
  for (int i = 0; i < 7; ++i) node.peers.send(samples::receiver, chunk);
  REQUIRE(loop.until([&] { return peer.welcomed == 2; }));
  REQUIRE(loop.until([&] { return node.peers.stats().writes > 0; }));
  CHECK(node.peers.queued_bytes(samples::receiver) > 20u << 20);
  const auto heard = peer.heard_bytes;
  const auto begun = Clock::now();
  node.peers.send(samples::receiver, samples::message(1, raft::Heartbeat{{1}, {1}, {1}}));
  REQUIRE(loop.until([&] { return peer.heard_bytes > heard; }));
  CHECK(Clock::now() - begun < milliseconds(1000));
  CHECK(node.peers.queued_bytes(samples::receiver) > 20u << 20);  // still there
}

TEST_CASE("an unused bulk connection hangs up and comes back when it is needed") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  TestNode b(loop, quick_options(2));
  introduce(a, b);
  REQUIRE(loop.until([&] { return a.peers.connected(b.id); }));
  for (std::uint64_t round = 1; round <= 2; ++round) {
    a.peers.send(b.id, SnapshotChunk{.mark = samples::mark(), .bytes = "x"});
    REQUIRE(loop.until([&] { return b.received.size() == round; }));
    CHECK(a.peers.stats().dials == 1 + round);
    CHECK(b.peers.accepted_open() == 2);
    REQUIRE(loop.until([&] { return b.peers.accepted_open() == 1; }));
  }
  CHECK(a.peers.connected(b.id));
}

TEST_CASE("a node out of descriptors waits for them instead of spinning (hazard 115)") {
  Loop loop;
  TestNode node(loop, quick_options(1));
  TestNode peer(loop, quick_options(2));
  tcp::socket caller(loop.io);
  caller.open(tcp::v4());
  const LogCapture log;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next = ::dup(0);
  ::close(next);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto begun = Clock::now();
  caller.connect({asio::ip::address_v4::loopback(), node.peers.port()});
  const bool tried = loop.until([&] { return node.peers.stats().accept_errors == 5; });
  const auto took = Clock::now() - begun;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(tried);
  CHECK(took >= milliseconds(4 * 50 - 5));
  CHECK(log.count("cannot accept connections on the raft port") == 1);
  CHECK(log.count("Too many open files") == 1);
  introduce(node, peer);
  REQUIRE(loop.until([&] { return peer.peers.connected(node.id); }));
}

}  // namespace
}  // namespace iris
