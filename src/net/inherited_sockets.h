// InheritedSockets: listening sockets that systemd opened and hands over to this process
// (LISTEN_FDS, a .socket unit). They stay open while the service is restarted, so connections of
// that time wait instead of being refused. A socket is for the port that it is bound to.
//
// For the start, on one thread. The descriptors belong to whoever takes the result.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "raft/result.h"

namespace iris {

inline constexpr std::size_t inherited_sockets_max = 64;
inline constexpr int inherited_sockets_begin = 3;  // by the protocol: the descriptor after stderr

struct InheritedSockets {
  std::vector<int> clients;      // at -port
  std::vector<int> peers;        // at -port + 1
  bool beyond_loopback = false;  // one of them can be reached from other hosts

  [[nodiscard]] bool empty() const { return clients.empty(); }
};

// The variables of that protocol; empty: not set.
struct ListenVariables {
  std::string pid;    // LISTEN_PID: the process that is meant
  std::string count;  // LISTEN_FDS
  std::string names;  // LISTEN_FDNAMES, with colons between: FileDescriptorName= of the units
};

// Nothing without the variables, or where they are meant for another process. Else there is at
// least one socket for each port. Errc::invalid_argument, with one sentence, for everything that
// does not fit: the count, a descriptor that is no listening TCP socket, a port that is neither, a
// name "grpc" or "raft" at the other one's port, a port without a socket.
// `first`: the first descriptor.
[[nodiscard]] Result<InheritedSockets> inherited_sockets(const ListenVariables& variables,
                                                         pid_t self, std::uint32_t port,
                                                         int first = inherited_sockets_begin);

// The same by the environment, from which the variables are removed: they are for no child.
[[nodiscard]] Result<InheritedSockets> take_inherited_sockets(std::uint32_t port);

}  // namespace iris
