// TLS: one certificate, its key and the CA, read once from PEM files for both ports. gRPC takes the
// PEM texts, the raft port the contexts.
// Loop thread, but for TlsReader. Owns the contexts; a connection keeps the one it began with, so
// what is loaded later is for new handshakes only. Never asks for a passphrase and never logs a
// key.
//
// On the raft port both ends present a certificate, the CA must have signed it, it must bear the
// name `server_name` among its subject alternative names, and its key usage must be both a server's
// and a client's, where it has such an extension. So a client's certificate of the same CA opens no
// door there (hazard 109). TLS 1.2 with forward secrecy and AEAD, or later.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "raft/result.h"
#include "src/net/tls_paths.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX
struct ssl_st;      // OpenSSL's SSL

namespace iris {

struct TlsMaterial {
  std::string certificate_pem;  // this node's, and the intermediate ones that follow it
  std::string key_pem;
  std::string ca_pem;
  std::int64_t expires_s = 0;  // Unix time when this node's certificate ends
};

struct TlsRules {
  // The common name counts where a certificate has no DNS names, as the files of 2017 have none.
  bool common_names = false;
  // This certificate is shown to servers alone (Stela): only that use is looked at.
  bool client_only = false;
};

// The reason why others will refuse this node's certificate, as far as it can be known here.
struct TlsMisfit {
  std::string why;
  bool for_clients_too = false;  // else for nodes only
};

struct TlsLoaded;

// What the files held when they were read.
struct TlsFiles {
  std::string fingerprint;
  // Errc::invalid_argument with one sentence that names the file: missing, not readable, no PEM,
  // key of another certificate, expired or not valid yet (with the date).
  Status fault = Unit{};
  std::shared_ptr<TlsLoaded> loaded;  // where there is no fault
};

// Reads the files of one Tls. Any thread, as both calls wait for the disk.
struct TlsReader {
  TlsPaths paths;
  std::string server_name;
  TlsRules rules;
  std::string fingerprint;  // of the files read last: size, time and inode of each

  // Are the files on disk others than those read last, good or bad? Cheap enough to ask every few
  // seconds.
  [[nodiscard]] bool changed() const;
  [[nodiscard]] TlsFiles read() const;
};

class Tls {
 public:
  // For the time before the loop runs. The errors are those of TlsFiles. A certificate that others
  // will refuse is no error here: misfit().
  [[nodiscard]] static Result<std::unique_ptr<Tls>> load(TlsPaths paths, std::string server_name,
                                                         TlsRules rules = {});
  // As load(), of files that `reader` has read.
  [[nodiscard]] static Result<std::unique_ptr<Tls>> make(TlsReader reader, TlsFiles files);
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  // For reading the files again, away from the loop.
  [[nodiscard]] const TlsReader& reader() const { return reader_; }
  // Uses these from now on. Where they are no good, or others would refuse what they took till now,
  // says so and goes on with the former ones.
  [[nodiscard]] Status take(TlsFiles files);

  [[nodiscard]] const TlsMaterial& material() const;
  // Judged when it was loaded: its own CA is taken to be the one that others trust.
  [[nodiscard]] const std::optional<TlsMisfit>& misfit() const;

  // A new TLS session for one end of a connection between nodes, owned by the caller (SSL_free).
  // nullptr: out of memory.
  [[nodiscard]] ssl_st* new_dialler() const;
  [[nodiscard]] ssl_st* new_acceptor() const;
  // Why the other end's certificate was refused; empty where it was not.
  [[nodiscard]] static std::string refusal(const ssl_st* session);

 private:
  explicit Tls(TlsReader reader) : reader_(std::move(reader)) {}

  TlsReader reader_;
  std::shared_ptr<const TlsLoaded> loaded_;
};

}  // namespace iris
