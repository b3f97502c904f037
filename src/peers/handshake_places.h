// HandshakePlaces: which unfinished handshake on the raft port has to go when one more comes.
// Loop thread; views nothing, owns nothing: the connections are given as origins.
//
// A stranger may dial as often as it likes, and a slow peer needs some hundred milliseconds. So:
// - Addresses of members have places of their own, which no other address uses up.
// - The others share `shared_max` places; when these are full, the origin with the most of them
//   loses one. An origin that has few keeps them while others have more.
// - No origin has more than `origin_max`, members not either.
// - Of an origin's connections chance says which goes, not age: under a flood from the same address
//   the oldest would always be gone before its handshake ends, while so some of them get through.
#pragma once

#include <asio/ip/address.hpp>
#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace iris {

struct HandshakePlaces {
  std::size_t shared_max = 64;
  std::size_t origin_max = 16;

  struct Origin {
    std::string name;  // an IPv4 address; of IPv6 the first 64 bits, as one host has all the rest
    bool member = false;
  };
  [[nodiscard]] static std::string origin_name(const asio::ip::address& address);

  // The place in `open` of the one that has to go; none: there is room for `next`.
  [[nodiscard]] std::optional<std::size_t> displaced(const std::vector<Origin>& open,
                                                     const Origin& next,
                                                     std::mt19937_64& chance) const;
};

}  // namespace iris
