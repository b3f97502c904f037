// Certificates as OpenSSL has them: read from PEM, and judged as other nodes will judge them.
// Any thread; functions of their arguments and the clock. For src/net's .cc files.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "raft/result.h"

namespace iris::x509 {

template <auto Function>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Bytes = std::unique_ptr<BIO, Freed<BIO_free_all>>;

[[nodiscard]] Bytes bytes_of(const std::string& text);
// For OpenSSL's callbacks. Never asks a terminal: `*asked` becomes true, and an encrypted key is an
// error like another.
int no_passphrase(char* buffer, int size, int writing, void* asked);
// The certificates of a PEM text in their order; anything else in it is passed over.
[[nodiscard]] std::vector<Certificate> certificates(const std::string& pem);

[[nodiscard]] std::int64_t unix_time(const ASN1_TIME* time);
[[nodiscard]] std::string date_text(std::int64_t unix_time_s);  // "2031-01-31 12:34:56 UTC"
[[nodiscard]] std::string common_name(const X509_NAME* name);   // bytes that are no ASCII as '?'
[[nodiscard]] bool is_address(const std::string& name);         // an IP address

// Errc::invalid_argument: expired, or not valid yet, with the date.
[[nodiscard]] Status check_dates(const X509* certificate);
// Does a CA of `authorities` sign the first of `chain`, directly or by way of the others of it?
// What is in `authorities` is trusted, be it a root or not. Errc::invalid_argument with the reason;
// `authorities_path` is named in it.
[[nodiscard]] Status check_chain(const std::vector<Certificate>& chain,
                                 const std::vector<Certificate>& authorities,
                                 const std::string& authorities_path);
// May it be shown by a server, and by a client? As the extensions on (extended) key usage say; a
// certificate without them may be both.
[[nodiscard]] bool serves(X509* certificate);
[[nodiscard]] bool dials(X509* certificate);
// Is `name` (or this address) among its subject alternative names? With `common_names` a
// certificate without DNS names may have it as its common name.
[[nodiscard]] bool bears(X509* certificate, const std::string& name, bool common_names);
[[nodiscard]] unsigned name_flags(bool common_names);  // of X509_check_host

}  // namespace iris::x509
