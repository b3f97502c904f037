// Every spelling and every error of the flag parser (src/base/flags.h).
#include "src/base/flags.h"

#include <chrono>
#include <cstdlib>
#include <optional>

#include "tests/catch.h"

namespace iris {
namespace {

using namespace std::chrono_literals;

struct Targets {
  std::string host = "localhost";
  std::vector<std::string> join;
  bool insecure = false;
  bool color = true;
  std::uint32_t port = 32000;
  std::uint64_t count = 7;
  std::uint64_t limit_bytes = 4u << 20;
  std::chrono::milliseconds timeout = 5s;
  Flags flags;

  Targets() {
    flags.section("Network");
    flags.text("host", &host, "HOST", "where to listen");
    flags.list("join", &join, "HOST:PORT,...", "whom to join");
    flags.number("port", &port, 1, 65534, "PORT", "gRPC port");
    flags.section("Rest");
    flags.boolean("insecure", &insecure, "no TLS");
    flags.boolean("color", &color, "colour");
    flags.number("count", &count, std::uint64_t{0}, UINT64_MAX, "N", "how many");
    flags.bytes("limit", &limit_bytes, 1, 1u << 30, "a limit");
    flags.duration("timeout", &timeout, 1ms, 24h, "how long to wait");
    flags.alias("hots", "host");
  }

  Result<Arguments> parse(std::vector<std::string> arguments) { return flags.parse(arguments); }
  std::string error(std::vector<std::string> arguments) {
    const auto result = flags.parse(arguments);
    REQUIRE(!result);
    CHECK(result.error().code == Errc::invalid_argument);
    return result.error().text;
  }
};

TEST_CASE("a value follows its flag, or an equals sign, after one dash or two") {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"-port", "55000"}, {"-port=55000"}, {"--port", "55000"}, {"--port=55000"}}) {
    Targets targets;
    CAPTURE(arguments);
    REQUIRE(targets.parse(arguments));
    REQUIRE(targets.port == 55000);
    REQUIRE(targets.flags.given("port"));
    REQUIRE_FALSE(targets.flags.given("host"));
  }
}

TEST_CASE("a boolean takes its value only behind an equals sign") {
  Targets targets;
  auto rest = targets.parse({"-insecure", "false"});
  REQUIRE(rest);
  REQUIRE(targets.insecure);
  REQUIRE(rest->plain == std::vector<std::string>{"false"});
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    targets.insecure = false;
    REQUIRE(targets.parse({std::string("-insecure=") + yes}));
    REQUIRE(targets.insecure);
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    REQUIRE(targets.parse({std::string("--color=") + no}));
    REQUIRE_FALSE(targets.color);
    targets.color = true;
  }
  REQUIRE(targets.error({"-insecure=yes"}) ==
          "bad value \"yes\" for -insecure: it takes true or false");
}

TEST_CASE("a value may begin with a dash, be empty, or contain an equals sign") {
  Targets targets;
  REQUIRE(targets.parse({"-host", "-x"}));
  REQUIRE(targets.host == "-x");
  REQUIRE(targets.parse({"-host="}));
  REQUIRE(targets.host.empty());
  REQUIRE(targets.parse({"-host", ""}));
  REQUIRE(targets.host.empty());
  REQUIRE(targets.parse({"-host=a=b"}));
  REQUIRE(targets.host == "a=b");
}

TEST_CASE("plain arguments stand anywhere, and two dashes end the flags") {
  Targets targets;
  auto rest = targets.parse({"set", "-port", "1", "-", "a", "--", "-port", "--", "b"});
  REQUIRE(rest);
  REQUIRE(rest->plain == std::vector<std::string>{"set", "-", "a", "-port", "--", "b"});
  REQUIRE(rest->before_dashes == 3);
  REQUIRE(targets.port == 1);
  rest = targets.parse({"a", "b"});
  REQUIRE(rest);
  REQUIRE(rest->before_dashes == 2);
}

