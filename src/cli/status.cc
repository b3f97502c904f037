// status and health: what each node says of itself.
#include <algorithm>
#include <ctime>
#include <future>
#include <nlohmann/json.hpp>

#include "src/base/address.h"
#include "src/cli/command.h"

namespace iris::cli {
namespace {

template <class T>
struct Asked {
  std::string address;
  std::future<client::Result<T>> answer;
};

// Asks all addresses at once, so that dead ones cost one time-out in all.
template <class T, class Ask>
std::vector<Asked<T>> ask_all(const std::vector<std::string>& addresses, Ask ask) {
  std::vector<Asked<T>> asked;
  asked.reserve(addresses.size());
  for (const auto& address : addresses) {
    asked.push_back({address, std::async(std::launch::async, ask, address)});
  }
  return asked;
}

std::string count_text(std::uint64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string tolerance_text(const client::NodeStatus& status) {
  if (status.voters == 0) return "belongs to no cluster yet";
  if (status.leader_id.empty()) {
    return "has no leader: " + std::to_string(status.voters / 2 + 1) + " of " +
           count_text(status.voters, "voter", "voters") + " must be up and reach each other";
  }
  if (status.tolerates_failures == 0) return "tolerates 0 failures: no voter may be lost";
  return "tolerates " + count_text(status.tolerates_failures, "failure", "failures");
}

std::string certificate_text(std::int64_t expires_s) {
  if (expires_s == 0) return "none (no TLS)";
  const std::int64_t left_s = expires_s - static_cast<std::int64_t>(std::time(nullptr));
  if (left_s < 0) return "expired";
  return count_text(static_cast<std::uint64_t>(left_s) / 86'400, "day", "days") + " left";
}

// The address that -addr takes, of a node with this raft address.
std::string dialled(const std::string& raft_address) {
  const std::string address = grpc_address(raft_address);
  return address.empty() ? raft_address : address;
}

std::string leader_text(const client::NodeStatus& status) {
  if (status.leader_id.empty()) return "none is known";
  const std::string address = dialled(status.leader_address);
  return status.leader_id + (address.empty() ? "" : " at " + address);
}

// Only a leader counts the voters that it hears.
std::string voters_text(const client::NodeStatus& status) {
  std::string text = count_text(status.voters, "voter", "voters");
  if (status.learners > 0) text += ", " + count_text(status.learners, "learner", "learners");
  if (status.role == "leader" || status.reachable > 0) {
    text += ", " + std::to_string(status.reachable) + " reachable";
  } else {
    text += " (the leader knows how many are reachable)";
  }
  return text;
}

std::string state_check_text(const client::NodeStatus& status) {
  if (status.state_check_revision == 0) return "not yet compared with other members";
  const std::int64_t age_s = std::max<std::int64_t>(0, std::time(nullptr) - status.state_check_s);
  return status.state_check + " at revision " + std::to_string(status.state_check_revision) + ", " +
         count_text(static_cast<std::uint64_t>(age_s), "second", "seconds") + " ago, hash " +
         status.state_hash;
}

void print_text(const std::string& asked, const client::NodeStatus& status) {
  const auto row = [](const char* name, const std::string& text) {
    std::string padded = name;
    padded.resize(13, ' ');
    print(padded + name_text(text) + "\n");
  };
  const std::uint64_t lag = status.commit > status.applied ? status.commit - status.applied : 0;
  const std::string own = dialled(status.address);
  row("node", status.id + " at " + (own.empty() ? asked : own) +
                  (own.empty() || own == asked ? "" : ", asked at " + asked));
  row("cluster", status.cluster_id.empty() ? "none yet" : status.cluster_id);
  row("role", status.role + ", term " + std::to_string(status.term));
  row("leader", leader_text(status));
  row("members", voters_text(status));
  row("", tolerance_text(status));
  row("commit", std::to_string(status.commit) + ", applied " + std::to_string(status.applied) +
                    (lag > 0 ? ", lag " + std::to_string(lag) : ""));
  row("log", std::to_string(status.log_first) + " to " + std::to_string(status.log_last) + ", " +
                 size_text(status.log_bytes));
  row("disk",
      size_text(status.disk_used_bytes) + " used, " + size_text(status.disk_free_bytes) + " free");
  row("state check", state_check_text(status));
  row("limits", "message " + size_text(status.message_bytes_max) + ", value " +
                    size_text(status.value_bytes_max) + ", name " +
                    size_text(status.name_bytes_max));
  row("clients", std::to_string(status.client_connections) + " connections, " +
                     std::to_string(status.waiting_calls) + " calls wait, " +
                     size_text(status.client_answer_bytes) + " of answers not taken");
  row("listeners", std::to_string(status.listeners) + " streams, " +
                       size_text(status.queued_update_bytes) + " of updates queued, " +
                       count_text(status.listener_states, "state", "states") + " being sent");
  row("certificate", certificate_text(status.certificate_expires_s));
  row("version", "server " + status.version + ", iris-cli " + Client::version());
  row("level", "cluster " + std::to_string(status.cluster_level) + ", this node knows up to " +
                   std::to_string(status.api_level));
  if (!status.alarm.empty()) row("ALARM", status.alarm);
}

Json to_json(const client::NodeStatus& status) {
  Json object;
  object["id"] = status.id;
  object["cluster_id"] = status.cluster_id;
  object["role"] = status.role;
  object["term"] = status.term;
  object["leader_id"] = status.leader_id;
  object["leader_address"] = status.leader_address;
  object["leader_grpc_address"] = grpc_address(status.leader_address);
  object["commit"] = status.commit;
  object["applied"] = status.applied;
  object["log_first"] = status.log_first;
  object["log_last"] = status.log_last;
  object["log_bytes"] = status.log_bytes;
  object["voters"] = status.voters;
  object["learners"] = status.learners;
  object["reachable"] = status.reachable;
  object["tolerates_failures"] = status.tolerates_failures;
  object["address"] = status.address;
  object["grpc_address"] = grpc_address(status.address);
  object["version"] = status.version;
  object["disk_used_bytes"] = status.disk_used_bytes;
  object["disk_free_bytes"] = status.disk_free_bytes;
  object["message_bytes_max"] = status.message_bytes_max;
  object["value_bytes_max"] = status.value_bytes_max;
  object["name_bytes_max"] = status.name_bytes_max;
  object["certificate_expires_s"] = status.certificate_expires_s;
  object["alarm"] = status.alarm;
  object["api_level"] = status.api_level;
  object["cluster_level"] = status.cluster_level;
  object["client_connections"] = status.client_connections;
  object["client_answer_bytes"] = status.client_answer_bytes;
  object["waiting_calls"] = status.waiting_calls;
  object["state_check_revision"] = status.state_check_revision;
  object["state_check"] = status.state_check;
  object["state_hash"] = status.state_hash;
  object["state_check_s"] = status.state_check_s;
  object["listeners"] = status.listeners;
  object["queued_update_bytes"] = status.queued_update_bytes;
  object["listener_states"] = status.listener_states;
  return object;
}

constexpr char no_leader[] =
    "no leader is known: nothing is stored, and only -stale reads are answered, until more than "
    "half of the voters are up and reach each other";

// Does this node say that it knows who leads? A node that cannot be asked does not say no.
bool lacks_leader(Client& client, const std::string& address) {
  const auto status = client.status(address);
  return status && status->leader_id.empty();
}

}  // namespace

ExitCode run_status(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  auto asked = ask_all<client::NodeStatus>(
      line.addresses(), [&](const std::string& address) { return client->status(address); });
  ExitCode code = exit_ok;
  bool any = false;
  bool led = false;
  for (auto& [address, answer] : asked) {
    const auto status = answer.get();
    if (!status) {
      code = line.failed(status.error());
      continue;
    }
    if (line.json()) {
      print_json(to_json(*status));
    } else {
      if (any) print("\n");
      print_text(address, *status);
    }
    any = true;
    led = led || !status->leader_id.empty();
  }
  if (!finish()) return exit_output;
  if (!any) return code;
  if (led) return exit_ok;
  say(no_leader);
  return exit_unreachable;
}

ExitCode run_health(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  auto asked = ask_all<bool>(line.addresses(),
                             [&](const std::string& address) { return client->healthy(address); });
  ExitCode code = exit_ok;
  for (auto& [address, answer] : asked) {
    const auto serving = answer.get();
    if (!serving) {
      code = line.failed(serving.error());
      continue;
    }
    if (!*serving && code == exit_ok) code = exit_not_found;
    const bool leaderless = *serving && lacks_leader(*client, address);
    if (leaderless) {
      code = exit_unreachable;
      say(address + ": " + no_leader);
    }
    const char* word = leaderless ? "NO_LEADER" : *serving ? "SERVING" : "NOT_SERVING";
    if (line.json()) {
      print_json({{"address", address}, {"status", word}});
    } else {
      print(address + " " + word + "\n");
    }
  }
  return finish() ? code : exit_output;
}

}  // namespace iris::cli
