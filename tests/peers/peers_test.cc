// src/peers between nodes that behave: exchange, coalescing, reconnection, strangers, probes.
#include "src/peers/peers.h"

#include <algorithm>
#include <memory>

#include "src/peers/stream.h"
#include "tests/catch.h"
#include "tests/peers/certificates.h"
#include "tests/peers/harness.h"

namespace iris {
namespace {

// Each test that says so runs over plain TCP and under TLS.
struct Security {
  explicit Security(bool on) : tls(on ? Authority().node() : nullptr) {}
  [[nodiscard]] const Tls* get() const { return tls.get(); }
  std::unique_ptr<Tls> tls;
};

TEST_CASE("every kind of message arrives whole, in order, from the node that sent it") {
  const Security security(GENERATE(false, true));
  Loop loop;
  TestNode a(loop, quick_options(samples::sender.value), security.get());
  TestNode b(loop, quick_options(samples::receiver.value), security.get());
  introduce(a, b);
  std::vector<PeerBody> sent = samples::all();
  std::erase_if(sent, [](const PeerBody& body) {  // travels on the other connection
    return std::holds_alternative<SnapshotChunk>(body);
  });
  for (const PeerBody& body : sent) a.peers.send(b.id, body);
  REQUIRE(loop.until([&] { return b.received.size() == sent.size(); }));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    CHECK(b.received[i].from == a.id);
    CHECK(samples::bytes(b.received[i].body) == samples::bytes(sent[i]));
  }
  b.peers.send(a.id, ReadIndexRequest{7});
  REQUIRE(loop.until([&] { return a.got(7); }));
  CHECK(a.peers.connected(b.id));
  CHECK(a.peers.queued_bytes(b.id) == 0);
}

TEST_CASE("messages of one loop turn leave in one write") {
  const Security security(GENERATE(false, true));
  Loop loop;
  TestNode a(loop, quick_options(1), security.get());
  TestNode b(loop, quick_options(2), security.get());
  introduce(a, b);
  REQUIRE(loop.until([&] { return a.peers.connected(b.id); }));
  const PeersStats before = a.peers.stats();
  for (std::uint64_t id = 1; id <= 1000; ++id) a.peers.send(b.id, ReadIndexRequest{id});
  REQUIRE(loop.until([&] { return b.received.size() == 1000; }));
  CHECK(a.peers.stats().messages_sent - before.messages_sent == 1000);
  CHECK(a.peers.stats().writes - before.writes <= 2);  // one, and perhaps a "still here"
  const auto ids = b.ids();
  CHECK(std::is_sorted(ids.begin(), ids.end()));
}

TEST_CASE("large entries arrive, alone and among small ones") {
  const Security security(GENERATE(false, true));
  Loop loop;
  TestNode a(loop, quick_options(samples::sender.value), security.get());
  TestNode b(loop, quick_options(samples::receiver.value), security.get());
  introduce(a, b);
  std::size_t sent = 0;
  for (const std::size_t bytes : {std::size_t{1}, wire::command_bytes_max, std::size_t{5u << 20},
                                  std::size_t{100}, std::size_t{1u << 20}}) {
    raft::Command command(bytes, static_cast<char>('a' + sent));
    a.peers.send(b.id,
                 samples::message(1, raft::AppendRequest{{}, {}, {samples::entry(1, 1, command)}}));
    ++sent;
  }
  REQUIRE(loop.until([&] { return b.received.size() == sent; }));
  const auto& append =
      std::get<raft::AppendRequest>(std::get<raft::Message>(b.received[1].body).body);
  CHECK(std::get<raft::Command>(append.entries.at(0)->payload) ==
        raft::Command(wire::command_bytes_max, 'b'));
}

TEST_CASE("a peer that comes back is found again") {
  const Security security(GENERATE(false, true));
  Loop loop;
  TestNode a(loop, quick_options(1), security.get());
  auto b = std::make_unique<TestNode>(loop, quick_options(2), security.get());
  const auto port = b->peers.port();
  introduce(a, *b);
  a.peers.send(b->id, ReadIndexRequest{1});
  REQUIRE(loop.until([&] { return b->got(1); }));
  b.reset();
  REQUIRE(loop.until([&] { return !a.peers.connected({2}); }));
  b = std::make_unique<TestNode>(loop, quick_options(2, port), security.get());
  REQUIRE(loop.until([&] { return a.peers.connected({2}); }));
  a.peers.send({2}, ReadIndexRequest{2});
  REQUIRE(loop.until([&] { return b->got(2); }));
}

TEST_CASE("dials to a host that refuses become rarer (hazard 114)") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  std::uint16_t nobody = 0;
  {
    tcp::acceptor probe(loop.io, {asio::ip::address_v4::loopback(), 0});
    nobody = probe.local_endpoint().port();
  }
  const LogCapture log;
  const auto begun = Clock::now();
  a.peers.set_peers({{{2}, local(nobody)}});
  REQUIRE(loop.until([&] { return a.peers.stats().dials == 8; }));
  // Waits of at least half of 10, 20, 40, 80, 100, 100, 100 ms.
  CHECK(Clock::now() - begun >= milliseconds(225));
  CHECK(log.count("cannot reach a peer") == 1);
  CHECK(log.count("Connection refused") == 1);
}

