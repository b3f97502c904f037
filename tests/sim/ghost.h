// Ghost: the history of the whole cluster, which no node can know: the committed log and its state,
// every vote, every leader, every log prefix ever seen.
// One thread. Owns its copies; only grows. A node that contradicts it has broken an invariant, and
// the run ends.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/types.h"
#include "src/machine/machine.h"
#include "src/machine/state_hash.h"
#include "tests/sim/key_model.h"
#include "tests/sim/model_disk.h"
#include "tests/sim/session_model.h"

namespace iris::sim {

// A hash of all entries up to one: two logs are compared by one number.
using Chain = std::uint64_t;
inline constexpr Chain chain_of_nothing = 0x1d5;
[[nodiscard]] Chain extend(Chain before, const raft::Entry& entry);

struct Committed {
  raft::EntryPtr entry;
  Chain chain = 0;
  raft::Term by;              // the term of the leader that committed it
  std::uint64_t digest = 0;   // of the data with this entry applied
  Outcome outcome;            // of a command
  raft::Index members_index;  // of the configuration in force here
};

class Ghost {
 public:
  explicit Ghost(std::uint64_t cluster) : cluster_(cluster) {}

  // --- The committed log (LM, SMS, EO, CF).
  [[nodiscard]] raft::Index committed() const { return {log_.size()}; }
  // REQUIRES: 0 < index <= committed()
  [[nodiscard]] const Committed& at(raft::Index index) const;
  [[nodiscard]] Chain chain_at(raft::Index index) const;
  [[nodiscard]] raft::EntryId id_at(raft::Index index) const;
  // The next entry is committed by the leader of term `by`. REQUIRES: entry.id.index == committed()
  // + 1
  void commit(const raft::EntryPtr& entry, Chain chain, raft::Term by);
  // The last entry committed by leaders of earlier terms: a leader of this term holds all up to it.
  [[nodiscard]] raft::Index committed_before(raft::Term term) const;
  [[nodiscard]] const raft::Members& members_at(raft::Index index) const;
  [[nodiscard]] const raft::Members& members() const { return members_at(committed()); }
  [[nodiscard]] raft::Index members_index_at(raft::Index index) const;
  // Some committed configuration, made by entry `since` or a later one, does not contain this node.
  [[nodiscard]] bool did_without(raft::NodeId id, raft::Index since) const;

  // This entry can never be committed: another one is committed at its index, or an entry of a
  // later term before it.
  [[nodiscard]] bool is_undone(raft::EntryId id) const;

  // --- Every log (LM).
  // A log holds `id` as the end of a prefix with this hash.
  void prefix(raft::EntryId id, Chain chain);

  // --- Elections (ES, VD).
  void vote(raft::NodeId voter, raft::Term term, raft::NodeId candidate);
  [[nodiscard]] bool voted(raft::NodeId voter, raft::Term term, raft::NodeId candidate) const;
  void leader(raft::NodeId leader, raft::Term term);
  [[nodiscard]] raft::Term highest_term() const { return highest_term_; }

  // --- Data (SMS, SN, WP).
  // A node has applied up to this state. `where` names the node and the moment in the report.
  void check_data(const DataState& data, const std::string& where) const;
  void check_mark(const raft::SnapshotMetadata& mark, const std::string& where) const;
  // A node tells the hash of its state (OD).
  void check_hash(const StateHash& hash, const std::string& where);

  // --- Clients.
  [[nodiscard]] const KeyModel& keys() const { return keys_; }
  [[nodiscard]] const SessionModel& sessions() const { return sessions_; }
  // The revision of a value, which is unique in the run; 0: not committed (yet).
  [[nodiscard]] std::uint64_t revision_of(const std::string& value) const;
  // This value's command was answered "not proposed": it must never be committed.
  void deny(const std::string& value);
  // Marks the entry at `index` as answered to a client; false: it was already.
  bool claim(raft::Index index) { return claimed_.insert(index.value).second; }
  [[nodiscard]] bool claimed(raft::Index index) const { return claimed_.contains(index.value); }

 private:
  void apply(Committed& committed);
  void check_members(const raft::Members& from, const raft::Members& to) const;

  std::uint64_t cluster_;
  std::vector<Committed> log_;
  std::vector<std::pair<raft::Index, raft::Members>> configurations_;
  std::vector<std::vector<std::pair<raft::Term, Chain>>> prefixes_;        // by index
  std::map<std::pair<std::uint64_t, std::uint64_t>, raft::NodeId> votes_;  // by voter and term
  std::map<std::uint64_t, raft::NodeId> leaders_;                          // by term
  raft::Term highest_term_;
  DataState data_;
  std::map<std::uint64_t, Hash128> hashes_;  // of the data, by index: the first that was told
  KeyModel keys_;
  SessionModel sessions_;
  std::map<std::string, std::uint64_t> values_;  // to revision
  std::set<std::string> denied_;
  std::set<std::uint64_t> claimed_;
};

// Naive quorum rules, written apart from raft/quorum.h: a majority of the voters, and of the
// outgoing ones where there are any.
[[nodiscard]] bool is_quorum(const raft::Members& members,
                             const std::function<bool(raft::NodeId)>& has);
[[nodiscard]] std::string to_text(const raft::Members& members);
[[nodiscard]] std::string to_text(raft::EntryId id);
[[nodiscard]] std::string to_text(raft::NodeId id);
[[nodiscard]] std::string to_text(const std::vector<std::string>& names);  // each after a space

}  // namespace iris::sim
