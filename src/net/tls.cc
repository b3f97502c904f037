#include "src/net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

namespace iris {
namespace {

template <auto Function>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Bytes = std::unique_ptr<BIO, Freed<BIO_free_all>>;

constexpr std::size_t file_bytes_max = 1u << 20;

unexpected<Error> bad(const std::string& path, const std::string& text) {
  ERR_clear_error();
  return fail(Errc::invalid_argument, path + ": " + text);
}

// What OpenSSL says of its last failure.
std::string reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  return text != nullptr ? text : "unknown error";
}

Result<std::string> read_file(const std::string& path, const char* what) {
  struct stat status {};
  errno = 0;
  if (::stat(path.c_str(), &status) != 0) {
    return bad(path, errno == ENOENT ? std::string("this ") + what + " file does not exist"
                                     : std::string(std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) return bad(path, "is not a file");
  if (static_cast<std::size_t>(status.st_size) > file_bytes_max) return bad(path, "is no PEM file");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || (status.st_size > 0 && !(text << file.rdbuf()))) {
    return bad(path, std::string("cannot be read: ") + std::strerror(errno));
  }
  return text.str();
}

Bytes bytes_of(const std::string& text) {
  return Bytes(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Never asks a terminal: an encrypted key is an error like another.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// The certificates of a PEM text in their order; anything else in it is passed over.
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

Status check_dates(const X509* certificate, const std::string& path) {
  const std::int64_t now = std::time(nullptr);
  const std::int64_t from = unix_time(X509_get0_notBefore(certificate));
  const std::int64_t until = unix_time(X509_get0_notAfter(certificate));
  if (now > until) return bad(path, "the certificate expired at " + date_text(until));
  if (now < from) return bad(path, "the certificate is not valid before " + date_text(from));
  return Unit{};
}

// Texts about the other end's certificate are kept with the session they are about.
int refusal_slot() {
  static const int slot = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* text, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<std::string*>(text);
      });
  return slot;
}

std::string common_name(X509* certificate) {
  char name[128] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  for (char* at = name; *at != '\0'; ++at) {
    if (*at < ' ' || *at > '~') *at = '?';
  }
  return name;
}

void free_text(char* text) { OPENSSL_free(text); }

int on_verified(int good, X509_STORE_CTX* store) {
  if (good == 1) return 1;
  auto* session =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509* current = X509_STORE_CTX_get_current_cert(store);  // the one of the chain that is wrong
  X509* own = X509_STORE_CTX_get0_cert(store);
  const int error = X509_STORE_CTX_get_error(store);
  std::string why = "its certificate" + (own != nullptr ? " (CN=" + common_name(own) + ")" : "");
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH: {
      const char* wanted = X509_VERIFY_PARAM_get0_host(SSL_get0_param(session), 0);
      why += " does not bear the name \"" + std::string(wanted != nullptr ? wanted : "") +
             "\" (-serverName)";
      break;
    }
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      const std::unique_ptr<char, decltype(&free_text)> wanted(
          X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(session)), free_text);
      why += " does not bear the address " + std::string(wanted != nullptr ? wanted.get() : "") +
             " (-serverName)";
      break;
    }
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      why += " is not signed by a CA of -ca";
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      why += (current == own ? " expired at " : "'s CA expired at ") +
             date_text(unix_time(X509_get0_notAfter(current)));
      break;
    default:
      why += " was refused: " + std::string(X509_verify_cert_error_string(error));
  }
  delete static_cast<std::string*>(SSL_get_ex_data(session, refusal_slot()));
  SSL_set_ex_data(session, refusal_slot(), new std::string(std::move(why)));
  return 0;
}

}  // namespace

struct Tls::Loaded {
  TlsMaterial material;
  bool bears_server_name = false;
  Context dialler;
  Context acceptor;
};

namespace {

bool is_address(const std::string& name) {
  const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> address(
      a2i_IPADDRESS(name.c_str()), ASN1_OCTET_STRING_free);
  return address != nullptr;
}

struct Parsed {
  std::vector<Certificate> chain;  // this node's first
  Key key;
  std::vector<Certificate> authorities;
};

Result<Context> make_context(const SSL_METHOD* method, const Parsed& parsed,
                             const std::string& server_name) {
  Context context(SSL_CTX_new(method));
  if (context == nullptr) return fail(Errc::io, "TLS: " + reason());
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  // A connection lives for days and its first words are cheap: no resumption, no renegotiation.
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  bool good = SSL_CTX_use_certificate(raw, parsed.chain.front().get()) == 1 &&
              SSL_CTX_use_PrivateKey(raw, parsed.key.get()) == 1;
  for (std::size_t i = 1; good && i < parsed.chain.size(); ++i) {
    good = SSL_CTX_add1_chain_cert(raw, parsed.chain[i].get()) == 1;
  }
  X509_STORE* store = SSL_CTX_get_cert_store(raw);
  for (const Certificate& authority : parsed.authorities) {
    good = good && X509_STORE_add_cert(store, authority.get()) == 1;
  }
  // Both ends are nodes, so both names are checked, the dialler's as well.
  X509_VERIFY_PARAM* checks = SSL_CTX_get0_param(raw);
  X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_WILDCARDS);
  good = good &&
         (is_address(server_name)
              ? X509_VERIFY_PARAM_set1_ip_asc(checks, server_name.c_str())
              : X509_VERIFY_PARAM_set1_host(checks, server_name.data(), server_name.size())) == 1;
  // What is in -ca is trusted, be it a root or what one has signed: as gRPC's port and Go have it.
  X509_VERIFY_PARAM_set_flags(checks, X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verified);
  if (!good) return fail(Errc::invalid_argument, "TLS: " + reason());
  return context;
}

