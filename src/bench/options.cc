#include "src/bench/options.h"

#include <algorithm>
#include <array>
#include <limits>

#include "src/base/flags.h"
#include "src/base/version.h"
#include "src/client/connection_flags.h"

namespace iris::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::pair<const char*, Mode>, 5> modes = {{{"set", Mode::set},
                                                                {"get", Mode::get},
                                                                {"mix", Mode::mix},
                                                                {"watch", Mode::watch},
                                                                {"echo", Mode::echo}}};

constexpr char head[] =
    "usage: iris-bench [set|get|mix|watch] [flags]\n"
    "       iris-bench --echo [flags]\n"
    "\n"
    "Loads a cluster and says how fast it answers: a line of JSON on stdout, words on stderr.\n"
    "  set    writes                       (the default)\n"
    "  get    reads\n"
    "  mix    both, as -reads says\n"
    "  watch  writes with listeners: what arrives, how late, and whether all of it\n"
    "  echo   serves a bare gRPC echo of SetValue and GetValue with the threads of iris itself:\n"
    "         load it with -addr to learn what gRPC alone allows on this machine\n"
    "Without -rate each call in flight is followed by the next (closed loop). With -rate calls "
    "are\n"
    "due at fixed times, and their time is counted from then, sent late or not (open loop).\n"
    "Exit codes: 0 ok; 1 nothing succeeded, or watch lost, doubled or reordered an update; 2 "
    "usage;\n"
    "3 a node cannot be reached; 130 interrupted\n"
    "\n"
    "Examples\n"
    "  iris-bench set -insecure -addr a:32000,b:32000,c:32000 -conns 8 -inflight 32\n"
    "  iris-bench mix -insecure -rate 5000 -duration 1m -value 1KiB\n"
    "\n";

unexpected<Error> bad(std::string text) { return fail(Errc::invalid_argument, std::move(text)); }

// Targets of flags that are not fields of Options themselves.
struct Raw {
  bool echo = false;
  bool version = false;
  std::uint32_t port = 33'000;
  client::ConnectionFlags connection;
  std::string server_certificate = "server.crt";
  std::string server_key = "server.key";
};

void declare_load(Flags& flags, Options& options) {
  flags.section("Load");
  flags.number("conns", &options.connections, 1, connections_max, "COUNT",
               "connections, spread over the addresses");
  flags.number("inflight", &options.in_flight, 1, in_flight_max, "COUNT",
               "calls in flight on each connection");
  flags.number("rate", &options.rate, 0, rate_max, "OPS",
               "operations a second at fixed times (open loop); 0: closed loop");
  flags.number("threads", &options.threads, 1, threads_max, "COUNT", "threads that load");
  flags.duration("warmup", &options.warm_up, 0ms, 1h, "load that is not measured, before");
  flags.duration("duration", &options.duration, 100ms, 24h, "how long is measured");
  flags.number("ops", &options.operations, 0, std::numeric_limits<std::int64_t>::max(), "COUNT",
               "measure so many operations instead; 0: -duration counts");
  flags.section("Operations");
  flags.text("source", &options.source, "SOURCE", "where the keys are");
  flags.number("keys", &options.keys, 1, keys_max, "COUNT", "different keys, taken at random");
  flags.bytes("value", &options.value_bytes, 0, value_bytes_max, "size of a value");
  flags.number("reads", &options.read_percent, 0, 100, "PERCENT", "reads among the calls of mix");
  flags.boolean("stale", &options.stale, "reads take what the asked node has");
  flags.boolean("fill", &options.fill, "get and mix store every key before");
  flags.number("seed", &options.seed, 0, std::numeric_limits<std::uint64_t>::max(), "NUMBER",
               "of the choice of keys");
  flags.section("watch");
  flags.number("listeners", &options.listeners, 1, listeners_max, "COUNT",
               "listeners, spread over sources and connections");
  flags.number("sources", &options.sources, 1, listeners_max, "COUNT",
               "sources, SOURCE0 and so on; -rate writes a second (1000) over all");
  flags.number("unread", &options.unread, 0, unread_max, "COUNT",
               "listeners besides, of all sources, that never take what is sent to them");
}

