#include "src/server/offline.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>

#include "src/base/address.h"
#include "src/base/flags.h"
#include "src/base/log.h"
#include "src/machine/machine.h"
#include "src/server/options.h"
#include "src/server/server.h"
#include "store/backup.h"

namespace iris {
namespace {

struct Offline {
  std::string raft_dir;
  std::string host = "127.0.0.1";
  std::uint32_t port = 32000;
  std::optional<std::uint64_t> other_port;  // of a node that has one; as is its host, if not empty
  bool force_new_cluster = false;
  bool yes = false;

  [[nodiscard]] std::string raft_address() const { return address_text(host, port + 1); }
};

struct Command {
  const char* name;
  const char* arguments;
  const char* summary;
  bool takes_file;  // FILE, its one plain argument
  void (*declare)(Flags& flags, Offline& asked);
  int (*run)(const Offline& asked, const std::string& file);
};

int failed(const Error& error) {
  std::fprintf(stderr, "iris: %s\n", error.text.c_str());
  return 1;
}

int usage(const std::string& text) {
  std::fprintf(stderr, "iris: %s\n", text.c_str());
  return exit_usage;
}

// What is on stdout has got out. False: `otherwise` it did not, which is said.
bool finish(const std::string& otherwise) {
  errno = EIO;  // of an earlier write nobody knows it any more
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  std::fprintf(stderr, "iris: %s: %s\n", otherwise.c_str(), std::strerror(errno));
  return false;
}

std::uint64_t now_us() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count());
}

void print_new_cluster(const char* what, const Offline& asked, const store::NewCluster& made) {
  std::printf("%s: %s is node %s of the new cluster %s, at revision %lu\n", what,
              asked.raft_dir.c_str(), hex_id(made.node.value).c_str(),
              hex_id(made.cluster.value).c_str(), made.last.index.value);
  std::printf(
      "start it with -raftdir %s; others join it with emptied folders\n"
      "listeners that come back are sent RESYNC and the state\n",
      asked.raft_dir.c_str());
}

void declare_nothing(Flags&, Offline&) {}

void declare_new_cluster(Flags& flags, Offline& asked) {
  flags.section("Flags");
  flags.text("raftdir", &asked.raft_dir, "FOLDER", "folder of the node");
  declare_advertise(flags, &asked.host, "host by which other nodes will reach it");
  flags.number("port", &asked.port, 1, 65534, "PORT", "its gRPC port");
}

void declare_recover(Flags& flags, Offline& asked) {
  asked.host.clear();
  flags.section("Flags");
  flags.text("raftdir", &asked.raft_dir, "FOLDER", "folder of the node");
  declare_advertise(flags, &asked.host,
                    "host by which other nodes will reach it; without it, the one they knew");
  flags.number("port", &asked.other_port, 1, 65534, "PORT",
               "its gRPC port; without it, the one they knew");
  flags.boolean("force-new-cluster", &asked.force_new_cluster, "yes, that");
  flags.boolean("yes", &asked.yes, "do not ask");
}

int run_verify(const Offline&, const std::string& file) {
  const auto info = store::verify_backup(file, feature_level);
  if (!info) return failed(info.error());
  std::printf("%s is whole: revision %lu, %lu rows, %lu bytes, sha256 %s\n", file.c_str(),
              info->mark.last.index.value, info->rows, info->bytes, info->sha256.c_str());
  return 0;
}

int run_restore(const Offline& asked, const std::string& file) {
  if (asked.raft_dir.empty()) return usage("restore needs -raftdir FOLDER, which it makes");
  const auto made =
      store::restore_backup(file, asked.raft_dir, asked.raft_address(), now_us(), feature_level);
  if (!made) return failed(made.error());
  print_new_cluster("restored", asked, *made);
  return 0;
}

bool confirmed(const Offline& asked) {
  if (asked.yes) return true;
  if (::isatty(STDIN_FILENO) == 0) {
    std::fprintf(stderr,
                 "iris: recover asks before it goes on, and stdin is no terminal: add -yes\n");
    return false;
  }
  std::printf(
      "The node in %s forgets the other members and is a cluster of its own. What only they had "
      "is\n"
      "lost, and none of them may ever run again on its old folder. Go on? (yes/no) ",
      asked.raft_dir.c_str());
  if (!finish("cannot ask")) return false;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

// What was not asked for stays as it was.
std::string address_after(const Offline& asked, const std::string& recorded) {
  const auto known = parse_address(recorded);
  const Address before = known ? *known : Address{"127.0.0.1", 32001};
  return address_text(
      asked.host.empty() ? before.host : asked.host,
      asked.other_port ? static_cast<std::uint32_t>(*asked.other_port) + 1 : before.port);
}

int run_recover(const Offline& asked, const std::string&) {
  if (asked.raft_dir.empty()) return usage("recover needs -raftdir FOLDER");
  if (!asked.force_new_cluster) {
    return usage("recover needs -force-new-cluster: it is all that it can do");
  }
  if (!confirmed(asked)) return 1;
  store::Recover how;
  how.address_of = [&asked](const std::string& recorded) { return address_after(asked, recorded); };
  how.understands = [](const raft::Entry& entry) { return understands(entry, feature_level); };
  how.apply = [](const raft::Entry& entry, raft::Level level, store::Batch& batch) {
    static_cast<void>(Machine::apply(entry, level, batch));
  };
  how.level_max = feature_level;
  how.now_us = now_us();
  const auto made = store::force_new_cluster(asked.raft_dir, how);
  if (!made) return failed(made.error());
  print_new_cluster("recovered", asked, *made);
  return 0;
}

constexpr std::array<Command, 3> commands = {{
    {"verify", "FILE", "Reads a backup (iris-cli backup FILE) and says whether it is whole.", true,
     declare_nothing, run_verify},
    {"restore", "FILE -raftdir FOLDER [-advertise HOST] [-port PORT]",
     "Makes FOLDER the one node of a new cluster that holds what the backup holds.", true,
     declare_new_cluster, run_restore},
    {"recover", "-force-new-cluster -raftdir FOLDER [-yes] [-advertise HOST] [-port PORT]",
     "For a cluster whose majority is gone for good: the node in FOLDER goes on alone.", false,
     declare_recover, run_recover},
}};

const Command* find(const std::string& word) {
  for (const auto& command : commands) {
    if (word == command.name) return &command;
  }
  return nullptr;
}

}  // namespace

bool is_offline_command(const std::string& word) { return find(word) != nullptr; }

int run_offline(std::span<const std::string> words) {
  const Command& command = *find(words[0]);
  Offline asked;
  Flags flags;
  command.declare(flags, asked);
  const auto line = flags.parse(words.subspan(1));
  if (!line) return usage(line.error().text);
  if (line->help) {
    const std::string of_flags = flags.help();
    std::printf("usage: iris %s %s\n\n%s\n%s%s", command.name, command.arguments, command.summary,
                of_flags.empty() ? "" : "\n", of_flags.c_str());
    return finish("cannot write the output") ? 0 : 1;
  }
  const std::size_t files = command.takes_file ? 1 : 0;
  if (line->plain.size() < files) {
    return usage(std::string(command.name) + " needs FILE, a backup (iris " + command.name +
                 " -h tells more)");
  }
  if (line->plain.size() > files) {
    return usage("unexpected argument \"" + line->plain[files] + "\" (iris " + command.name +
                 " -h tells more)");
  }
  const int code = command.run(asked, files == 1 ? line->plain[0] : "");
  if (code != 0) return code;
  return finish(std::string(command.name) + " is done, but its output cannot be written") ? 0 : 1;
}

}  // namespace iris
