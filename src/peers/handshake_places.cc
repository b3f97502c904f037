#include "src/peers/handshake_places.h"

#include <algorithm>
#include <map>

namespace iris {

std::string HandshakePlaces::origin_name(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  if (address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  auto bytes = address.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return asio::ip::make_address_v6(bytes).to_string() + "/64";
}

std::optional<std::size_t> HandshakePlaces::displaced(const std::vector<Origin>& open,
                                                      const Origin& next,
                                                      std::mt19937_64& chance) const {
  std::map<std::string, std::vector<std::size_t>> places;  // of members by themselves
  std::size_t shared = 0;
  const auto key = [](const Origin& origin) { return (origin.member ? "m" : "s") + origin.name; };
  for (std::size_t i = 0; i < open.size(); ++i) {
    places[key(open[i])].push_back(i);
    shared += open[i].member ? 0 : 1;
  }
  const std::vector<std::size_t>* loser = &places[key(next)];
  if (loser->size() < origin_max) {
    if (next.member || shared < shared_max) return std::nullopt;
    for (const auto& [name, own] : places) {
      if (name.front() == 's' && own.size() > loser->size()) loser = &own;
    }
  }
  std::uniform_int_distribution<std::size_t> any(0, loser->size() - 1);
  return (*loser)[any(chance)];
}

}  // namespace iris
