#include "src/machine/feature_level.h"

#include <optional>
#include <string>
#include <variant>

#include "raft/members.h"
#include "src/machine/command.h"

namespace iris {
namespace {

unexpected<Error> newer(const std::string& what, raft::Level own) {
  return fail(Errc::unimplemented, what + ", and this build knows feature levels up to " +
                                       std::to_string(own.value) +
                                       ": run the newer version of Iris here");
}

}  // namespace

Status check_level(raft::Level level, raft::Level own) {
  if (level <= own) return Unit{};
  return newer("the cluster is at feature level " + std::to_string(level.value), own);
}

Status understands(const raft::Entry& entry, raft::Level own) {
  if (const raft::Members* members = raft::members_in(entry)) {
    return check_level(members->level, own);
  }
  const auto* command = std::get_if<raft::Command>(&entry.payload);
  if (command == nullptr) return Unit{};
  const std::optional<raft::Level> needed = level_of(*command);
  if (needed && *needed <= own) return Unit{};
  return newer("entry " + std::to_string(entry.id.index.value) +
                   " is a command of a kind or version of a newer one",
               own);
}

}  // namespace iris
