#include "tests/cluster/relay.h"

#include <array>
#include <asio.hpp>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "raft/check.h"

namespace iris::test {

namespace {

using asio::ip::tcp;

// "0100007F:1F90", as /proc/net/tcp writes it.
std::string hexadecimal(const tcp::endpoint& endpoint) {
  char text[16];
  std::snprintf(text, sizeof text, "%08X:%04X", htonl(endpoint.address().to_v4().to_uint()),
                endpoint.port());
  return text;
}

// The inode of the connected socket that is at `local` and speaks with `remote`; empty: none.
std::string inode_of(const tcp::endpoint& local, const tcp::endpoint& remote) {
  std::ifstream table("/proc/net/tcp");
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string number, from, to, ignored, inode;
    fields >> number >> from >> to;
    if (from != hexadecimal(local) || to != hexadecimal(remote)) continue;
    for (int i = 0; i < 6; ++i) fields >> ignored;
    fields >> inode;
    return inode;
  }
  return "";
}

bool has_socket(pid_t process, const std::string& inode) {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(process) + "/fd", error);
  if (error) return false;
  for (const auto& entry : all) {
    const auto target = std::filesystem::read_symlink(entry.path(), error);
    if (!error && target == "socket:[" + inode + "]") return true;
  }
  return false;
}

}  // namespace

// Of the relay's thread, but for the atomics.
struct Relay::State {
  explicit State(const std::vector<std::uint16_t>& raft_ports) {
    const auto address = asio::ip::make_address_v4(Relay::host);
    for (const std::uint16_t port : raft_ports) {
      doors.push_back({{loop, tcp::endpoint(address, port)}, port});
    }
    for (std::size_t i = 0; i < doors.size(); ++i) accept(i);
    thread = std::thread([this] { loop.run(); });
  }

  struct Connection {
    explicit Connection(asio::io_context& loop) : dialler(loop), target(loop) {}
    tcp::socket dialler, target;
    bool closed = false;
    void close() {
      closed = true;
      asio::error_code ignored;
      dialler.close(ignored);
      target.close(ignored);
    }
  };
  // One direction of a connection.
  struct Way {
    std::shared_ptr<Connection> connection;
    tcp::socket& in;
    tcp::socket& out;
    std::pair<std::size_t, std::size_t> ends;  // from, to
    std::array<char, 64 << 10> bytes{};
  };

  void accept(std::size_t node) {
    auto connection = std::make_shared<Connection>(loop);
    doors[node].acceptor.async_accept(connection->dialler,
                                      [this, node, connection](asio::error_code error) {
                                        if (error == asio::error::operation_aborted) return;
                                        if (!error) accepted(node, connection);
                                        accept(node);
                                      });
  }

  void accepted(std::size_t node, const std::shared_ptr<Connection>& connection) {
    const auto dialler = who_dialled(connection->dialler);
    if (!dialler) return connection->close();  // the dialling process has ended
    connection->target.async_connect(
        {asio::ip::address_v4::loopback(), doors[node].port},
        [this, node, connection, dialler = *dialler](asio::error_code error) {
          if (error) return connection->close();
          asio::error_code ignored;
          connection->dialler.set_option(tcp::no_delay(true), ignored);
          connection->target.set_option(tcp::no_delay(true), ignored);
          read(std::make_shared<Way>(
              Way{connection, connection->dialler, connection->target, {dialler, node}}));
          read(std::make_shared<Way>(
              Way{connection, connection->target, connection->dialler, {node, dialler}}));
        });
  }

  std::optional<std::size_t> who_dialled(const tcp::socket& socket) {
    asio::error_code error;
    const auto remote = socket.remote_endpoint(error);
    if (error) return std::nullopt;
    const std::string inode = inode_of(remote, socket.local_endpoint(error));
    if (inode.empty()) return std::nullopt;
    for (const auto& [node, process] : processes) {
      if (has_socket(process, inode)) return node;
    }
    return std::nullopt;
  }

  void read(const std::shared_ptr<Way>& way) {
    way->in.async_read_some(asio::buffer(way->bytes),
                            [this, way](asio::error_code error, std::size_t size) {
                              unless_cut(way, [this, way, error, size] {
                                if (error) return way->connection->close();
                                write(way, size);
                              });
                            });
  }

  void write(const std::shared_ptr<Way>& way, std::size_t size) {
    asio::async_write(way->out, asio::buffer(way->bytes, size),
                      [this, way](asio::error_code error, std::size_t) {
                        if (error) return way->connection->close();
                        read(way);
                      });
  }

  // A cut holds back the end of a connection, too.
  void unless_cut(const std::shared_ptr<Way>& way, std::function<void()> next) {
    if (way->connection->closed) return;
    if (!cuts.contains(way->ends)) return next();
    held.push_back(std::move(next));
    ++held_count;
  }

  void heal() {
    cuts.clear();
    for (const auto& next : std::exchange(held, {})) next();
  }

  struct Door {
    tcp::acceptor acceptor;
    std::uint16_t port;
  };
  asio::io_context loop;
  std::vector<Door> doors;
  std::map<std::size_t, pid_t> processes;
  std::set<std::pair<std::size_t, std::size_t>> cuts;
  std::vector<std::function<void()>> held;
  std::atomic<std::uint64_t> held_count = 0;
  std::thread thread;
};

Relay::Relay(const std::vector<std::uint16_t>& raft_ports)
    : state_(std::make_unique<State>(raft_ports)) {}

Relay::~Relay() {
  state_->loop.stop();
  state_->thread.join();
}

void Relay::started(std::size_t node, pid_t process) {
  asio::post(state_->loop, [this, node, process] { state_->processes[node] = process; });
}

void Relay::cut(std::size_t from, std::size_t to) {
  CHECK(from != to);
  asio::post(state_->loop, [this, from, to] { state_->cuts.emplace(from, to); });
}

void Relay::heal() {
  asio::post(state_->loop, [this] { state_->heal(); });
}

std::uint64_t Relay::held() const { return state_->held_count; }

}  // namespace iris::test
