// Workload: clients that call through any node until stop(): sets, conditional sets, removals,
// reads of both kinds, lists. Values are unique, so that every read names its write. One thread.
// Owns the clients. Calls judges the answers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/calls.h"
#include "tests/sim/random.h"

namespace iris::sim {

class Workload {
 public:
  Workload(World& world, Calls& calls);
  void start();
  // No new calls.
  void stop() { stopped_ = true; }

 private:
  struct Client {
    std::uint32_t number = 0;
    std::size_t home = 0;  // preferred host
    std::uint64_t calls = 0;
    std::uint64_t seen = 0;                          // the greatest known revision
    std::map<std::string, std::uint64_t> revisions;  // of keys, as last read
  };

  void think(std::size_t client);
  void act(std::size_t client);
  [[nodiscard]] Host* pick_host(Client& client);
  [[nodiscard]] Operation pick_write(Client& client, const std::string& source,
                                     const std::string& key);
  void read(Client& client, Host& host, const std::string& source, const std::string& key,
            const Calls::Then& then);

  World& world_;
  Calls& calls_;
  Random random_;
  std::vector<Client> clients_;
  std::uint64_t begun_ = 0;
  bool stopped_ = false;
};

}  // namespace iris::sim
