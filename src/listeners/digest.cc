#include "src/listeners/digest.h"

#include <functional>
#include <variant>

#include "raft/check.h"

namespace iris::listening {

std::uint64_t hash_source(std::string_view source) { return std::hash<std::string_view>{}(source); }

std::uint64_t hash_key(std::uint64_t source_hash, std::string_view key) {
  return source_hash * 0x9e3779b97f4a7c15 ^ std::hash<std::string_view>{}(key);
}

CommandView command_of(const raft::Entry& entry) {
  const auto command = parse(std::get<raft::Command>(entry.payload));
  CHECK(command.has_value());
  return *command;
}

Digest digest_of(const CommandView& command) {
  using Kind = CommandView::Kind;
  const std::uint64_t source = hash_source(command.source);
  switch (command.kind) {
    case Kind::set_value:
    case Kind::remove_value:
      return {Digest::Kind::value, source, hash_key(source, *command.key)};
    case Kind::remove_source:
      return {Digest::Kind::source, source, 0};
    case Kind::subscribe:
    case Kind::unsubscribe:
    case Kind::expire_sessions:
      break;
  }
  return {};
}

}  // namespace iris::listening
