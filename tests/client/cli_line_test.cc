// The command line of iris-cli: what it takes, the environment that stands for flags, what is said
// of a line that is wrong, help.
#include "src/client/client.h"
#include "tests/client/cli_fixture.h"
#include "tests/client/fake_stela.h"

using iris::test::cli;
using iris::test::contains;
using iris::test::dead_address;
using iris::test::Ended;
using iris::test::FakeStela;
using iris::test::Fixture;
using iris::test::Words;

TEST_CASE("exit code 2: usage, with one sentence on stderr") {
  const std::pair<Words, std::string> bad[] = {
      {{"get", "s"}, "get: KEY is missing: iris-cli get SOURCE KEY"},
      {{"set"}, "set: SOURCE, KEY and VALUE are missing"},
      {{"get", "s", "k", "x"}, "\"x\""},
      {{"set", "s", "k"}, "set: VALUE is missing: iris-cli set SOURCE KEY VALUE"},
      {{"get", "-sorce", "s", "-key", "k"}, "did you mean -source?"},
      {{"get", "-source", "s", "-key", "k", "x"}, "\"x\""},
      {{"get", "-source", "s"}, "-key is missing"},
      {{"getkeys"}, "-source is missing"},
      {{"removekey", "-source", "s"}, "-key is missing"},
      {{"rm"}, "SOURCE is missing"},
      {{"rm", "s", "-if-rev", "3"}, "-if-rev"},
      {{"ls", "-values"}, "SOURCE"},
      {{"get", "s", "k", "-o", "xml"}, "text or json"},
      {{"get", "s", "k", "-timeout", "0s"}, "1ms"},
      {{"get", "s", "k", "-addr", "host:0", "-insecure"}, "host:0"},
      {{"watch"}, "SOURCE is missing"},
      {{"watch", "--", "true"}, "SOURCE is missing: it stands before --"},
      {{"watch", "a", "b", "c"}, "one argument too many: \"c\""},
      {{"watch", "a", "-initial", "-from", "3"}, "-initial"},
      {{"watch", "a", "-heartbeat", "99ms"}, "100ms"},
      {{"watch", "a", "-insecure", "-o", "json", "--", "true"}, "-o json is for what watch prints"},
      {{"member", "rm"}, "ID is missing"},
      {{"member", "promote"}, "ID is missing"},
      {{"backup"}, "FILE is missing"},
      {{"set", "s", "k", "-5"}, "an argument that begins with - stands behind --"},
      {{"rm", "-x"}, "an argument that begins with - stands behind --"},
      {{"set", "s", "k", "--", "-5", "-insecure"}, "flags stand before it"},
      {{"member"}, "member ls"},
      {{"set", "-insecure", "\xff", "k", "v"}, "source is not valid UTF-8"},
      {{"watch", "-insecure", "\xff"}, "source is not valid UTF-8"},
      {{"watch", "a", "-insecure", "-resume", "/"}, "cannot read /: Is a directory"},
      {{"member", "remove"}, "did you mean member rm?"},
      {{"leader", "transfer"}, "did you mean leader move?"},
      {{"put"}, "did you mean set?"},
      {{"del"}, "did you mean rm?"},
      {{"delete"}, "did you mean rm?"},
      {{"list"}, "did you mean ls?"},
      {{"members"}, "did you mean member ls?"},
      {{"subscribe"}, "did you mean watch?"},
      {{"stauts"}, "did you mean status?"},
      {{"-addr", "x", "get"}, "the command comes first"},
      {{}, "a command is needed"},
  };
  for (const auto& [words, part] : bad) {
    const Ended ended = cli(words);
    INFO(ended.err);
    CHECK(ended.code == 2);
    CHECK(ended.out.empty());
    CHECK(contains(ended.err, part));
  }
  const Fixture at;
  const Ended refused = at.cli({"set", "", "k", "v"});
  CHECK(refused.code == 2);
  CHECK(contains(refused.err, "You must provide a source"));
}

TEST_CASE("addresses come from flags, the environment, Stela, or the default") {
  const Fixture at;
  at.cluster->set("s", "k", "v");
  // The first that can be reached.
  const std::string dead = dead_address();
  CHECK(cli({"get", "s", "k", "-insecure", "-addr", dead + "," + at.node.address()}).out == "v");
  CHECK(cli({"get", "s", "k", "-insecure", "-addr", dead, "-addr", at.node.address()}).out == "v");
  CHECK(cli({"get", "s", "k", "-insecure"},
            {.environment = {{"IRIS_ADDR", dead + "," + at.node.address()}}})
            .out == "v");
  CHECK(cli({"get", "s", "k", "-insecure", "-addr", ""},
            {.environment = {{"IRIS_ADDR", at.node.address()}}})
            .out == "v");
  const Ended bad = cli({"get", "s", "k", "-insecure"}, {.environment = {{"IRIS_ADDR", "a,,b"}}});
  CHECK(bad.code == 2);

  FakeStela stela;
  stela::pb::ServiceMessage found;
  found.set_name("iris.service.fg");
  found.set_ipv4("127.0.0.1");
  found.set_port(at.node.port());
  stela.found = {found};
  CHECK(cli({"get", "s", "k", "-insecure", "-stela", stela.address()}).out == "v");
  // What the default is tried for is said; nobody need listen there.
  stela.found.clear();
  const Ended none = cli({"get", "s", "k", "-insecure", "-stela", stela.address(), "-timeout",
                          "100ms", "-serverName", "x"});
  if (none.code != 0 && none.code != 1) {
    CHECK(contains(none.err, "knows of no node"));
    CHECK(contains(none.err, "127.0.0.1:32000"));
  }
  const Ended gone =
      cli({"get", "s", "k", "-insecure", "-stela", dead_address(), "-timeout", "100ms"});
  if (gone.code != 0 && gone.code != 1) CHECK(contains(gone.err, "Stela at "));
}

TEST_CASE("each flag that leads to a node is an environment variable too; the flag wins") {
  const Fixture at;
  at.cluster->set("s", "k", "v");
  const std::map<std::string, std::string> there = {
      {"IRIS_ADDR", at.node.address()}, {"IRIS_INSECURE", "true"}, {"IRIS_NOSTELA", "1"}};
  CHECK(cli({"get", "s", "k"}, {.environment = there}).out == "v");
  const Ended tls = cli({"get", "s", "k", "-insecure=false"}, {.environment = there});
  CHECK(tls.code == 2);
  CHECK(contains(tls.err, "ca.crt"));
  auto with = [&](const std::string& name, const std::string& value) {
    auto environment = there;
    environment[name] = value;
    return environment;
  };
  CHECK(cli({"get", "s", "k"}, {.environment = with("IRIS_INSECURE", "")}).code == 2);
  const Ended bad = cli({"get", "s", "k"}, {.environment = with("IRIS_INSECURE", "yes")});
  CHECK(bad.code == 2);
  CHECK(contains(bad.err, "\"yes\" for -insecure in the environment variable IRIS_INSECURE"));
  CHECK(contains(cli({"ls"}, {.environment = with("IRIS_TIMEOUT", "soon")}).err, "IRIS_TIMEOUT"));
  for (const char* name : {"IRIS_CA", "IRIS_CERT", "IRIS_KEY"}) {
    const Ended ended =
        cli({"ls", "-insecure=false"}, {.environment = with(name, std::string("/no/") + name)});
    CHECK(ended.code == 2);
  }
  CHECK(contains(cli({"ls", "-insecure=false"}, {.environment = with("IRIS_CA", "/no/ca")}).err,
                 "/no/ca"));

  FakeStela stela;
  stela::pb::ServiceMessage found;
  found.set_name("iris.service.fg");
  found.set_ipv4("127.0.0.1");
  found.set_port(at.node.port());
  stela.found = {found};
  CHECK(cli({"get", "s", "k"},
            {.environment = {{"IRIS_INSECURE", "1"}, {"IRIS_STELA", stela.address()}}})
            .out == "v");
  // Every one of them is in the help.
  const std::string help = cli({"help", "connection"}).out;
  for (const char* name : {"IRIS_ADDR", "IRIS_INSECURE", "IRIS_CA", "IRIS_CERT", "IRIS_KEY",
                           "IRIS_SERVERNAME", "IRIS_NOSTELA", "IRIS_STELA", "IRIS_STELACERT",
                           "IRIS_STELAKEY", "IRIS_STELACA", "IRIS_STELASERVERNAME"}) {
    INFO(name);
    CHECK(contains(help, std::string("(") + name));
  }
}