TEST_CASE("a peer that dials is dialled at once, however long it was away (hazard 114)") {
  const Security security(GENERATE(false, true));
  Loop loop;
  PeersOptions patient = quick_options(1);
  patient.back_off_ms_min = patient.back_off_ms_max = 60'000;
  TestNode a(loop, patient, security.get());
  auto b = std::make_unique<TestNode>(loop, quick_options(2), security.get());
  const auto port = b->peers.port();
  b.reset();
  a.peers.set_peers({{{2}, local(port)}});
  const LogCapture log;
  REQUIRE(loop.until([&] { return log.count("cannot reach a peer") == 1; }));
  b = std::make_unique<TestNode>(loop, quick_options(2, port), security.get());
  b->peers.set_peers({a.member()});
  REQUIRE(loop.until([&] { return a.peers.connected({2}) && b->peers.connected({1}); }));
  CHECK(a.peers.stats().dials == 2);
  // One that stood and ended is not dialled again for that: it would go on without end.
  b.reset();
  REQUIRE(loop.until([&] { return !a.peers.connected({2}); }));
  b = std::make_unique<TestNode>(loop, quick_options(2, port), security.get());
  b->peers.set_peers({a.member()});
  REQUIRE(loop.until([&] { return b->peers.connected({1}); }));
  CHECK(loop.never([&] { return a.peers.stats().dials > 2; }, milliseconds(100)));
}

