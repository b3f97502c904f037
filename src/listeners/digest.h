// Digest: the part of a command that the log tail keeps in memory. By it a listener that is behind
// passes over commands that do not concern it, without a look at their entries.
// Loop thread; a plain value of 24 bytes.
#pragma once

#include <cstdint>
#include <string_view>

#include "raft/types.h"
#include "src/machine/command.h"

namespace iris::listening {

// Hashes of this process alone: neither stored nor sent.
[[nodiscard]] std::uint64_t hash_source(std::string_view source);
[[nodiscard]] std::uint64_t hash_key(std::uint64_t source_hash, std::string_view key);

struct Digest {
  enum class Kind : std::uint8_t {
    none,    // changed no value
    value,   // changed that of one key
    source,  // removed every key of a source
  };
  Kind kind = Kind::none;
  std::uint64_t source = 0;  // hash_source
  std::uint64_t key = 0;     // hash_key
};

// The command in an entry; valid as long as the entry. REQUIRES: it is one that the machine took.
[[nodiscard]] CommandView command_of(const raft::Entry& entry);
// REQUIRES: the command had an effect.
[[nodiscard]] Digest digest_of(const CommandView& command);

}  // namespace iris::listening
