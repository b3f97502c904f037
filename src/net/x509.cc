#include "src/net/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>

namespace iris::x509 {
namespace {

unexpected<Error> bad(const std::string& text) { return fail(Errc::invalid_argument, text); }

using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using Check = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;

std::string quoted(const X509_NAME* name) { return "\"" + common_name(name) + "\""; }

// Why the chain of `check` ends at no trusted certificate.
std::string chain_fault(X509_STORE_CTX* check, const std::string& authorities_path) {
  const X509* at = X509_STORE_CTX_get_current_cert(check);
  const int error = X509_STORE_CTX_get_error(check);
  if (at == nullptr) return X509_verify_cert_error_string(error);
  const std::string subject = quoted(X509_get_subject_name(at));
  const std::string issuer = quoted(X509_get_issuer_name(at));
  switch (error) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "the certificate " + subject + " signs itself and is not in " + authorities_path;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "the CA " + subject + " is not in " + authorities_path;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "the certificate " + subject + " is signed by " + issuer + ", which is neither in " +
             authorities_path +
             " nor among the certificates that follow it in its file (another CA, or an "
             "intermediate certificate is missing)";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "the certificate " + subject + " is not signed by the CA " + issuer + " in " +
             authorities_path + ", which has the name but another key";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the certificate " + subject + " that signs it expired at " +
             date_text(unix_time(X509_get0_notAfter(at)));
    default:
      return "the certificate " + subject + ": " + X509_verify_cert_error_string(error);
  }
}

}  // namespace

Bytes bytes_of(const std::string& text) {
  return Bytes(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

std::vector<Certificate> certificates(const std::string& pem) {
  std::vector<Certificate> found;
  const Bytes in = bytes_of(pem);
  bool asked = false;
  while (X509* next = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, &asked)) {
    found.emplace_back(next);
  }
  ERR_clear_error();
  return found;
}

std::int64_t unix_time(const ASN1_TIME* time) {
  std::tm fields{};
  return ASN1_TIME_to_tm(time, &fields) == 1 ? ::timegm(&fields) : 0;
}

std::string date_text(std::int64_t unix_time_s) {
  const std::time_t time = unix_time_s;
  std::tm fields{};
  char text[32];
  if (::gmtime_r(&time, &fields) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &fields) == 0) {
    return "an unknown time";
  }
  return text;
}

Status check_dates(const X509* certificate) {
  const std::int64_t now = std::time(nullptr);
  const std::int64_t from = unix_time(X509_get0_notBefore(certificate));
  const std::int64_t until = unix_time(X509_get0_notAfter(certificate));
  if (now > until) return bad("the certificate expired at " + date_text(until));
  if (now < from) return bad("the certificate is not valid before " + date_text(from));
  return Unit{};
}

std::string common_name(const X509_NAME* from) {
  char name[128] = "";
  X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(from), NID_commonName, name, sizeof name);
  for (char* at = name; *at != '\0'; ++at) {
    if (*at < ' ' || *at > '~') *at = '?';
  }
  return name;
}

bool is_address(const std::string& name) {
  const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> address(
      a2i_IPADDRESS(name.c_str()), ASN1_OCTET_STRING_free);
  return address != nullptr;
}

Status check_chain(const std::vector<Certificate>& chain,
                   const std::vector<Certificate>& authorities,
                   const std::string& authorities_path) {
  const Store store(X509_STORE_new());
  const Check check(X509_STORE_CTX_new());
  STACK_OF(X509)* following = sk_X509_new_null();
  bool good = store != nullptr && check != nullptr && following != nullptr;
  for (const Certificate& authority : authorities) {
    good = good && X509_STORE_add_cert(store.get(), authority.get()) == 1;
  }
  for (std::size_t i = 1; good && i < chain.size(); ++i) {
    good = sk_X509_push(following, chain[i].get()) > 0;
  }
  good = good && X509_STORE_CTX_init(check.get(), store.get(), chain.front().get(), following) == 1;
  std::string fault;
  if (!good) {
    fault = "out of memory";
  } else {
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(check.get()), X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(check.get()) != 1) fault = chain_fault(check.get(), authorities_path);
  }
  sk_X509_free(following);
  ERR_clear_error();
  if (!fault.empty()) return bad(fault);
  return Unit{};
}

bool serves(X509* certificate) {
  return X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0) == 1;
}

bool dials(X509* certificate) {
  return X509_check_purpose(certificate, X509_PURPOSE_SSL_CLIENT, 0) == 1;
}

unsigned name_flags(bool common_names) {
  return X509_CHECK_FLAG_NO_WILDCARDS | (common_names ? 0u : X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
}

bool bears(X509* certificate, const std::string& name, bool common_names) {
  return (is_address(name) ? X509_check_ip_asc(certificate, name.c_str(), 0)
                           : X509_check_host(certificate, name.data(), name.size(),
                                             name_flags(common_names), nullptr)) == 1;
}

}  // namespace iris::x509
