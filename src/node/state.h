// Node::State: the parts of a node, and the turn that drives them. The turn carries out the core's
// output in a written order: log lane, messages, data lane, reads; and holds back what must wait
// for a disk.
// Loop thread. Owns the host and its parts. Only node.cc and turn.cc include it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/node/admin.h"
#include "src/node/contacts.h"
#include "src/node/disk_watch.h"
#include "src/node/errands.h"
#include "src/node/host.h"
#include "src/node/reads.h"
#include "src/node/snapshot_receiver.h"
#include "src/node/snapshot_sender.h"
#include "src/node/state_check.h"
#include "src/node/trimmer.h"
#include "src/node/writes.h"

namespace iris {

struct Node::State {
  State(NodeOptions options, store::Store& store, Transport& transport, NodeHooks hooks)
      : host(std::move(options), store, transport, std::move(hooks)) {}

  NodeHost host;
  Writes writes{host};
  Reads reads{host};
  Admin admin{host, writes};
  Contacts contacts{host};
  Errands errands{host, admin, contacts};
  SnapshotSender sender{host};
  SnapshotReceiver receiver{host, [this](Error error) { failed(std::move(error)); }};
  Trimmer trimmer{host, sender, receiver};
  DiskWatch disk_watch{host};
  StateCheck state_check{host};

  // --- The turn (turn.cc).
  void flush();
  void durable(raft::Ticket ticket);
  void failed(Error error);

  // Messages that prove something durable. `ticket` covers everything that they prove.
  struct Held {
    raft::Ticket ticket;
    std::vector<raft::Message> messages;
  };
  // Committed entries on their way through the data lane.
  struct ApplyJob {
    std::vector<raft::EntryPtr> entries;
    std::vector<Outcome> outcomes;
    raft::Level level;  // in force at the first of them
  };

  void carry_out(raft::Output output);
  void write(raft::LogWrite write);
  void send(std::vector<raft::Message> messages);
  void apply(std::vector<raft::EntryPtr> entries);
  void apply_piece(std::vector<raft::EntryPtr> entries);
  void applied(const ApplyJob& job);
  void set_level(raft::Level level);
  void update_lagging();
  void transfer_if_data_lane_hangs();
  void install_if_ready();
  void installed();
  void halt_if_over();
  void stop_serving();
  void stop_if_odd();
  void end_as_odd(const Status& condemned);

  raft::Ticket issued;          // the last one given to the log lane
  raft::Ticket durable_ticket;  // all up to it are on disk
  std::deque<Held> held;
  std::size_t applies_under_way = 0;
  std::uint64_t data_progress_at = 0;          // tick: the data lane finished a job, or had none
  std::optional<raft::Ticket> install_ticket;  // of the install under way
  raft::Index install_index;
  std::optional<std::uint64_t> odd_until;  // tick: the data is odd, and leadership must be gone
  std::optional<Error> leaving;  // this node was removed; on_halt is due once all is applied
  bool condemning = false;       // the folder of an odd node is being marked; then on_halt
  bool halted = false;           // on_halt was or will be called: nothing is done any more
};

}  // namespace iris
