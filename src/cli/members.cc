// member ls, rm, promote, and leader move: who belongs to the cluster, and who leads it.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "src/base/address.h"
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
    print(name_text(text) + "\n");
  }
}

Json to_json(const client::Member& member) {
  Json object;
  object["id"] = member.id;
  object["address"] = member.address;
  object["grpc_address"] = grpc_address(member.address);
  object["voter"] = member.voter;
  object["leader"] = member.leader;
  object["leaving"] = member.leaving;
  object["active"] = member.active;
  object["match"] = member.match;
  return object;
}

// The address that -addr takes; the raft address where that is none.
std::string dialled(const client::Member& member) {
  const std::string address = grpc_address(member.address);
  return address.empty() ? member.address : address;
}

// The members as they were before a change; empty where they could not be asked for, which the
// change itself will say.
std::vector<client::Member> members_before(Client& client) {
  auto members = client.members();
  return members ? std::move(*members) : std::vector<client::Member>{};
}

const client::Member* find(const std::vector<client::Member>& members, const std::string& id) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const auto& member) { return member.id == id; });
  return found == members.end() ? nullptr : &*found;
}

// The name by which nodes know a member: its id or its raft address, also where `text` is the gRPC
// address, which people dial. Empty: `text` fits two members.
std::string known_name(const std::vector<client::Member>& members, const std::string& text) {
  std::string by_raft;
  std::string by_grpc;
  for (const auto& member : members) {
    if (member.address == text) by_raft = text;
    if (grpc_address(member.address) == text) by_grpc = member.address;
  }
  if (!by_raft.empty() && !by_grpc.empty()) return {};
  return by_grpc.empty() ? text : by_grpc;
}

std::string failures_text(std::size_t voters) {
  const std::size_t tolerated = voters == 0 ? 0 : (voters - 1) / 2;
  return std::to_string(voters) + (voters == 1 ? " voter is left, " : " voters are left, ") +
         "which tolerate" + (voters == 1 ? "s " : " ") + std::to_string(tolerated) +
         (tolerated == 1 ? " failure" : " failures");
}

std::size_t count_voters(const std::vector<client::Member>& members) {
  return static_cast<std::size_t>(
      std::count_if(members.begin(), members.end(),
                    [](const auto& member) { return member.voter && !member.leaving; }));
}

// The words for what was done to the member of this id: "removed ID at ADDRESS".
std::string done_text(const char* done, const std::vector<client::Member>& members,
                      const std::string& id) {
  const client::Member* member = find(members, id);
  return std::string(done) + " " + id + (member == nullptr ? "" : " at " + dialled(*member));
}

ExitCode report(const Line& line, const std::string& id, const std::string& words) {
  if (line.json()) {
    print_json({{"id", id}});
  } else {
    print(name_text(words) + "\n");
  }
  return finish() ? exit_ok : exit_output;
}

ExitCode ambiguous(const Line& line) {
  return line.usage("\"" + line.plain()[0] +
                    "\" is the raft address of one member and the gRPC address of another: name it "
                    "by its id");
}

// Only a leader knows which members are active: an answer without any comes from another node.
bool knows_who_is_active(const std::vector<client::Member>& members) {
  return std::any_of(members.begin(), members.end(),
                     [](const auto& member) { return member.active; });
}

// Replaces `members` by the leader's own answer, where the leader can be asked.
void ask_leader(Line& line, std::vector<client::Member>& members) {
  const auto leader = std::find_if(members.begin(), members.end(),
                                   [](const auto& member) { return member.leader; });
  if (leader == members.end()) return;
  auto client = line.client_of(dialled(*leader));
  if (!client) return;
  constexpr std::chrono::milliseconds patience{1'000};
  auto better = client->members({std::min(line.timeout(), patience)});
  if (better && knows_who_is_active(*better)) members = std::move(*better);
}

}  // namespace

ExitCode run_member_ls(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  auto members = client->members();
  if (!members) return line.failed(members.error());
  if (!knows_who_is_active(*members)) ask_leader(line, *members);
  const bool known = knows_who_is_active(*members);
  std::vector<std::array<std::string, 5>> rows;
  rows.push_back({"ID", "ADDRESS", "KIND", "HEARD", "MATCH"});
  for (const auto& member : *members) {
    if (line.json()) print_json(to_json(member));
    const char* heard = !known ? "?" : member.active ? "yes" : "no";
    rows.push_back({member.id, dialled(member), kind_of(member), heard,
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
  const auto before = members_before(*client);
  const std::string name = known_name(before, line.plain()[0]);
  if (name.empty()) return ambiguous(line);
  const std::size_t voters = count_voters(before);
  const auto done = client->remove_member(name, force);
  if (!done) return line.failed(done.error());
  std::string words = done_text("removed", before, *done);
  const client::Member* removed = find(before, *done);
  if (removed != nullptr && removed->voter && voters > 0) {
    words += ": " + failures_text(voters - 1);
    if (voters == 2) {
      say("of two voters one is left: it decides alone, and what its disk loses is lost; a node "
          "that is started with -join makes two of it again");
    }
  }
  return report(line, *done, words);
}

ExitCode run_member_promote(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 1, 1)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  const auto before = members_before(*client);
  const std::string name = known_name(before, line.plain()[0]);
  if (name.empty()) return ambiguous(line);
  const auto done = client->promote_member(name);
  if (!done) return line.failed(done.error());
  return report(line, *done, done_text("promoted to a voter:", before, *done));
}

ExitCode run_leader_move(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 0, 1)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  const auto before = members_before(*client);
  std::string name;
  if (!line.plain().empty()) {
    name = known_name(before, line.plain()[0]);
    if (name.empty()) return ambiguous(line);
  }
  const auto done = client->transfer_leader(name);
  if (!done) return line.failed(done.error());
  return report(line, *done, done_text("the lead goes to", before, *done));
}

}  // namespace iris::cli
