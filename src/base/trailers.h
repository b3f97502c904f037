// Trailers: names of the trailing metadata with which a node explains an error to a client. They
// are part of the interface, like the numbers in proto/iris.proto. Constants only; src/api writes
// them, src/client reads them.
#pragma once

namespace iris {

// "1" with each error that a node gives before it has proposed anything (Errc::not_leader,
// unavailable, and where a call is refused because the node stops). gRPC reports a connection that
// broke during a call as UNAVAILABLE too: only this trailer distinguishes "certainly not done, safe
// to try again" from "unknown".
inline constexpr char trailer_not_done[] = "iris-not-done";

// host:port of the leader's gRPC port, with UNAVAILABLE, when it is known.
inline constexpr char trailer_leader[] = "iris-leader";

}  // namespace iris
