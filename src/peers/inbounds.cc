#include "src/peers/inbounds.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "src/base/log.h"
#include "src/net/acceptor.h"

namespace iris {

Inbounds::Inbounds(asio::io_context& loop, const PeersOptions& options, InboundsHooks hooks,
                   PeersStats& stats, Complaints& members, Complaints& strangers,
                   std::mt19937_64& chance)
    : options_(options),
      hooks_(std::move(hooks)),
      shared_{loop,
              options,
              hooks_.identity,
              [this](const wire::Hello& hello) { return admit(hello); },
              [this](Inbound& inbound) { on_admitted(inbound); },
              hooks_.receive,
              [this](Inbound& inbound) {
                open_.remove_if([&](const auto& each) { return each.get() == &inbound; });
              },
              hooks_.is_member,
              stats,
              members,
              strangers},
      chance_(chance) {}

void Inbounds::take(io::Socket socket, ssl_st* session) {
  auto origin = origin_of(socket);
  make_place(origin);
  auto inbound = std::make_shared<Inbound>(
      shared_, std::make_shared<Stream>(std::move(socket), session), std::move(origin));
  open_.push_back(inbound);
  inbound->start();
}

Status Inbounds::admit(const wire::Hello& hello) const {
  const PeerIdentity self = hooks_.identity();
  const std::string me = "node " + hex_id(self.node.value) + " at " + self.address;
  if (!wire::speaks(hello.version, hello.version_oldest)) {
    return fail(Errc::refused,
                me + " speaks protocol versions " + std::to_string(wire::version_oldest) + " to " +
                    std::to_string(wire::version) + ", the other end " +
                    std::to_string(hello.version_oldest) + " to " + std::to_string(hello.version));
  }
  if (hello.expected.value != 0 && hello.expected != self.node) {
    return fail(Errc::refused, "here is " + me + ", not node " + hex_id(hello.expected.value));
  }
  if (hello.purpose == wire::Purpose::probe) return Unit{};
  if (hello.sender.node == self.node) return fail(Errc::refused, "here is " + me + ", itself");
  if (Status greeted = hooks_.greet(hello.sender); !greeted) return greeted;
  return check_stranger(hello.sender.node);
}

// The members bound their own number; of other nodes only some may talk to this one at a time.
Status Inbounds::check_stranger(raft::NodeId node) const {
  if (hooks_.is_member(node)) return Unit{};
  std::set<raft::NodeId> strangers;
  for (const auto& inbound : open_) {
    if (inbound->hello() && !hooks_.is_member(inbound->hello()->sender.node)) {
      strangers.insert(inbound->hello()->sender.node);
    }
  }
  if (strangers.contains(node) || strangers.size() < options_.strangers_max) return Unit{};
  return fail(Errc::limit, "over the limit of " + std::to_string(options_.strangers_max) +
                               " connected nodes that are no members");
}

HandshakePlaces::Origin Inbounds::origin_of(const io::Socket& socket) const {
  std::error_code gone;
  const auto endpoint = socket.remote_endpoint(gone);
  if (gone) return {"a host that hung up"};
  const auto address = unmapped(endpoint.address());
  if (hooks_.is_member_address(address)) return {address.to_string(), true};
  return {HandshakePlaces::origin_name(address)};
}

void Inbounds::make_place(const HandshakePlaces::Origin& next) {
  std::vector<std::shared_ptr<Inbound>> unfinished;
  std::vector<HandshakePlaces::Origin> origins;
  for (const auto& inbound : open_) {
    if (inbound->hello()) continue;
    unfinished.push_back(inbound);
    origins.push_back(inbound->origin());
  }
  const HandshakePlaces places{options_.handshakes_max, options_.handshakes_per_address_max};
  const auto displaced = places.displaced(origins, next, chance_);
  if (!displaced) return;
  unfinished[*displaced]->end("displaced: over the limit of " +
                              std::to_string(options_.handshakes_max) +
                              " unfinished handshakes, of one address " +
                              std::to_string(options_.handshakes_per_address_max));
}

// One connection per node and purpose: messages that still come on a former one are out of date
// (hazard 108).
void Inbounds::on_admitted(Inbound& inbound) {
  const wire::Hello& hello = *inbound.hello();
  std::vector<std::shared_ptr<Inbound>> former;
  for (const auto& other : open_) {
    if (other.get() != &inbound && other->hello() && other->hello()->purpose == hello.purpose &&
        other->hello()->sender.node == hello.sender.node) {
      former.push_back(other);
    }
  }
  for (const auto& other : former) other->end("its node dialled again");
  hooks_.heard(hello.sender.node, inbound.address());
}

std::string Inbounds::address_of(raft::NodeId node) const {
  for (const auto& inbound : open_) {
    if (inbound->hello() && inbound->hello()->sender.node == node) {
      return inbound->hello()->sender.address;
    }
  }
  return {};
}

void Inbounds::close() {
  while (!open_.empty()) open_.front()->end({});
}

}  // namespace iris
