// ServiceStatus: one line for people on what this node does now, as `systemctl status` shows it.
// Loop thread. A query: it changes nothing.
#pragma once

#include <string>

#include "src/node/node.h"
#include "src/server/majority_watch.h"

namespace iris {

// `join_way`: whom a node in no cluster asks, in words; empty: nobody.
// `certificate_fault`: why changed certificates are not in use; empty: none.
[[nodiscard]] std::string service_status(const Node& node, const MajorityWatch& majority,
                                         const std::string& join_way,
                                         const std::string& certificate_fault);

}  // namespace iris
