// Stream: one listener of the client library, which rebuilds a map out of what it is told,
// remembers every update for the reckoning, and checks at once what can be: the order, that nothing
// comes twice, nothing comes that was not asked for, nothing is removed that is not there. A stream
// survives its listener: reopen() goes on at other nodes where it stopped, as a program that was
// started again does. The callbacks run on the listener's thread; the faces are thread-safe but for
// reopen(), which is for one thread.
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

class Stream {
 public:
  // From here to there every update of the topics was promised.
  struct Span {
    std::uint64_t after = 0;
    Place until;            // of what was told, bookmarks too
    std::size_t first = 0;  // its updates begin there in `seen`
  };

  // `session` empty: one of the library's own, another one after each reopen().
  Stream(std::string name, std::vector<Topic> topics, std::string session);
  // REQUIRES: not open. The client may be gone before the listener.
  void open(Client& client);
  void reopen(Client& client);
  void close();

  // Empty: the map is that of the topics in `all`, and nothing more is to come up to `revision`.
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
  std::vector<Seen> seen_;  // but for those of a state
  std::vector<Span> spans_;
  StreamCounts counts_;
  std::vector<std::string> complaints_;
  std::string node_;     // where it was connected last,
  std::string trouble_;  // and why the last connection ended
};

}  // namespace iris::test::audit
