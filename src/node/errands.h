// Errands: the administration that a node starts by itself. The leader promotes learners that have
// caught up, and raises the cluster's feature level once all members know a higher one; each node
// announces its own address, and that of a member it hears from elsewhere, where the configuration
// says another one.
// Loop thread. Owns nothing but the times of the next attempts. No list of newcomers is kept: the
// configuration is that list, so a new leader finds them as well.
#pragma once

#include <cstdint>

#include "src/node/admin.h"
#include "src/node/contacts.h"
#include "src/node/host.h"

namespace iris {

class Errands {
 public:
  Errands(NodeHost& host, Admin& admin, const Contacts& contacts)
      : host_(host), admin_(admin), contacts_(contacts) {}

  void role_changed();
  void tick();

 private:
  void raise_level();
  void promote_newcomer();
  void announce_own_address();
  void announce_moved_member();
  void announce(const raft::Member& member);
  [[nodiscard]] std::uint64_t next_announcement() const;

  NodeHost& host_;
  Admin& admin_;
  const Contacts& contacts_;
  // --- All in ticks.
  std::uint64_t promote_at_ = 0;
  std::uint64_t promote_pause_ = 0;  // doubles with each promotion that was refused
  std::uint64_t announce_own_at_ = 0;
  std::uint64_t announce_moved_at_ = 0;
};

}  // namespace iris