Result<Parsed> parse(const TlsPaths& paths, const TlsMaterial& pem) {
  Parsed parsed;
  parsed.chain = certificates(pem.certificate_pem);
  if (parsed.chain.empty()) return bad(paths.certificate, "holds no PEM certificate");
  const Bytes key = bytes_of(pem.key_pem);
  bool encrypted = false;
  parsed.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, no_passphrase, &encrypted));
  if (parsed.key == nullptr) {
    return bad(paths.key, encrypted ? "the key is encrypted; Iris takes keys without a passphrase"
                                    : "holds no PEM private key");
  }
  if (X509_check_private_key(parsed.chain.front().get(), parsed.key.get()) != 1) {
    return bad(paths.key, "the key is not that of the certificate in " + paths.certificate);
  }
  if (Status dates = check_dates(parsed.chain.front().get(), paths.certificate); !dates) {
    return unexpected(dates.error());
  }
  parsed.authorities = certificates(pem.ca_pem);
  if (parsed.authorities.empty()) return bad(paths.ca, "holds no PEM certificate of a CA");
  bool one_is_good = false;
  Status dates = Unit{};
  for (const Certificate& authority : parsed.authorities) {
    dates = check_dates(authority.get(), paths.ca);
    one_is_good = one_is_good || dates;
  }
  if (!one_is_good) return unexpected(dates.error());
  return parsed;
}

std::string fingerprint(const TlsPaths& paths) {
  std::string all;
  for (const std::string* path : {&paths.certificate, &paths.key, &paths.ca}) {
    struct stat status {};
    if (::stat(path->c_str(), &status) != 0) status = {};
    for (const std::int64_t part :
         {static_cast<std::int64_t>(status.st_ino), static_cast<std::int64_t>(status.st_size),
          static_cast<std::int64_t>(status.st_mtim.tv_sec),
          static_cast<std::int64_t>(status.st_mtim.tv_nsec)}) {
      all += std::to_string(part) + ' ';
    }
  }
  return all;
}

}  // namespace

Tls::Tls(TlsPaths paths, std::string server_name)
    : paths_(std::move(paths)), server_name_(std::move(server_name)) {}

Tls::~Tls() = default;

Result<std::unique_ptr<Tls>> Tls::load(TlsPaths paths, std::string server_name) {
  std::unique_ptr<Tls> tls(new Tls(std::move(paths), std::move(server_name)));
  if (Status read = tls->reload(); !read) return unexpected(read.error());
  return tls;
}

Status Tls::reload() {
  fingerprint_ = fingerprint(paths_);
  auto fresh = std::make_unique<Loaded>();
  const auto read = [](const std::string& path, const char* what, std::string& text) -> Status {
    auto content = read_file(path, what);
    if (!content) return unexpected(content.error());
    text = std::move(*content);
    return Unit{};
  };
  TlsMaterial& material = fresh->material;
  if (Status got = read(paths_.certificate, "certificate", material.certificate_pem); !got)
    return got;
  if (Status got = read(paths_.key, "key", material.key_pem); !got) return got;
  if (Status got = read(paths_.ca, "CA", material.ca_pem); !got) return got;
  const auto parsed = parse(paths_, material);
  if (!parsed) return unexpected(parsed.error());
  X509* own = parsed->chain.front().get();
  material.expires_s = unix_time(X509_get0_notAfter(own));
  auto dialler = make_context(TLS_client_method(), *parsed, server_name_);
  auto acceptor = make_context(TLS_server_method(), *parsed, server_name_);
  if (!dialler) return unexpected(dialler.error());
  if (!acceptor) return unexpected(acceptor.error());
  fresh->dialler = std::move(*dialler);
  fresh->acceptor = std::move(*acceptor);
  fresh->bears_server_name =
      (is_address(server_name_) ? X509_check_ip_asc(own, server_name_.c_str(), 0)
                                : X509_check_host(own, server_name_.data(), server_name_.size(),
                                                  X509_CHECK_FLAG_NO_WILDCARDS, nullptr)) == 1;
  loaded_ = std::move(fresh);
  return Unit{};
}

bool Tls::changed() const { return fingerprint(paths_) != fingerprint_; }

const TlsMaterial& Tls::material() const { return loaded_->material; }

bool Tls::bears_server_name() const { return loaded_->bears_server_name; }

ssl_st* Tls::new_dialler() const { return SSL_new(loaded_->dialler.get()); }

ssl_st* Tls::new_acceptor() const { return SSL_new(loaded_->acceptor.get()); }

std::string Tls::refusal(const ssl_st* session) {
  const auto* text = static_cast<const std::string*>(SSL_get_ex_data(session, refusal_slot()));
  return text != nullptr ? *text : "";
}

}  // namespace iris
