// What others wrote steers nobody's terminal: control characters are escaped there, and newlines in
// names everywhere.
#include <nlohmann/json.hpp>

#include "src/cli/output.h"
#include "tests/client/cli_fixture.h"

using iris::cli::escaped;
using iris::test::contains;
using iris::test::Ended;
using iris::test::Fixture;

TEST_CASE("what steers a terminal is escaped, what is only text is not") {
  const std::pair<std::string, std::string> all[] = {
      {"bl\xc3\xa5 \xf0\x9f\x98\x80 \\n", "bl\xc3\xa5 \xf0\x9f\x98\x80 \\n"},
      {"\x1b[2J\a\x7f", "\\u001b[2J\\u0007\\u007f"},
      {std::string("a\0b", 3), "a\\u0000b"},
      {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
      {"\xc2\x9b"
       "2J",
       "\\u009b2J"},  // CSI in one character
      {"\xe2\x80\xae"
       "txt.exe",
       "\\u202etxt.exe"},                // the rest is written from right to left
      {"\xe2\x80\x93", "\xe2\x80\x93"},  // a dash
      {"\x9b"
       "2J\xff",
       "\\x9b2J\\xff"},
      {"", ""}};
  for (const auto& [text, shown] : all) CHECK(escaped(text, "") == shown);
  CHECK(escaped("a\nb\x1b", "\n") == "a\nb\\u001b");
}

TEST_CASE("names and values are printed escaped on a terminal") {
  const Fixture at;
  const std::string evil = "\x1b]0;x\a";
  at.cluster->set("s", "k" + evil, "v" + evil + "\nw");
  at.cluster->set(evil, "k", "v");
  for (const iris::test::Words& words :
       {iris::test::Words{"ls"}, iris::test::Words{"ls", "s"},
        iris::test::Words{"ls", "s", "-values"}, iris::test::Words{"ls", "s", "-values", "-o=json"},
        iris::test::Words{"get", "s", "k" + evil},
        iris::test::Words{"get", "s", "k" + evil, "-o=json"}}) {
    const Ended ended = at.cli(words, {.terminal = true});
    INFO(ended.out);
    CHECK(ended.code == 0);
    CHECK_FALSE(contains(ended.out, "\x1b"));
    CHECK_FALSE(contains(ended.out, "\a"));
    CHECK(contains(ended.out, "\\u001b]0;x\\u0007"));
  }
  // A value's own lines stay lines where it stands alone, and not in a list.
  CHECK(contains(at.cli({"get", "s", "k" + evil}, {.terminal = true}).out, "\r\nw\r\n"));
  CHECK(contains(at.cli({"ls", "s", "-values"}, {.terminal = true}).out, "\\u0007\\nw\r\n"));
  // What a program reads is the bytes.
  CHECK(at.cli({"get", "s", "k" + evil}).out == "v" + evil + "\nw");
  CHECK(at.cli({"ls", "s"}).out == "k" + evil + "\n");
}

TEST_CASE("the words of a node are one line of stderr") {
  Fixture at;
  at.node.before = [](std::string_view, grpc::ServerContext&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full\niris-cli: all is well");
  };
  const Ended ended = at.cli({"set", "s", "k", "v"});
  CHECK(ended.code == 7);
  CHECK(contains(ended.err, "iris-cli: full\\niris-cli: all is well"));
}

TEST_CASE("JSON on a terminal holds the same text") {
  const Fixture at;
  const std::string key =
      "a\x7f"
      "b\xc2\x9b"
      "c\xe2\x80\xae"
      "d";
  at.cluster->set("s", key, "v");
  const std::string out = at.cli({"ls", "s", "-o", "json"}, {.terminal = true}).out;
  CHECK_FALSE(contains(out, "\xc2\x9b"));
  CHECK(nlohmann::json::parse(out)["key"] == key);
}

TEST_CASE("a newline in a name does not make two lines of it, wherever it is printed") {
  const Fixture at;
  at.cluster->set("s", "real\nforged", "v");
  CHECK(at.cli({"ls", "s"}).out == "real\\nforged\n");
  CHECK(at.cli({"ls", "s", "-values"}).out == "real\\nforged\tv\n");
  CHECK(at.cli({"getkeys", "-source", "s"}).out == "real\\nforged\n");
  at.cluster->set("x\ny", "k", "v");
  CHECK(contains(at.cli({"ls"}).out, "x\\ny\n"));
  iris::test::Program watch(at.line({"watch", "s", "-initial"}), {});
  CHECK(watch.await_out(1));
  watch.signal(15);
  CHECK(contains(watch.wait().out, " PUT s real\\nforged v\n"));
}
