// Certificates for tests, made in a folder that the destructor removes.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "src/net/tls.h"
#include "tests/catch.h"

namespace iris {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "iris-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  REQUIRE(file.flush());
}

// The fields of a certificate. Times in seconds from now.
struct CertificatePlan {
  std::string common_name = "Iris";
  std::string alternative_names;  // "DNS:Iris,IP:127.0.0.1"; empty: none
  long from_s = -60;
  long until_s = 3600;
  bool authority = false;      // may sign others
  std::string extended_usage;  // "serverAuth,clientAuth"; empty: no such extension
};

struct Issued {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  [[nodiscard]] std::string certificate_pem() const {
    const std::shared_ptr<BIO> out(BIO_new(BIO_s_mem()), BIO_free_all);
    REQUIRE(PEM_write_bio_X509(out.get(), certificate.get()) == 1);
    return text(out.get());
  }
  [[nodiscard]] std::string key_pem(const char* passphrase = nullptr) const {
    const std::shared_ptr<BIO> out(BIO_new(BIO_s_mem()), BIO_free_all);
    const EVP_CIPHER* cipher = passphrase != nullptr ? EVP_aes_128_cbc() : nullptr;
    REQUIRE(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), cipher, nullptr, 0, nullptr,
                                          const_cast<char*>(passphrase)) == 1);
    return text(out.get());
  }

 private:
  static std::string text(BIO* out) {
    char* bytes = nullptr;
    const long count = BIO_get_mem_data(out, &bytes);
    return {bytes, static_cast<std::size_t>(count)};
  }
};

// `issuer` nullptr: a CA that signs itself.
inline Issued issue(const CertificatePlan& plan, const Issued* issuer) {
  static long serial = 1;
  Issued made{{X509_new(), X509_free}, {EVP_EC_gen("P-256"), EVP_PKEY_free}};
  X509* certificate = made.certificate.get();
  REQUIRE(X509_set_version(certificate, 2) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), plan.from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), plan.until_s);
  const auto* name = reinterpret_cast<const unsigned char*>(plan.common_name.c_str());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, name, -1, -1,
                             0);
  const Issued& signer = issuer != nullptr ? *issuer : made;
  X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate.get()));
  X509_set_pubkey(certificate, made.key.get());
  const auto extend = [&](int kind, const std::string& value) {
    const std::shared_ptr<X509_EXTENSION> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()), X509_EXTENSION_free);
    REQUIRE(extension != nullptr);
    REQUIRE(X509_add_ext(certificate, extension.get(), -1) == 1);
  };
  const bool signs = issuer == nullptr || plan.authority;
  extend(NID_basic_constraints, signs ? "critical,CA:TRUE" : "CA:FALSE");
  if (!plan.extended_usage.empty()) extend(NID_ext_key_usage, plan.extended_usage);
  if (!plan.alternative_names.empty()) extend(NID_subject_alt_name, plan.alternative_names);
  REQUIRE(X509_sign(certificate, signer.key.get(), EVP_sha256()) > 0);
  return made;
}

// Files of one node (or client), and how Tls is told of them.
inline TlsPaths write_files(const Folder& folder, const std::string& prefix, const Issued& own,
                            const Issued& authority) {
  TlsPaths paths{.certificate = folder / (prefix + ".crt"),
                 .key = folder / (prefix + ".key"),
                 .ca = folder / (prefix + ".ca.crt")};
  write_file(paths.certificate, own.certificate_pem());
  write_file(paths.key, own.key_pem());
  write_file(paths.ca, authority.certificate_pem());
  return paths;
}

// A CA and the certificates that it signs.
class Authority {
 public:
  explicit Authority(const std::string& name = "Test CA")
      : self_(issue({.common_name = name}, nullptr)) {}

  [[nodiscard]] const Issued& self() const { return self_; }
  [[nodiscard]] std::unique_ptr<Tls> tls(const CertificatePlan& plan, TlsRules rules = {}) const {
    static int number = 0;
    const std::string prefix = "node" + std::to_string(number++);
    auto loaded =
        Tls::load(write_files(folder_, prefix, issue(plan, &self_), self_), "Iris", rules);
    if (!loaded) FAIL(loaded.error().text);
    return std::move(*loaded);
  }
  [[nodiscard]] std::unique_ptr<Tls> node() const { return tls({.alternative_names = "DNS:Iris"}); }

 private:
  Issued self_;
  Folder folder_;
};

}  // namespace iris
