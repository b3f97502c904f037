// LeaseWorld: the Leases of several nodes, on a network that delays, cuts and loses, with leaders,
// crashes and clients as a test wants them. A session's truth is written down beside them, and each
// expiry judged by it. Raft is not here: who leads is given.
// One thread; a step is a tick of every node.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/listeners/leases.h"
#include "tests/listeners/harness.h"
#include "tests/sim/random.h"

namespace iris::testing {

struct LeaseWorldOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 3;
  std::uint64_t ttl_ms = 4'000;
  std::uint64_t delay_max = 2;  // of a message, in ticks
  bool silent_build = false;    // the last node is of a build that reports everything each time
};

class LeaseWorld {
 public:
  explicit LeaseWorld(const LeaseWorldOptions& options);
  ~LeaseWorld();

  void step();
  void steps(std::uint64_t count) {
    while (count-- > 0) step();
  }

  // --- Clients.
  void subscribe(const std::string& session);
  void open(const std::string& session, std::size_t node);
  void close(const std::string& session);
  [[nodiscard]] bool is_open(const std::string& session) const {
    return streams_.contains(session);
  }
  [[nodiscard]] bool exists(const std::string& session) const;

  // --- Nodes. A crashed one forgets everything but its log.
  void crash(std::size_t node);
  void restart(std::size_t node);
  [[nodiscard]] bool runs(std::size_t node) const { return nodes_[node].leases != nullptr; }
  // This one leads from now on, in a new term; none: nobody does.
  void lead(std::optional<std::size_t> node);
  [[nodiscard]] std::optional<std::size_t> leader() const { return leader_; }
  // A node that has been in touch with the leader for a while, so that it may be elected.
  [[nodiscard]] std::optional<std::size_t> successor();
  void block(std::size_t from, std::size_t to, bool blocked);

  [[nodiscard]] std::uint64_t now() const { return now_; }
  [[nodiscard]] std::uint64_t ttl() const { return options_.ttl_ms / 10; }
  // Since when nobody was there for it; as far as any node can know.
  [[nodiscard]] std::uint64_t evidence(const std::string& session) const;
  [[nodiscard]] std::uint64_t expired() const { return expired_; }
  [[nodiscard]] Leases& leases(std::size_t node) { return *nodes_[node].leases; }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }
  // What is wrong; empty: nothing.
  [[nodiscard]] const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  struct Node {
    std::unique_ptr<Leases> leases;
    std::uint64_t life = 0;
    std::uint64_t applied = 0;
    // Who leads, as it thinks; and since when it is right.
    std::optional<std::size_t> leader;
    std::uint64_t term = 0;
    std::uint64_t view_since = 0;
    std::uint64_t in_touch = 0;  // it was in good touch with the leader last
  };
  struct Message {
    std::uint64_t at = 0;
    SessionsServed body;
  };
  struct Link {
    bool blocked = false;
    std::uint64_t open_since = 0;
    std::deque<Message> under_way;
  };
  struct Stream {
    std::size_t node = 0;
    std::uint64_t since = 0;
  };
  struct End {
    std::size_t node = 0;
    std::uint64_t life = 0;
    std::uint64_t since = 0;
    std::uint64_t at = 0;
  };
  struct Proposal {
    std::uint64_t at = 0;
    std::uint64_t decided = 0;
    std::size_t by = 0;
    std::uint64_t term = 0;
    ExpireSessions command;
  };

  [[nodiscard]] Link& link(std::size_t from, std::size_t to) {
    return links_[from * options_.nodes + to];
  }
  [[nodiscard]] const Link& link(std::size_t from, std::size_t to) const {
    return links_[from * options_.nodes + to];
  }
  [[nodiscard]] static raft::NodeId id(std::size_t node) { return {node + 1}; }
  [[nodiscard]] bool good_link(std::size_t a, std::size_t b, std::uint64_t for_ticks) const;
  [[nodiscard]] bool in_good_touch(std::size_t node) const;
  void send(std::size_t from, raft::NodeId to, SessionsServed message);
  void deliver();
  void look(std::size_t node);
  void apply();
  void judge(const Proposal& proposal, const std::string& session);
  void write_down();
  void disconnect(std::size_t node);

  const LeaseWorldOptions options_;
  sim::Random random_;
  Cluster cluster_;
  raft::Members members_;
  std::uint64_t now_ = 1'000'000;
  std::vector<Node> nodes_;
  std::vector<Link> links_;
  std::optional<std::size_t> leader_;
  std::uint64_t term_ = 0;
  std::deque<Proposal> proposals_;
  std::map<std::string, Stream> streams_;
  std::map<std::string, std::vector<End>> ends_;
  std::map<std::string, std::uint64_t> evidence_;
  std::uint64_t expired_ = 0;
  std::uint64_t messages_ = 0;
  std::vector<std::string> complaints_;
};

}  // namespace iris::testing
