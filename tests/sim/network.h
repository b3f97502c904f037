// Network: the links between hosts. It delays, loses, repeats and reorders Raft messages. Other
// messages keep their order on each link: a link is a connection, which may lose but never repeats.
// SimTransport is src/node/transport.h on it, one for each life of a node.
// One thread. Owns the links and the messages in transit. The nemesis decides the faults.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/node/transport.h"
#include "tests/sim/random.h"

namespace iris::sim {

class Host;
class World;

class Network {
 public:
  Network(World& world, std::size_t hosts);

  void send(Host& from, raft::NodeId to, const std::string& address, PeerBody body);
  // Tells `to` the id of `from`, as every new connection does before its first message.
  void hello(Host& from, raft::NodeId to, const std::string& address);
  // Dials the host and asks for its id.
  void probe(Host& from, const std::string& address,
             std::function<void(Result<PeerIdentity>)> done);
  // True: nothing blocks this link, so that also a client or a dial gets through.
  [[nodiscard]] bool reaches(std::size_t from, std::size_t to) const;
  [[nodiscard]] std::size_t queued_bytes(std::size_t from, std::size_t to) const;
  // How many there were so far.
  [[nodiscard]] std::uint64_t connections(std::size_t from, std::size_t to) const {
    return link(from, to).connection;
  }

  // --- Faults. Counted: a link works again once each fault that blocked it is undone.
  void block(std::size_t from, std::size_t to) { ++link(from, to).blocked; }
  void unblock(std::size_t from, std::size_t to);
  void clog(std::size_t from, std::size_t to, std::uint64_t until_us);
  // Ends the connection: messages in transit and in its queue are lost.
  void cut(std::size_t from, std::size_t to) { cut(link(from, to)); }
  // Every link works; a connection with a long queue is cut.
  void heal();
  // Loss, duplicates, reordering and small bandwidth: on as drawn, or off everywhere.
  void set_calm(bool calm) { calm_ = calm; }

 private:
  struct Envelope;
  struct Link {
    std::uint32_t blocked = 0;
    std::uint64_t clogged_until_us = 0;
    std::uint64_t free_at_us = 0;   // when the last byte so far has left
    std::uint64_t in_order_us = 0;  // when the last ordered message so far arrives
    std::uint64_t connection = 0;
    std::size_t queued_bytes = 0;
    // With Fault::duplicate: the latest Raft message of each kind.
    std::array<std::shared_ptr<const Envelope>, std::variant_size_v<raft::Body>> latest;
  };

  Link& link(std::size_t from, std::size_t to) { return links_[from * hosts_ + to]; }
  [[nodiscard]] const Link& link(std::size_t from, std::size_t to) const {
    return links_[from * hosts_ + to];
  }
  static void cut(Link& on);
  [[nodiscard]] static Envelope envelope_of(const Host& from, raft::NodeId to, const Link& on);
  std::uint64_t arrival_us(Link& on, std::size_t bytes, bool ordered);
  void dispatch(std::size_t from, std::size_t to, Envelope envelope, bool ordered);
  void arrive(std::size_t from, std::size_t to, const Envelope& envelope);
  void repeat(const Host& from, std::size_t to, const Envelope& envelope);
  [[nodiscard]] bool has(std::uint64_t chance, bool enabled);

  World& world_;
  std::size_t hosts_;
  std::vector<Link> links_;
  Random random_;
  bool calm_ = false;
};

// The transport of one life of a node.
class SimTransport : public Transport {
 public:
  explicit SimTransport(Host& host) : host_(host) {}
  void set_peers(const std::vector<raft::Member>& peers) override;
  void send(raft::NodeId to, PeerBody body) override;
  void probe(const std::string& address, std::function<void(Result<PeerIdentity>)> done) override;
  [[nodiscard]] std::optional<raft::Level> level_of(raft::NodeId to) const override;
  [[nodiscard]] std::size_t queued_bytes(raft::NodeId to) const override;
  [[nodiscard]] bool knows(raft::NodeId id) const { return address_of(id) != nullptr; }
  // Connects to every peer that has not let this life in yet.
  void dial();

 private:
  [[nodiscard]] const std::string* address_of(raft::NodeId id) const;

  Host& host_;
  std::vector<raft::Member> peers_;
};

// For the trace.
[[nodiscard]] std::string to_text(const PeerBody& body);

}  // namespace iris::sim