TEST_CASE("the last of several values counts, lists add up") {
  Targets targets;
  REQUIRE(targets.parse({"-port", "1", "-port", "2", "-join", "a:1,b:2", "-join=c:3"}));
  REQUIRE(targets.port == 2);
  REQUIRE(targets.join == std::vector<std::string>{"a:1", "b:2", "c:3"});
}

TEST_CASE("an empty piece of a list is refused") {
  for (const char* text : {",", "a,", ",a", "a,,b"}) {
    Targets targets;
    CAPTURE(text);
    REQUIRE(targets.error({"-join", text}).find("without empty pieces") != std::string::npos);
  }
}

TEST_CASE("a list of nothing at all is not given, as in 2017: -join \"$JOIN\"") {
  Targets targets;
  REQUIRE(targets.parse({"-join", "", "-join="}));
  REQUIRE(targets.join.empty());
  REQUIRE_FALSE(targets.flags.given("join"));
  REQUIRE(targets.parse({"-join", "a:1", "-join", "", "-join", "b:2"}));
  REQUIRE(targets.join == std::vector<std::string>{"a:1", "b:2"});
  std::vector<std::string> with_default = {"c:3"};
  Flags flags;
  flags.list("addr", &with_default, "HOST:PORT", "whom to ask");
  REQUIRE(flags.parse(std::vector<std::string>{"-addr", ""}));
  REQUIRE(with_default == std::vector<std::string>{"c:3"});
}

TEST_CASE("numbers are taken at their limits and refused beyond") {
  Targets targets;
  REQUIRE(targets.parse({"-port", "1"}));
  REQUIRE(targets.parse({"-port", "65534"}));
  for (const char* text : {"0", "65535", "-1", "+1", "1x", "x", "", " 1", "0x10", "4294967297"}) {
    CAPTURE(text);
    REQUIRE(targets.error({"-port", text}) == std::string("bad value \"") + text +
                                                  "\" for -port: it takes a number from 1 to "
                                                  "65534");
  }
  REQUIRE(targets.parse({"-count", "18446744073709551615"}));
  REQUIRE(targets.count == UINT64_MAX);
  REQUIRE(!targets.parse({"-count", "18446744073709551616"}));
}

TEST_CASE("bytes take binary units, within their limits") {
  Targets targets;
  REQUIRE(targets.parse({"-limit", "64KiB"}));
  REQUIRE(targets.limit_bytes == 64u << 10);
  REQUIRE(targets.parse({"-limit", "3MiB"}));
  REQUIRE(targets.limit_bytes == 3u << 20);
  REQUIRE(targets.parse({"-limit", "1GiB"}));
  REQUIRE(targets.limit_bytes == 1u << 30);
  REQUIRE(targets.parse({"-limit=1"}));
  REQUIRE(targets.limit_bytes == 1);
  for (const char* text :
       {"0", "1073741825", "2GiB", "KiB", "1 KiB", "1kb", "18446744073709551615GiB"}) {
    CAPTURE(text);
    REQUIRE(targets.error({"-limit", text}).find("from 1 to 1GiB") != std::string::npos);
  }
}

TEST_CASE("times are Go's, each unit once and the greatest first") {
  Targets targets;
  const std::vector<std::pair<std::string, std::chrono::milliseconds>> good = {
      {"1ms", 1ms},   {"1500ms", 1500ms},      {"30s", 30s}, {"10m", 10min}, {"24h", 24h},
      {"1m30s", 90s}, {"1h2m3s4ms", 3723004ms}};
  for (const auto& [text, value] : good) {
    CAPTURE(text);
    REQUIRE(targets.parse({"-timeout", text}));
    REQUIRE(targets.timeout == value);
  }
  for (const char* text : {"", "5", "s", "5 s", "1s1m", "1s1s", "-1s", "1.5s", "0s", "24h1ms",
                           "99999999999999h", "1d"}) {
    CAPTURE(text);
    REQUIRE(targets.error({"-timeout", text}).find("from 1ms to 24h") != std::string::npos);
  }
}

