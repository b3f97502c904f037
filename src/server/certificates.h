// Certificates: this node's own certificate, its key and the authority it trusts, for both ports,
// over the life of the process: loaded at the start, read again when somebody asks (SIGHUP) or when
// the files changed, with a warning in the log before the certificate ends.
//
// Loop thread. Outlives the servers and links that use what it hands out. Files that are no good
// replace nothing: the log says why, and the former ones stay.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "src/net/grpc_tls.h"
#include "src/net/tls.h"

namespace iris {

class Certificates {
 public:
  // Errors: those of Tls::load(), and a certificate that nobody would take: its own CA did not sign
  // it, or it is not for servers. One that only other nodes will refuse is taken, as a node may
  // stay alone, and the log says so.
  [[nodiscard]] static Result<std::unique_ptr<Certificates>> load(const TlsPaths& paths,
                                                                  const std::string& server_name,
                                                                  TlsRules rules);

  [[nodiscard]] const Tls& tls() const { return *tls_; }
  [[nodiscard]] GrpcTls& grpc() { return grpc_; }

  // For reading the files again, away from the loop.
  [[nodiscard]] const TlsReader& reader() const { return tls_->reader(); }
  // Why the files read last are not in use; empty: they are.
  [[nodiscard]] const std::string& fault() const { return fault_; }
  // What was read. True: new handshakes use it.
  bool take(TlsFiles files);
  // Says once for each of 30, 7 and 1 days that the certificate ends within so many.
  // `now_s`: Unix time.
  void warn_of_expiry(std::int64_t now_s);

 private:
  Certificates(std::string certificate_path, std::unique_ptr<Tls> tls);

  const std::string certificate_path_;
  const std::unique_ptr<Tls> tls_;
  GrpcTls grpc_;
  std::string fault_;
  std::int64_t warned_days_ = 0;  // the last threshold that the log told of; 0: none
};

}  // namespace iris
