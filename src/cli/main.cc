// iris-cli: finds the command among the first words of the line and runs it.
#include <algorithm>
#include <cstdlib>

#include "src/cli/commands.h"

namespace iris::cli {
namespace {

// A line for each command whose first word is `first`; for all where it is empty.
std::string commands_text(std::string_view first) {
  std::string text;
  for (const auto& command : all_commands()) {
    if (!first.empty() && command.name.substr(0, command.name.find(' ')) != first) continue;
    std::string name = "  " + std::string(command.name);
    name.resize(18, ' ');
    text += name + std::string(command.summary) + "\n";
  }
  return text;
}

constexpr char usage[] =
    "usage: iris-cli COMMAND [arguments] [flags]     (iris-cli COMMAND -h)\n\n";

std::string overview() {
  std::string text = usage + commands_text("");
  text +=
      "  help [COMMAND]  This, or the help of a command.\n"
      "  help connection The flags and variables that lead to a node.\n"
      "  version         The version of this program.\n"
      "\n"
      "Flags of all commands: -o, -timeout, -addr, -insecure, -nostela, ... Each that leads to a\n"
      "node is an environment variable too: IRIS_ADDR, IRIS_INSECURE (iris-cli help connection).\n"
      "Exit codes: 0 ok; 1 not found, or a condition is false; 2 usage; 3 no node or no leader;\n"
      "  4 outcome of a write unknown; 5 refused (TLS, rights); 6 conflict; 7 limit; 8 the "
      "cluster\n"
      "  must not do that now; 74 output cannot be written; 129 hung up (SIGHUP); 130 interrupted\n"
      "  (SIGINT); 141 nobody reads the output any more; 143 terminated (SIGTERM)\n";
  return text;
}

// The words of other programs, and the command that does here what they do there.
struct Synonym {
  std::string_view word;
  std::string_view command;
};

constexpr Synonym synonyms[] = {{"put", "set"},
                                {"write", "set"},
                                {"store", "set"},
                                {"read", "get"},
                                {"cat", "get"},
                                {"show", "get"},
                                {"list", "ls"},
                                {"dir", "ls"},
                                {"keys", "ls"},
                                {"sources", "ls"},
                                {"del", "rm"},
                                {"delete", "rm"},
                                {"remove", "rm"},
                                {"unset", "rm"},
                                {"listen", "watch"},
                                {"subscribe", "watch"},
                                {"info", "status"},
                                {"ping", "health"},
                                {"check", "health"},
                                {"save", "backup"},
                                {"snapshot", "backup"},
                                {"dump", "backup"},
                                {"members", "member ls"},
                                {"nodes", "member ls"},
                                {"transfer", "leader move"}};

constexpr Synonym second_synonyms[] = {{"list", "ls"},    {"show", "ls"},   {"del", "rm"},
                                       {"delete", "rm"},  {"remove", "rm"}, {"transfer", "move"},
                                       {"change", "move"}};

// The command most likely meant by `word`: its synonym where that is in `known`, else the nearest.
std::string meant(std::string_view word, std::span<const Synonym> others,
                  std::span<const std::string> known) {
  for (const auto& other : others) {
    const std::string_view first = other.command.substr(0, other.command.find(' '));
    if (other.word == word && std::find(known.begin(), known.end(), first) != known.end()) {
      return std::string(other.command);
    }
  }
  return nearest(word, known);
}

ExitCode unknown(std::span<const std::string> words) {
  if (words[0].starts_with('-')) {
    say("the command comes first: iris-cli COMMAND [arguments] [flags]");
    return exit_usage;
  }
  std::vector<std::string> firsts;
  std::vector<std::string> seconds;
  for (const auto& command : all_commands()) {
    const std::size_t space = command.name.find(' ');
    firsts.emplace_back(command.name.substr(0, space));
    if (space == std::string_view::npos || firsts.back() != words[0]) continue;
    seconds.emplace_back(command.name.substr(space + 1));
  }
  if (!seconds.empty()) {
    std::string all;
    for (const auto& second : seconds) all += (all.empty() ? "" : ", ") + words[0] + " " + second;
    const std::string near = words.size() > 1 ? meant(words[1], second_synonyms, seconds) : "";
    say(near.empty() ? words[0] + " is followed by another word: " + all
                     : "unknown command " + words[0] + " " + words[1] + "; did you mean " +
                           words[0] + " " + near + "?");
    return exit_usage;
  }
  firsts.insert(firsts.end(), {"help", "version"});
  const std::string near = meant(words[0], synonyms, firsts);
  say("unknown command " + words[0] +
      (near.empty() ? " (iris-cli help lists all)" : "; did you mean " + near + "?"));
  return exit_usage;
}

bool is_help(const std::string& word) {
  return word == "help" || word == "-h" || word == "-help" || word == "--help";
}
bool is_version(const std::string& word) {
  return word == "version" || word == "-version" || word == "--version" || word == "-v";
}

ExitCode show(const std::string& text) {
  print(text);
  return finish() ? exit_ok : exit_output;
}

ExitCode run(std::span<const std::string> words) {
  if (words.empty()) {
    say("a command is needed\n" + overview());
    return exit_usage;
  }
  if (is_version(words[0])) {
    return show(std::string("iris-cli ") + Client::version() + "\n");
  }
  if (is_help(words[0]) && (words.size() == 1 || is_help(words[1]))) return show(overview());
  const bool help = is_help(words[0]);
  if (help) words = words.subspan(1);
  if (help && words[0] == "connection") return show(Line::connection_help());
  const Command* command = find_command(words);
  if (command == nullptr) {
    // The first of two words: member, leader.
    const std::string group = commands_text(words[0]);
    const bool alone = words.size() == 1;
    if (!group.empty() && ((help && alone) || (!alone && is_help(words[1])))) {
      return show(usage + group);
    }
    return unknown(words);
  }
  if (help) {
    const std::vector<std::string> asked = {"-h"};
    return command->run(*command, asked);
  }
  return command->run(*command, words.subspan(words_of(*command)));
}

}  // namespace

}  // namespace iris::cli

int main(int argc, char** argv) {
  // gRPC's own lines on stderr are left out: this program reports broken connections itself.
  ::setenv("GRPC_VERBOSITY", "NONE", 0);
  const std::vector<std::string> words(argv + 1, argv + argc);
  return iris::cli::run(words);
}
