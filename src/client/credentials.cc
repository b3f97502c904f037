#include "src/client/credentials.h"

#include <grpcpp/security/credentials.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "src/base/address.h"
#include "src/base/read_file.h"

namespace iris::client {
namespace {

Error bad(std::string text) { return {Code::invalid_argument, std::move(text)}; }

Result<std::string> read_pem(const std::string& path, const char* what) {
  auto bytes = read_file(path);
  if (bytes) return std::move(*bytes);
  return bad("cannot read the " + std::string(what) + " " + path + ": " + std::strerror(errno));
}

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

Bio open(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// An encrypted key is refused: a library has nobody to ask for the password.
int no_password(char*, int, int, void*) { return -1; }

std::string date_text(const ASN1_TIME* time) {
  std::tm parts{};
  std::array<char, 32> text{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable date";
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts);
  return text.data();
}

// The first certificate of the file, in date.
Result<Certificate> parse_certificate(const std::string& pem, const std::string& path) {
  Certificate certificate(PEM_read_bio_X509(open(pem).get(), nullptr, no_password, nullptr));
  if (!certificate) return bad(path + " holds no PEM certificate");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return bad(path + " expired on " + date_text(X509_get0_notAfter(certificate.get())));
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate.get())) > 0) {
    return bad(path + " is not valid before " + date_text(X509_get0_notBefore(certificate.get())));
  }
  return certificate;
}

}  // namespace

Result<std::string> dialled_address(std::string_view address) {
  std::string text(address);
  if (text.empty()) return bad("an address is empty: it takes HOST:PORT");
  // A colon is a port's, unless it is inside the brackets of an IPv6 address.
  if (text.find(':', text.starts_with('[') ? text.find(']') : 0) == std::string::npos) {
    text += ":" + std::string(default_port);
  }
  const auto parsed = parse_address(text);
  if (!parsed) return bad("address " + std::string(address) + ": " + parsed.error().text);
  return address_text(parsed->host, parsed->port);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> credentials(const std::optional<Tls>& tls) {
  if (!tls) return grpc::InsecureChannelCredentials();
  const auto ca = read_pem(tls->ca, "CA certificate");
  if (!ca) return ca.error();
  const auto chain = read_pem(tls->certificate, "client certificate");
  if (!chain) return chain.error();
  const auto key = read_pem(tls->key, "client key");
  if (!key) return key.error();

  const auto authority = parse_certificate(*ca, tls->ca);
  if (!authority) return authority.error();
  const auto certificate = parse_certificate(*chain, tls->certificate);
  if (!certificate) return certificate.error();
  const Key parsed_key(PEM_read_bio_PrivateKey(open(*key).get(), nullptr, no_password, nullptr));
  if (!parsed_key) return bad(tls->key + " holds no PEM private key (without a password)");
  if (X509_check_private_key(certificate->get(), parsed_key.get()) != 1) {
    return bad("the key in " + tls->key + " does not belong to the certificate in " +
               tls->certificate);
  }

  grpc::SslCredentialsOptions options;
  options.pem_root_certs = *ca;
  options.pem_cert_chain = *chain;
  options.pem_private_key = *key;
  return grpc::SslCredentials(options);
}

}  // namespace iris::client
