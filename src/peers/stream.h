// Stream: one connected socket, plain or under TLS, that takes bytes and yields whole frames.
// Loop thread. Owns socket, TLS session and read buffer, and lives on in its own pending operations
// until they are done, so that its owner may drop it at any time (hazard 116). After close() it
// calls nobody back. Knows neither what a payload means nor who is at the other end.
#pragma once

#include <asio/ip/address.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "src/net/io.h"
#include "src/peers/framing.h"

struct ssl_st;

namespace iris {

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  using Socket = io::Socket;
  using Clock = io::Clock;
  // One whole payload, valid during the call, or why there will be no more. True: go on.
  using OnFrame = std::function<bool(Result<std::string_view> payload)>;
  // `buffer` is the string that was sent, emptied, for use again.
  using OnSent = std::function<void(Status status, std::string buffer)>;

  // `session`: nullptr for plain TCP; it is this stream's from here on. Frames are limited to
  // handshake_bytes_max until set_limit(). REQUIRES: socket is connected
  Stream(Socket socket, ssl_st* session);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  enum class Side { dialler, acceptor };
  // Plain TCP has none: `done` is called all the same, later.
  void handshake(Side side, std::function<void(Status)> done);

  // REQUIRES: the former send() is done
  void send(std::string bytes, OnSent done);
  // Yields frames until `on_frame` returns false or was told an error. May be called again then,
  // also from inside `on_frame`: what has come meanwhile is not lost.
  void receive(OnFrame on_frame);
  void set_limit(std::size_t payload_bytes_max) { reader_.set_limit(payload_bytes_max); }

  // Ends sending, discards received bytes until the other end hangs up, then calls `done`. Closing
  // at once would lose the bytes that were sent last: the kernel resets a connection that is closed
  // with unread bytes. REQUIRES: neither send() nor receive() under way
  void drain(std::function<void()> done);
  void close();

  [[nodiscard]] const std::string& remote() const { return remote_; }  // "192.0.2.1:40000"
  [[nodiscard]] const asio::ip::address& remote_address() const { return remote_address_; }
  [[nodiscard]] Clock::time_point heard() const { return heard_; }  // when bytes came last

  // Keeps few unsent bytes in the kernel, so that the queue here shows what has not left (bulk).
  void keep_kernel_queue_short();

 private:
  struct Secure;
  void read_some();
  void read_to_nowhere();
  void on_read(const std::error_code& error, std::size_t bytes);
  void deliver();
  [[nodiscard]] Error describe(const std::error_code& error) const;

  Socket socket_;
  std::unique_ptr<Secure> secure_;
  std::string remote_;
  asio::ip::address remote_address_;
  FrameReader reader_{handshake_bytes_max};
  OnFrame on_frame_;
  bool reading_ = false;     // an operation reads into reader_
  bool delivering_ = false;  // deliver() is on the stack, or posted
  bool closed_ = false;
  std::string sending_;
  std::function<void()> drained_;
  Clock::time_point heard_ = Clock::now();
};

}  // namespace iris
