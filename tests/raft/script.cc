// Long function: run() is the table of all commands, an entry each.
#include "tests/raft/script.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/members.h"
#include "tests/raft/cluster.h"
#include "tests/raft/script_line.h"
#include "tests/raft/trace.h"

namespace iris::raft::test {
namespace {

class Script {
 public:
  std::string run(const std::string& command);

 private:
  void print(const std::string& line) { out_ += line + "\n"; }
  void print(std::uint64_t node, const std::string& what) {
    print(std::to_string(node) + ": " + what);
  }
  template <class T>
  bool succeeds(const Result<T>& result) {
    if (result) return true;
    print("error " + text(result.error().code) + ": " + result.error().text);
    return false;
  }

  void watch(Host& host);
  void show(std::uint64_t node, const Output& output);
  void after_input(std::uint64_t node);
  void settle(const Cuts& cuts, const std::string& lost_kind = "");

  void options(ScriptLine& line);
  void add_nodes(ScriptLine& line);
  void add_node(ScriptLine& line);
  void propose(ScriptLine& line);
  void change(ScriptLine& line);
  void snapshot(ScriptLine& line);
  void deliver(ScriptLine& line);
  void drop(ScriptLine& line);
  void send(ScriptLine& line);
  void show_log(ScriptLine& line);
  void run_ticks(ScriptLine& line);

