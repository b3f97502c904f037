// ServiceStatus: one line for people on what this node does now, as `systemctl status` shows it.
// Loop thread. A query: it changes nothing.
#pragma once

#include <string>

#include "src/node/node.h"

namespace iris {

[[nodiscard]] std::string service_status(const Node& node);

}  // namespace iris
