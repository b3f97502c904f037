// StateHashing: a member's part of a state check. It makes the hash of its state at exactly the
// index that the leader asked for, and says so.
// Loop thread; the rows are read on the store's bulk lane. Owns the one hash under way, with the
// view that it is made of, and keeps the last one until the next is asked for. Survives neither a
// restart nor the next question: the leader then does without this node's hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "src/node/host.h"

namespace iris {

class StateHashing {
 public:
  using Reply = std::function<void(raft::NodeId to, const StateHashReply& reply)>;

  // `reply` is called from asked(), given(), or on a turn of its own.
  StateHashing(NodeHost& host, Reply reply) : host_(host), reply_(std::move(reply)) {}

  // The leader `from` asks. A repetition begins nothing anew.
  void asked(raft::NodeId from, const StateHashRequest& request);
  // What `from` was told under this id; nullptr: nothing, or something else since.
  [[nodiscard]] const StateHash* told(raft::NodeId from, std::uint64_t id) const;

  // --- From the turn.
  void start() { given_ = host_.applied; }
  // The entry after which the data lane gets the next one in a job of its own; 0: none.
  [[nodiscard]] raft::Index wanted() const;
  // The data lane was given all entries up to this one, or a snapshot that contains them.
  void given(raft::Index last);
  void tick();
  void stop() { work_ = nullptr; }

 private:
  struct Work {
    raft::NodeId asker;
    StateHashRequest request;
    std::optional<StateHasher> hasher;        // on the bulk lane while `reading`
    std::shared_ptr<const store::View> view;  // from the moment that `index` is applied
    bool held = false;                        // the view was asked for
    bool reading = false;
    std::size_t read_bytes = 0;  // by the last job of the bulk lane
    StateHashReply answer;       // once `over`
    bool over = false;
  };

  void settle();
  void hold();
  void read();
  void was_read(Work& work);
  void end(const StateHashReply& answer);

  NodeHost& host_;
  const Reply reply_;
  std::shared_ptr<Work> work_;  // shared with its job on the bulk lane
  raft::Index given_;
  // Bytes that may be read now. A piece is read while this is above zero, and may leave it below.
  std::int64_t allowance_bytes_ = 1;
};

}  // namespace iris
