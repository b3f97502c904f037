// iris-cli watch as a user sees it: what it prints, the commands it runs, how it ends, and where
// the next one goes on.
#include <atomic>
#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/client/cli_fixture.h"

using iris::test::await;
using iris::test::cli;
using iris::test::contains;
using iris::test::dead_address;
using iris::test::Ended;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using iris::test::Fixture;
using iris::test::Folder;
using iris::test::Program;
using iris::test::read_file;
using iris::test::run;
using iris::test::Words;
using nlohmann::json;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// How far the file of watch -resume got; 0 where it is not there.
std::uint64_t revision_in(const std::string& file) {
  const json object = json::parse(read_file(file), nullptr, false);
  return object.is_object() ? object["revision"].get<std::uint64_t>() : 0;
}

// The example with a COMMAND that the help of watch gives, behind "iris-cli watch".
std::string example_with_command() {
  const std::string help = cli({"watch", "-h"}).out;
  const std::string begin = "  iris-cli watch ";
  const auto first = help.find(begin);
  const auto second = help.find(begin, first + 1);
  REQUIRE(second != std::string::npos);
  const auto from = second + begin.size();
  return help.substr(from, help.find("\n\n", from) - from);
}

}  // namespace

TEST_CASE("watch ends when nobody reads its output any more") {
  const Fixture at;
  at.cluster->set("colors", "sky", "blue");
  Words shell = {"/bin/sh", "-c", "\"$@\" | head -n 1", "sh"};
  for (const auto& word : at.line({"watch", "colors", "-initial"})) shell.push_back(word);
  const Ended ended = run(shell);  // without another change
  CHECK(ended.code == 0);
  CHECK(ended.out == "11 PUT colors sky blue\n");
}

TEST_CASE("watch prints changes as they come, until it is interrupted") {
  const Fixture at;
  at.cluster->set("colors", "old", "x");
  Program watch(at.line({"watch", "colors"}));
  REQUIRE(at.node.await_calls("Listen", 1));
  at.cluster->set("colors", "sky", "blue");
  at.cluster->set("other", "sky", "black");
  at.cluster->remove_source("colors");
  REQUIRE(watch.await_out(3));
  watch.signal(SIGINT);
  const Ended ended = watch.wait();
  CHECK(ended.code == 130);
  CHECK(ended.out ==
        "12 PUT colors sky blue\n"
        "14 REMOVE colors old\n"
        "14 REMOVE colors sky\n");
}

TEST_CASE("watch -initial -o json tells state, synced, and changes of one key") {
  const Fixture at;
  at.cluster->set("colors", "sky", "blue");
  at.cluster->set("colors", "sea", "green");
  Program watch(at.line({"watch", "colors", "sky", "-initial", "-o", "json"}));
  REQUIRE(watch.await_out(2));
  at.cluster->set("colors", "sea", "grey");
  at.cluster->set("colors", "sky", "\xff");
  REQUIRE(watch.await_out(3));
  watch.signal(SIGTERM);
  const Ended ended = watch.wait();
  CHECK(ended.code == 143);
  std::istringstream lines(ended.out);
  std::string line;
  std::vector<json> objects;
  while (std::getline(lines, line)) objects.push_back(json::parse(line));
  REQUIRE(objects.size() == 3);
  const json state = {
      {"op", "PUT"}, {"source", "colors"}, {"key", "sky"}, {"value", "blue"}, {"revision", 11}};
  const json synced = {{"op", "SYNCED"}, {"revision", 12}};
  CHECK(objects[0] == state);
  CHECK(objects[1] == synced);
  CHECK(objects[2]["encoding"] == "base64");
}

TEST_CASE("watch -from begins behind a revision") {
  const Fixture at;
  at.cluster->set("s", "k", "1");
  const auto revision = at.cluster->set("s", "k", "2");
  at.cluster->set("s", "k", "3");
  Program watch(at.line({"watch", "s", "-from", std::to_string(revision)}));
  REQUIRE(watch.await_out(1));
  CHECK(watch.out() == std::to_string(revision + 1) + " PUT s k 3\n");
}

TEST_CASE("watch runs a command for each change, and ends when that fails") {
  const Fixture at;
  const std::string print =
      "echo $IRIS_WATCH_OP $IRIS_WATCH_SOURCE $IRIS_WATCH_KEY $IRIS_WATCH_REVISION \"$(cat)\"";
  Program watch(at.line({"watch", "s", "--", "sh", "-c", print + "; test $IRIS_WATCH_KEY != bad"}));
  REQUIRE(at.node.await_calls("Listen", 1));
  at.cluster->set("s", "k", "value\n with spaces");
  at.cluster->set("s", "unread", std::string(1'000'000, 'x'));
  at.cluster->remove_source("s");
  at.cluster->set("s", "bad", "");
  at.cluster->set("s", "never", "");
  const Ended ended = watch.wait();
  CHECK(ended.code == 1);
  CHECK(contains(ended.err, "sh exited 1"));
  CHECK(contains(ended.out, "PUT s k 11 value\n with spaces\n"));
  CHECK(contains(ended.out, "REMOVE s k 13 \n"));
  CHECK(contains(ended.out, "PUT s bad 14 \n"));
  CHECK_FALSE(contains(ended.out, "never"));
  const Ended no_command = at.cli({"watch", "s", "-from", "13", "--", "/no/such/program"});
  CHECK(no_command.code == 1);
  CHECK(contains(no_command.err, "cannot run /no/such/program"));
}

TEST_CASE("a command of watch finds the change by short names too, and the key file by another") {
  const Fixture at;
  const auto revision = at.cluster->set("s", "a", "1");
  const std::string print = "echo $IRIS_OP $IRIS_SOURCE $IRIS_KEY $IRIS_REVISION $IRIS_CLIENT_KEY";
  const Ended ended = at.cli({"watch", "s", "-initial", "--", "sh", "-c", print + "; exit 1"},
                             {.environment = {{"IRIS_KEY", "client.key"}}});
  CHECK(ended.out == "PUT s a " + std::to_string(revision) + " client.key\n");
}

TEST_CASE("iris-cli in a command of watch does not take the changed key for its key file") {
  const Fixture at;
  const Folder folder;
  const std::string ca = folder.file("ca");
  std::ofstream(ca) << "x";
  at.cluster->set("s", "changed", "1");
  // Which file it takes, it says: none of them is there.
  const std::string list = std::string(IRIS_CLI) + " ls -addr 127.0.0.1:1 2>&1; exit 1";
  const auto said = [&](std::map<std::string, std::string> environment) {
    environment["IRIS_CA"] = environment["IRIS_CERT"] = ca;
    return at.cli({"watch", "s", "-initial", "--", "sh", "-c", list}, {.environment = environment})
        .out;
  };
  CHECK(contains(said({{"IRIS_KEY", "/no/mine.key"}}), "/no/mine.key"));
  CHECK(contains(said({}), "client.key"));
}

TEST_CASE("watch -resume goes on where the last one stopped, without gap or duplicate") {
  const Fixture at;
  const Folder folder;
  const std::string file = folder.file("position");
  const Words words = {"watch", "s", "-initial", "-heartbeat", "100ms", "-resume", file};
  at.cluster->set("s", "a", "1");
  {
    Program watch(at.line(words));
    REQUIRE(watch.await_out(1));
    at.cluster->set("s", "b", "2");
    REQUIRE(watch.await_out(2));
    watch.signal(SIGTERM);
    CHECK(watch.wait().out == "11 PUT s a 1\n12 PUT s b 2\n");
  }
  at.cluster->set("s", "c", "3");
  at.cluster->remove_source("s");
  {
    Program watch(at.line(words));
    REQUIRE(watch.await_out(4));
    watch.signal(SIGTERM);
    CHECK(watch.wait().out == "13 PUT s c 3\n14 REMOVE s a\n14 REMOVE s b\n14 REMOVE s c\n");
  }
  // The gap in the trimmed log is reported, and the state follows.
  at.cluster->set("s", "d", "4");
  at.cluster->trim();
  {
    Program watch(at.line(words));
    REQUIRE(watch.await_err("that was the state"));
    watch.signal(SIGTERM);
    const Ended ended = watch.wait();
    CHECK(ended.out == "15 PUT s d 4\n");
    CHECK(contains(ended.err, "does not know any more"));
  }
  CHECK(json::parse(read_file(file))["revision"] == 15);

  // Of another watch, or damaged: said, and not touched.
  const Ended empty = at.cli({"watch", "s", "-resume", ""});
  CHECK(empty.code == 2);
  CHECK(count(empty.err, "-resume: the name of the file is empty") == 1);
  const Ended other = at.cli({"watch", "t", "-resume", file});
  CHECK(other.code == 2);
  CHECK(contains(other.err, "belongs to a watch of s, not of t"));
  std::ofstream(file) << "{";
  const Ended damaged = at.cli(words);
  CHECK(damaged.code == 2);
  CHECK(contains(damaged.err, "damaged"));
}

