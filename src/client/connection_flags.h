// ConnectionFlags: the flags by which a user of one of our programs says which nodes are meant and
// how to speak to them, each with its environment variable. Any thread; owns the targets of the
// flags. For programs: the library itself reads none of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/base/flags.h"
#include "src/client/client.h"
#include "src/client/key_variable.h"

namespace iris::client {

// IRIS_ and the flag's name in capitals: -serverName is IRIS_SERVERNAME.
[[nodiscard]] inline std::string variable_of(std::string_view flag) {
  std::string variable = "IRIS_";
  for (const char letter : flag) {
    variable += letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
  }
  return variable;
}

struct ConnectionFlags {
  std::vector<std::string> addresses;
  bool insecure = false;
  Tls tls;

  // `address_help`: of -addr. REQUIRES: this object outlives `flags`.
  void declare(Flags& flags, std::string address_help) {
    flags.list("addr", &addresses, "HOST:PORT", std::move(address_help));
    flags.boolean("insecure", &insecure, "no TLS");
    flags.text("ca", &tls.ca, "FILE", "PEM certificate of the authority");
    flags.text("clientCert", &tls.certificate, "FILE", "PEM certificate");
    flags.text("clientKey", &tls.key, "FILE", "PEM key");
    flags.text("serverName", &tls.server_name, "NAME", "name in the certificates of the nodes");
    for (const char* name : {"addr", "insecure", "ca", "serverName"}) {
      flags.variable(name, variable_of(name));
    }
    flags.variable("clientCert", "IRIS_CERT");
    flags.variable("clientKey", key_variable());
  }
};

}  // namespace iris::client
