// Server: one node as a process: everything wired to one loop, started and stopped in the order
// that README.md tells. run() is the life of the process. run() on the thread that made it, which
// becomes the loop thread. Owns all there is. Says every reason to end in one log line; decides
// nothing that another part can decide.
#pragma once

#include <memory>

#include "raft/result.h"
#include "src/server/options.h"

namespace iris {

inline constexpr int exit_ok = 0;       // stopped as asked, or removed from the cluster
inline constexpr int exit_failure = 1;  // the port, the folder, the disk
inline constexpr int exit_usage = 2;    // the command line
// Certificates, sockets of systemd, or data that only a newer version knows: systemd does not try
// again, as that could not help.
inline constexpr int exit_config = 78;

// Of an error of the store or the node that ends the process.
[[nodiscard]] inline int exit_code_of(const Error& error) {
  return error.code == Errc::unimplemented ? exit_config : exit_failure;
}

class Server {
 public:
  explicit Server(Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves until it is told to stop (SIGTERM, SIGINT) or cannot go on. Returns the exit code.
  [[nodiscard]] int run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris
