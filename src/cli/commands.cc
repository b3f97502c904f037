#include "src/cli/commands.h"

namespace iris::cli {
namespace {

constexpr Command table[] = {
    {"set",
     "SOURCE KEY VALUE [flags]",
     "Stores a value, once a majority of the cluster has it on disk.",
     "A VALUE of - is read from stdin, as it is. A VALUE that begins with - stands behind --.",
     {"iris-cli set colors sky blue", "iris-cli set -if-rev 0 files notes - < notes.txt"},
     run_set},
    {"get",
     "SOURCE KEY [flags]",
     "Prints the bytes of a value and nothing else.",
     "Exits 1 where there is none; in the old spelling (-source, -key) 0, and prints nothing.",
     {"iris-cli get colors sky", "iris-cli get -o json colors sky | jq .revision"},
     run_get},
    {"ls",
     "[SOURCE] [flags]",
     "Lists the sources, or the keys of one, sorted by bytes.",
     "A source that nobody stored anything in is an empty list and exits 0, where get of a key "
     "that\n"
     "is not there exits 1. A newline in a name is printed as \\n: only -o json is exact.",
     {"iris-cli ls", "iris-cli ls colors -prefix s -values -o json"},
     run_ls},
    {"rm",
     "SOURCE [KEY] [flags]",
     "Removes a key, or a whole source; success also where there was none.",
     "",
     {"iris-cli rm colors sky", "iris-cli rm colors"},
     run_rm},
    {"watch",
     "SOURCE [KEY] [flags] [-- COMMAND...]",
     "Prints each change as it comes, or runs a command for it, until interrupted.",
     "The stream goes on at another node when its node dies, without a gap and without a\n"
     "duplicate. While no node answers, watch says why, once, and goes on trying: no -timeout\n"
     "ends that. A line is REVISION OP SOURCE KEY VALUE; a value may contain newlines, and only a\n"
     "terminal is spared them: a program reads what others wrote with -o json. A COMMAND gets the\n"
     "value on stdin, and in its environment IRIS_WATCH_SOURCE, IRIS_WATCH_KEY,\n"
     "IRIS_WATCH_REVISION and IRIS_WATCH_OP\n"
     "(PUT, REMOVE); when it fails, watch ends with 1. Where the cluster does not know any more\n"
     "what was missed, IRIS_WATCH_OP is RESYNC, then the state comes as PUTs, then SYNCED: what\n"
     "was not among them is gone. A key may be any text, ../x too: check it before it names a\n"
     "file. One with a NUL byte is in no variable: -o json without a COMMAND prints it. The short\n"
     "names IRIS_SOURCE, IRIS_KEY, IRIS_REVISION and IRIS_OP are set too; what IRIS_KEY was\n"
     "before, the client's key file, is IRIS_CLIENT_KEY there, which iris-cli and iris-bench in\n"
     "it know.",
     {"iris-cli watch colors -initial",
      // The example watches one key, so that no key becomes a file name. RESYNC has no key.
      "iris-cli watch colors sky -initial -resume sky.pos -- sh -c '\n"
      "    case $IRIS_WATCH_OP in\n"
      "    PUT) cat > sky.new && mv sky.new sky ;;\n"
      "    REMOVE | RESYNC) rm -f sky ;;\n"
      "    esac'"},
     run_watch},
    {"status",
     "[flags]",
     "Tells how nodes are: role, log, members, how many failures are tolerated, disk, limits.",
     "Each -addr is asked; success if one that answers knows who leads, else 3.",
     {"iris-cli status", "iris-cli status -addr a:32000,b:32000,c:32000 -o json"},
     run_status},
    {"health",
     "[flags]",
     "Asks nodes by the gRPC health protocol whether they serve, and whether they have a leader.",
     "Exits 1 where a node says that it does not serve, 3 where one does not answer or knows of "
     "no\n"
     "leader.",
     {"iris-cli health", "iris-cli health -addr b:32000 -timeout 1s"},
     run_health},
    {"backup",
     "FILE [flags]",
     "Takes the whole data of the running cluster, at one revision, into a file.",
     "It contains every write acknowledged before. `iris verify FILE` checks it, `iris restore "
     "FILE`\n"
     "makes a new cluster of it.",
     {"iris-cli backup iris.backup", "iris-cli backup nightly/$(date +%F) -addr b:32000"},
     run_backup},
    {"member ls",
     "[flags]",
     "Lists the members of the cluster.",
     "",
     {"iris-cli member ls", "iris-cli member ls -o json"},
     run_member_ls},
    {"member rm",
     "ID [flags]",
     "Removes a member, named by its id or by an address of it.",
     "Refused where no live majority would be left. The node that is removed ends by itself.",
     {"iris-cli member rm 5f0c2a9e41d37b86", "iris-cli member rm 192.0.2.7:32000"},
     run_member_rm},
    {"member promote",
     "ID [flags]",
     "Makes a learner a voter, once it has caught up.",
     "",
     {"iris-cli member promote 5f0c2a9e41d37b86",
      "iris-cli member promote 192.0.2.7:32000 -timeout 1m"},
     run_member_promote},
    {"leader move",
     "[ID] [flags]",
     "Hands the lead to another voter: the one named, else the best that is connected.",
     "",
     {"iris-cli leader move", "iris-cli leader move 5f0c2a9e41d37b86"},
     run_leader_move},
    {"getsources",
     "[flags]",
     "Lists the sources: ls, in the spelling of 2017.",
     "",
     {"iris-cli getsources", "iris-cli getsources -addr 127.0.0.1:32000 -insecure"},
     run_getsources},
    {"getkeys",
     "-source SOURCE [flags]",
     "Lists the keys of a source: ls SOURCE, in the spelling of 2017.",
     "",
     {"iris-cli getkeys -source colors", "iris-cli getkeys -source=colors -nostela -insecure"},
     run_getkeys},
    {"removesource",
     "-source SOURCE [flags]",
     "Removes a source: rm SOURCE, in the spelling of 2017.",
     "",
     {"iris-cli removesource -source colors", "iris-cli removesource --source=colors -nostela"},
     run_removesource},
    {"removekey",
     "-source SOURCE -key KEY [flags]",
     "Removes a key: rm SOURCE KEY, in the spelling of 2017.",
     "",
     {"iris-cli removekey -source colors -key sky",
      "iris-cli removekey -source=colors -key=sky -nostela"},
     run_removekey},
};

}  // namespace

std::span<const Command> all_commands() { return table; }

const Command* find_command(std::span<const std::string> words) {
  for (const auto& command : table) {
    const std::size_t space = command.name.find(' ');
    if (words[0] != command.name.substr(0, space)) continue;
    if (space == std::string_view::npos) return &command;
    if (words.size() > 1 && words[1] == command.name.substr(space + 1)) return &command;
  }
  return nullptr;
}

std::size_t words_of(const Command& command) {
  return command.name.find(' ') == std::string_view::npos ? 1 : 2;
}

}  // namespace iris::cli
