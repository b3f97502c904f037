// Nodes: a cluster of real processes on loopback. One thread at a time, but for api(). Owns
// its processes and a temporary folder, removed at the end unless IRIS_KEEP is set.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/cluster/node_api.h"
#include "tests/cluster/process.h"

namespace iris::test {

struct NodesOptions {
  std::size_t count = 3;
  bool tls = false;
  std::vector<std::string> flags;  // for every node
};

// Programs and scripts under test, from IRIS_BINARIES and IRIS_ROOT (set by Meson), else ./build
// and `.`.
[[nodiscard]] std::string binary(const std::string& name);
[[nodiscard]] std::string project_file(const std::string& name);

class Nodes {
 public:
  explicit Nodes(NodesOptions options);
  ~Nodes();
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  // Starts node `i`: node 0 founds, the others join it, data on disk wins over both.
  void start(std::size_t i);
  void kill(std::size_t i);                // SIGKILL
  std::optional<int> stop(std::size_t i);  // SIGTERM; the exit code within 10 s
  void signal(std::size_t i, int number);
  void wipe(std::size_t i);                  // REQUIRES: not running. Its folder is emptied
  std::size_t add(const std::string& join);  // one more node, started, joining the address `join`

  // REQUIRES: not running. Empty: below folder(), as at first.
  void keep_data_in(std::size_t i, std::string path);
  void set_join(std::size_t i, std::string address) { nodes_[i].join = std::move(address); }

  [[nodiscard]] bool running(std::size_t i) { return nodes_[i].process.running(); }
  [[nodiscard]] const NodeApi& api(std::size_t i) const { return *nodes_[i].api; }
  [[nodiscard]] std::string address(std::size_t i) const;
  [[nodiscard]] std::string raft_address(std::size_t i) const;
  [[nodiscard]] pid_t pid(std::size_t i) const { return nodes_[i].process.pid(); }
  [[nodiscard]] std::string data_folder(std::size_t i) const;
  [[nodiscard]] std::string log_text(std::size_t i) const;
  [[nodiscard]] std::string log_tail(std::size_t i) const;
  // After a failure: prints the status and the last log lines of each node, and keeps the folders.
  void keep_evidence();
  [[nodiscard]] const Tls& tls() const { return tls_; }
  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::optional<int> wait_exit(std::size_t i, Milliseconds limit) {
    return nodes_[i].process.wait(limit);
  }
  [[nodiscard]] std::string role(std::size_t i) const;  // empty: no answer

  // These wait, and abort the test with the nodes' last log lines at the time limit.
  // All of them alive and no change under way, so that a minority may be killed.
  void await_voters(std::size_t voters, Milliseconds limit = Milliseconds(30000));
  std::size_t await_leader(Milliseconds limit = Milliseconds(20000));
  // The one node that says it leads, in the highest term seen among the running.
  [[nodiscard]] std::optional<std::size_t> leader();
  // Starts all and waits until all vote.
  void start_all();

 private:
  struct One {
    int port = 0;
    std::string join;
    std::string data;  // empty: below folder_
    Process process;
    std::unique_ptr<NodeApi> api;
  };
  void fail(const std::string& what);
  void launch(std::size_t i);

  NodesOptions options_;
  std::string folder_;
  bool kept_ = false;
  Tls tls_;
  std::vector<One> nodes_;
};

}  // namespace iris::test
