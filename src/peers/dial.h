// Dial: from an address to a connection that has been welcomed, or to the reason why there is none:
// resolve, connect, TLS handshake, hello, welcome, all within one time limit. Used by links and by
// probes.
// Loop thread; names are resolved by NameLookup. Owns what it opens until it hands it over.
// Calls back once, never from inside dial(), and not at all after cancel().
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/net/io.h"
#include "src/net/tls.h"
#include "src/peers/name_lookup.h"
#include "src/peers/stream.h"
#include "src/peers/wire.h"

namespace iris {

struct Dialled {
  std::shared_ptr<Stream> stream;
  PeerIdentity peer;
};

// Shared by all dials of one Peers. Outlives them.
struct DialContext {
  asio::io_context& loop;
  const Tls* tls;  // nullptr: plain TCP
  NameLookup& names;
};

class Dial : public std::enable_shared_from_this<Dial> {
 public:
  using Done = std::function<void(Result<Dialled>)>;

  // The addresses that the name stands for, before the first of them is tried.
  using Resolved = std::function<void(const std::vector<asio::ip::address>& addresses)>;

  // Errc::io where nothing answers, refused where the node there must not be talked to; each text
  // says at which step.
  static std::shared_ptr<Dial> start(const DialContext& context, std::string address,
                                     wire::Hello hello, std::uint32_t limit_ms, Done done,
                                     Resolved resolved = nullptr);
  void cancel();

 private:
  using Tcp = asio::ip::tcp;
  Dial(const DialContext& context, std::string address, wire::Hello hello, Done done,
       Resolved resolved);

  void resolve(const Address& address);
  void on_resolved(const NameLookup::Addresses& addresses, std::uint16_t port);
  void connect_next();
  void on_connected(const std::error_code& error);
  void say_hello();
  void await_welcome();
  [[nodiscard]] Status judge(const wire::Welcome& welcome) const;

  void arm(Stream::Clock::time_point at);
  void on_time();
  void finish(Result<Dialled> result);
  void give_up(Errc code, const std::string& why);

  const DialContext& context_;
  std::string address_;
  wire::Hello hello_;
  Done done_;  // nullptr: it was called, or this dial was cancelled
  Resolved resolved_;
  const char* step_ = "resolving its name";
  Stream::Clock::time_point deadline_;
  io::Timer timer_;
  std::uint64_t lookup_ = 0;              // at NameLookup; 0: none
  std::vector<Tcp::endpoint> endpoints_;  // not tried yet, the next one last
  io::Socket socket_;
  unsigned attempt_ = 0;  // the endpoint under way; what an earlier one still reports is ignored
  std::error_code last_error_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace iris
