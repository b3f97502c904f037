// AuditStream: one listener of the client library. It rebuilds a map from its updates, keeps every
// update for the reckoning, and checks each at once: updates come in order and once, only for the
// topics, and a removal only of a key that is there. A stream survives its listener: reopen()
// resumes at other nodes, as a restarted program does. The callbacks run on the listener's thread;
// the public functions are thread-safe, but for open(), reopen() and close(), which are for one
// thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "src/client/client.h"
#include "tests/cluster/audit.h"

namespace iris::test::audit {

// A source, or one key of it.
struct Topic {
  std::uint16_t source = 0;
  std::optional<std::uint16_t> key;
};

struct StreamCounts {
  std::uint64_t updates = 0;
  std::uint64_t connections = 0;
  std::uint64_t resyncs = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t wrong = 0;
};

class AuditStream {
 public:
  // A range of revisions in which every update of the topics is due.
  struct Span {
    std::uint64_t after = 0;
    Place until;            // the last update or bookmark
    std::size_t first = 0;  // the position of its first update in `seen`
  };

  // `session` empty: the library makes one, a new one after each reopen().
  AuditStream(std::string name, std::vector<Topic> topics, std::string session);
  // REQUIRES: not open. The client may be gone before the listener.
  void open(Client& client);
  void reopen(Client& client);
  void close();

  // Empty: the map equals `all` for the topics, and all updates up to `revision` came.
  [[nodiscard]] std::string difference(const Map& all, std::uint64_t revision) const;
  [[nodiscard]] bool synced() const;
  [[nodiscard]] StreamCounts counts() const;
  // The first complaints, one sentence each.
  [[nodiscard]] std::vector<std::string> complaints() const;

  // After close().
  [[nodiscard]] const std::vector<Seen>& seen() const { return seen_; }
  [[nodiscard]] const std::vector<Span>& spans() const { return spans_; }
  [[nodiscard]] const std::vector<Topic>& topics() const { return topics_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool wants(std::uint16_t source, std::uint16_t key) const;
  void add_lost(std::uint64_t updates, const std::string& what);

 private:
  void take(const client::Update& update);
  void take_mark(const client::Update& update);
  void take_row(const Seen& seen, client::Update::Op op);
  void check_place(Place place);
  void complain(std::uint64_t StreamCounts::*counter, std::string text);

  const std::string name_;
  const std::vector<Topic> topics_;
  const std::string session_;
  std::optional<client::Listener> listener_;

  mutable std::mutex mutex_;  // of all below
  Map map_;
  bool in_state_ = true;
  std::vector<Seen> seen_;  // without the rows of states
  std::vector<Span> spans_;
  StreamCounts counts_;
  std::vector<std::string> complaints_;
  std::string node_;     // the last address
  std::string trouble_;  // why the last connection ended
};

}  // namespace iris::test::audit
