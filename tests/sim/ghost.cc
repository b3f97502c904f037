#include "tests/sim/ghost.h"

#include <algorithm>
#include <cstring>

#include "raft/members.h"
#include "tests/sim/model_view.h"
#include "tests/sim/report.h"

namespace iris::sim {
namespace {

const raft::Members no_members;

std::uint64_t hash_bytes(std::string_view bytes) {
  std::uint64_t state = bytes.size();
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    state = mix(state ^ word);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, bytes.data(), bytes.size());
  return mix(state ^ rest);
}

std::uint64_t hash_list(const std::vector<raft::Member>& list) {
  std::uint64_t state = list.size();
  for (const raft::Member& member : list) {
    state = mix(state ^ member.id.value) ^ hash_bytes(member.address);
  }
  return state;
}

std::uint64_t hash_payload(const raft::Payload& payload) {
  if (const auto* command = std::get_if<raft::Command>(&payload)) return hash_bytes(*command);
  if (const auto* members = std::get_if<raft::Members>(&payload)) {
    return mix(hash_list(members->voters)) ^ mix(hash_list(members->outgoing) + 1) ^
           mix(hash_list(members->learners) + 2);
  }
  return 0;
}

}  // namespace

Chain extend(Chain before, const raft::Entry& entry) {
  return mix(before ^ mix(entry.id.term.value) ^ hash_payload(entry.payload) ^
             (entry.payload.index() + 1));
}

bool is_quorum(const raft::Members& members, const std::function<bool(raft::NodeId)>& has) {
  const auto majority = [&has](const std::vector<raft::Member>& list) {
    std::size_t count = 0;
    for (const raft::Member& member : list) count += has(member.id) ? 1 : 0;
    return 2 * count > list.size();
  };
  return majority(members.voters) && (members.outgoing.empty() || majority(members.outgoing));
}

std::string to_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text.append(" ").append(name);
  return text;
}

std::string to_text(raft::NodeId id) { return std::to_string(id.value); }

std::string to_text(raft::EntryId id) {
  return std::to_string(id.index.value) + "@" + std::to_string(id.term.value);
}

std::string to_text(const raft::Members& members) {
  const auto list = [](const std::vector<raft::Member>& from) {
    std::string text;
    for (const raft::Member& member : from) {
      if (!text.empty()) text += ' ';
      text += to_text(member.id);
      text += '=';
      text += member.address;
    }
    return text;
  };
  std::string text = "{" + list(members.voters);
  if (!members.outgoing.empty()) text += " | from " + list(members.outgoing);
  if (!members.learners.empty()) text += " | learners " + list(members.learners);
  return text + "}";
}

// --- The committed log.

const Committed& Ghost::at(raft::Index index) const {
  CHECK(index.value > 0 && index <= committed());
  return log_[index.value - 1];
}

Chain Ghost::chain_at(raft::Index index) const {
  return index.value == 0 ? chain_of_nothing : at(index).chain;
}

raft::EntryId Ghost::id_at(raft::Index index) const {
  return index.value == 0 ? raft::EntryId{} : at(index).entry->id;
}

raft::Index Ghost::members_index_at(raft::Index index) const {
  return index.value == 0 ? raft::Index{} : at(index).members_index;
}

bool Ghost::did_without(raft::NodeId id, raft::Index since) const {
  return std::any_of(configurations_.begin(), configurations_.end(), [&](const auto& each) {
    const auto& [index, members] = each;
    return index >= since && !raft::is_member(members, id);
  });
}

bool Ghost::is_undone(raft::EntryId id) const {
  return id.index <= committed() ? id_at(id.index) != id : id_at(committed()).term > id.term;
}

const raft::Members& Ghost::members_at(raft::Index index) const {
  const raft::Index made = members_index_at(index);
  const auto found =
      std::find_if(configurations_.rbegin(), configurations_.rend(),
                   [made](const auto& configuration) { return configuration.first == made; });
  return found == configurations_.rend() ? no_members : found->second;
}

void Ghost::commit(const raft::EntryPtr& entry, Chain chain, raft::Term by) {
  CHECK(entry->id.index == committed().next());
  VERIFY(log_.empty() || by >= log_.back().by, "LC",
         "a leader of an earlier term commits " + to_text(entry->id));
  VERIFY(log_.empty() || entry->id.term >= log_.back().entry->id.term, "SMS",
         "committed terms go down at " + to_text(entry->id));
  Committed next;
  next.entry = entry;
  next.chain = chain;
  next.by = by;
  next.members_index = members_index_at(committed());
  if (const auto* members = std::get_if<raft::Members>(&entry->payload)) {
    if (!configurations_.empty()) check_members(configurations_.back().second, *members);
    configurations_.emplace_back(entry->id.index, *members);
    next.members_index = entry->id.index;
  }
  apply(next);
  log_.push_back(std::move(next));
}

raft::Index Ghost::committed_before(raft::Term term) const {
  const auto after = std::partition_point(log_.begin(), log_.end(),
                                          [term](const Committed& each) { return each.by < term; });
  return {static_cast<std::uint64_t>(after - log_.begin())};
}

