#include "tests/cluster/nodes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "raft/check.h"

namespace iris::test {

namespace {

std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return std::filesystem::absolute(value != nullptr ? value : otherwise).string();
}

bool port_is_free(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return free;
}

// A pair of free ports below the ephemeral range, which starts at 32768 on Linux.
int free_port_pair() {
  static std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<int> choice(5000, 16000);
  for (;;) {
    const int port = 2 * choice(random);
    if (port_is_free(port) && port_is_free(port + 1)) return port;
  }
}

}  // namespace

std::string binary(const std::string& name) {
  return from_environment("IRIS_BINARIES", "build") + "/" + name;
}
std::string project_file(const std::string& name) {
  return from_environment("IRIS_ROOT", ".") + "/" + name;
}

Nodes::Nodes(NodesOptions options) : options_(std::move(options)) {
  std::string pattern = (std::filesystem::temp_directory_path() / "iris-test-XXXXXX").string();
  CHECK(mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
  if (options_.tls) {
    tls_.folder = folder_ + "/certs";
    const std::string command = project_file("scripts/certs") + " " + tls_.folder;
    CHECK(std::system(command.c_str()) == 0);
  }
  for (std::size_t i = 0; i < options_.count; ++i) {
    nodes_.emplace_back();
    nodes_.back().port = free_port_pair();
    nodes_.back().api = std::make_unique<NodeApi>(address(i), tls_);
    if (i > 0) nodes_.back().join = address(0);
    std::filesystem::create_directories(folder_ + "/node" + std::to_string(i));
  }
}

Nodes::~Nodes() {
  for (auto& node : nodes_) node.process.kill_now();
  std::error_code ignored;
  if (!kept_ && std::getenv("IRIS_KEEP") == nullptr) {
    std::filesystem::remove_all(folder_, ignored);
  } else {
    std::fprintf(stderr, "kept: %s\n", folder_.c_str());
  }
}

std::string Nodes::address(std::size_t i) const {
  return "127.0.0.1:" + std::to_string(nodes_[i].port);
}
std::string Nodes::raft_address(std::size_t i) const {
  return "127.0.0.1:" + std::to_string(nodes_[i].port + 1);
}
std::string Nodes::data_folder(std::size_t i) const {
  const std::string& elsewhere = nodes_[i].data;
  return elsewhere.empty() ? folder_ + "/node" + std::to_string(i) + "/data" : elsewhere;
}

void Nodes::keep_data_in(std::size_t i, std::string path) {
  CHECK(!running(i));
  nodes_[i].data = std::move(path);
}

std::string Nodes::log_text(std::size_t i) const {
  std::ifstream file(folder_ + "/node" + std::to_string(i) + "/log");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Nodes::log_tail(std::size_t i) const {
  constexpr std::size_t shown = 2000;
  const std::string text = log_text(i);
  return text.substr(text.size() > shown ? text.size() - shown : 0);
}

void Nodes::keep_evidence() {
  kept_ = true;
  for (std::size_t i = 0; i < size(); ++i) {
    pb::StatusResponse status;
    const bool answers = api(i).status(status, Milliseconds(2000));
    std::fprintf(stderr, "--- node %zu: %s%s\n%s\n", i, running(i) ? "running, " : "ended",
                 answers ? status.ShortDebugString().c_str() : "no answer", log_tail(i).c_str());
  }
}

void Nodes::start(std::size_t i) {
  CHECK(!running(i));
  launch(i);
}

void Nodes::launch(std::size_t i) {
  auto& node = nodes_[i];
  const std::string folder = folder_ + "/node" + std::to_string(i);
  std::vector<std::string> argv = {binary("iris"), "-port",        std::to_string(node.port),
                                   "-raftdir",     data_folder(i), "-nostela",
                                   "-listen",      "127.0.0.1"};
  if (!node.join.empty()) argv.insert(argv.end(), {"-join", node.join});
  if (options_.tls) {
    argv.insert(argv.end(), {"-cert", tls_.folder + "/server.crt", "-key",
                             tls_.folder + "/server.key", "-ca", tls_.folder + "/ca.crt"});
  } else {
    argv.emplace_back("-insecure");
  }
  argv.insert(argv.end(), options_.flags.begin(), options_.flags.end());
  node.process = Process::start(argv, folder + "/log", folder);
}

std::size_t Nodes::add(const std::string& join) {
  const std::size_t i = nodes_.size();
  nodes_.emplace_back();
  nodes_[i].port = free_port_pair();
  nodes_[i].join = join;
  nodes_[i].api = std::make_unique<NodeApi>(address(i), tls_);
  std::filesystem::create_directories(folder_ + "/node" + std::to_string(i));
  launch(i);
  return i;
}

void Nodes::kill(std::size_t i) { nodes_[i].process.kill_now(); }

std::optional<int> Nodes::stop(std::size_t i) {
  nodes_[i].process.signal(SIGTERM);
  return nodes_[i].process.wait(Milliseconds(10000));
}

void Nodes::signal(std::size_t i, int number) { nodes_[i].process.signal(number); }

void Nodes::wipe(std::size_t i) {
  CHECK(!running(i));
  std::filesystem::remove_all(data_folder(i));
}

std::string Nodes::role(std::size_t i) const {
  pb::StatusResponse status;
  return api(i).status(status, Milliseconds(1000)) ? status.role() : "";
}

std::optional<std::size_t> Nodes::leader() {
  std::optional<std::size_t> leader;
  std::uint64_t term = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    pb::StatusResponse status;
    if (!running(i) || !api(i).status(status, Milliseconds(500))) continue;
    if (status.role() == "leader" && status.term() >= term) {
      leader = i;
      term = status.term();
    }
  }
  return leader;
}

void Nodes::await_voters(std::size_t voters, Milliseconds limit) {
  // During a change the former voters must agree, too: killing one of two of them would stop the
  // cluster. So a majority of members is not enough: all nodes must be voters.
  const bool happened = await(limit, [&] {
    const auto who = leader();
    pb::StatusResponse status;
    return who && api(*who).status(status, Milliseconds(500)) && status.voters() == voters &&
           status.tolerates_failures() == (voters - 1) / 2;
  });
  if (!happened) fail("the cluster has not " + std::to_string(voters) + " voters");
}

std::size_t Nodes::await_leader(Milliseconds limit) {
  std::optional<std::size_t> found;
  if (!await(limit, [&] { return (found = leader()).has_value(); })) fail("no node leads");
  return *found;
}

void Nodes::start_all() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) start(i);
  await_voters(nodes_.size());
}

void Nodes::fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    std::fprintf(stderr, "--- node %zu (%s), the end of its log:\n%s\n", i,
                 running(i) ? "running" : "ended", log_tail(i).c_str());
  }
  for (auto& node : nodes_) node.process.kill_now();
  std::abort();
}

}  // namespace iris::test
