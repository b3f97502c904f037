// The command line of iris: every flag, every refusal, the limits and their sentences
// (src/server/options.h, src/api/limits.h).
#include "src/server/options.h"

#include <chrono>

#include "tests/catch.h"

namespace iris {
namespace {

using namespace std::chrono_literals;

Options options(std::vector<std::string> arguments) {
  const auto line = parse_command_line(arguments);
  INFO((line ? "" : line.error().text));
  REQUIRE(line);
  REQUIRE(line->action == CommandLine::Action::run);
  return line->options;
}

std::string error(std::vector<std::string> arguments) {
  const auto line = parse_command_line(arguments);
  REQUIRE(!line);
  REQUIRE(line.error().code == Errc::invalid_argument);
  return line.error().text;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("without flags everything is as it was in 2017") {
  const Options plain = options({});
  REQUIRE(plain.port == 32000);
  REQUIRE(plain.raft_dir == "raftDir");
  REQUIRE(plain.join.empty());
  REQUIRE_FALSE(plain.insecure);
  REQUIRE(plain.tls.certificate == "server.crt");
  REQUIRE(plain.tls.key == "server.key");
  REQUIRE(plain.tls.ca == "ca.crt");
  REQUIRE(plain.server_name == "Iris");
  REQUIRE_FALSE(plain.no_stela);
  REQUIRE(plain.stela == "127.0.0.1:31000");
  REQUIRE(plain.stela_tls.certificate == "server.crt");
  REQUIRE(plain.stela_tls.key == "server.key");
  REQUIRE(plain.stela_tls.ca == "ca.crt");
  REQUIRE(plain.stela_server_name == "Stela");
}

TEST_CASE("the flags of 2017 are taken in all their spellings") {
  const Options old =
      options({"-port", "55000", "--raftdir=d", "-nostela", "-insecure=true", "-join", ":32000"});
  REQUIRE(old.port == 55000);
  REQUIRE(old.raft_dir == "d");
  REQUIRE(old.no_stela);
  REQUIRE(old.insecure);
  REQUIRE(old.join == std::vector<std::string>{"127.0.0.1:32000"});
  REQUIRE(options({"-join", "", "-nostela"}).join.empty());  // -join "$JOIN"
  const Options tls =
      options({"-cert", "a", "-key", "b", "-ca", "c", "-serverName", "d", "-stela", "s:1",
               "-stelaCert", "e", "-stelaKey", "f", "-stelaCA", "g", "-stelaServerName", "h"});
  REQUIRE(tls.tls.certificate == "a");
  REQUIRE(tls.tls.key == "b");
  REQUIRE(tls.tls.ca == "c");
  REQUIRE(tls.server_name == "d");
  REQUIRE(tls.stela == "s:1");
  REQUIRE(tls.stela_tls.certificate == "e");
  REQUIRE(tls.stela_tls.key == "f");
  REQUIRE(tls.stela_tls.ca == "g");
  REQUIRE(tls.stela_server_name == "h");
  REQUIRE(options({"-stleaCert", "e"}).stela_tls.certificate == "e");
}

TEST_CASE("the newer flags are taken") {
  const Options all = options({"-advertise",
                               "10.0.0.1",
                               "-listen",
                               "[::1]",
                               "-log-level",
                               "debug",
                               "-max-value-bytes",
                               "8MiB",
                               "-max-name-bytes",
                               "1KiB",
                               "-heartbeat-ms",
                               "10",
                               "-election-ms",
                               "100",
                               "-bootstrap-expect",
                               "3",
                               "-join",
                               "a:1,[::1]:2",
                               "-join",
                               "c:3",
                               "-session-ttl",
                               "1m30s",
                               "-state-check-interval",
                               "1s",
                               "-listener-buffer-bytes",
                               "64KiB",
                               "-log-bytes",
                               "1MiB",
                               "-snapshot-bytes-per-second",
                               "64KiB",
                               "-disk-reserve-bytes",
                               "0"});
  REQUIRE(all.advertise == "10.0.0.1");
  REQUIRE(all.listen == "::1");
  REQUIRE(all.log_level == LogLevel::debug);
  REQUIRE(all.limits.value_bytes_max == 8u << 20);
  REQUIRE(all.limits.name_bytes_max == 1024);
  REQUIRE(all.heartbeat_ms == 10);
  REQUIRE(all.election_ms == 100);
  REQUIRE(all.bootstrap_expect == 3);
  REQUIRE(all.join == std::vector<std::string>{"a:1", "[::1]:2", "c:3"});
  REQUIRE(all.session_ttl == 90s);
  REQUIRE(all.state_check_interval == 1s);
  REQUIRE(options({}).state_check_interval == 10min);
  REQUIRE(options({"-state-check-interval", "0"}).state_check_interval == 0s);
  REQUIRE(all.listener_buffer_bytes == 64u << 10);
  REQUIRE(all.log_bytes_max == 1u << 20);
  REQUIRE(all.snapshot_bytes_per_second == 64u << 10);
  REQUIRE(all.disk_reserve_bytes == 0);
  REQUIRE_FALSE(all.no_tuning);
  REQUIRE_FALSE(all.common_names);
  REQUIRE(options({"-notuning"}).no_tuning);
  REQUIRE(options({"-allowCommonName"}).common_names);
}

TEST_CASE("what clients may hold is taken at its bounds and refused beyond them") {
  const Options least = options({"-max-connections", "1", "-max-connections-per-address", "1",
                                 "-client-memory-bytes", "16MiB"});
  REQUIRE(least.connections_max == 1);
  REQUIRE(least.connections_per_address_max == 1);
  REQUIRE(least.client_memory_bytes == 16u << 20);
  const Options most = options({"-max-connections", "1000000", "-max-connections-per-address",
                                "1000000", "-client-memory-bytes", "1024GiB"});
  REQUIRE(most.connections_max == 1'000'000);
  REQUIRE(most.connections_per_address_max == 1'000'000);
  REQUIRE(most.client_memory_bytes == 1ull << 40);
  for (const char* flag : {"-max-connections", "-max-connections-per-address"}) {
    CAPTURE(flag);
    REQUIRE(contains(error({flag, "0"}), flag));
    REQUIRE(contains(error({flag, "1000001"}), flag));
  }
  REQUIRE(contains(error({"-client-memory-bytes", "16777215"}), "-client-memory-bytes"));
  REQUIRE(contains(error({"-client-memory-bytes", "1099511627777"}), "-client-memory-bytes"));
}

TEST_CASE("what listeners may hold is taken at its bounds and refused beyond them") {
  const Options usual = options({});
  REQUIRE(usual.listeners_memory_bytes == 256u << 20);
  REQUIRE(usual.states_max == 64);
  const Options least = options({"-listeners-memory-bytes", "1MiB", "-max-states", "1"});
  REQUIRE(least.listeners_memory_bytes == 1u << 20);
  REQUIRE(least.states_max == 1);
  const Options most = options({"-listeners-memory-bytes", "1024GiB", "-max-states", "100000"});
  REQUIRE(most.listeners_memory_bytes == 1ull << 40);
  REQUIRE(most.states_max == 100'000);
  REQUIRE(contains(error({"-listeners-memory-bytes", "1048575"}), "-listeners-memory-bytes"));
  REQUIRE(contains(error({"-listeners-memory-bytes", "1099511627777"}), "-listeners-memory-bytes"));
  REQUIRE(contains(error({"-max-states", "0"}), "-max-states"));
  REQUIRE(contains(error({"-max-states", "100001"}), "-max-states"));
}

TEST_CASE("the port leaves room for the raft port") {
  REQUIRE(options({"-port", "65534"}).port == 65534);
  REQUIRE(contains(error({"-port", "65535"}), "from 1 to 65534"));
  REQUIRE(contains(error({"-port", "0"}), "-port"));
}

TEST_CASE("an argument that is no flag is refused") {
  REQUIRE(
      error({"start"}) ==
      "unexpected argument \"start\": iris takes flags, or first of all one of verify, restore, "
      "recover (-h tells more)");
  REQUIRE(contains(error({"-insecure", "true"}), "unexpected argument \"true\""));
  REQUIRE(error({"-insecur"}) == "unknown flag -insecur; did you mean -insecure?");
  REQUIRE(error({"-raft-dir", "x"}) == "unknown flag -raft-dir; did you mean -raftdir?");
}

TEST_CASE("a host has no port, an address has one") {
  for (const char* host : {"", "a:1", "a b", "a/b", "1:2:3"}) {
    CAPTURE(host);
    REQUIRE(contains(error({"-advertise", host}), "without a port"));
    REQUIRE(contains(error({"-listen", host}), "without a port"));
  }
  for (const char* host : {"0.0.0.0", "::", "[::]"}) {
    CAPTURE(host);
    REQUIRE(contains(error({"-advertise", host}), "the one host by which others reach it"));
    REQUIRE_FALSE(options({"-listen", host}).listen.empty());
  }
  REQUIRE(options({"-advertise", "[::1]"}).advertise == "::1");
  REQUIRE(options({"-listen", "fe80::1%eth0"}).listen == "fe80::1%eth0");
  REQUIRE(options({"-listen", "[fe80::1%2]"}).listen == "fe80::1%2");
  for (const char* host :
       {"fe80::1%", "fe80::1%a/b", "fe80::1%an-interface-too-long", "fe80::1%a%b"}) {
    CAPTURE(host);
    REQUIRE(contains(error({"-listen", host}), "an interface after the %"));
  }
  REQUIRE(contains(error({"-advertise", "fe80::1%eth0"}), "without a port"));
  for (const char* address : {"a", "a:", "a:0", "a:65536", "a:x", "::1:5", "[a]:5", ":", "a b:1",
                              "a:99999999999999999999"}) {
    CAPTURE(address);
    REQUIRE(contains(error({"-join", address}), "for -join"));
    REQUIRE(contains(error({"-stela", address}), "for -stela"));
  }
}

TEST_CASE("an election takes several heartbeats") {
  REQUIRE(options({"-heartbeat-ms", "100", "-election-ms", "400"}).election_ms == 400);
  REQUIRE(error({"-heartbeat-ms", "100", "-election-ms", "399"}) ==
          "-election-ms 399 must be at least 4 times -heartbeat-ms 100");
}

TEST_CASE("members compare their data never, or not more often than each second") {
  REQUIRE(options({"-state-check-interval", "8760h"}).state_check_interval == 8760h);
  REQUIRE(contains(error({"-state-check-interval", "8761h"}), "from 0s to 8760h"));
  REQUIRE(error({"-state-check-interval", "999ms"}) ==
          "-state-check-interval 999ms must be 0 or at least 1s");
}

TEST_CASE("several nodes cannot be expected without their addresses") {
  REQUIRE(contains(error({"-bootstrap-expect", "3"}), "needs -join"));
  REQUIRE(options({"-bootstrap-expect", "1"}).bootstrap_expect == 1);
  REQUIRE(contains(error({"-bootstrap-expect", "10"}), "from 0 to 9"));
}

TEST_CASE("a TLS path must not be empty") {
  REQUIRE(contains(error({"-cert="}), "-cert is empty"));
  REQUIRE(contains(error({"-key="}), "-key is empty"));
  REQUIRE(contains(error({"-ca="}), "-ca is empty"));
  REQUIRE(contains(error({"-serverName="}), "-serverName is empty"));
  REQUIRE(options({"-cert=", "-insecure"}).insecure);
  REQUIRE(contains(error({"-raftdir="}), "-raftdir is empty"));
}

TEST_CASE("help and version win over what follows") {
  for (const char* flag : {"-h", "--help", "-help=true"}) {
    const auto line = parse_command_line(std::vector<std::string>{flag});
    REQUIRE(line);
    REQUIRE(line->action == CommandLine::Action::print_help);
  }
  for (const char* flag : {"-version", "-v"}) {  // -v is that of 2017
    const auto line = parse_command_line(std::vector<std::string>{flag, "left over"});
    REQUIRE(line);
    REQUIRE(line->action == CommandLine::Action::print_version);
  }
}

TEST_CASE("the help has examples and every flag with its default") {
  const std::string help = help_text();
  REQUIRE(contains(help, "    iris -nostela -insecure\n"));
  for (const char* flag : {"port",
                           "raftdir",
                           "join",
                           "insecure",
                           "cert",
                           "key",
                           "ca",
                           "serverName",
                           "nostela",
                           "stela",
                           "stelaCert",
                           "stelaKey",
                           "stelaCA",
                           "stelaServerName",
                           "advertise",
                           "listen",
                           "log-level",
                           "max-value-bytes",
                           "max-name-bytes",
                           "heartbeat-ms",
                           "election-ms",
                           "bootstrap-expect",
                           "session-ttl",
                           "state-check-interval",
                           "listener-buffer-bytes",
                           "log-bytes",
                           "snapshot-bytes-per-second",
                           "disk-reserve-bytes",
                           "allowCommonName",
                           "notuning",
                           "max-connections",
                           "max-connections-per-address",
                           "client-memory-bytes",
                           "listeners-memory-bytes",
                           "max-states",
                           "version",
                           "help"}) {
    CAPTURE(flag);
    REQUIRE(contains(help, std::string("\n  -") + flag));
  }
  for (const char* word : {"verify", "restore", "recover", "Exit codes"}) {
    CAPTURE(word);
    REQUIRE(contains(help, word));
  }
  REQUIRE(contains(help, "(default 32000)"));
  REQUIRE(contains(help, "(default 10m)"));
  REQUIRE(contains(help, "(default 4MiB)"));
  REQUIRE_FALSE(contains(help, "stlea"));
}

TEST_CASE(
    "a reserve that no flush fits into is refused by name, and none at all is taken (hazard 96)") {
  REQUIRE(options({"-disk-reserve-bytes", "0"}).disk_reserve_bytes == 0);
  REQUIRE(options({"-disk-reserve-bytes", "32MiB"}).disk_reserve_bytes == 32u << 20);
  for (const char* small : {"1", "16MiB", "33554431"}) {
    CAPTURE(small);
    const std::string why = error({"-disk-reserve-bytes", small});
    REQUIRE(contains(why, "-disk-reserve-bytes "));
    REQUIRE(contains(why, "at least 33554432"));
  }
}

TEST_CASE("addresses are read and written with brackets where IPv6 needs them") {
  const auto address = parse_address("[2001:db8::1]:443");
  REQUIRE(address);
  REQUIRE(address->host == "2001:db8::1");
  REQUIRE(address->port == 443);
  REQUIRE(address_text(address->host, address->port) == "[2001:db8::1]:443");
  REQUIRE(address_text("a.example", 1) == "a.example:1");
}

TEST_CASE("names are taken at their limit and refused one over it (hazard 81)") {
  Limits limits;
  limits.name_bytes_max = 8;
  REQUIRE(check_name(limits, "source", "12345678"));
  const Status longer = check_name(limits, "source", "123456789");
  REQUIRE(!longer);
  REQUIRE(longer.error().code == Errc::invalid_argument);
  REQUIRE(longer.error().text ==
          "source is 9 bytes long; the limit is 8 (server flag -max-name-bytes)");
  const Status empty = check_name(limits, "key", "");
  REQUIRE(!empty);
  REQUIRE(empty.error().code == Errc::invalid_argument);
  REQUIRE(contains(empty.error().text, "provide a key"));
  REQUIRE(check_optional_name(limits, "session", ""));
  REQUIRE(!check_optional_name(limits, "session", "123456789"));
}

TEST_CASE("values are taken at their limit and refused one over it (hazard 40)") {
  Limits limits;
  limits.value_bytes_max = 100;
  REQUIRE(check_value(limits, "s", "k", std::string(100, 'v')));
  const Status bigger = check_value(limits, "s", "k", std::string(101, 'v'));
  REQUIRE(!bigger);
  REQUIRE(bigger.error().code == Errc::invalid_argument);
  REQUIRE(bigger.error().text ==
          "value is 101 bytes long; the limit is 100 (server flag -max-value-bytes)");
}

TEST_CASE("every value that can be stored fits an update's message (hazard 40)") {
  const Limits limits;
  REQUIRE(limits.message_bytes_max() == 4u << 20);
  const std::size_t fits = limits.message_bytes_max() - update_overhead_bytes - 2;
  REQUIRE(check_value(limits, "s", "k", std::string(fits, 'v')));
  const Status bigger = check_value(limits, "s", "k", std::string(fits + 1, 'v'));
  REQUIRE(!bigger);
  REQUIRE(contains(bigger.error().text, "4194305 bytes; the limit is 4194304"));

  Limits greater;
  greater.value_bytes_max = 8u << 20;
  REQUIRE(check_value(greater, std::string(greater.name_bytes_max, 's'),
                      std::string(greater.name_bytes_max, 'k'),
                      std::string(greater.value_bytes_max, 'v')));
}

}  // namespace
}  // namespace iris
