// member ls, rm, promote, and leader move: who belongs to the cluster, and who leads it.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "src/cli/command.h"

namespace iris::cli {
namespace {

std::string kind_of(const client::Member& member) {
  std::string text = member.voter ? (member.leader ? "leader" : "voter") : "learner";
  if (member.leaving) text += ", leaving";
  return text;
}

// Columns as wide as their widest cell; the last is not padded.
void print_table(const std::vector<std::array<std::string, 5>>& rows) {
  std::array<std::size_t, 5> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - row[i].size() + 2, ' ');
    }
    print(text + "\n");
  }
}

Json to_json(const client::Member& member) {
  Json object;
  object["id"] = member.id;
  object["address"] = member.address;
  object["voter"] = member.voter;
  object["leader"] = member.leader;
  object["leaving"] = member.leaving;
  object["active"] = member.active;
  object["match"] = member.match;
  return object;
}

// What an admin call answers with: the member it was done to.
ExitCode report(const Line& line, const client::Result<std::string>& done) {
  if (!done) return line.failed(done.error());
  if (line.json()) {
    print_json({{"id", *done}});
  } else {
    print(*done + "\n");
  }
  return finish() ? exit_ok : exit_output;
}

}  // namespace

ExitCode run_member_ls(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  const auto members = client->members();
  if (!members) return line.failed(members.error());
  // Only a leader knows who is active; where nobody is, it was not a leader that answered.
  const bool known = std::any_of(members->begin(), members->end(),
                                 [](const auto& member) { return member.active; });
  std::vector<std::array<std::string, 5>> rows;
  rows.push_back({"ID", "ADDRESS", "KIND", "HEARD", "MATCH"});
  for (const auto& member : *members) {
    if (line.json()) print_json(to_json(member));
    const char* heard = !known ? "?" : member.active ? "yes" : "no";
    rows.push_back({member.id, member.address, kind_of(member), heard,
                    known ? std::to_string(member.match) : "?"});
  }
  if (!line.json()) print_table(rows);
  return finish() ? exit_ok : exit_output;
}

ExitCode run_member_rm(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  bool force = false;
  line.flags().section("Danger");
  line.flags().boolean("force", &force, "although no live majority would be left");
  if (const auto code = line.parse(arguments, 1, 1)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  return report(line, client->remove_member(line.plain()[0], force));
}

ExitCode run_member_promote(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 1, 1)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  return report(line, client->promote_member(line.plain()[0]));
}

ExitCode run_leader_move(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 0, 1)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  return report(line, client->transfer_leader(line.plain().empty() ? "" : line.plain()[0]));
}

}  // namespace iris::cli