TEST_CASE("a connection that stood for a while makes dials frequent again (hazard 114)") {
  Loop loop;
  PeersOptions patient = quick_options(1);
  patient.back_off_ms_max = 60'000;
  TestNode a(loop, patient);
  auto b = std::make_unique<TestNode>(loop, quick_options(2));
  const auto port = b->peers.port();
  b.reset();
  a.peers.set_peers({{{2}, local(port)}});
  REQUIRE(loop.until([&] { return a.peers.stats().dials == 7; }));
  b = std::make_unique<TestNode>(loop, quick_options(2, port));  // does not dial by itself
  REQUIRE(loop.until([&] { return a.peers.connected({2}); }));
  // As long as the next pause could be: 10 ms, doubled seven times.
  REQUIRE(loop.never([&] { return !a.peers.connected({2}); }, milliseconds(1'300)));
  b.reset();
  const auto before = a.peers.stats().dials;
  // Five pauses are 310 ms at most; had the last one before gone on doubling, 19 s at least.
  CHECK(loop.until([&] { return a.peers.stats().dials == before + 6; }, milliseconds(10'000)));
}

TEST_CASE("messages queued for a peer that is down are dropped at the next failed dial") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  a.peers.set_peers({{{2}, "127.0.0.1:1"}});
  REQUIRE(loop.until([&] { return a.peers.stats().dials >= 1; }));
  a.peers.send({2}, ReadIndexRequest{1});
  CHECK(a.peers.queued_bytes({2}) > 0);
  REQUIRE(loop.until([&] { return a.peers.queued_bytes({2}) == 0; }));
  CHECK(a.peers.stats().messages_dropped == 1);
}

TEST_CASE("an idle connection says that it is still there (hazard 111)") {
  Loop loop;
  PeersOptions options = quick_options(2);
  options.silence_ms_max = 300;
  TestNode a(loop, quick_options(1));
  TestNode b(loop, options);
  introduce(a, b);
  REQUIRE(loop.until([&] { return a.peers.connected(b.id); }));
  CHECK(loop.never([&] { return !a.peers.connected(b.id); }, milliseconds(1000)));
  CHECK(a.peers.stats().dials == 1);
}

TEST_CASE(
    "one that is no peer any more is hung up on, and one that moved is dialled anew (hazard 58)") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  TestNode b(loop, quick_options(2));
  a.peers.set_peers({b.member()});
  REQUIRE(loop.until([&] { return a.peers.connected(b.id); }));
  a.peers.set_peers({});
  a.peers.send(b.id, ReadIndexRequest{1});  // the last word still gets out
  REQUIRE(loop.until([&] { return b.got(1); }));
  REQUIRE(loop.until([&] { return !a.peers.connected(b.id); }));
  a.peers.send(b.id, ReadIndexRequest{2});
  CHECK(a.peers.stats().messages_dropped == 1);
  CHECK(a.peers.stats().dials == 1);

  TestNode moved(loop, quick_options(2));
  a.peers.set_peers({b.member()});
  REQUIRE(loop.until([&] { return a.peers.connected(b.id); }));
  a.peers.set_peers({moved.member()});
  a.peers.send(b.id, ReadIndexRequest{3});
  REQUIRE(loop.until([&] { return moved.got(3); }));
  CHECK_FALSE(b.got(3));
}

TEST_CASE("a stranger is heard, and answered while it is on the line (hazard 54)") {
  const Security security(GENERATE(false, true));
  Loop loop;
  TestNode member(loop, quick_options(1), security.get());
  auto removed = std::make_unique<TestNode>(loop, quick_options(2), security.get());
  removed->peers.set_peers({member.member()});
  member.peers.send(removed->id, ReadIndexRequest{1});
  CHECK(member.peers.stats().messages_dropped == 1);  // not on the line yet

  removed->peers.send(member.id, ReadIndexRequest{2});
  REQUIRE(loop.until([&] { return member.got(2); }));
  CHECK(member.greeted == 1);
  member.peers.send(removed->id, ReadIndexRequest{3});
  REQUIRE(loop.until([&] { return removed->got(3); }));
  REQUIRE(loop.until([&] { return !member.peers.connected({2}); }));  // nothing more to say
  member.peers.send(removed->id, ReadIndexRequest{4});
  REQUIRE(loop.until([&] { return removed->got(4); }));

  removed.reset();
  REQUIRE(loop.until([&] {
    const auto dropped = member.peers.stats().messages_dropped;
    member.peers.send({2}, ReadIndexRequest{5});
    return member.peers.stats().messages_dropped > dropped && member.peers.queued_bytes({2}) == 0;
  }));
}

TEST_CASE("each end of a connection knows the level of the other, while it stands (118)") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  auto b = std::make_unique<TestNode>(loop, quick_options(2));
  b->level = raft::Level{7};
  CHECK_FALSE(a.peers.level_of({2}).has_value());
  introduce(a, *b);
  REQUIRE(loop.until([&] { return a.peers.connected({2}) && b->peers.connected({1}); }));
  CHECK(a.peers.level_of({2}) == raft::Level{7});
  CHECK(b->peers.level_of({1}) == feature_level);
  b.reset();
  REQUIRE(loop.until([&] { return !a.peers.level_of({2}).has_value(); }));
}

TEST_CASE("a node below the level of a cluster is refused, with a sentence at both ends (118)") {
  const Security security(GENERATE(false, true));
  const LogCapture log;
  Loop loop;
  TestNode newer(loop, quick_options(1), security.get());
  newer.level = newer.cluster_level = raft::Level{9};
  TestNode older(loop, quick_options(2), security.get());
  introduce(newer, older);
  const std::string sentence =
      "node 0000000000000002 at " + older.address + " knows feature levels up to " +
      std::to_string(feature_level.value) + ", and the cluster of node 0000000000000001 at " +
      newer.address + " is at level 9: run the newer version of Iris there";
  // The acceptor's word, the dialler's own judgement of the welcome, and what the other was told.
  REQUIRE(loop.until([&] {
    return log.count("refused a connection on the raft port") >= 2 &&
           log.count("cannot reach a peer") >= 2 && log.count(sentence) >= 3;
  }));
  CHECK(log.count("said: " + sentence) >= 1);
  CHECK_FALSE(newer.peers.connected({2}));
  CHECK_FALSE(older.peers.connected({1}));
  newer.peers.send({2}, ReadIndexRequest{1});
  CHECK(loop.never([&] { return older.got(1); }, std::chrono::milliseconds(100)));
  std::optional<Result<PeerIdentity>> found;  // a probe tells who is there all the same
  newer.peers.probe(older.address, [&](Result<PeerIdentity> result) { found = std::move(result); });
  REQUIRE(loop.until([&] { return found.has_value(); }));
  REQUIRE(found->has_value());
  CHECK((*found)->level == feature_level);
}

TEST_CASE("only so many strangers may talk at a time (hazard 110)") {
  Loop loop;
  PeersOptions options = quick_options(1);
  options.strangers_max = 3;
  TestNode node(loop, options);
  TestNode peer(loop, quick_options(50));
  std::vector<std::unique_ptr<RawSocket>> strangers;
  for (std::uint64_t id = 2; id <= 5; ++id) {
    strangers.push_back(
        std::make_unique<RawSocket>(loop, framed(wire::write(hello_of(id))), node.peers.port()));
    REQUIRE(loop.until([&] { return strangers.back()->welcome().has_value(); }));
  }
  for (int i = 0; i < 3; ++i) CHECK(strangers[i]->welcome()->refusal.empty());
  CHECK(strangers[3]->welcome()->refusal ==
        "over the limit of 3 connected nodes that are no members");
  RawSocket again(loop, framed(wire::write(hello_of(3, wire::Purpose::bulk))), node.peers.port());
  REQUIRE(loop.until([&] { return again.welcome().has_value(); }));
  CHECK(again.welcome()->refusal.empty());  // of one that is counted already

  introduce(node, peer);
  REQUIRE(loop.until([&] { return peer.peers.connected(node.id); }));  // a member always may
}

TEST_CASE("a probe learns who is there, and greets nobody") {
  const Security security(GENERATE(false, true));
  Loop loop;
  TestNode a(loop, quick_options(1), security.get());
  TestNode b(loop, quick_options(2), security.get(), raft::ClusterId{0});
  std::optional<Result<PeerIdentity>> found;
  const auto probe = [&](const std::string& address) {
    found.reset();
    a.peers.probe(address, [&](Result<PeerIdentity> result) { found = std::move(result); });
    CHECK_FALSE(found.has_value());  // never from inside the call
    REQUIRE(loop.until([&] { return found.has_value(); }));
  };
  probe(b.address);
  REQUIRE(found->has_value());
  CHECK((*found)->node == b.id);
  CHECK((*found)->cluster.value == 0);
  CHECK((*found)->address == b.address);
  CHECK(b.greeted == 0);
  probe(a.address);
  REQUIRE(found->has_value());
  CHECK((*found)->node == a.id);
  probe("127.0.0.1:1");
  REQUIRE_FALSE(found->has_value());
  CHECK(found->error().code == Errc::io);
  CHECK(found->error().text == "Connection refused");
  probe("nonsense");
  REQUIRE_FALSE(found->has_value());
  CHECK(found->error().text == "it has no port (HOST:PORT)");
}

TEST_CASE("of an end that hangs up on a hello it is said what it may be, an Iris of 2017 too") {
  const bool under_tls = GENERATE(false, true);
  const Security security(under_tls);
  Loop loop;
  TestNode a(loop, quick_options(1), security.get());
  tcp::acceptor stranger(loop.io, {asio::ip::address_v4::loopback(), 0});
  std::shared_ptr<Stream> accepted;
  stranger.async_accept([&](const std::error_code&, tcp::socket socket) {
    ssl_st* session = under_tls ? security.get()->new_acceptor() : nullptr;
    accepted = std::make_shared<Stream>(std::move(socket), session);
    accepted->handshake(Stream::Side::acceptor, [&](const Status&) {
      accepted->receive([&](const Result<std::string_view>&) {  // as one to which it says nothing
        accepted->close();
        return false;
      });
    });
  });
  std::string error;
  a.peers.probe(local(stranger.local_endpoint().port()), [&](const Result<PeerIdentity>& result) {
    error = result ? "none" : result.error().text;
  });
  REQUIRE(loop.until([&] { return !error.empty(); }));
  CHECK(error == (under_tls ? "the other end hung up (is it an Iris of 2017, or no Iris?)"
                            : "the other end hung up (does it want TLS? is it an Iris of 2017, "
                              "or no Iris?)"));
}

TEST_CASE("a probe ends in time where somebody listens and never answers") {
  Loop loop;
  PeersOptions options = quick_options(1);
  options.dial_ms_max = 200;
  options.probes_max = 2;
  TestNode a(loop, options);
  tcp::acceptor silent(loop.io, {asio::ip::address_v4::loopback(), 0});
  std::vector<std::string> errors;
  for (int i = 0; i < 3; ++i) {
    a.peers.probe(local(silent.local_endpoint().port()), [&](const Result<PeerIdentity>& result) {
      errors.push_back(result ? "" : result.error().text);
    });
  }
  REQUIRE(loop.until([&] { return errors.size() == 3; }));
  CHECK(errors[0] == "over the limit of probes at a time");
  CHECK(errors[1].ends_with("no answer in time while waiting for its welcome"));
  CHECK(errors[2] == errors[1]);
}

TEST_CASE("hosts are found by name without holding up the loop") {
  Loop loop;
  PeersOptions options = quick_options(2);
  options.listen = "localhost";
  TestNode a(loop, quick_options(1));
  TestNode b(loop, options);
  b.address = "localhost:" + std::to_string(b.peers.port());
  a.peers.set_peers({b.member()});
  a.peers.send(b.id, ReadIndexRequest{1});
  REQUIRE(loop.until([&] { return b.got(1); }));
  // Every address of the name is listened on, whichever comes first.
  RawSocket by_number(loop, framed(wire::write(hello_of(3))), b.peers.port());
  REQUIRE(loop.until([&] { return by_number.welcome().has_value(); }));
}

TEST_CASE("a raft port that is taken is named") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  asio::io_context io;
  Peers second(io, quick_options(2, a.peers.port()), nullptr, {});
  const Status listening = second.listen();
  REQUIRE_FALSE(listening);
  CHECK(listening.error().text ==
        "the raft port " + a.address + " (-port + 1) is in use by another process");
  PeersOptions nowhere = quick_options(3);
  nowhere.listen = "192.0.2.1";
  Peers third(io, nowhere, nullptr, {});
  CHECK(third.listen().error().text.starts_with(
      "the raft port 192.0.2.1:0 (-port + 1) cannot be opened: "));
}

TEST_CASE("a -listen of every interface takes IPv4 as well") {
  const char* host = GENERATE("", "::", "::0");
  CAPTURE(host);
  Loop loop;
  PeersOptions options = quick_options(1);
  options.listen = host;
  TestNode a(loop, options);
  RawSocket client(loop, framed(wire::write(hello_of(2))), a.peers.port());
  REQUIRE(loop.until([&] { return client.welcome().has_value(); }));
}

// --- Ends (hazard 116). Faults here show under ASan.

TEST_CASE("peers may be destroyed at any moment (hazard 116)") {
  const Security security(GENERATE(false, true));
  for (int steps = 0; steps < 60; ++steps) {
    asio::io_context io;
    Loop loop;
    auto a = std::make_unique<TestNode>(loop, quick_options(1), security.get());
    auto b = std::make_unique<TestNode>(loop, quick_options(2), security.get());
    introduce(*a, *b);
    a->peers.probe(b->address, [](const Result<PeerIdentity>&) {});
    for (int i = 0; i < 5; ++i) {
      a->peers.send(b->id, ForwardRequest{1, std::string(200'000, 'x')});
      b->peers.send(a->id, SnapshotChunk{.mark = samples::mark(), .bytes = std::string(9000, 'x')});
    }
    for (int i = 0; i < steps; ++i) loop.io.run_one_for(milliseconds(5));
    (steps % 2 == 0 ? a : b).reset();
    for (int i = 0; i < 20; ++i) loop.io.poll_one();
    // Half of the time the loop ends with operations pending, else they are run to their ends.
    a.reset();
    b.reset();
    if (steps % 4 < 2) loop.io.run_for(milliseconds(5));
  }
}

TEST_CASE("peers may be closed from inside what they deliver (hazard 116)") {
  Loop loop;
  TestNode a(loop, quick_options(1));
  TestNode b(loop, quick_options(2));
  introduce(a, b);
  b.on_message = [&] { b.peers.close(); };
  for (int i = 0; i < 10; ++i) a.peers.send(b.id, ReadIndexRequest{1});
  REQUIRE(loop.until([&] { return !b.received.empty(); }));
  REQUIRE(loop.until([&] { return !a.peers.connected(b.id); }));
  CHECK(b.received.size() == 1);
  b.peers.send(a.id, ReadIndexRequest{1});
  b.peers.set_peers({a.member()});
  CHECK(b.peers.stats().messages_dropped == 1);
}

}  // namespace
}  // namespace iris