TEST_CASE("a command that failed sees its change again") {
  const Fixture at;
  const Folder folder;
  const auto words = [&](const std::string& test) {
    return at.line({"watch", "s", "-from", "10", "-resume", folder.file("position"), "--", "sh",
                    "-c", "echo $IRIS_WATCH_KEY; " + test});
  };
  at.cluster->set("s", "good", "");
  at.cluster->set("s", "bad", "");
  CHECK(run(words("test $IRIS_WATCH_KEY = good")).out == "good\nbad\n");
  Program again(words("true"));
  REQUIRE(again.await_out(1));
  CHECK(again.out() == "bad\n");
}

TEST_CASE("a command that had half of a state is told resync first") {
  const Fixture at;
  const Folder folder;
  const auto words = [&](const std::string& test) {
    return at.line({"watch", "s", "-initial", "-resume", folder.file("position"), "--", "sh", "-c",
                    "echo $IRIS_WATCH_OP $IRIS_WATCH_KEY; " + test});
  };
  at.cluster->set("s", "a", "");
  at.cluster->set("s", "b", "");
  CHECK(run(words("test $IRIS_WATCH_KEY = a")).out == "PUT a\nPUT b\n");
  Program again(words("true"));
  REQUIRE(again.await_out(4));
  CHECK(again.out() == "RESYNC\nPUT a\nPUT b\nSYNCED\n");
}

TEST_CASE("watch survives the death of its node") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto first = std::make_unique<FakeIris>(cluster);
  FakeIris second(cluster);
  Program watch(
      {IRIS_CLI, "watch", "s", "-insecure", "-addr", first->address() + "," + second.address()});
  REQUIRE(first->await_calls("Listen", 1));
  cluster->set("s", "k", "1");
  REQUIRE(watch.await_out(1));
  first->kill();
  cluster->set("s", "k", "2");
  REQUIRE(watch.await_out(2));
  cluster->set("s", "k", "3");
  REQUIRE(watch.await_out(3));
  CHECK(watch.out() == "11 PUT s k 1\n12 PUT s k 2\n13 PUT s k 3\n");
  REQUIRE(watch.await_err("goes on at " + second.address()));
}

TEST_CASE("the command in the help of watch keeps its file like the key, also over a resync") {
  const Fixture at;
  const Folder folder;
  const std::string file = folder.file("sky");
  Words shell = {"/bin/sh", "-c", "cd " + folder.path.string() + "\nexec "};
  for (const auto& word : at.line({"watch"})) shell[2] += word + " ";
  shell[2] += example_with_command();
  INFO(shell[2]);
  at.cluster->set("colors", "sky", "blue");
  at.cluster->set("colors", "sea", "green");
  {
    Program watch(shell);
    REQUIRE(await([&] { return read_file(file) == "blue"; }));
    at.cluster->set("colors", "sky", "grey");
    REQUIRE(await([&] { return read_file(file) == "grey"; }));
    at.cluster->remove_source("colors");
    REQUIRE(await([&] { return !std::filesystem::exists(file); }));
    at.cluster->set("colors", "sky", "red");
    REQUIRE(await([&] { return read_file(file) == "red"; }));
    watch.signal(SIGTERM);
    CHECK(watch.wait().code == 143);
  }
  at.cluster->remove_source("colors");
  at.cluster->trim();
  Program watch(shell);
  REQUIRE(await([&] { return !std::filesystem::exists(file); }));
  at.cluster->set("colors", "sky", "black");
  REQUIRE(await([&] { return read_file(file) == "black"; }));
}

TEST_CASE("who closes the terminal of watch finds its resume file as it was left") {
  const Folder folder;
  const std::string file = folder.file("position");
  const Fixture at;
  Program watch(at.line({"watch", "s", "-heartbeat", "1h", "-resume", file}));
  REQUIRE(at.node.await_calls("Listen", 1));
  at.cluster->set("s", "k", "v");
  REQUIRE(watch.await_out(1));
  watch.signal(SIGHUP);
  const Ended ended = watch.wait();
  CHECK(ended.code == 129);
  CHECK(ended.out == std::to_string(revision_in(file)) + " PUT s k v\n");
}