void declare_connection(Flags& flags, Options& options, Raw& raw) {
  flags.section("Connection");
  raw.connection.declare(flags, "gRPC addresses, separated by commas or given one by one");
  flags.duration("timeout", &options.timeout, 1ms, 1h, "of a call");
  flags.variable("timeout", client::variable_of("timeout"));
  flags.section("echo");
  flags.boolean("echo", &raw.echo, "serve the echo");
  flags.number("port", &raw.port, 1, 65'535, "PORT", "to listen on");
  flags.text("cert", &raw.server_certificate, "FILE", "PEM certificate of the echo");
  flags.text("key", &raw.server_key, "FILE", "PEM key of the echo");
}

// The checks that involve several flags.
Status check(const Options& options, const Flags& flags) {
  const std::uint64_t calls = std::uint64_t{options.connections} * options.in_flight;
  if (calls > calls_max) {
    return bad("-conns times -inflight is " + std::to_string(calls) + ", more than " +
               std::to_string(calls_max));
  }
  if (calls * options.value_bytes > values_bytes_max) {
    return bad("-conns times -inflight times -value is more than 4GiB of values in flight");
  }
  if (options.connections < options.threads) {
    return bad("-threads " + std::to_string(options.threads) + " needs as many -conns, not " +
               std::to_string(options.connections));
  }
  if (flags.given("ops") && flags.given("duration")) {
    return bad("-ops and -duration exclude each other");
  }
  if (flags.given("reads") && options.mode != Mode::mix) return bad("-reads is for mix");
  if (options.source.empty()) return bad("-source must not be empty");
  if (options.mode == Mode::watch && options.sources > options.listeners) {
    return bad("-sources " + std::to_string(options.sources) + " needs as many -listeners, not " +
               std::to_string(options.listeners));
  }
  if (options.mode == Mode::watch && options.operations != 0) return bad("watch takes no -ops");
  return Unit{};
}

Status take_mode(Options& options, const Arguments& given, bool echo) {
  if (given.plain.size() > 1) return bad("one argument too many: \"" + given.plain[1] + "\"");
  if (!given.plain.empty()) {
    const auto* const found = std::find_if(
        modes.begin(), modes.end(), [&](const auto& mode) { return given.plain[0] == mode.first; });
    if (found == modes.end()) {
      return bad("unknown mode \"" + given.plain[0] + "\": it is set, get, mix, watch or echo");
    }
    options.mode = found->second;
    if (echo && options.mode != Mode::echo) return bad("-echo takes no other mode");
  }
  if (echo) options.mode = Mode::echo;
  return Unit{};
}

}  // namespace

const char* mode_name(Mode mode) {
  for (const auto& [name, known] : modes) {
    if (known == mode) return name;
  }
  return "";
}

Result<Parsed> parse_options(std::span<const std::string> words) {
  Parsed parsed;
  Options& options = parsed.options;
  Raw raw;
  Flags flags;
  declare_load(flags, options);
  declare_connection(flags, options, raw);
  flags.boolean("version", &raw.version, "print the version");

  const auto given = flags.parse(words);
  if (!given) return unexpected(given.error());
  if (given->help) {
    parsed.help = head + flags.help();
    return parsed;
  }
  if (raw.version) {
    parsed.help = std::string("iris-bench ") + version + "\n";
    return parsed;
  }
  if (const Status mode = take_mode(options, *given, raw.echo); !mode) {
    return unexpected(mode.error());
  }
  if (const Status right = check(options, flags); !right) {
    return unexpected(right.error());
  }
  if (options.mode == Mode::watch && !flags.given("rate")) options.rate = 1'000;
  options.port = static_cast<std::uint16_t>(raw.port);
  options.addresses = raw.connection.addresses;
  if (options.addresses.empty()) options.addresses = {"127.0.0.1:32000"};
  if (!raw.connection.insecure) {
    options.tls = raw.connection.tls;
    if (options.mode == Mode::echo) {
      options.tls->certificate = raw.server_certificate;
      options.tls->key = raw.server_key;
    }
  }
  return parsed;
}

}  // namespace iris::bench
