// NodeHistory: the applied log of a node, as the listeners read it.
// Loop thread. Views the node, which outlives it.
#pragma once

#include "src/listeners/listeners.h"
#include "src/node/node.h"

namespace iris {

class NodeHistory final : public History {
 public:
  explicit NodeHistory(const Node& node) : node_(node) {}
  [[nodiscard]] raft::EntryPtr entry(raft::Index index) const override {
    return node_.core().entry(index);
  }
  [[nodiscard]] raft::Index first() const override { return node_.floor().next(); }
  [[nodiscard]] raft::Index applied() const override { return node_.applied(); }

 private:
  const Node& node_;
};

}  // namespace iris
