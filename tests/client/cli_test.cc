// iris-cli as a user sees it: the built program against fake nodes. Exit codes, what stands on
// stdout and what on stderr. The command line is in cli_line_test.cc, watch in watch_test.cc.
#include <nlohmann/json.hpp>

#include "tests/client/cli_fixture.h"

using iris::test::cli;
using iris::test::contains;
using iris::test::dead_address;
using iris::test::Ended;
using iris::test::FakeIris;
using iris::test::Fixture;
using iris::test::Folder;
using iris::test::run;
using iris::test::Words;
using nlohmann::json;

namespace {

FakeIris::Hook always(grpc::StatusCode code, const std::string& text) {
  return [=](std::string_view, grpc::ServerContext&) { return grpc::Status(code, text); };
}

}  // namespace

TEST_CASE("iris-cli stores, prints, lists and removes") {
  const Fixture at;
  const Ended set = at.cli({"set", "colors", "sky", "blue"});
  CHECK(set.code == 0);
  CHECK(set.out.empty());
  CHECK(set.err.empty());
  CHECK(at.cli({"get", "colors", "sky"}).out == "blue");  // the bytes and nothing else
  CHECK(at.cli({"set", "colors", "grass", "green"}).code == 0);
  CHECK(at.cli({"ls"}).out == "colors\n");
  CHECK(at.cli({"ls", "colors"}).out == "grass\nsky\n");
  CHECK(at.cli({"ls", "colors", "-prefix", "s", "-values"}).out == "sky\tblue\n");
  CHECK(at.cli({"ls", "colors", "-limit=1"}).out == "grass\n");
  CHECK(at.cli({"ls", "nothing"}).code == 0);
  CHECK(at.cli({"rm", "colors", "sky"}).code == 0);
  CHECK(at.cli({"rm", "colors", "sky"}).code == 0);
  CHECK(at.cli({"ls", "colors"}).out == "grass\n");
  CHECK(at.cli({"rm", "colors"}).code == 0);
  CHECK(at.cli({"ls"}).out.empty());
}

TEST_CASE("the commands and flags of 2017 work unchanged") {
  const Fixture at;
  CHECK(at.cli({"set", "-source", "colors", "-key", "sky", "-value", "blue"}).code == 0);
  CHECK(at.cli({"set", "-source=colors", "--key=empty", "-value="}).code == 0);
  CHECK(at.cli({"get", "-source", "colors", "-key", "sky"}).out == "blue");
  CHECK(at.cli({"getsources"}).out == "colors\n");
  CHECK(at.cli({"getkeys", "-source", "colors"}).out == "empty\nsky\n");
  CHECK(at.cli({"removekey", "-source", "colors", "-key", "sky"}).code == 0);
  // A missing key: nothing, and no error.
  const Ended missing = at.cli({"get", "-source", "colors", "-key", "sky"});
  CHECK(missing.code == 0);
  CHECK(missing.out.empty());
  CHECK(missing.err.empty());
  CHECK(at.cli({"removesource", "-source", "colors"}).code == 0);
  CHECK(at.cli({"getsources"}).out.empty());
}

TEST_CASE("the commands of 2017 take one set of flags, and pass over what they do not use") {
  const Fixture at;
  at.cluster->set("s", "k", "v");
  CHECK(at.cli({"get", "-source", "s", "-key", "k", "-value", "x"}).out == "v");
  CHECK(at.cli({"getkeys", "-source", "s", "-key", "k", "-value="}).out == "k\n");
  CHECK(at.cli({"getsources", "-source", "s", "--key=k", "-value", "x"}).out == "s\n");
  CHECK(at.cli({"removekey", "-source", "s", "-key", "none", "-value", "x"}).code == 0);
  CHECK(at.cli({"getsources"}).out == "s\n");
  CHECK(at.cli({"removesource", "-source", "s", "-key", "none", "-value", "x"}).code == 0);
  CHECK(at.cli({"getsources"}).out.empty());
  // Not in the help, and not in the new spellings.
  CHECK_FALSE(contains(cli({"get", "-h"}).out, "-value"));
  CHECK_FALSE(contains(cli({"getsources", "-h"}).out, "-source"));
  const Ended both = cli({"get", "s", "k", "-value", "x"});
  CHECK(both.code == 2);
  CHECK(contains(both.err, "not both ways"));
  CHECK(contains(cli({"ls", "-key", "k"}).err, "unknown flag -key"));
  CHECK(contains(cli({"getsources", "-valeu", "x"}).err, "unknown flag -valeu (-h lists"));
}

