// Updates as one line each, for the tests of what a client is told. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "src/client/client.h"

namespace iris::test {

using Texts = std::vector<std::string>;

inline std::string text_of(const client::Update& update) {
  using Op = client::Update::Op;
  switch (update.op) {
    case Op::put:
      return update.source + "/" + update.key + "=" + update.value + "@" +
             std::to_string(update.revision);
    case Op::remove:
      return update.source + "/" + update.key + "-@" + std::to_string(update.revision);
    case Op::bookmark:
      return "bookmark@" + std::to_string(update.revision);
    case Op::synced:
      return "synced@" + std::to_string(update.revision);
    case Op::resync:
      return "resync";
  }
  return "";
}

}  // namespace iris::test
