// Stela: client of the discovery service of that name. Asks it which nodes serve Iris, and keeps
// this node registered there. A stream is held open for as long as the node lives, because Stela
// drops a client's services when its stream ends; when the stream breaks, or Stela does not list
// the node any more, the node registers again. Called from one thread (the loop). Owns two threads
// that do nothing but wait for Stela; what they learn is given to the post function, never called
// directly. Never blocks its caller, but in the destructor, for as long as a cancelled call takes
// to end. "None" is said only by a Stela that was reached: one that cannot be is asked again, with
// jittered exponential back-off (100 ms to 1 s), each time over a connection of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/result.h"

namespace grpc {
class ChannelCredentials;
}

namespace iris {

struct StelaOptions {
  std::string address = "127.0.0.1:31000";
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // none: no TLS
  std::string server_name = "Stela";                      // with TLS: name in its certificate
  std::string own_ipv4;  // whose client this is; empty: own_ipv4_address()
};

// An entry of Stela, as it is registered and as it is found.
struct StelaService {
  std::string name;
  std::string hostname;
  std::string ipv4;
  std::string ipv6;
  std::uint16_t port = 0;
};

// Of one node, as Stela tells services apart. A field that one of them lacks says nothing.
[[nodiscard]] bool same_place(const StelaService& a, const StelaService& b);

class Stela {
 public:
  using Post = std::function<void(std::function<void()>)>;
  using Found = std::function<void(Result<std::vector<StelaService>>)>;

  // The name under which the nodes of Iris are known.
  static constexpr const char* service_name = "iris.service.fg";
  // A Stela that lost all it knew lists every registered node again within that time, unless its
  // calls are slow.
  static constexpr std::chrono::milliseconds known_again_max{4'000};

  // `post` is called from this object's threads, never after the destructor.
  Stela(StelaOptions options, Post post);
  ~Stela();
  Stela(const Stela&) = delete;
  Stela& operator=(const Stela&) = delete;

  // The services registered as `name`. Asks until there is an answer (none: an empty list), or for
  // `patience` where that is not 0: then Errc::unavailable. `done`, posted, exactly once;
  // `trouble`, posted, after each attempt that failed, and may be empty. REQUIRES: no other
  // discover() under way.
  void discover(std::string name, std::chrono::milliseconds patience, Found done,
                std::function<void(const Error&)> trouble = {});

  // Registers, and again whenever Stela forgot. `changed`, posted: ok when it is registered, the
  // reason when it is not any more or an attempt failed. REQUIRES: called once.
  void keep_registered(StelaService service, std::function<void(Status)> changed);

  // For connections that are made from now on.
  void set_credentials(std::shared_ptr<grpc::ChannelCredentials> credentials);

  // Deregisters, within `patience`, and lets go. `done`, posted, exactly once, also where nothing
  // was registered. REQUIRES: called once, nothing else called after it.
  void stop(std::chrono::milliseconds patience, std::function<void()> done);

  // The first IPv4 address of an interface that is up and no loopback; 127.0.0.1 where there is
  // none.
  [[nodiscard]] static std::string own_ipv4_address();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris
