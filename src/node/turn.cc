// Node::State::flush() and all that happens in a turn; the order of its steps is part of what makes
// the node safe.
#include <utility>

#include "raft/members.h"
#include "src/base/log.h"
#include "src/node/state.h"

namespace iris {
namespace {

// A long run of committed entries (after a restart, for example) goes to the data lane in pieces,
// so that no single job holds up the lane or the loop.
constexpr std::size_t piece_entries_max = 4096;
constexpr std::size_t piece_bytes_max = 4u << 20;

// The leader is what people look for first in a log. Campaigns are for the debug level.
void log_role(const raft::Core& core) {
  const std::uint64_t term = core.term().value;
  if (core.role() == raft::Role::leader) {
    log(LogLevel::info, "this node leads", {{"term", term}});
  } else if (core.leader().value != 0) {
    log(LogLevel::info, "another node leads",
        {{"leader", hex_id(core.leader().value)}, {"term", term}});
  } else {
    const bool campaigns = core.role() != raft::Role::follower;
    log(LogLevel::debug, campaigns ? "this node campaigns" : "no leader is known",
        {{"term", term}});
  }
}

}  // namespace

void Node::State::flush() {
  host.scheduled = false;
  if (host.core && !halted) {
    reads.begin_rounds();
    do {
      while (!halted && host.core->has_output()) carry_out(host.core->take_output());
      install_if_ready();
    } while (!halted && host.core->has_output());
  }
  host.answers.give();
  halt_if_over();
}

// The order matters: a ticket is issued before anything of this or a later output can wait for it,
// and messages leave before time is spent on this node's own data.
void Node::State::carry_out(raft::Output output) {
  if (output.write) write(std::move(*output.write));
  send(std::move(output.send));
  if (!output.release.empty()) {
    if (issued <= durable_ticket) {
      send(std::move(output.release));
    } else {
      held.push_back({issued, std::move(output.release)});
    }
  }
  if (!output.commit.empty()) apply(std::move(output.commit));
  for (const raft::ReadGrant& grant : output.reads) reads.granted(grant);
  for (const raft::NodeId to : output.snapshots_wanted) sender.wanted(to);
  if (output.members_changed) contacts.members_changed();
  if (output.role_changed) {
    log_role(*host.core);
    writes.role_changed();
    reads.role_changed();
    admin.role_changed();
    errands.role_changed();
    sender.role_changed();
  }
  if (!output.halt) return;
  if (output.removed) {
    leaving = std::move(output.halt);
  } else {
    failed(std::move(*output.halt));
  }
}

void Node::State::write(raft::LogWrite write) {
  CHECK(write.ticket > issued);
  issued = write.ticket;
  if (write.install) {
    CHECK(receiver.installing() && applies_under_way == 0);
    install_ticket = write.ticket;
    install_index = write.install->last.index;
  }
  trimmer.written(write);
  host.store.write(std::move(write));
}

void Node::State::send(std::vector<raft::Message> messages) {
  for (raft::Message& message : messages) {
    const raft::NodeId to = message.to;
    host.transport.send(to, std::move(message));
  }
}

void Node::State::durable(raft::Ticket ticket) {
  if (halted) return;
  durable_ticket = ticket;
  while (!held.empty() && held.front().ticket <= ticket) {
    send(std::move(held.front().messages));
    held.pop_front();
  }
  host.core->persisted(ticket);
  contacts.durable();
  if (install_ticket && *install_ticket <= ticket) installed();
  host.touch();
}

// --- The data lane.

void Node::State::apply(std::vector<raft::EntryPtr> entries) {
  CHECK(!install_ticket);
  std::size_t bytes = 0;
  std::vector<raft::EntryPtr> piece;
  if (entries.size() <= piece_entries_max) piece.reserve(entries.size());
  for (raft::EntryPtr& entry : entries) {
    bytes += raft::entry_bytes(*entry);
    piece.push_back(std::move(entry));
    if (bytes < piece_bytes_max && piece.size() < piece_entries_max) continue;
    apply_piece(std::exchange(piece, {}));
    bytes = 0;
  }
  if (!piece.empty()) apply_piece(std::move(piece));
}

void Node::State::apply_piece(std::vector<raft::EntryPtr> entries) {
  store::Store::Applied last{entries.back()->id, std::nullopt, {}};
  for (const raft::EntryPtr& entry : entries) {
    host.unapplied_bytes += raft::entry_bytes(*entry);
    if (const raft::Members* members = raft::members_in(*entry)) {
      last.members = *members;
      last.members_index = entry->id.index;
    }
  }
  update_lagging();
  auto job = std::make_shared<ApplyJob>();
  job->outcomes.reserve(entries.size());
  job->entries = std::move(entries);
  ++applies_under_way;
  host.store.apply(
      std::move(last),
      [job](store::Batch& batch) {
        for (const raft::EntryPtr& entry : job->entries) {
          job->outcomes.push_back(Machine::apply(*entry, batch));
        }
      },
      [this, job, gone = host.guard()] {
        if (!gone.expired()) applied(*job);
      });
}

void Node::State::applied(const ApplyJob& job) {
  --applies_under_way;
  data_progress_at = host.now;
  if (halted) return;
  for (std::size_t i = 0; i < job.entries.size(); ++i) {
    const raft::EntryPtr& entry = job.entries[i];
    CHECK(entry->id.index == host.applied.next());
    host.unapplied_bytes -= raft::entry_bytes(*entry);
    host.applied = entry->id.index;
    writes.applied(entry->id, job.outcomes[i]);
    if (std::holds_alternative<raft::Command>(entry->payload) && host.hooks.on_applied) {
      host.hooks.on_applied(entry, job.outcomes[i]);
    }
  }
  host.core->applied(host.applied);
  update_lagging();
  reads.applied();
  trimmer.applied();
  host.touch();
}

void Node::State::update_lagging() {
  host.core->set_lagging(host.unapplied_bytes > host.options.unapplied_bytes_max);
}

// A leader whose data lane hangs answers no client, and the voters that hear it elect no other
// leader: so it transfers leadership. The core does the same where the log lane hangs (hazard 104).
void Node::State::transfer_if_data_lane_hangs() {
  if (applies_under_way == 0 || !host.leads()) data_progress_at = host.now;
  const std::uint32_t stall_ticks = host.options.raft.disk_stall_ticks;
  if (stall_ticks == 0 || host.now - data_progress_at < stall_ticks) return;
  data_progress_at = host.now;  // one attempt in each such time
  const Result<raft::NodeId> successor = host.core->transfer({});
  if (!successor) return;
  log(LogLevel::warn, "the disk takes no more data: leadership is handed over",
      {{"to", hex_id(successor->value)}});
}

// --- Installing a snapshot. It replaces the data as a whole, so nothing may be on its way into the
// data: the core hears of the snapshot only once the data lane has no work of this node, and hands
// out nothing to apply until the install is durable.

void Node::State::install_if_ready() {
  // A snapshot that the log has overtaken replaces nothing, and need not wait for the data lane,
  // which may never be without work. Waiting, it would keep the log from being trimmed.
  if (!halted && receiver.ready() && receiver.index() <= host.core->commit_index()) {
    receiver.offer();
  }
  if (halted || !receiver.ready() || applies_under_way > 0 || trimmer.trimming()) return;
  if (host.core->has_output()) return;  // perhaps entries to apply; flush() comes again
  receiver.offer();
}

void Node::State::installed() {
  install_ticket.reset();
  host.applied = install_index;
  host.floor = install_index;
  receiver.installed();
  writes.installed(install_index);
  reads.applied();
  if (host.hooks.on_installed) host.hooks.on_installed(install_index);
  if (host.hooks.on_trimmed) host.hooks.on_trimmed(install_index);
}

// --- The end.

void Node::State::failed(Error error) {
  if (std::exchange(halted, true)) return;
  host.stopped = true;
  host.hooks.on_halt(false, std::move(error));
}

// A removed node halts once it has applied all that it knows to be committed: the call that asked
// for the removal may be one of its own, and is answered first.
void Node::State::halt_if_over() {
  if (!leaving || halted || applies_under_way > 0 || !held.empty()) return;
  admin.removed();
  host.answers.give();
  halted = true;
  host.stopped = true;
  host.hooks.on_halt(true, std::move(*leaving));
}

}  // namespace iris