  Options options_{.election_ticks = 10, .heartbeat_ticks = 2, .disk_stall_ticks = 0};
  std::unique_ptr<Cluster> cluster_;
  std::map<std::uint64_t, SnapshotMetadata> pinned_;
  bool is_quiet_ = false;
  std::string out_;
};

Cluster& made(std::unique_ptr<Cluster>& cluster, const Options& options) {
  if (cluster == nullptr) cluster = std::make_unique<Cluster>(options);
  return *cluster;
}

void Script::watch(Host& host) {
  const std::uint64_t node = host.id().value;
  host.on_output = [this, node](const Output& output) { show(node, output); };
  host.on_leave = [this](const Message& message) {
    if (!is_quiet_) print("   " + text(message));
  };
}

void Script::show(std::uint64_t node, const Output& output) {
  const Core& core = cluster_->core(node);
  if (output.role_changed) print(node, role_text(core.status()));
  if (output.members_changed) print(node, "members " + text(core.members()));
  if (output.write && !is_quiet_) print(node, "writes " + text(*output.write));
  if (!output.release.empty() && !is_quiet_ &&
      (output.write || (*cluster_)[node].queued_jobs() > 0)) {
    for (const Message& message : output.release) print(node, "holds " + text(message));
  }
  if (!output.commit.empty() && !is_quiet_) print(node, "applies " + text(output.commit));
  for (const ReadGrant& grant : output.reads) {
    const std::string read = "read " + std::to_string(grant.id.value);
    print(node, grant.granted ? read + " granted at " + std::to_string(grant.index.value)
                              : read + " refused");
  }
  for (const NodeId to : output.snapshots_wanted) {
    print(node, "wants a snapshot for " + std::to_string(to.value));
  }
  if (output.halt) {
    print(node, (output.removed ? "was removed: " : "halts, " + text(output.halt->code) + ": ") +
                    output.halt->text);
  }
}

void Script::after_input(std::uint64_t node) {
  cluster_->core(node).check_invariants();
  cluster_->flush(node);
}

void Script::settle(const Cuts& cuts, const std::string& lost_kind) {
  cluster_->settle([&](const Message& message) {
    return cuts.stop(message) || (!lost_kind.empty() && kind(message.body) == lost_kind);
  });
}

void Script::options(ScriptLine& line) {
  Options& o = options_;
  o.election_ticks = static_cast<std::uint32_t>(line.option_or("election", o.election_ticks));
  o.heartbeat_ticks = static_cast<std::uint32_t>(line.option_or("heartbeat", o.heartbeat_ticks));
  o.append_bytes_max = line.option_or("append-bytes", o.append_bytes_max);
  o.window_bytes_max = line.option_or("window-bytes", o.window_bytes_max);
  o.window_messages_max = line.option_or("window-messages", o.window_messages_max);
  o.entry_bytes_max = line.option_or("entry-bytes", o.entry_bytes_max);
  o.uncommitted_bytes_max = line.option_or("uncommitted-bytes", o.uncommitted_bytes_max);
  o.promote_lag_entries_max = line.option_or("promote-lag", o.promote_lag_entries_max);
  o.disk_stall_ticks = static_cast<std::uint32_t>(line.option_or("disk-stall", o.disk_stall_ticks));
  o.seed = line.option_or("seed", o.seed);
}

void Script::add_nodes(ScriptLine& line) {
  const std::vector<std::uint64_t> ids = ids_up_to(line.node());
  const std::vector<std::uint64_t> learners = line.list("learners");
  Cluster& cluster = made(cluster_, options_);
  for (const std::uint64_t id : ids) watch(cluster.add(id, disk_with(voters(ids, learners))));
  for (const std::uint64_t id : learners) watch(cluster.add(id, disk_with(voters(ids, learners))));
}

void Script::add_node(ScriptLine& line) {
  const std::uint64_t node = line.node();
  const auto voter_ids = line.list("members");
  const auto learners = line.list("learners");
  Disk disk;
  if (!voter_ids.empty()) disk = disk_with(voters(voter_ids, learners), line.list("terms"));
  disk.state.term = Term{line.option_or("term", disk.state.term.value)};
  disk.state.vote = NodeId{line.option_or("vote", 0)};
  disk.state.led = Term{line.option_or("led", 0)};
  disk.applied = Index{line.option_or("applied", disk.applied.value)};
  watch(made(cluster_, options_).add(node, std::move(disk)));
  cluster_->flush(node);
}

void Script::propose(ScriptLine& line) {
  const std::uint64_t node = line.node();
  const std::uint64_t count = line.option_or("count", 1);
  std::string command = line.optional_word().value_or("x");
  command.resize(line.option_or("bytes", command.size()), 'x');
  for (std::uint64_t done = 0; done < count; ++done) {
    const Result<EntryId> proposed = cluster_->core(node).propose(command);
    if (succeeds(proposed) && count == 1) print("proposed " + text(*proposed));
  }
  after_input(node);
}

void Script::change(ScriptLine& line) {
  const std::uint64_t node = line.node();
  MemberChange change;
  if (const auto id = line.option("add")) {
    change = AddLearner{member(number(*id))};
  } else if (const auto promoted = line.option("promote")) {
    Promote promote{NodeId{number(*promoted)}, {}};
    if (const auto replaced = line.option("replaces")) promote.replaces = NodeId{number(*replaced)};
    change = promote;
  } else if (const auto removed = line.option("remove")) {
    change = Remove{NodeId{number(*removed)}};
  } else {
    const auto parts = split(line.option("address").value_or(""), ':');
    CHECK(parts.size() == 2);
    change = SetAddress{NodeId{number(parts[0])}, parts[1]};
  }
  const bool force = line.flag("force");
  if (const auto changed = cluster_->core(node).change(change, force); succeeds(changed)) {
    print("proposed " + text(*changed));
  }
  after_input(node);
}

void Script::snapshot(ScriptLine& line) {
  const std::uint64_t node = line.node();
  const std::uint64_t to = line.option_or("to", 0);
  const bool is_lost = line.flag("lost");
  Host& from = (*cluster_)[node];
  const auto pin = pinned_.find(node);
  const SnapshotMetadata sent = pin != pinned_.end() ? pin->second : from.snapshot();
  std::erase(from.snapshots_wanted, NodeId{to});
  if (!is_lost) {
    const bool installs = cluster_->core(to).snapshot_received(sent, NodeId{node});
    print(to, (installs ? "installs " : "does not need ") + text(sent.last) + ", members " +
                  text(sent.members));
    after_input(to);
  }
  if (!from.is_up()) return;
  from.core().snapshot_sent(NodeId{to}, !is_lost, sent.last);
  after_input(node);
}

void Script::deliver(ScriptLine& line) {
  const Filter filter(line);
  const bool keeps = line.flag("keep");
  std::vector<Message> chosen;
  std::deque<Message> rest;
  for (Message& message : cluster_->wire) {
    if (filter.takes(message)) chosen.push_back(message);
    if (keeps || !filter.takes(message)) rest.push_back(std::move(message));
  }
  cluster_->wire = std::move(rest);
  for (Message& message : chosen) {
    print("-> " + text(message));
    cluster_->deliver(std::move(message));
  }
}

void Script::drop(ScriptLine& line) {
  const Filter filter(line);
  for (const Message& message : cluster_->wire) {
    if (filter.takes(message)) print("lost " + text(message));
  }
  std::erase_if(cluster_->wire, [&](const Message& message) { return filter.takes(message); });
}

Body body_of(const std::string& kind, ScriptLine& line) {
  if (kind == "pre-vote") return PreVoteRequest{line.entry_or("last", {})};
  if (kind == "pre-vote-reply") return PreVoteReply{line.flag("yes")};
  if (kind == "vote") return VoteRequest{line.entry_or("last", {}), line.flag("transfer")};
  if (kind == "vote-reply") return VoteReply{line.flag("yes")};
  if (kind == "append") {
    AppendRequest request{line.entry_or("after", {}), Index{line.option_or("commit", 0)}, {}};
    for (const std::string& part : split(line.option("entries").value_or(""), ',')) {
      const EntryId id = entry_id(part);
      request.entries.push_back(entry(id.term.value, id.index.value));
    }
    return request;
  }
  if (kind == "append-reply") {
    if (const auto matched = line.option("matched")) {
      return AppendReply{true, Index{number(*matched)}, {}};
    }
    return AppendReply{false, Index{line.option_or("refused", 0)}, line.entry_or("try", {})};
  }
  if (kind == "heartbeat") {
    return Heartbeat{Index{line.option_or("commit", 0)}, Index{line.option_or("match", 0)},
                     Round{line.option_or("round", 0)}};
  }
  if (kind == "heartbeat-reply") {
    return HeartbeatReply{Round{line.option_or("round", 0)}, Index{line.option_or("verified", 0)},
                          Index{line.option_or("durable", 0)}};
  }
  if (kind == "timeout-now") return TimeoutNow{};
  CHECK(kind == "removal-notice");
  return RemovalNotice{Index{line.option_or("by", 0)}, false, line.entry_or("at", {})};
}

void Script::send(ScriptLine& line) {
  const auto ends = split(line.word(), '>');
  CHECK(ends.size() == 2);
  const std::uint64_t term = number(line.word().substr(1));
  const std::string kind = line.word();
  Message message{NodeId{number(ends[0])}, NodeId{number(ends[1])}, Term{term},
                  body_of(kind, line)};
  print("-> " + text(message));
  if (line.flag("unflushed")) return cluster_->core(number(ends[1])).step(std::move(message));
  cluster_->deliver(std::move(message));
}

void Script::show_log(ScriptLine& line) {
  const std::uint64_t node = line.node();
  const Disk& disk = (*cluster_)[node].disk();
  if ((*cluster_)[node].is_up()) {
    const CoreStatus status = cluster_->core(node).status();
    std::vector<EntryPtr> entries;
    for (Index index = status.first; index <= status.last; index = index.next()) {
      entries.push_back(cluster_->core(node).entry(index));
    }
    print(node, "memory " + text(entries));
  }
  print(node, "disk " + text(disk.entries) + ", floor " + text(disk.floor.last) + ", term " +
                  std::to_string(disk.state.term.value) + ", vote " +
                  std::to_string(disk.state.vote.value) + ", led " +
                  std::to_string(disk.state.led.value));
}

void Script::run_ticks(ScriptLine& line) {
  const std::uint64_t ticks = line.node();
  const Cuts cuts(line);
  const std::string lost_kind = line.option("lose").value_or("");
  for (std::uint64_t tick = 0; tick < ticks; ++tick) {
    for (auto& [id, host] : cluster_->hosts()) {
      if (host->is_up()) host->tick();
    }
    settle(cuts, lost_kind);
  }
}

std::string Script::run(const std::string& command) {
  out_.clear();
  ScriptLine line(command);
  is_quiet_ = line.flag("quiet");
  const std::string name = line.word();
  static const std::map<std::string, std::function<void(Script&, ScriptLine&)>> commands{
      {"options", [](Script& s, ScriptLine& l) { s.options(l); }},
      {"add-nodes", [](Script& s, ScriptLine& l) { s.add_nodes(l); }},
      {"add-node", [](Script& s, ScriptLine& l) { s.add_node(l); }},
      {"propose", [](Script& s, ScriptLine& l) { s.propose(l); }},
      {"change", [](Script& s, ScriptLine& l) { s.change(l); }},
      {"snapshot", [](Script& s, ScriptLine& l) { s.snapshot(l); }},
      {"deliver", [](Script& s, ScriptLine& l) { s.deliver(l); }},
      {"drop", [](Script& s, ScriptLine& l) { s.drop(l); }},
      {"send", [](Script& s, ScriptLine& l) { s.send(l); }},
      {"log", [](Script& s, ScriptLine& l) { s.show_log(l); }},
      {"run", [](Script& s, ScriptLine& l) { s.run_ticks(l); }},
      {"bootstrap",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         s.cluster_->core(node).bootstrap(voters({node}));
         s.after_input(node);
       }},
      {"campaign",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         s.cluster_->core(node).campaign();
         s.after_input(node);
       }},
      {"elect",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         s.cluster_->elect(node);
         s.out_.clear();
         s.print(node, role_text(s.cluster_->core(node).status()));
       }},
      {"tick",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         s.cluster_->tick(node,
                          static_cast<std::uint32_t>(number(l.optional_word().value_or("1"))));
       }},
      {"persist",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         const auto jobs = l.optional_word();
         (*s.cluster_)[node].persist(s.cluster_->wire, jobs ? number(*jobs) : all);
         s.cluster_->flush(node);
       }},
      {"apply",
       [](Script& s, ScriptLine& l) {
         Host& host = (*s.cluster_)[l.node()];
         host.auto_apply = false;
         if (const auto limit = l.optional_word()) host.apply({number(*limit)});
       }},
      {"status",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         s.print(node, text(s.cluster_->core(node).status()));
       }},
      {"members",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         for (const Member& each : all_members(s.cluster_->core(node).members())) {
           s.print(node, std::to_string(each.id.value) + " at " + each.address);
         }
       }},
      {"read",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         if (const auto id = s.cluster_->core(node).read(); s.succeeds(id)) {
           s.print("read " + std::to_string(id->value));
         }
       }},
      {"flush", [](Script& s, ScriptLine& l) { s.after_input(l.node()); }},
      {"transfer",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         const NodeId to{l.option_or("to", 0)};
         std::vector<NodeId> unreachable;
         for (const std::uint64_t id : l.list("without")) unreachable.push_back(NodeId{id});
         const auto target = s.cluster_->core(node).transfer(to, std::move(unreachable));
         if (s.succeeds(target)) s.print("to " + std::to_string(target->value));
         s.after_input(node);
       }},
      {"trim",
       [](Script& s, ScriptLine& l) {
         Host& host = (*s.cluster_)[l.node()];
         host.trim(Index{l.node()});
       }},
      {"pin",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         const SnapshotMetadata pinned = s.pinned_[node] = (*s.cluster_)[node].snapshot();
         s.print(node, "pins " + text(pinned.last) + ", members " + text(pinned.members));
       }},
      {"crash",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         const std::size_t kept = l.option_or("kept", 0);
         (*s.cluster_)[node].crash(kept, Index{l.option_or("data", ~std::uint64_t{0})});
       }},
      {"restart",
       [](Script& s, ScriptLine& l) {
         const std::uint64_t node = l.node();
         (*s.cluster_)[node].restart();
         s.print(node, role_text(s.cluster_->core(node).status()));
         s.cluster_->flush(node);
       }},
      {"wire",
       [](Script& s, ScriptLine&) {
         for (const Message& message : s.cluster_->wire) s.print("   " + text(message));
       }},
      {"settle",
       [](Script& s, ScriptLine& l) {
         const Cuts cuts(l);
         s.settle(cuts, l.option("lose").value_or(""));
       }},
  };
  const auto found = commands.find(name);
  if (found == commands.end()) return "no such command: " + name + "\n";
  found->second(*this, line);
  return out_;
}

}  // namespace

std::string run_script(const std::string& script) {
  Script state;
  std::string result;
  std::istringstream lines(script);
  bool in_print = false;
  for (std::string line; std::getline(lines, line);) {
    if (in_print) {
      in_print = !line.empty();
      continue;
    }
    if (line.empty()) {
      if (!result.empty() && !result.ends_with("\n\n")) result += "\n";
      continue;
    }
    if (line.starts_with("#")) {
      result += line + "\n";
      continue;
    }
    if (line == "----") {
      in_print = true;
      continue;
    }
    result += line + "\n----\n" + state.run(line) + "\n";
  }
  return result;
}

}  // namespace iris::raft::test