TEST_CASE("an unknown flag is named together with the nearest known one") {
  Targets targets;
  REQUIRE(targets.error({"-prot", "1"}) == "unknown flag -prot; did you mean -port?");
  REQUIRE(targets.error({"--insecur"}) == "unknown flag -insecur; did you mean -insecure?");
  REQUIRE(targets.error({"-zzzzzz=1"}) == "unknown flag -zzzzzz (-h lists all flags)");
  REQUIRE(targets.error({"---port", "1"}) == "unknown flag --port; did you mean -port?");
}

TEST_CASE("a flag of one letter is near to no other, and a hint says what else it may be") {
  Targets targets;
  targets.flags.boolean("o", &targets.color, "");
  REQUIRE(targets.error({"-5"}) == "unknown flag -5 (-h lists all flags)");
  targets.flags.unknown_hint("that is so");
  REQUIRE(targets.error({"-5"}) == "unknown flag -5 (-h lists all flags; that is so)");
  REQUIRE(targets.error({"-prot", "1"}) == "unknown flag -prot; did you mean -port?");
}

TEST_CASE("an environment variable stands for a flag that is not given") {
  Targets targets;
  targets.flags.variable("host", "IRIS_TEST_HOST");
  targets.flags.variable("join", "IRIS_TEST_JOIN");
  targets.flags.variable("insecure", "IRIS_TEST_INSECURE");
  targets.flags.variable("port", "IRIS_TEST_PORT");
  ::setenv("IRIS_TEST_HOST", "there", 1);
  ::setenv("IRIS_TEST_JOIN", "a:1,b:2", 1);
  ::setenv("IRIS_TEST_INSECURE", "", 1);
  ::unsetenv("IRIS_TEST_PORT");
  REQUIRE(targets.parse({"-join", ""}));
  REQUIRE(targets.host == "there");
  REQUIRE(targets.join == std::vector<std::string>{"a:1", "b:2"});
  REQUIRE_FALSE(targets.insecure);
  REQUIRE(targets.port == 32000);
  REQUIRE(targets.flags.in_environment("host"));
  REQUIRE_FALSE(targets.flags.given("host"));
  REQUIRE_FALSE(targets.flags.in_environment("insecure"));
  REQUIRE(targets.flags.help().find("where to listen (IRIS_TEST_HOST; default localhost)") !=
          std::string::npos);

  Targets given;
  given.flags.variable("host", "IRIS_TEST_HOST");
  given.flags.variable("insecure", "IRIS_TEST_INSECURE");
  ::setenv("IRIS_TEST_INSECURE", "yes", 1);
  REQUIRE(given.parse({"-host", "here", "-insecure=false"}));
  REQUIRE(given.host == "here");
  REQUIRE_FALSE(given.flags.in_environment("host"));
  Targets bad;
  bad.flags.variable("insecure", "IRIS_TEST_INSECURE");
  REQUIRE(bad.error({}) ==
          "bad value \"yes\" for -insecure in the environment variable IRIS_TEST_INSECURE: it "
          "takes true or false");
}

TEST_CASE("the help of one section, and of all others") {
  Targets targets;
  const std::string network = targets.flags.help_of("Network");
  REQUIRE(network.starts_with("Network\n  -host HOST\n"));
  REQUIRE(network.find("-insecure") == std::string::npos);
  const std::string rest = targets.flags.help_without("Network");
  REQUIRE(rest.starts_with("Rest\n  -insecure\n"));
  REQUIRE(network + "\n" + rest == targets.flags.help());
  REQUIRE(targets.flags.names_of("Network") == "  -host, -join, -port\n");
}

TEST_CASE("a flag at the end without its value is an error") {
  Targets targets;
  REQUIRE(targets.error({"-port"}) == "flag -port needs a value: -port PORT");
}

