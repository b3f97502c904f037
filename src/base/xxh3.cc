#include "src/base/xxh3.h"

// The functions come with the header, so no library is linked.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "src/base/hex.h"

namespace iris {
namespace {

constexpr std::size_t half_digits = 16;

}  // namespace

struct Xxh3::State {
  XXH3_state_t hash;
};

std::string hex_text(const Hash128& hash) {
  return hex(hash.high, half_digits) + hex(hash.low, half_digits);
}

Xxh3::Xxh3() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->hash); }

Xxh3::~Xxh3() = default;

void Xxh3::add(std::string_view bytes) {
  XXH3_128bits_update(&state_->hash, bytes.data(), bytes.size());
}

Hash128 Xxh3::result() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->hash);
  return {hash.high64, hash.low64};
}

}  // namespace iris
