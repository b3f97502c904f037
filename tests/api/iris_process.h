// The program iris as a process, for tests: its log, its exit code, and calls of it on loopback.
// One thread at a time; a process dies with its object.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "proto/iris.grpc.pb.h"
#include "tests/api/server.h"
#include "tests/catch.h"
#include "tests/cluster/process.h"
#include "tests/peers/certificates.h"

namespace iris::test {

using namespace std::chrono_literals;

inline std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A socket that listens on a free port, or checks that `port` is free.
class Port {
 public:
  explicit Port(std::uint16_t port = 0) : socket_(::socket(AF_INET6, SOCK_STREAM, 0)) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_any;
    address.sin6_port = htons(port);
    taken_ = ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
             ::listen(socket_, 1) == 0;
    socklen_t length = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    number_ = ntohs(address.sin6_port);
  }
  ~Port() { ::close(socket_); }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  [[nodiscard]] bool taken() const { return taken_; }
  [[nodiscard]] std::uint16_t number() const { return number_; }

 private:
  int socket_;
  bool taken_ = false;
  std::uint16_t number_ = 0;
};

// A port that is free together with the next one.
inline std::uint16_t free_port() {
  while (true) {
    const Port first;
    if (first.number() < 65'000 && Port(first.number() + 1).taken()) return first.number();
  }
}

class Iris {
 public:
  explicit Iris(std::vector<std::string> flags, const Folder* folder = nullptr)
      : folder_(folder != nullptr ? *folder : own_), log_(own_ / "log") {
    flags.insert(flags.begin(), std::string(std::getenv("IRIS_BINARIES")) + "/iris");
    process_ = Process::start(flags, log_, folder_ / "");
  }
  [[nodiscard]] std::string log_text() const { return read_text(log_); }
  [[nodiscard]] bool said(const std::string& text) const {
    return log_text().find(text) != std::string::npos;
  }
  void await_log(const std::string& text) const {
    if (test::await(20s, [&] { return said(text); })) return;
    FAIL("never said " << text << ":\n" << log_text());
  }
  int exit_code(Milliseconds limit = 20s) {
    const auto code = process_.wait(limit);
    if (!code) FAIL("still runs:\n" << log_text());
    return *code;
  }
  void signal(int number) { process_.signal(number); }
  [[nodiscard]] int count(const std::string& text) const {
    const std::string log = log_text();
    int found = 0;
    for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) {
      ++found;
    }
    return found;
  }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  Folder own_;
  const Folder& folder_;
  std::string log_;
  Process process_;
};

inline std::vector<std::string> plain(std::uint16_t port) {
  return {"-nostela", "-insecure", "-listen", "127.0.0.1", "-port", std::to_string(port)};
}

inline std::vector<std::string> operator+(std::vector<std::string> left,
                                          std::vector<std::string> right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline std::unique_ptr<pb::Iris::Stub> iris_at(std::uint16_t port) {
  return pb::Iris::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
}

inline std::unique_ptr<pb::Cluster::Stub> cluster_at(std::uint16_t port) {
  return pb::Cluster::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
}

inline grpc::Status set(std::uint16_t port, const std::string& key) {
  pb::SetValueRequest request;
  request.set_source("s");
  request.set_key(key);
  request.set_value("v");
  pb::SetValueResponse response;
  return iris_at(port)->SetValue(context().get(), request, &response);
}

inline pb::StatusResponse status(std::uint16_t port) {
  pb::StatusResponse response;
  static_cast<void>(cluster_at(port)->Status(context(5s).get(), {}, &response));
  return response;
}

}  // namespace iris::test
