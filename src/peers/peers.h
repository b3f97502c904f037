// Peers: the connections between nodes. A node writes only on those it dialled and reads only on
// those it accepted, so there is never a tie to break; per peer there are two, control and bulk
// (snapshot chunks only), so that bulk never delays a heartbeat (hazard 113).
// Loop thread: everything, hooks included, runs on the loop given to the constructor. Only names of
// hosts are resolved on other threads.
// Owns acceptor, connections and queues. Never blocks; never keeps more than its limits allow.
//
// A node id is random and lives with the data folder: a wiped node comes back as another node. So
// no message of a former life is taken for one of this (hazards 50, 108).
//
// A main wires it so:
//   Peers peers(loop, {.self = id, .listen = ..., .port = 32001}, tls.get(),
//               {.identity = [&] { return PeerIdentity{id, node.cluster(), address}; },
//                .greet = [&](const PeerIdentity& peer) { return node.greet(peer); },
//                .receive = [&](PeerMessage message) { node.receive(std::move(message)); }});
//   Node node(options, store, peers, hooks);
//   node.start();
//   if (Status listening = peers.listen(); !listening) ...  // says which port, and why
// and at the end, on the loop: peers.close(). No hook is called after that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/node/transport.h"

namespace asio {
class io_context;
}  // namespace asio

namespace iris {

class Tls;

struct PeersOptions {
  raft::NodeId self;
  std::string listen;               // host or address; empty: every interface
  std::uint16_t port = 0;           // 0: any free one
  std::vector<int> inherited = {};  // listening sockets of that port to take over; empty: open them
  // Bytes that wait for one connection; what does not fit is dropped (hazard 112).
  // REQUIRES: at least wire::message_bytes_max and a frame header
  std::size_t queue_bytes_max = 32u << 20;
  // Accepted connections that have not said yet from whom they are; one more displaces another.
  // Those of members' addresses do not count, but per address.
  std::size_t handshakes_max = 64;
  std::size_t handshakes_per_address_max = 16;
  std::size_t strangers_max = 16;  // nodes that are no members but may talk to this one
  std::size_t probes_max = 64;
  std::uint32_t handshake_ms_max = 5000;  // from accept to hello (hazard 110)
  std::uint32_t dial_ms_max = 3000;       // from resolving to welcome
  std::uint32_t back_off_ms_min = 50;     // between dials; doubles, with jitter (hazard 114)
  std::uint32_t back_off_ms_max = 2000;
  std::uint32_t keep_alive_ms = 1000;   // a quiet connection says "still here" this often
  std::uint32_t silence_ms_max = 5000;  // a connection silent for longer is dead (hazard 111)
  std::uint32_t linger_ms = 5000;       // an unused bulk or stranger's connection hangs up
  std::uint32_t accept_retry_ms = 100;  // after accept failed: out of descriptors (hazard 115)
  std::uint64_t seed = 0;  // of waits, and of which handshake goes; 0: another one at each start
};

struct PeersHooks {
  // This node as it is now. REQUIRES of the host: a complete address, the id of PeersOptions.
  std::function<PeerIdentity()> identity;
  // May this one talk to us? An error's text goes to both logs. Asked for each connection but
  // probes.
  std::function<Status(const PeerIdentity& peer)> greet;
  // Every message, from the node that its connection was bound to by the handshake.
  std::function<void(PeerMessage message)> receive;
};

// Counted since the start.
struct PeersStats {
  std::uint64_t messages_sent = 0;  // put into a frame
  std::uint64_t messages_received = 0;
  std::uint64_t messages_dropped = 0;  // queue full, nobody there, or lost with a connection
  std::uint64_t writes = 0;            // each carries all that was queued at its time
  std::uint64_t bytes_sent = 0;
  std::uint64_t dials = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;  // accepted connections that were closed for what they said
  std::uint64_t accept_errors = 0;
};

class Peers final : public Transport {
 public:
  // `tls` nullptr: plain TCP. Both references outlive this object.
  Peers(asio::io_context& loop, PeersOptions options, const Tls* tls, PeersHooks hooks);
  ~Peers() override;
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  // Opens the raft port. Errc::io with a sentence that names it. send() and probe() work without.
  Status listen();
  [[nodiscard]] std::uint16_t port() const;  // REQUIRES: listen() succeeded
  // Hangs up and forgets everything, probes under way too. Nothing is called back after it.
  void close();

  // The control connection of each is dialled at once and kept. One to a node that is in the list
  // no more hangs up when it has been quiet for linger_ms, so that a last word still gets out.
  void set_peers(const std::vector<raft::Member>& peers) override;
  // To a member; or to a stranger, while a connection from it is open, at the address it gave
  // there (so a removed node can be told that it was). To anybody else: dropped.
  void send(raft::NodeId to, PeerBody body) override;
  // Errc::io where nobody answers, refused where somebody else does, limit past probes_max: why,
  // without the address.
  void probe(const std::string& address, std::function<void(Result<PeerIdentity>)> done) override;
  [[nodiscard]] std::size_t queued_bytes(raft::NodeId to) const override;

  [[nodiscard]] bool connected(raft::NodeId to) const override;  // the control connection
  [[nodiscard]] std::optional<raft::Level> level_of(raft::NodeId to) const override;
  [[nodiscard]] std::size_t accepted_open() const;  // accepted connections that stand
  [[nodiscard]] const PeersStats& stats() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace iris
