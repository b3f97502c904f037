// Inbound: one accepted connection, from its first byte to its last: handshake within a time limit,
// then messages, each from the node that the handshake bound it to (hazards 108, 110).
// Loop thread. Owns its connection. Writes its welcome and nothing else.
#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "src/base/log.h"
#include "src/net/io.h"
#include "src/peers/complaints.h"
#include "src/peers/handshake_places.h"
#include "src/peers/peers.h"
#include "src/peers/stream.h"
#include "src/peers/wire.h"

namespace iris {

class Inbound;

// Shared by the accepted connections of one Peers. Outlives them.
struct InboundShared {
  asio::io_context& loop;
  const PeersOptions& options;
  std::function<PeerIdentity()> identity;
  // May this node be connected? The text of an error is sent to it.
  std::function<Status(const wire::Hello& hello)> admit;
  // The node was admitted: the connection speaks for it from now on.
  std::function<void(Inbound& inbound)> admitted;
  std::function<void(PeerMessage message)> receive;
  std::function<void(Inbound& inbound)> ended;  // called once; destroys it
  std::function<bool(raft::NodeId node)> is_member;
  PeersStats& stats;
  Complaints& members;    // about connections of members
  Complaints& strangers;  // about all others
};

class Inbound : public std::enable_shared_from_this<Inbound> {
 public:
  Inbound(const InboundShared& shared, std::shared_ptr<Stream> stream,
          HandshakePlaces::Origin origin);
  ~Inbound();
  Inbound(const Inbound&) = delete;
  Inbound& operator=(const Inbound&) = delete;

  void start();
  // Ends it, with a line in the log where `why` is not empty.
  void end(const std::string& why);

  // The node at the other end; none before the handshake.
  [[nodiscard]] const std::optional<wire::Hello>& hello() const { return hello_; }
  [[nodiscard]] const HandshakePlaces::Origin& origin() const { return origin_; }
  [[nodiscard]] const asio::ip::address& address() const { return stream_->remote_address(); }

 private:
  bool on_hello(const Result<std::string_view>& payload);
  void answer(const wire::Hello& hello, const Status& admitted);
  void read_batches();
  bool on_batch(const Result<std::string_view>& payload);
  void refuse(const std::string& why);
  void part();
  void arm(std::uint32_t wait_ms);
  void on_time();
  void say(LogLevel level, const char* event, const std::string& why);

  const InboundShared& shared_;
  std::shared_ptr<Stream> stream_;
  const HandshakePlaces::Origin origin_;
  io::Timer timer_;
  std::optional<wire::Hello> hello_;
  bool parting_ = false;  // the refusal was sent; waits for the other end to hang up
  bool ended_ = false;
};

}  // namespace iris