TEST_CASE("get prints exactly the bytes; on a terminal the line is ended") {
  const Fixture at;
  const std::string bytes("a\0\xff\n\nb", 6);
  at.cluster->set("s", "bytes", bytes);
  at.cluster->set("s", "line", "x\n");
  at.cluster->set("s", "empty", "");
  CHECK(at.cli({"get", "s", "bytes"}).out == bytes);
  CHECK(at.cli({"get", "s", "empty"}).out.empty());
  CHECK(at.cli({"get", "s", "empty"}).code == 0);
  // A terminal turns each \n into \r\n.
  CHECK(at.cli({"get", "s", "line"}, {.terminal = true}).out == "x\r\n");
  at.cluster->set("s", "word", "x");
  CHECK(at.cli({"get", "s", "word"}, {.terminal = true}).out == "x\r\n");
}

TEST_CASE("a value comes from stdin with -, and may begin with a dash behind --") {
  const Fixture at;
  const std::string bytes("line\n\0\xff", 7);
  CHECK(at.cli({"set", "s", "k", "-"}, {.input = bytes}).code == 0);
  CHECK(at.cli({"get", "s", "k"}).out == bytes);
  CHECK(at.cli({"set", "s", "k", "--", "-5"}).code == 0);
  CHECK(at.cli({"get", "s", "k"}).out == "-5");
  // The old spelling took it as it is.
  CHECK(at.cli({"set", "-source", "s", "-key", "k", "-value", "-"}, {.input = bytes}).code == 0);
  CHECK(at.cli({"get", "s", "k"}).out == "-");
}

TEST_CASE("-o json prints one object a line, bytes as text or base64") {
  const Fixture at;
  const auto written = json::parse(at.cli({"set", "s", "k", "blå", "-o", "json"}).out);
  CHECK(written["value"] == "blå");
  CHECK(written["revision"] == at.cluster->revision);
  const auto text = json::parse(at.cli({"get", "s", "k", "-o", "json"}).out);
  CHECK(text["source"] == "s");
  CHECK(text["key"] == "k");
  CHECK(text["value"] == "blå");
  CHECK_FALSE(text.contains("encoding"));
  CHECK(text["found"] == true);
  CHECK(text["revision"] == at.cluster->revision);

  // Not UTF-8: a lone byte, an over-long form, a surrogate, a cut-off sequence.
  const std::pair<std::string, std::string> bad[] = {
      {"\xff", "/w=="}, {"\xc0\x80", "wIA="}, {"\xed\xa0\x80", "7aCA"}, {"a\xe2\x82", "YeKC"}};
  for (const auto& [bytes, base64] : bad) {
    at.cluster->set("s", "k", bytes);
    const auto binary = json::parse(at.cli({"get", "s", "k", "-o=json"}).out);
    CHECK(binary["value"] == base64);
    CHECK(binary["encoding"] == "base64");
  }
  at.cluster->set("s", "k2", "v2");
  std::istringstream rows(at.cli({"ls", "s", "-values", "-o", "json"}).out);
  std::string row;
  std::vector<json> objects;
  while (std::getline(rows, row)) objects.push_back(json::parse(row));
  REQUIRE(objects.size() == 2);
  CHECK(objects[1]["key"] == "k2");
  CHECK(objects[1]["value"] == "v2");
  CHECK(json::parse(at.cli({"ls", "-o", "json"}).out)["source"] == "s");

  const Ended missing = at.cli({"get", "s", "none", "-o", "json"});
  CHECK(missing.code == 1);
  CHECK(json::parse(missing.out)["found"] == false);
}

TEST_CASE("exit code 1: not found") {
  const Fixture at;
  const Ended missing = at.cli({"get", "s", "k"});
  CHECK(missing.code == 1);
  CHECK(missing.out.empty());
  CHECK(contains(missing.err, "not found"));
  CHECK(at.cli({"member", "rm", "nobody"}).code == 1);
}

TEST_CASE("exit code 3: no node, or none that takes the call") {
  const std::string dead = dead_address();
  const Ended ended = cli({"set", "s", "k", "v", "-insecure", "-addr", dead, "-timeout", "300ms"});
  CHECK(ended.code == 3);
  CHECK(contains(ended.err, dead));
  CHECK(contains(ended.err, "Connection refused"));

  const Fixture at;
  FakeIris leaderless(at.cluster);
  leaderless.before = [](std::string_view, grpc::ServerContext& context) {
    return FakeIris::not_done(context, "no leader is known");
  };
  const Ended no_leader =
      cli({"set", "s", "k", "v", "-insecure", "-addr", leaderless.address(), "-timeout", "300ms"});
  CHECK(no_leader.code == 3);
  CHECK(contains(no_leader.err, "no leader is known"));
}

