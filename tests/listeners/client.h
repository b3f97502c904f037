// Client: a client of Listen that keeps a map of its subscriptions' values, resumes as listeners.h
// says a client must, and checks every update against the oracle the moment it comes: order,
// uniqueness, content, filter; at markers also that nothing is missing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "src/listeners/listeners.h"
#include "tests/listeners/oracle.h"

namespace iris::testing {

class Client : public UpdateStream {
 public:
  // `asks`: uses the new fields. Else it is an old client.
  Client(const Oracle& oracle, std::string session, bool asks)
      : oracle_(oracle), session_(std::move(session)), asks_(asks) {}

  // --- Its calls, once they are in the log. `outcome`: of the command.
  void subscribed(const std::string& source, const std::optional<std::string>& key,
                  const Outcome& outcome);
  void unsubscribed(const std::string& source, const std::optional<std::string>& key,
                    std::uint64_t revision);
  void expired(std::uint64_t revision);
  // The request to resume with; the stream begins with it.
  ListenSpec ask(bool initial, std::uint32_t heartbeat_ms);
  void cut() { open_ = false; }

  // --- UpdateStream
  bool write(const UpdatePtr& update, bool more) override;
  void close(StreamEnd end, const std::string& text) override;

  // Everything up to the oracle's last was delivered: the map is complete and right. `complete`:
  // also that of an old client, which is sent no removals that the log no longer has.
  void check_settled(bool complete) const;

  [[nodiscard]] bool is_open() const { return open_; }
  [[nodiscard]] const std::string& session() const { return session_; }
  [[nodiscard]] bool asks() const { return asks_; }
  std::optional<StreamEnd> end;  // of the last stream

  bool reading = true;
  bool must_wait = false;

  // Sums over all clients and streams.
  struct Counts {
    std::uint64_t updates = 0, rows = 0, resyncs = 0, synced = 0, bookmarks = 0, repeated = 0;
  };
  static Counts counts;

 private:
  using Subscription = std::pair<std::string, std::optional<std::string>>;
  struct Ended {
    Subscription subscription;
    std::uint64_t since, until;
  };

  void resync(std::uint64_t revision);
  void row(const Update& update);
  void synced(std::uint64_t revision);
  void told(const Update& update);
  void take_or_skip(const Update& update, const Name& name);
  void take(const Update& update);
  [[nodiscard]] static bool covers(const Subscription& subscription, const Name& name);
  [[nodiscard]] bool was_due(const Name& name, std::uint64_t revision) const;
  [[nodiscard]] bool was_covered(const Name& name, std::uint64_t revision) const;
  [[nodiscard]] bool is_due(const Name& name, std::uint64_t revision) const;
  [[nodiscard]] bool is_covered(const Name& name, std::uint64_t since_max) const;
  [[nodiscard]] std::uint64_t read_at(const Name& name) const;
  void drop_uncovered();
  void check_complete(std::uint64_t up_to) const;

  const Oracle& oracle_;
  const std::string session_;
  const bool asks_;
  std::map<Subscription, std::uint64_t> subscriptions_;  // -> since
  std::vector<Ended> ended_;
  Rows seen_;

  // For the next resume.
  std::uint64_t resume_ = 0;
  std::optional<std::tuple<std::uint64_t, std::string, std::string>> removal_;  // the last one seen
  bool in_state_ = false;  // between RESYNC (or an asked-for state's begin) and SYNCED
  bool begun_ = false;

  // Of the stream that is open.
  bool open_ = false;
  std::uint64_t base_ = 0;            // everything due after it must come
  std::uint64_t state_revision_ = 0;  // of RESYNC; 0: there was none
  std::uint64_t last_revision_ = 0;
  std::optional<Name> last_removal_;  // at last_revision_
  bool last_more_ = false;            // it said that others follow
  std::set<std::pair<std::uint64_t, Name>> delivered_;
  Rows state_rows_;
};

}  // namespace iris::testing
