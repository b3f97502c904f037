// A loop, nodes on it that consist of Peers alone, and raw sockets that misbehave.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/log.h"
#include "src/peers/framing.h"
#include "src/peers/peers.h"
#include "src/peers/wire.h"
#include "tests/catch.h"
#include "tests/peers/samples.h"

namespace iris {

using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The loop, driven until something is true.
class Loop {
 public:
  [[nodiscard]] bool until(const std::function<bool()>& state,
                           milliseconds limit = std::chrono::seconds(20)) {
    const auto deadline = Clock::now() + limit;
    while (!state()) {
      if (Clock::now() > deadline) return false;
      if (io.stopped()) io.restart();
      io.run_one_for(milliseconds(20));
    }
    return true;
  }
  // Runs for this long, for events that must not happen.
  [[nodiscard]] bool never(const std::function<bool()>& state, milliseconds time) {
    return !until(state, time);
  }

  asio::io_context io;
};

// The n-th address of the loopback network; a socket may be bound to each.
inline asio::ip::address_v4 local_address(int n) {
  return asio::ip::address_v4(asio::ip::address_v4::loopback().to_uint() +
                              static_cast<unsigned>(n - 1));
}

inline std::string local(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

// Times a test can wait for.
inline PeersOptions quick_options(std::uint64_t id, std::uint16_t port = 0) {
  PeersOptions options;
  options.self = {id};
  options.listen = "127.0.0.1";
  options.port = port;
  options.back_off_ms_min = 10;
  options.back_off_ms_max = 100;
  options.handshake_ms_max = 2000;
  options.linger_ms = 200;
  options.keep_alive_ms = 50;
  options.silence_ms_max = 5000;
  options.accept_retry_ms = 50;
  return options;
}

class TestNode {
 public:
  TestNode(Loop& loop, const PeersOptions& options, const Tls* tls = nullptr,
           raft::ClusterId in_cluster = {0xc1})
      : cluster(in_cluster),
        id(options.self),
        peers(loop.io, options, tls,
              {.identity = [this] { return identity(); },
               .greet = [this](const PeerIdentity& peer) -> Status {
                 ++greeted;
                 if (Status fit = check_levels(identity(), peer); !fit) return fit;
                 if (peer.cluster == cluster) return Unit{};
                 return fail(Errc::refused, "this node is of cluster " + hex_id(cluster.value) +
                                                ", the other of " + hex_id(peer.cluster.value));
               },
               .receive =
                   [this](PeerMessage message) {
                     received.push_back(std::move(message));
                     if (on_message) on_message();
                   }}) {
    const Status listening = peers.listen();
    if (!listening) FAIL(listening.error().text);
    address = local(peers.port());
  }

  [[nodiscard]] raft::Member member() const { return {id, address}; }
  [[nodiscard]] PeerIdentity identity() const {
    return {id, cluster, address, level, cluster_level};
  }
  // Requests for a read index, by their ids: the simplest message there is.
  [[nodiscard]] std::vector<std::uint64_t> ids() const {
    std::vector<std::uint64_t> all;
    for (const PeerMessage& message : received) {
      if (const auto* read = std::get_if<ReadIndexRequest>(&message.body)) all.push_back(read->id);
    }
    return all;
  }
  [[nodiscard]] bool got(std::uint64_t read_id) const {
    const auto all = ids();
    return std::find(all.begin(), all.end(), read_id) != all.end();
  }

  raft::ClusterId cluster;
  raft::Level level = feature_level;
  raft::Level cluster_level{};
  std::string address = "127.0.0.1:1";
  int greeted = 0;
  std::vector<PeerMessage> received;
  std::function<void()> on_message;
  raft::NodeId id;
  Peers peers;
};

// Two nodes that know each other.
inline void introduce(TestNode& a, TestNode& b) {
  a.peers.set_peers({a.member(), b.member()});
  b.peers.set_peers({a.member(), b.member()});
}

inline std::string framed(std::string_view payload) {
  std::string out;
  const std::size_t begun = begin_frame(out);
  out += payload;
  seal_frame(out, begun);
  return out;
}

inline wire::Hello hello_of(std::uint64_t node, wire::Purpose purpose = wire::Purpose::control) {
  return {.sender = {.node = {node}, .cluster = {0xc1}, .address = "127.0.0.1:9"},
          .purpose = purpose};
}

// A raw socket that sends anything. Its calls do not block; the test drives the loop.
class RawSocket {
 public:
  RawSocket(Loop& loop, const std::string& bytes_first, std::uint16_t port,
            const asio::ip::address_v4& from = asio::ip::address_v4::any())
      : socket_(loop.io, tcp::endpoint(from, 0)) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    if (!bytes_first.empty()) write(bytes_first);
    read();
  }
  explicit RawSocket(tcp::socket socket, bool reads = true) : socket_(std::move(socket)) {
    if (reads) read();
  }
  // Blocks until the kernel has all bytes: a message that is to be refused must arrive whole.
  void write(const std::string& bytes) {
    std::error_code error;
    asio::write(socket_, asio::buffer(bytes), error);
  }
  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [this, alive = std::weak_ptr<int>(alive_)](const std::error_code& error,
                                                                       std::size_t bytes) {
                              if (alive.expired()) return;
                              seen.append(buffer_.data(), bytes);
                              if (error) {
                                closed = true;
                              } else {
                                read();
                              }
                            });
  }
  // The welcome it was given, once it is whole.
  [[nodiscard]] std::optional<wire::Welcome> welcome() const {
    FrameReader reader(handshake_bytes_max);
    const auto space = reader.space();
    std::copy(seen.begin(), seen.end(), space.begin());
    reader.filled(seen.size());
    const auto payload = reader.next();
    if (!payload || !*payload) return std::nullopt;
    const auto read = wire::read_welcome(**payload);
    if (!read) return std::nullopt;
    return *read;
  }

  std::string seen;
  bool closed = false;

 private:
  tcp::socket socket_;
  std::array<char, 4096> buffer_{};
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

// Everything written to stderr while it lives, for assertions on the log.
class LogCapture {
 public:
  LogCapture() : saved_(::dup(STDERR_FILENO)), file_(std::tmpfile()) {
    REQUIRE(file_ != nullptr);
    REQUIRE(::dup2(::fileno(file_), STDERR_FILENO) >= 0);
  }
  ~LogCapture() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    std::fclose(file_);
  }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  [[nodiscard]] std::string text() const {
    std::string all(1u << 20, '\0');
    const auto bytes = ::pread(::fileno(file_), all.data(), all.size(), 0);
    all.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return all;
  }
  [[nodiscard]] std::size_t count(const std::string& part) const {
    const std::string all = text();
    std::size_t found = 0;
    for (std::size_t at = all.find(part); at != std::string::npos; at = all.find(part, at + 1)) {
      ++found;
    }
    return found;
  }

 private:
  int saved_;
  std::FILE* file_;
};

}  // namespace iris
