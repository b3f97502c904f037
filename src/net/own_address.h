// Own address: the host by which other nodes reach this one, where -advertise does not say it.
// Any thread. Sends nothing: it asks the kernel which way it would send. own_raft_address(),
// source_address() and ipv4_addresses() resolve names, which may block: they are for the time
// before the loop runs.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "raft/result.h"
#include "src/base/address.h"

namespace iris {

struct OwnAddressHints {
  std::string advertise;             // -advertise
  std::string listen;                // -listen
  std::string recorded;              // this node's raft address in the members list; may be empty
  std::vector<std::string> towards;  // addresses of other nodes: -join, other members
  std::string otherwise;             // host, where nothing else is known
};

// The raft address to tell others: -advertise; a -listen host that others can dial; the recorded
// host, while it is a name or still an address of this machine; the local address of the way to the
// first of `towards` that there is a way to; the recorded host after all; `otherwise`.
[[nodiscard]] std::string own_raft_address(const OwnAddressHints& hints, std::uint32_t raft_port);

// The address of this machine from which packets to `target` would leave, and others can dial.
[[nodiscard]] Result<std::string> source_address(const Address& target);
// As others can dial it; nothing for one that means something on one link only (fe80::1%eth0).
[[nodiscard]] std::optional<std::string> dialled_host(const sockaddr* address, socklen_t length);
// Those that a name stands for; none where it is not resolved.
[[nodiscard]] std::vector<std::string> ipv4_addresses(const std::string& name);
// An address, not a name.
[[nodiscard]] bool is_numeric_host(const std::string& host);
// An address (not a name) of this machine.
[[nodiscard]] bool is_local_address(const std::string& host);
// localhost, 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(const std::string& host);

}  // namespace iris