TEST_CASE("exit codes 4 to 8: unknown, refused, conflict, limit, not now") {
  Fixture at;
  const std::pair<grpc::StatusCode, int> codes[] = {
      {grpc::StatusCode::UNAVAILABLE, 4},       {grpc::StatusCode::DEADLINE_EXCEEDED, 4},
      {grpc::StatusCode::PERMISSION_DENIED, 5}, {grpc::StatusCode::FAILED_PRECONDITION, 8},
      {grpc::StatusCode::UNIMPLEMENTED, 5},     {grpc::StatusCode::ABORTED, 6},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, 7}};
  for (const auto& [status, code] : codes) {
    at.node.before = always(status, "because of the test");
    const Ended ended = at.cli({"set", "s", "k", "v"});
    CHECK(ended.code == code);
    CHECK(ended.out.empty());
  }
  at.node.before = always(grpc::StatusCode::INVALID_ARGUMENT,
                          "value is 9 bytes long; the limit is 8 (server flag -max-value-bytes)");
  CHECK(at.cli({"set", "s", "k", "v"}).code == 7);
  at.node.before = nullptr;
  CHECK(at.cli({"set", "s", "k", "1", "-if-rev", "0"}).code == 0);
  CHECK(at.cli({"set", "s", "k", "2", "-if-rev", "0"}).code == 6);
  const std::string revision = std::to_string(at.cluster->revision);
  CHECK(at.cli({"rm", "s", "k", "-if-rev", "1"}).code == 6);
  CHECK(at.cli({"rm", "s", "k", "-if-rev", revision}).code == 0);
}

TEST_CASE("exit code 5: a node that wants TLS is not spoken to in plain text, and the reverse") {
  const Fixture at;
  Folder folder;
  const Ended no_file =
      cli({"get", "s", "k", "-addr", at.node.address(), "-ca", folder.file("no.crt")});
  CHECK(no_file.code == 2);
  CHECK(contains(no_file.err, folder.file("no.crt")));

  std::ofstream(folder.file("bad.crt")) << "not a certificate";
  const Ended bad_file =
      cli({"get", "s", "k", "-addr", at.node.address(), "-ca", folder.file("bad.crt"),
           "-clientCert", folder.file("bad.crt"), "-clientKey", folder.file("bad.crt")});
  CHECK(bad_file.code == 2);
  CHECK(contains(bad_file.err, "holds no PEM certificate"));
}

TEST_CASE("a proxy for the web is not one for nodes") {
  const Fixture at;
  at.cluster->set("s", "k", "v");
  const std::string proxy = "http://" + dead_address();
  const Ended ended = at.cli(
      {"get", "s", "k", "-timeout", "1s"},
      {.environment = {{"http_proxy", proxy}, {"https_proxy", proxy}, {"grpc_proxy", proxy}}});
  CHECK(ended.out == "v");
  CHECK(ended.err.empty());
}

TEST_CASE("output that cannot be written is no success") {
  const Fixture at;
  at.cluster->set("s", "k", std::string(100'000, 'x'));
  Words shell = {"/bin/sh", "-c", "exec \"$@\" > /dev/full", "sh"};
  for (const auto& word : at.line({"get", "s", "k"})) shell.push_back(word);
  const Ended ended = run(shell);
  CHECK(ended.code == 74);
  CHECK(contains(ended.err, "No space left"));
}

TEST_CASE("a closed stdout or stdin is nobody else's file") {
  const Fixture at;
  at.cluster->set("s", "k", "v");
  const auto with = [&](const std::string& redirection, const Words& words) {
    Words shell = {"/bin/sh", "-c", "exec \"$@\" " + redirection, "sh"};
    for (const auto& word : at.line(words)) shell.push_back(word);
    return run(shell);
  };
  const Ended out = with(">&-", {"ls"});
  CHECK(out.code == 74);
  CHECK(contains(out.err, "cannot write the output: Bad file descriptor"));
  const Ended in = with("<&-", {"set", "s", "k", "-"});
  CHECK(in.code == 2);
  CHECK(contains(in.err, "cannot read the value from stdin: Bad file descriptor"));
  CHECK(with("<&- >&- 2>&-", {"set", "s", "k", "w"}).code == 0);
  CHECK(at.cli({"get", "s", "k"}).out == "w");
}

TEST_CASE("a backup that cannot be written names its file (exit code 74, or 2)") {
  const Fixture at;
  const Folder folder;
  const Ended missing = at.cli({"backup", folder.file("none/b")});
  CHECK(missing.code == 74);
  CHECK(contains(missing.err, "cannot write " + folder.file("none/b")));
  const Ended is_folder = at.cli({"backup", folder.file("")});
  CHECK(is_folder.code == 74);
  CHECK(contains(is_folder.err, "it is a folder"));
  CHECK(at.cli({"backup", ""}).code == 2);
}