TEST_CASE("an alias sets the same target and is not in the help") {
  Targets targets;
  REQUIRE(targets.parse({"-hots", "h"}));
  REQUIRE(targets.host == "h");
  REQUIRE(targets.flags.given("host"));
  REQUIRE(targets.flags.help().find("hots") == std::string::npos);
}

TEST_CASE("a flag that means nothing is taken with its value, and never shown") {
  Targets targets;
  targets.flags.ignored("portt");
  const auto rest = targets.parse({"-portt", "x", "a", "--portt=y"});
  REQUIRE(rest);
  REQUIRE(rest->plain == std::vector<std::string>{"a"});
  REQUIRE(targets.flags.given("portt"));
  REQUIRE(targets.port == 32000);
  REQUIRE(targets.flags.help().find("portt") == std::string::npos);
  REQUIRE(targets.error({"-porttt", "1"}) == "unknown flag -porttt; did you mean -port?");
  REQUIRE(targets.error({"-portt"}) == "flag -portt needs a value: -portt TEXT");
}

TEST_CASE("help is reported and ends the parsing") {
  for (const char* spelling : {"-h", "-help", "--help", "--h"}) {
    Targets targets;
    auto rest = targets.parse({spelling, "-nonsense"});
    REQUIRE(rest);
    REQUIRE(rest->help);
  }
}

TEST_CASE("the help is made from the declarations") {
  Targets targets;
  REQUIRE(targets.parse({"-port", "7"}));  // a value that was given is not the default
  REQUIRE(targets.flags.help() ==
          "Network\n"
          "  -host HOST\n"
          "        where to listen (default localhost)\n"
          "  -join HOST:PORT,...\n"
          "        whom to join\n"
          "  -port PORT\n"
          "        gRPC port (default 32000)\n"
          "\n"
          "Rest\n"
          "  -insecure\n"
          "        no TLS\n"
          "  -color\n"
          "        colour (default true)\n"
          "  -count N\n"
          "        how many (default 7)\n"
          "  -limit BYTES\n"
          "        a limit (default 4MiB)\n"
          "  -timeout TIME\n"
          "        how long to wait (default 5s)\n");
}

TEST_CASE("a number without a default is empty until it is given") {
  std::optional<std::uint64_t> number;
  Flags flags;
  flags.number("from", &number, 1, 9, "N", "where");
  REQUIRE(flags.help() == "  -from N\n        where\n");
  REQUIRE(flags.parse(std::vector<std::string>{}));
  REQUIRE_FALSE(number);
  REQUIRE_FALSE(flags.parse(std::vector<std::string>{"-from", "0"}));
  REQUIRE(flags.parse(std::vector<std::string>{"-from", "9"}));
  REQUIRE(number == 9u);
}

TEST_CASE("long help is wrapped between words") {
  std::string target;
  Flags flags;
  std::string help;
  for (int i = 0; i < 40; ++i) help += (i == 0 ? "word" : " word") + std::to_string(i);
  flags.text("x", &target, "X", help);
  std::size_t begin = 0;
  std::string joined;
  const std::string text = flags.help();
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    REQUIRE(end - begin <= 100);
    if (begin != 0) joined += (joined.empty() ? "" : " ") + text.substr(begin + 8, end - begin - 8);
    begin = end + 1;
  }
  REQUIRE(joined == help);
}

TEST_CASE("nearest finds one slip in a short word and a third of a long one") {
  const std::vector<std::string> words = {"get", "set", "getsources", "status"};
  REQUIRE(nearest("gte", words) == "get");
  REQUIRE(nearest("getsorces", words) == "getsources");
  REQUIRE(nearest("sttaus", words) == "status");
  REQUIRE(nearest("xyz", words).empty());
  REQUIRE(nearest("", words).empty());
}

}  // namespace
}  // namespace iris
