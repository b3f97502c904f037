// DiskWatch: decides whether this node's disk is too full for more growth (NodeHost::disk_low).
// Loop thread. Owns nothing but a time. Has the disk measured every check_ms and tells the log when
// the answer changes.
#pragma once

#include <cstdint>

#include "src/node/host.h"

namespace iris {

class DiskWatch {
 public:
  explicit DiskWatch(NodeHost& host) : host_(host) {}

  void tick();

 private:
  void look();

  NodeHost& host_;
  std::uint64_t enough_from_ =
      0;  // tick: growth goes on from here, if enough stays free until then
};

}  // namespace iris
