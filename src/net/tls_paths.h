// TlsPaths: where the PEM files of one identity are.
// Any thread; plain values. A relative path starts at the working directory.
#pragma once

#include <string>

namespace iris {

struct TlsPaths {
  std::string certificate = "server.crt";
  std::string key = "server.key";
  std::string ca = "ca.crt";
};

}  // namespace iris
