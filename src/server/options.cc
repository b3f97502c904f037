#include "src/server/options.h"

#include <utility>

#include "src/base/flags.h"
#include "store/rocks.h"

namespace iris {
namespace {

// Text that an incomplete command line is told, and that stands at the top of the help.
constexpr std::string_view usage =
    "Usage: iris [flags]\n"
    "       iris verify | restore | recover ...     (iris verify -h)\n"
    "\n"
    "A replicated key-value store that tells its clients of every change, over gRPC.\n"
    "\n"
    "A node for trying out, without TLS and without the discovery service:\n"
    "    iris -nostela -insecure\n"
    "A second one that joins it, on the same host:\n"
    "    iris -nostela -insecure -port 55000 -raftdir raftDir2 -join :32000\n"
    "One of three with mutual TLS, started at the same time in any order:\n"
    "    iris -nostela -bootstrap-expect 3 -join a:32000,b:32000,c:32000\n"
    "\n"
    "A node that has data in its folder starts as what it was; -join and discovery are for its\n"
    "first start only. Flags take one dash or two, and their value after a space or an =.\n"
    "verify and restore are for backups (iris-cli backup), recover is for a node whose cluster "
    "lost\n"
    "its majority for good.\n"
    "Exit codes: 0 stopped or removed from the cluster; 1 the start or the disk failed; 2 usage;\n"
    "  78 certificates, sockets of systemd\n"
    "\n";

unexpected<Error> bad(std::string text) { return fail(Errc::invalid_argument, std::move(text)); }

void declare_tls(Flags& flags, const std::string& prefix, TlsPaths* paths, std::string_view whose) {
  const bool own = prefix.empty();
  const std::string of = " (PEM)" + std::string(whose);
  flags.text(own ? "cert" : prefix + "Cert", &paths->certificate, "FILE",
             "certificate of this node" + of);
  flags.text(own ? "key" : prefix + "Key", &paths->key, "FILE", "its private key" + of);
  flags.text(own ? "ca" : prefix + "CA", &paths->ca, "FILE",
             "certificates that others' must be signed by" + of);
}

void declare_network(Flags& flags, Options& options) {
  flags.section("Network");
  flags.number("port", &options.port, 1, 65534, "PORT",
               "port of the clients (gRPC); the port of the other nodes (raft) is this + 1");
  flags.custom("listen", "HOST", "", "listen on this host's interface only; without it, on all",
               [&options](std::string_view text) -> Status {
                 auto host = parse_listen_host(text);
                 if (!host) return bad(host.error().text);
                 options.listen = std::move(*host);
                 return Unit{};
               });
  declare_advertise(flags, &options.advertise,
                    "host by which other nodes reach this one; without it, the -listen host, else "
                    "the local address of the connection to the -join target");
}

void declare_cluster(Flags& flags, Options& options) {
  flags.section("Cluster");
  flags.text("raftdir", &options.raft_dir, "FOLDER", "folder for all data; made where missing");
  flags.list("join", &options.join, "HOST:PORT,...",
             "gRPC addresses of members of the cluster to join, tried until one admits this node; "
             ":PORT is this host");
  flags.number("bootstrap-expect", &options.bootstrap_expect, 0, 9, "N",
               "wait until N empty nodes see each other by way of -join, then found one cluster");
  flags.number("heartbeat-ms", &options.heartbeat_ms, 5, 10'000, "MS",
               "a leader is heard from this often");
  flags.number("election-ms", &options.election_ms, 50, 600'000, "MS",
               "a leader that was not heard for this long up to twice as long is replaced");
}

void declare_tls_and_stela(Flags& flags, Options& options) {
  flags.section("TLS (on both ports, mutual)");
  flags.boolean("insecure", &options.insecure, "no TLS");
  declare_tls(flags, "", &options.tls, "");
  flags.text("serverName", &options.server_name, "NAME",
             "name expected in the certificates of other nodes, among their alternative names");
  flags.boolean("allowCommonName", &options.common_names,
                "take the common name for it where there are no DNS names, as in files of 2017");
  flags.section("Discovery by Stela");
  flags.boolean("nostela", &options.no_stela, "do without the discovery service");
  flags.text("stela", &options.stela, "HOST:PORT", "address of the Stela service");
  declare_tls(flags, "stela", &options.stela_tls, " towards Stela");
  flags.alias("stleaCert", "stelaCert");  // so it was spelt once, and units still say it
  flags.text("stelaServerName", &options.stela_server_name, "NAME",
             "name expected in Stela's certificate");
}

void declare_limits(Flags& flags, Options& options, bool& version) {
  flags.section("Limits (the same on all nodes)");
  flags.bytes("max-value-bytes", &options.limits.value_bytes_max, 1, 12u << 20,
              "greatest value; above 4MiB clients must raise their own message limit");
  flags.bytes("max-name-bytes", &options.limits.name_bytes_max, 1, 64u << 10,
              "longest name of a source, key or session");
  flags.bytes("log-bytes", &options.log_bytes_max, 1u << 20, 16ull << 30,
              "Raft log kept in memory for nodes and listeners that lag; what is older is dropped");
  flags.bytes("snapshot-bytes-per-second", &options.snapshot_bytes_per_second, 64u << 10,
              64ull << 30,
              "a leader sends its data to nodes that lag too far at this rate at most");
  flags.bytes("listener-buffer-bytes", &options.listener_buffer_bytes, 4u << 10, 1u << 30,
              "queued for one slow listener, before it is served from the log instead");
  flags.bytes("listeners-memory-bytes", &options.listeners_memory_bytes, 1u << 20, 1ull << 40,
              "queued for all listeners together; beyond it the one with most is served from the "
              "log instead");
  flags.number("max-listeners", &options.listeners_max, 1, 10'000'000, "N",
               "streams of Listen on this node at once");
  flags.number("max-states", &options.states_max, 1, 100'000, "N",
               "of them, those that are sent a state at once; others wait their turn");
  flags.number("max-connections", &options.connections_max, 1, 1'000'000, "N",
               "connections of clients at once, fewer where the system allows fewer; more wait");
  flags.number("max-connections-per-address", &options.connections_per_address_max, 1, 1'000'000,
               "N", "the same of one IP address; more are closed");
  flags.bytes("client-memory-bytes", &options.client_memory_bytes, 16u << 20, 1ull << 40,
              "answers that clients have not taken yet; one connection may hold a quarter of it, "
              "and beyond it the connection that holds most loses its calls");
  flags.duration(
      "session-ttl", &options.session_ttl, std::chrono::seconds(1), std::chrono::hours(24 * 365),
      "subscriptions of a session that nobody listens to are kept this long; the same on all "
      "nodes");
  flags.duration("state-check-interval", &options.state_check_interval,
                 std::chrono::milliseconds(0), std::chrono::hours(24 * 365),
                 "the leader has all members hash their data this often, where something changed; "
                 "one that differs from a majority stops. 0: never, else at least 1s");
  flags.bytes("disk-reserve-bytes", &options.disk_reserve_bytes, 0, 1ull << 40,
              "with less free space than this, what needs more is refused; 32MiB at least, or 0: a "
              "full disk ends the node");
  flags.section("Else");
  flags.config_file("config",
                    "take flags from this file too, a line each: \"port 55000\", from a # on "
                    "comment; what the command line gives is not taken from it");
  flags.custom("log-level", "LEVEL", "info", "debug, info, warn or error; the log is on stderr",
               [&options](std::string_view text) -> Status {
                 if (parse_log_level(text, options.log_level)) return Unit{};
                 return bad("debug, info, warn or error");
               });
  flags.boolean("notuning", &options.no_tuning,
                "leave limits, priorities and scheduling policies of the process as they are; for "
                "units with SystemCallFilter=~@resources");
  flags.boolean("version", &version, "print the version and exit (also -v)");
  flags.alias("v", "version");
  flags.custom("help", "", "", "print this text and exit (also -h)",
               [](std::string_view) -> Status { return Unit{}; });
  for (const char* name : {"version", "help"}) flags.command_line_only(name);
}

void declare(Flags& flags, Options& options, bool& version) {
  declare_network(flags, options);
  declare_cluster(flags, options);
  declare_tls_and_stela(flags, options);
  declare_limits(flags, options, version);
}

// What no flag can see alone.
Status check_together(Options& options) {
  for (auto& address : options.join) {
    const auto parsed = parse_address(address);
    if (!parsed) return bad("bad value \"" + address + "\" for -join: " + parsed.error().text);
    address = address_text(parsed->host, parsed->port);
  }
  if (const auto stela = parse_address(options.stela); !stela) {
    return bad("bad value \"" + options.stela + "\" for -stela: " + stela.error().text);
  }
  if (options.raft_dir.empty()) return bad("-raftdir is empty: it must name a folder");
  if (options.election_ms < heartbeats_per_election_min * options.heartbeat_ms) {
    return bad("-election-ms " + std::to_string(options.election_ms) + " must be at least " +
               std::to_string(heartbeats_per_election_min) + " times -heartbeat-ms " +
               std::to_string(options.heartbeat_ms));
  }
  if (options.state_check_interval.count() > 0 &&
      options.state_check_interval < state_check_interval_min) {
    return bad("-state-check-interval " + std::to_string(options.state_check_interval.count()) +
               "ms must be 0 or at least 1s");
  }
  if (options.bootstrap_expect > 1 && options.join.empty()) {
    return bad("-bootstrap-expect " + std::to_string(options.bootstrap_expect) +
               " needs -join with the addresses of the other nodes");
  }
  const std::uint64_t reserve = options.disk_reserve_bytes;
  if (reserve > 0 && reserve < store::disk_reserve_bytes_min) {
    return bad("-disk-reserve-bytes " + std::to_string(reserve) + " must be at least " +
               std::to_string(store::disk_reserve_bytes_min) +
               ", as what is in memory must fit there when it is written out, or 0 (no reserve: a "
               "full disk ends the node)");
  }
  if (options.insecure) return Unit{};
  const std::pair<const char*, const std::string*> needed[] = {
      {"-cert", &options.tls.certificate},
      {"-key", &options.tls.key},
      {"-ca", &options.tls.ca},
      {"-serverName", &options.server_name}};
  for (const auto& [flag, text] : needed) {
    if (text->empty()) return bad(std::string(flag) + " is empty, and TLS needs it (or -insecure)");
  }
  return Unit{};
}

}  // namespace

void declare_advertise(Flags& flags, std::string* host, std::string help) {
  flags.custom("advertise", "HOST", *host, std::move(help),
               [host](std::string_view text) -> Status {
                 auto parsed = parse_host(text);
                 if (!parsed) return bad(parsed.error().text);
                 if (is_wildcard(*parsed)) return bad("the one host by which others reach it");
                 *host = std::move(*parsed);
                 return Unit{};
               });
}

Result<CommandLine> parse_command_line(std::span<const std::string> arguments) {
  CommandLine line;
  bool version = false;
  Flags flags;
  declare(flags, line.options, version);
  const auto rest = flags.parse(arguments);
  if (!rest) return bad(rest.error().text);
  if (rest->help || flags.given("help")) {
    line.action = CommandLine::Action::print_help;
    return line;
  }
  if (version) {
    line.action = CommandLine::Action::print_version;
    return line;
  }
  if (!rest->plain.empty()) {
    return bad("unexpected argument \"" + rest->plain.front() +
               "\": iris takes flags, or first of all one of verify, restore, recover (-h tells "
               "more)");
  }
  if (const Status right = check_together(line.options); !right) return bad(right.error().text);
  return line;
}

std::string help_text() {
  Options options;
  bool version = false;
  Flags flags;
  declare(flags, options, version);
  return std::string(usage) + flags.help();
}

}  // namespace iris
