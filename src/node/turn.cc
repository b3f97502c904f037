// Node::State::flush() and all that happens in a turn; the order of its steps is part of what makes
// the node safe.
#include <string>
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
  stop_if_odd();
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
  if (halted) return;
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
    state_check.role_changed();
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
  for (const raft::EntryPtr& entry : entries) {
    // Applied as nothing, it would make this node's data differ from that of the others.
    if (const Status known = understands(*entry, host.options.level); !known) {
      return failed(known.error());
    }
  }
  std::size_t bytes = 0;
  std::vector<raft::EntryPtr> piece;
  if (entries.size() <= piece_entries_max) piece.reserve(entries.size());
  for (raft::EntryPtr& entry : entries) {
    bytes += raft::entry_bytes(*entry);
    const bool ends = entry->id.index == state_check.wanted();
    piece.push_back(std::move(entry));
    if (!ends && bytes < piece_bytes_max && piece.size() < piece_entries_max) continue;
    apply_piece(std::exchange(piece, {}));
    bytes = 0;
  }
  if (!piece.empty()) apply_piece(std::move(piece));
}

void Node::State::apply_piece(std::vector<raft::EntryPtr> entries) {
  const raft::Index last_index = entries.back()->id.index;
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
  job->level = host.core->level_at(entries.front()->id.index);
  job->outcomes.reserve(entries.size());
  job->entries = std::move(entries);
  ++applies_under_way;
  host.store.apply(
      std::move(last),
      [job](store::Batch& batch) {
        raft::Level level = job->level;
        for (const raft::EntryPtr& entry : job->entries) {
          if (const raft::Members* members = raft::members_in(*entry)) level = members->level;
          job->outcomes.push_back(Machine::apply(*entry, level, batch));
        }
      },
      [this, job, gone = host.guard()] {
        if (!gone.expired()) applied(*job);
      });
  state_check.given(last_index);
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
    if (const raft::Members* members = raft::members_in(*entry)) set_level(members->level);
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

void Node::State::set_level(raft::Level level) {
  if (std::exchange(host.level, level) == level) return;
  log(LogLevel::info, "the feature level of the cluster", {{"feature_level", level.value}});
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
  const Result<raft::NodeId> successor = host.core->transfer({}, host.unreachable_voters());
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
  set_level(host.core->level_at(install_index));
  receiver.installed();
  state_check.given(install_index);
  writes.installed(install_index);
  reads.applied();
  if (host.hooks.on_installed) host.hooks.on_installed(install_index);
  if (host.hooks.on_trimmed) host.hooks.on_trimmed(install_index);
}

// --- The end.

void Node::State::failed(Error error) {
  if (condemning) return end_as_odd(unexpected(std::move(error)));
  if (std::exchange(halted, true)) return;
  host.stopped = true;
  host.hooks.on_halt(false, std::move(error));
}

// Node::stop(). REQUIRES: not from inside an answer.
void Node::State::stop_serving() {
  host.stopped = true;
  writes.stop();
  reads.stop();
  admin.stop();
  sender.stop();
  state_check.stop();
  host.answers.give();
}

// A node with odd data serves nobody from this moment, and its folder never again. A leader hands
// over first: that takes the others less time than to miss it.
void Node::State::stop_if_odd() {
  if (halted || !state_check.odd()) return;
  if (!odd_until) {
    const std::string why = *state_check.odd();
    log(LogLevel::error, "the data of this node is not what the other members have",
        {{"reason", why}});
    stop_serving();
    const bool hands_over = host.leads() && host.core->transfer({}).has_value();
    odd_until = host.now + (hands_over ? 2 * host.election_ticks() : 0);
    host.touch();
  }
  if (host.leads() && host.now < *odd_until) return;
  halted = condemning = true;
  host.store.condemn(*state_check.odd(), [this, gone = host.guard()](const Status& condemned) {
    if (!gone.expired()) end_as_odd(condemned);
  });
}

// Where the disk refuses to mark the folder, the next life of this node is found again.
void Node::State::end_as_odd(const Status& condemned) {
  if (!std::exchange(condemning, false)) return;
  host.hooks.on_halt(
      false,
      {Errc::corrupt,
       *state_check.odd() +
           "; move its folder away and start it with -join, and it comes back as a new member" +
           (condemned ? std::string() : " (" + condemned.error().text + ")")});
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
