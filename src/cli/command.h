// Command and Line: the commands of iris-cli, and the command line of one. A command declares its
// flags, reads its line, makes one client, asks, prints, and returns an exit code.
// Main thread. Owns nothing that outlives the command.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/flags.h"
#include "src/cli/exit_code.h"
#include "src/cli/output.h"
#include "src/client/client.h"
#include "src/client/connection_flags.h"

namespace iris::cli {

struct Command {
  std::string_view name;      // "member rm": what is typed
  std::string_view synopsis;  // of its plain arguments: "ID [-force]"
  std::string_view summary;   // one sentence, for the list of all
  std::string_view details;   // further sentences, for -h; may be empty
  std::string_view examples[2];
  ExitCode (*run)(const Command& self, std::span<const std::string> arguments);
};

// One command line: flags every command has, those the command adds, and the client they lead to.
class Line {
 public:
  explicit Line(const Command& command);
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  // To declare a command's own flags on, before parse().
  [[nodiscard]] Flags& flags() { return flags_; }
  // Another default of -timeout than 5 s, which no environment variable changes. Before parse().
  void timeout_is(std::chrono::milliseconds timeout, std::string help);

  // nullopt: go on. Else the command ends with this: help was printed, or an error said.
  [[nodiscard]] std::optional<ExitCode> parse(std::span<const std::string> arguments,
                                              std::size_t plain_min, std::size_t plain_max);
  // nullopt: `count` plain arguments are there. Else names those that are missing.
  [[nodiscard]] std::optional<ExitCode> need(std::size_t count) const;
  [[nodiscard]] const std::vector<std::string>& plain() const { return given_.plain; }
  [[nodiscard]] const Arguments& given() const { return given_; }
  [[nodiscard]] bool json() const { return format_ == Format::json; }
  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }
  [[nodiscard]] const std::vector<std::string>& addresses() const { return connection_.addresses; }

  // Connects to where flags, environment or Stela point. nullopt: said why; code() is the exit
  // code.
  [[nodiscard]] std::optional<Client> client();
  [[nodiscard]] ExitCode code() const { return code_; }
  // The same to one other address, without a word where that fails.
  [[nodiscard]] std::optional<Client> client_of(const std::string& address) const;

  // Says what is wrong with the line, and where help is.
  ExitCode usage(std::string_view text) const;
  ExitCode one_too_many(std::size_t place) const;
  // Says what went wrong, and where the address came from if that may be the reason. `then`: what
  // is done about it.
  ExitCode failed(const client::Error& error, std::string_view then = "") const;

  // The text of `iris-cli help connection`: the flags that lead to a node.
  [[nodiscard]] static std::string connection_help();

 private:
  void declare_common();
  void print_help() const;
  void find_addresses();
  [[nodiscard]] client::Options client_options() const;
  [[nodiscard]] std::vector<std::string> ask_stela();

  const Command& command_;
  Flags flags_;
  Arguments given_;
  ExitCode code_ = exit_ok;
  Format format_ = Format::text;
  std::chrono::milliseconds timeout_{5'000};
  std::string timeout_help_ = "how long a call may take, all retries included";
  bool timeout_in_environment_ = true;
  client::ConnectionFlags connection_;
  std::string origin_;  // of the addresses, for errors; empty: the user gave them
  bool no_stela_ = false;
  std::string stela_ = "127.0.0.1:31000";
  client::Tls stela_tls_{.server_name = "Stela"};
};

// --- values.cc
ExitCode run_set(const Command& self, std::span<const std::string> arguments);
ExitCode run_get(const Command& self, std::span<const std::string> arguments);
ExitCode run_ls(const Command& self, std::span<const std::string> arguments);
ExitCode run_rm(const Command& self, std::span<const std::string> arguments);
ExitCode run_getsources(const Command& self, std::span<const std::string> arguments);
ExitCode run_getkeys(const Command& self, std::span<const std::string> arguments);
ExitCode run_removesource(const Command& self, std::span<const std::string> arguments);
ExitCode run_removekey(const Command& self, std::span<const std::string> arguments);
// --- watch.cc
ExitCode run_watch(const Command& self, std::span<const std::string> arguments);
// --- status.cc
ExitCode run_status(const Command& self, std::span<const std::string> arguments);
ExitCode run_health(const Command& self, std::span<const std::string> arguments);
// --- backup.cc
ExitCode run_backup(const Command& self, std::span<const std::string> arguments);
// --- members.cc
ExitCode run_member_ls(const Command& self, std::span<const std::string> arguments);
ExitCode run_member_rm(const Command& self, std::span<const std::string> arguments);
ExitCode run_member_promote(const Command& self, std::span<const std::string> arguments);
ExitCode run_leader_move(const Command& self, std::span<const std::string> arguments);

}  // namespace iris::cli
