// Echo: SetValue answers with the value it was sent and GetValue with one of fixed size, and
// nothing else is done. Built from the very parts src/api is built from (call.h, completion.h): one
// thread on gRPC's queue, which hands batches to one loop. What it can do is what gRPC and that
// hand-over leave to a node on this machine. run_echo() blocks its thread until SIGINT or SIGTERM.
// Owns server, loop and threads.
#pragma once

#include "raft/result.h"
#include "src/bench/options.h"

namespace iris::bench {

// Errc::invalid_argument: a PEM file; Errc::io: the port.
[[nodiscard]] Status run_echo(const Options& options);

}  // namespace iris::bench
