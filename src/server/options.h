// Options: the command line of the server `iris`. One table (options.cc) declares every flag with
// its range and its help. Any thread; plain values. Reads no file but that of -config and asks
// no network: only the words are judged.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "raft/result.h"
#include "src/api/limits.h"
#include "src/base/address.h"
#include "src/base/flags.h"
#include "src/base/log.h"
#include "src/net/tls_paths.h"

namespace iris {

struct Options {
  std::uint32_t port = 32000;  // gRPC; the raft port is this + 1
  std::string listen;          // host or address; empty: every interface
  std::string advertise;       // host others reach this node by; empty: found out
  std::string raft_dir = "raftDir";

  std::vector<std::string> join;       // gRPC addresses host:port, complete
  std::uint32_t bootstrap_expect = 0;  // found a cluster of that many empty nodes; 0: not asked for

  bool insecure = false;
  TlsPaths tls;
  std::string server_name = "Iris";  // in the certificates of other nodes
  bool common_names = false;         // taken for the server name where there are no DNS names

  bool no_stela = false;
  std::string stela = "127.0.0.1:31000";
  TlsPaths stela_tls;
  std::string stela_server_name = "Stela";

  Limits limits;
  std::uint32_t heartbeat_ms = 50;
  std::uint32_t election_ms = 500;          // timeouts are drawn from [this, 2 * this)
  std::uint64_t log_bytes_max = 64u << 20;  // of the Raft log in memory, before it is trimmed
  std::uint64_t snapshot_bytes_per_second = 64u << 20;  // to nodes that lag too far
  std::uint64_t disk_reserve_bytes = 128u << 20;        // below it nothing that grows is taken
  std::chrono::milliseconds session_ttl = std::chrono::minutes(10);
  std::chrono::milliseconds state_check_interval = std::chrono::minutes(10);  // 0: never
  std::uint64_t listener_buffer_bytes = 4u << 20;     // queued for one slow listener
  std::uint64_t listeners_memory_bytes = 256u << 20;  // queued for all listeners together
  std::uint32_t listeners_max = 100'000;              // streams of Listen on this node
  std::uint32_t states_max = 64;                      // of them, sent a state at once
  std::uint32_t connections_max = 10'000;             // of clients
  std::uint32_t connections_per_address_max = 5'000;
  std::uint64_t client_memory_bytes = 256u << 20;  // of answers that clients have not taken

  // Limits, priorities and scheduling policies of the process stay as they are.
  bool no_tuning = false;
  LogLevel log_level = LogLevel::info;
};

// A shorter interval would have the disk read again and again.
inline constexpr std::chrono::milliseconds state_check_interval_min{1'000};

// A leader must have several chances to be heard before a follower gives up on it.
inline constexpr std::uint32_t heartbeats_per_election_min = 4;

struct CommandLine {
  enum class Action { run, print_help, print_version };
  Action action = Action::run;
  Options options;  // with run: each value in its range, and all of them together make sense
};

// Errc::invalid_argument with one sentence that names the flag and the value.
[[nodiscard]] Result<CommandLine> parse_command_line(std::span<const std::string> arguments);

[[nodiscard]] std::string help_text();

// -advertise, for each command that makes a node. `*host` is the default, and what is given.
void declare_advertise(Flags& flags, std::string* host, std::string help);

}  // namespace iris
