// Link: the connection to one peer for one purpose, and the queue of messages for it. A link dials
// when there is something to send, waits longer after each failure, and sends all messages of one
// turn of the loop in one write.
// Loop thread. Owns its queue and its connection. Messages are dropped where they do not fit the
// queue's limit, and where a dial fails: Raft sends again, and nothing stale arrives after a long
// outage.
//
//   idle --send, or kept--> dialling --welcomed--> connected --lost--> waiting --time--> dialling
//                               '------failed------------------------>    '--nothing to do--> idle
#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "src/base/log.h"
#include "src/net/io.h"
#include "src/peers/complaints.h"
#include "src/peers/dial.h"
#include "src/peers/peers.h"
#include "src/peers/stream.h"
#include "src/peers/wire.h"

namespace iris {

class Link;

// Shared by the links of one Peers. Outlives them.
struct LinkShared {
  const DialContext& dial;
  const PeersOptions& options;
  std::function<PeerIdentity()> identity;
  PeersStats& stats;
  Complaints& complaints;
  std::mt19937_64& jitter;
  // A link that is not kept has become idle. Called on a turn of its own; may destroy it.
  std::function<void(Link& link)> retired;
  // The addresses that the name of a link's peer stands for now.
  std::function<void(const Link& link, const std::vector<asio::ip::address>& addresses)> resolved;
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(const LinkShared& shared, raft::Member peer, wire::Purpose purpose);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Kept: dialled at once and for ever. Not kept: dialled when there is something to send, and hung
  // up when there was nothing for linger_ms.
  void keep(bool kept);
  // The peer has just dialled this node, so it is up: where the last dial failed, the next one need
  // not wait.
  void on_peer_heard();
  void send(const PeerBody& body);
  void close();

  [[nodiscard]] std::size_t queued_bytes() const { return queue_.size() + sending_bytes_; }
  [[nodiscard]] bool connected() const { return state_ == State::connected; }
  [[nodiscard]] const raft::Member& peer() const { return peer_; }
  // As it said in the welcome. REQUIRES: connected().
  [[nodiscard]] raft::Level peer_level() const { return peer_level_; }

 private:
  enum class State { idle, dialling, connected, waiting, closed };

  void dial();
  void on_dialled(Result<Dialled> result);
  void on_lost(const std::string& why);
  void wait();
  void schedule_flush();
  void flush();
  void on_time();
  void arm(std::uint32_t wait_ms);
  void retire();
  void drop_queue();
  [[nodiscard]] bool enqueue(const PeerBody& body);
  void say(LogLevel level, const char* event, const std::string& why = {});

  const LinkShared& shared_;
  raft::Member peer_;
  raft::Level peer_level_;
  wire::Purpose purpose_;
  std::string name_;  // by which Complaints knows this link
  State state_ = State::idle;
  bool kept_ = false;
  std::shared_ptr<Dial> dial_;
  std::shared_ptr<Stream> stream_;
  io::Timer timer_;
  std::uint32_t back_off_ms_;
  bool unreached_ = false;  // the last dial failed
  Stream::Clock::time_point connected_at_;
  Stream::Clock::time_point used_at_;  // a message was queued
  bool quiet_ = true;                  // nothing was written since the last look

  std::string queue_;            // frames; the last one may still be open
  std::size_t frame_begin_ = 0;  // of the open frame
  bool frame_open_ = false;
  std::size_t queued_messages_ = 0;  // in queue_
  std::size_t sending_bytes_ = 0;    // given to the stream, not yet all in the kernel
  std::string spare_;                // the last write's buffer, for the next queue
  bool flush_scheduled_ = false;
};

}  // namespace iris
