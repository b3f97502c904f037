// Names of the trailing metadata by which a node tells a client what an error means. They are part
// of the interface, like the numbers in proto/iris.proto. Constants only; used by src/api to say
// them and by src/client to read them.
#pragma once

namespace iris {

// "1" with every error a node gives before it proposed anything (Errc::not_leader, unavailable,
// and where a call is refused because the node stops). gRPC reports a connection that broke in the
// middle of a call as UNAVAILABLE too: this trailer alone tells "certainly not done, safe to try
// again" from "nobody knows".
inline constexpr char trailer_not_done[] = "iris-not-done";

// host:port of the leader's gRPC port, with UNAVAILABLE, when it is known.
inline constexpr char trailer_leader[] = "iris-leader";

}  // namespace iris