TEST_CASE("what watch printed last is in its resume file soon, though nothing follows") {
  const Fixture at;
  const Folder folder;
  const std::string file = folder.file("position");
  Program watch(at.line({"watch", "s", "-heartbeat", "1h", "-resume", file}));
  REQUIRE(at.node.await_calls("Listen", 1));
  at.cluster->set("s", "a", "1");
  at.cluster->set("s", "b", "2");
  const auto last = at.cluster->set("s", "c", "3");
  REQUIRE(watch.await_out(3));
  CHECK(await([&] { return revision_in(file) == last; }));
}

TEST_CASE("a position that cannot be saved is no success of watch, whatever ends it (exit 74)") {
  const Fixture at;
  const Folder folder;
  std::filesystem::create_directory(folder.path / "gone");
  at.cluster->set("s", "k", "v");
  SECTION("a signal, while the command runs") {
    // 4000: SIGTERM is not taken yet.
    const Ended ended = at.cli(
        {"watch", "s", "-from", "10", "-resume", folder.file("gone/position"), "--", "sh", "-c",
         "rm -r " + folder.file("gone") +
             "; kill -TERM $PPID; "
             "while grep -q 'ShdPnd:.*4000$' /proc/$PPID/status; do :; done"});
    CHECK(ended.code == 74);
    CHECK(contains(ended.err, "cannot write " + folder.file("gone/position")));
  }
  SECTION("nothing else") {
    Program watch(at.line({"watch", "s", "-resume", folder.file("gone/position")}));
    REQUIRE(at.node.await_calls("Listen", 1));
    std::filesystem::remove_all(folder.path / "gone");
    at.cluster->set("s", "k", "w");
    CHECK(watch.wait().code == 74);
  }
}

TEST_CASE("a key that no variable can hold is in none") {
  const Fixture at;
  at.cluster->set("s", std::string("a\0b", 3), "1");
  at.cluster->set("s", "b", "2");
  const std::string print = "echo ${IRIS_WATCH_KEY-none} ${IRIS_KEY-none} $IRIS_WATCH_OP $(cat)";
  const Ended ended = at.cli(
      {"watch", "s", "-from", "10", "--", "sh", "-c", print + "; test \"$IRIS_WATCH_KEY\" != b"},
      {.environment = {{"IRIS_KEY", "client.key"}}});
  CHECK(ended.out == "none none PUT 1\nb b PUT 2\n");
}

TEST_CASE("watch of a name over the limit ends, for it would be refused for ever") {
  Fixture at;
  at.node.before = [](std::string_view method,
                      grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (method != "Subscribe") return std::nullopt;
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                        "source is 9 bytes long; the limit is 8 (server flag -max-name-bytes)");
  };
  const Ended ended = at.cli({"watch", "123456789"});
  CHECK(ended.code == 7);
  CHECK(contains(ended.err, "-max-name-bytes"));
}

TEST_CASE("watch says once why it waits, and goes on trying") {
  Fixture at;
  std::atomic<bool> refuses = true;
  at.node.before = [&](std::string_view method, grpc::ServerContext& context) {
    return method == "Listen" && refuses
               ? std::optional(FakeIris::not_done(context, "no leader is known"))
               : std::nullopt;
  };
  Program watch(at.line({"watch", "s", "-initial", "-timeout", "100ms"}));
  REQUIRE(at.node.await_calls("Listen", 4));
  refuses = false;
  at.cluster->set("s", "k", "v");
  REQUIRE(watch.await_out(1));
  watch.signal(SIGTERM);
  const Ended ended = watch.wait();
  CHECK(ended.code == 143);
  CHECK(count(ended.err, "no leader is known") == 1);
  CHECK(count(ended.err, "trying again") == 1);
}

TEST_CASE("watch says that no node answers, and where the address came from") {
  const std::string dead = dead_address();
  Program watch({IRIS_CLI, "watch", "s", "-insecure", "-timeout", "100ms"},
                {.environment = {{"IRIS_ADDR", dead}}});
  REQUIRE(watch.await_err("trying again"));
  CHECK(contains(watch.err(), "no node answers: " + dead + ": Connection refused; trying again"));
  REQUIRE(watch.await_err("the addresses are from IRIS_ADDR"));
  watch.signal(SIGINT);
  CHECK(watch.wait().code == 130);
  CHECK(contains(cli({"watch", "-h"}).out, "goes on trying"));
}