void Ghost::apply(Committed& committed) {
  const raft::Entry& entry = *committed.entry;
  StateBatch batch(data_);
  const raft::Level level =
      configurations_.empty() ? raft::Level{} : configurations_.back().second.level;
  committed.outcome = Machine::apply(entry, level, batch);
  data_.applied = entry.id;
  committed.digest = data_.digest();

  const std::uint64_t revision = entry.id.index.value;
  const auto* command = std::get_if<raft::Command>(&entry.payload);
  if (command == nullptr) {
    keys_.skip(revision);
    return;
  }
  const Result<Operation> operation = decode(*command);
  VERIFY(operation.has_value(), "NC", "a committed command does not decode");
  Outcome expected;
  if (SessionModel::knows(*operation)) {
    keys_.skip(revision);
    expected = sessions_.apply(*operation, revision);
  } else {
    expected = keys_.apply(*operation, revision);
  }
  VERIFY(expected == committed.outcome, "SMS",
         "the machine's outcome of " + to_text(entry.id) + " is not the model's");
  if (const auto* set = std::get_if<SetValue>(&*operation)) {
    VERIFY(!denied_.contains(set->value), "LIN",
           "a write answered \"not proposed\" was committed as " + to_text(entry.id));
    VERIFY(values_.emplace(set->value, revision).second, "EO",
           "one write was committed twice, now as " + to_text(entry.id));
  }
}

// Any two configurations in a row must not be able to decide apart (thesis 4.3).
void Ghost::check_members(const raft::Members& from, const raft::Members& to) const {
  const bool joins = from.outgoing.empty() && !to.outgoing.empty();
  const bool leaves = !from.outgoing.empty() && to.outgoing.empty();
  const auto ids = [](const std::vector<raft::Member>& list) {
    std::vector<raft::NodeId> result;
    result.reserve(list.size());
    for (const raft::Member& member : list) result.push_back(member.id);
    return result;
  };
  const bool allowed =
      joins    ? ids(to.outgoing) == ids(from.voters)
      : leaves ? ids(to.voters) == ids(from.voters)
               : ids(to.voters) == ids(from.voters) && ids(to.outgoing) == ids(from.outgoing);
  VERIFY(to.level >= from.level, "FL", "the feature level falls: " + to_text(to));
  VERIFY(allowed, "CF", "from " + to_text(from) + " to " + to_text(to) + " in one step");
}

void Ghost::prefix(raft::EntryId id, Chain chain) {
  if (prefixes_.size() <= id.index.value) prefixes_.resize(id.index.value + 1);
  auto& known = prefixes_[id.index.value];
  for (const auto& [term, before] : known) {
    if (term != id.term) continue;
    VERIFY(before == chain, "LM", "two logs hold " + to_text(id) + " after different prefixes");
    return;
  }
  known.emplace_back(id.term, chain);
}

// --- Elections.

void Ghost::vote(raft::NodeId voter, raft::Term term, raft::NodeId candidate) {
  const auto [at, fresh] = votes_.emplace(std::pair(voter.value, term.value), candidate);
  VERIFY(fresh || at->second == candidate, "VD",
         "node " + to_text(voter) + " voted for " + to_text(at->second) + " and " +
             to_text(candidate) + " in term " + std::to_string(term.value));
}

bool Ghost::voted(raft::NodeId voter, raft::Term term, raft::NodeId candidate) const {
  const auto found = votes_.find({voter.value, term.value});
  return found != votes_.end() && found->second == candidate;
}

void Ghost::leader(raft::NodeId leader, raft::Term term) {
  const auto [at, fresh] = leaders_.emplace(term.value, leader);
  VERIFY(fresh, "ES",
         "nodes " + to_text(at->second) + " and " + to_text(leader) + " lead in term " +
             std::to_string(term.value));
  highest_term_ = std::max(highest_term_, term);
}

// --- Data.

void Ghost::check_data(const DataState& data, const std::string& where) const {
  if (data.applied.index.value == 0) return;
  VERIFY(data.applied.index <= committed(), "WP",
         where + " applied " + to_text(data.applied) + ", which is not committed");
  VERIFY(data.applied == id_at(data.applied.index), "SMS",
         where + " applied " + to_text(data.applied) + ", committed is " +
             to_text(id_at(data.applied.index)));
  VERIFY(data.digest() == at(data.applied.index).digest, "SMS",
         where + " holds other data than the log up to " + to_text(data.applied) + " means");
  VERIFY(data.members == members_at(data.applied.index), "SN",
         where + " says of " + to_text(data.applied) + " the members are " + to_text(data.members) +
             ", they are " + to_text(members_at(data.applied.index)));
}

void Ghost::check_mark(const raft::SnapshotMetadata& mark, const std::string& where) const {
  VERIFY(mark.last.index <= committed() && mark.last == id_at(mark.last.index), "SN",
         where + ": a snapshot at " + to_text(mark.last) + " was never committed");
  VERIFY(mark.members == members_at(mark.last.index) &&
             mark.members_index == members_index_at(mark.last.index),
         "SN",
         where + ": a snapshot at " + to_text(mark.last) + " has members " + to_text(mark.members) +
             " of " + std::to_string(mark.members_index.value) + ", they were " +
             to_text(members_at(mark.last.index)));
}

void Ghost::check_hash(const StateHash& hash, const std::string& where) {
  VERIFY(hash.index <= committed(), "WP",
         where + " tells a hash of " + std::to_string(hash.index.value) + ", not committed");
  const auto [first, is_first] = hashes_.emplace(hash.index.value, hash.data);
  VERIFY(is_first || first->second == hash.data, "OD",
         where + " has another hash at " + std::to_string(hash.index.value) + " than others");
}

// --- Clients.

std::uint64_t Ghost::revision_of(const std::string& value) const {
  const auto found = values_.find(value);
  return found == values_.end() ? 0 : found->second;
}

void Ghost::deny(const std::string& value) {
  VERIFY(revision_of(value) == 0, "LIN", "a committed write was answered \"not proposed\"");
  denied_.insert(value);
}

}  // namespace iris::sim
