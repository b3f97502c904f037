// The file of -config: its lines, what wins over them, and every refusal by file and line.
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "src/base/flags.h"
#include "src/server/options.h"
#include "tests/catch.h"
#include "tests/peers/certificates.h"

namespace iris {
namespace {

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) { write_file(path(), text); }
  [[nodiscard]] std::string path() const { return folder_ / "iris.conf"; }
  [[nodiscard]] Result<CommandLine> parse(std::vector<std::string> arguments = {}) const {
    arguments.insert(arguments.begin(), {"-config", path()});
    return parse_command_line(arguments);
  }
  // The sentence of the refusal, without the folder.
  [[nodiscard]] std::string error() const {
    const auto line = parse();
    REQUIRE(!line);
    REQUIRE(line.error().code == Errc::invalid_argument);
    const std::string folder = folder_ / "";
    std::string text = line.error().text;
    const std::size_t at = text.find(folder);
    return at == std::string::npos ? text : text.erase(at, folder.size());
  }

 private:
  Folder folder_;
};

TEST_CASE("a file of flags: values, booleans, lists, comments and blank lines") {
  const ConfigFile file(
      "# A node.\n"
      "\n"
      "port 55000        # of the clients\n"
      "\tlisten\t127.0.0.1\t\r\n"
      "insecure\n"
      "nostela true\n"
      "raftdir /var/lib/a folder#1\n"
      "join a:1,b:2\n"
      "join c:3\n"
      "stleaCert old.crt\n"
      "log-level debug");
  const auto line = file.parse();
  INFO((line ? "" : line.error().text));
  REQUIRE(line);
  REQUIRE(line->options.port == 55000);
  REQUIRE(line->options.listen == "127.0.0.1");
  REQUIRE(line->options.insecure);
  REQUIRE(line->options.no_stela);
  REQUIRE(line->options.raft_dir == "/var/lib/a folder#1");
  REQUIRE(line->options.join == std::vector<std::string>{"a:1", "b:2", "c:3"});
  REQUIRE(line->options.stela_tls.certificate == "old.crt");
  REQUIRE(line->options.log_level == LogLevel::debug);
}

TEST_CASE("the command line wins over the file, wherever -config stands, and replaces its lists") {
  const ConfigFile file("port 55000\njoin a:1\ninsecure\nmax-listeners nonsense\n");
  const std::vector<std::string> flags[] = {{"-config", file.path(), "-port", "1", "-join", "b:2",
                                             "-insecure=false", "-max-listeners", "7"},
                                            {"-port", "1", "-join", "b:2", "-insecure=false",
                                             "-max-listeners", "7", "-config=" + file.path()}};
  for (const auto& arguments : flags) {
    const auto line = parse_command_line(arguments);
    INFO((line ? "" : line.error().text));
    REQUIRE(line);
    REQUIRE(line->options.port == 1);
    REQUIRE(line->options.join == std::vector<std::string>{"b:2"});
    REQUIRE_FALSE(line->options.insecure);
    REQUIRE(line->options.listeners_max == 7);
  }
}

TEST_CASE("the environment wins over the file") {
  const ConfigFile file("port 1\nname file\n");
  std::uint32_t port = 0;
  std::string name;
  Flags flags;
  flags.number("port", &port, 0, 9, "PORT", "");
  flags.variable("port", "IRIS_TEST_PORT");
  flags.text("name", &name, "NAME", "");
  flags.config_file("config", "");
  ::setenv("IRIS_TEST_PORT", "2", 1);
  const auto rest = flags.parse(std::vector<std::string>{"-config", file.path()});
  ::unsetenv("IRIS_TEST_PORT");
  REQUIRE(rest);
  REQUIRE(port == 2);
  REQUIRE(name == "file");
}

TEST_CASE("a line that is wrong is named by file and line") {
  REQUIRE(ConfigFile("\nprot 1\n").error() ==
          "iris.conf:2: unknown flag -prot; did you mean -port?");
  REQUIRE(ConfigFile("port\n").error() == "iris.conf:1: port needs a value: port PORT");
  REQUIRE(ConfigFile("port # 1\n").error() == "iris.conf:1: port needs a value: port PORT");
  REQUIRE(ConfigFile("port 65535").error() ==
          "iris.conf:1: bad value \"65535\" for port: it takes a number from 1 to 65534");
  REQUIRE(ConfigFile("port = 1").error().starts_with("iris.conf:1: bad value \"= 1\" for port"));
  REQUIRE(ConfigFile("insecure perhaps").error() ==
          "iris.conf:1: bad value \"perhaps\" for insecure: it takes true or false");
  for (const std::string dashes : {"-port", "--port", "-", "--"}) {
    REQUIRE(ConfigFile(dashes + " 1").error() ==
            "iris.conf:1: in a file a flag stands without its dash, not as \"" + dashes + "\"");
  }
  REQUIRE(ConfigFile("raftdir \"a b\"").error() ==
          "iris.conf:1: a value stands without quotes: raftdir a b");
  for (const std::string name : {"config", "version", "v", "help"}) {
    const std::string full = name == "v" ? "version" : name;
    REQUIRE(ConfigFile(name + " x").error() ==
            "iris.conf:1: -" + full + " is for the command line only");
  }
}

TEST_CASE("a file that cannot be read is named, and one longer than the limit") {
  const ConfigFile here("");
  REQUIRE(here.parse({"-insecure"}));  // an empty one is as none
  const auto missing = parse_command_line(std::vector<std::string>{"-config", here.path() + "x"});
  REQUIRE(!missing);
  REQUIRE(missing.error().text ==
          "cannot read " + here.path() + "x (-config): No such file or directory");
  const auto folder = parse_command_line(std::vector<std::string>{"-config", "/"});
  REQUIRE(!folder);
  REQUIRE(folder.error().text == "cannot read / (-config): Is a directory");
  const auto none = parse_command_line(std::vector<std::string>{"-config", ""});
  REQUIRE(!none);
  REQUIRE(none.error().text == "-config is empty: it must name a file");

  REQUIRE(ConfigFile("#" + std::string(config_bytes_max - 1, ' ')).parse());
  REQUIRE(ConfigFile("#" + std::string(config_bytes_max, ' ')).error() ==
          "cannot read iris.conf (-config): File too large");
}

}  // namespace
}  // namespace iris
