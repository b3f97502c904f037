// NameLookup: from the name of a host to its addresses, each name on a thread of its own, so that a
// name server that does not answer for one name delays no other.
// start() and cancel() on the loop; a lookup blocks its own thread only. A thread that still waits
// for a name server when this object goes is left to its end, which nobody hears of.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/result.h"

namespace iris {

class NameLookup {
 public:
  using Addresses = Result<std::vector<asio::ip::address>>;
  using Done = std::function<void(const Addresses& addresses)>;
  // Blocks. Errc::io: why there is none.
  using Resolve = std::function<Addresses(const std::string& host)>;

  // Names looked up at a time; those beyond wait for a thread. The same name has one at most.
  static constexpr std::size_t threads_max = 32;

  // `loop` outlives this object. `resolve` stands in for the system's resolver in tests.
  explicit NameLookup(asio::io_context& loop, Resolve resolve = nullptr);
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  // `done` is called once, on the loop, later; not after cancel(). The number is for cancel().
  [[nodiscard]] std::uint64_t start(const std::string& host, Done done);
  void cancel(std::uint64_t number);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace iris