TEST_CASE(
    "the help of a command is about the command; how to connect stands on a page of its own") {
  const std::string get = cli({"get", "-h"}).out;
  CHECK(contains(get, "\n  -o FORMAT\n"));
  CHECK(contains(get, "(IRIS_TIMEOUT; default 5s)"));
  CHECK_FALSE(contains(get, "PEM"));
  CHECK(contains(get, "iris-cli help connection"));
  CHECK(contains(get, "-addr, -insecure, -ca, "));
  CHECK(contains(cli({"help", "connection"}).out, "PEM certificate of the authority"));
  // A backup has one time limit, and it is said once.
  const std::string backup = cli({"backup", "-h"}).out;
  CHECK(contains(backup, "(default 1h)"));
  CHECK_FALSE(contains(backup, "5s"));
  CHECK_FALSE(contains(backup, "IRIS_TIMEOUT"));
}

TEST_CASE("help goes to stdout, with two examples for every command") {
  const Ended all = cli({"help"});
  CHECK(all.code == 0);
  CHECK(all.err.empty());
  const auto exit_codes = all.out.find("Exit codes:");
  REQUIRE(exit_codes != std::string::npos);
  for (const int code : {0, 1, 2, 3, 4, 5, 6, 7, 8, 74, 129, 130, 141, 143}) {
    INFO(code);
    CHECK(contains(all.out.substr(exit_codes), " " + std::to_string(code) + " "));
  }
  for (const Words& words :
       {Words{"set"}, Words{"get"}, Words{"ls"}, Words{"rm"}, Words{"watch"}, Words{"status"},
        Words{"health"}, Words{"member", "ls"}, Words{"member", "rm"}, Words{"member", "promote"},
        Words{"leader", "move"}, Words{"getsources"}, Words{"getkeys"}, Words{"removesource"},
        Words{"removekey"}}) {
    Words line = words;
    line.emplace_back("-h");
    const Ended help = cli(line);
    CHECK(help.code == 0);
    CHECK(help.err.empty());
    const auto examples = help.out.find("Examples\n");
    REQUIRE(examples != std::string::npos);
    const auto blank = help.out.find("\n\n", examples);
    const std::string part = help.out.substr(examples, blank - examples);
    std::size_t count = 0;
    for (auto at = part.find("  iris-cli "); at != std::string::npos;
         at = part.find("  iris-cli ", at + 1)) {
      ++count;
    }
    INFO(help.out);
    CHECK(count == 2);
    line = words;
    line.insert(line.begin(), "help");
    CHECK(cli(line).out == help.out);
  }
  const Ended members = cli({"member", "-h"});
  CHECK(members.code == 0);
  CHECK(contains(members.out, "member promote"));
  CHECK_FALSE(contains(members.out, "leader move"));
  CHECK(cli({"help", "member"}).out == members.out);
  CHECK(cli({"help", "-h"}).out == all.out);
  // None is there where leaving the flag out means something else than 0.
  CHECK_FALSE(contains(cli({"set", "-h"}).out, "(default 0)"));
  CHECK_FALSE(contains(cli({"watch", "-h"}).out, "(default 0)"));
  for (const char* word : {"version", "-version", "--version", "-v"}) {
    CHECK(cli({word}).out == std::string("iris-cli ") + iris::Client::version() + "\n");
  }
}
