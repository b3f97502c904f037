#include "src/net/tls.h"

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

#include "src/base/disk_wait.h"
#include "src/net/x509.h"

namespace iris {
namespace {

using x509::Certificate;
using Context = std::unique_ptr<SSL_CTX, x509::Freed<SSL_CTX_free>>;

constexpr std::size_t file_bytes_max = 1u << 20;
// Of TLS 1.2: forward secrecy and AEAD only, as gRPC takes on the other port. Those of 1.3 all are.
constexpr char ciphers_1_2[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

// OpenSSL's words for its last failure.
std::string reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  return text != nullptr ? text : "unknown error";
}

unexpected<Error> bad(const std::string& path, const std::string& text) {
  ERR_clear_error();
  return fail(Errc::invalid_argument, path + ": " + text);
}

Result<std::string> read_file(const std::string& path, const char* what) {
  may_wait_for_disk();
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

// Texts about the other end's certificate are kept with the session they are about.
int refusal_slot() {
  static const int slot = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* text, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<std::string*>(text);
      });
  return slot;
}

void free_text(char* text) { OPENSSL_free(text); }

// Stricter than OpenSSL: a node both serves and dials, so neither a client's certificate of the
// same name opens a raft port, nor a web server's.
bool is_for_nodes(X509* certificate) {
  return x509::serves(certificate) && x509::dials(certificate);
}

int on_verified(int good, X509_STORE_CTX* store) {
  if (good == 1 && X509_STORE_CTX_get_error_depth(store) == 0 &&
      !is_for_nodes(X509_STORE_CTX_get0_cert(store))) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
    good = 0;
  }
  if (good == 1) return 1;
  auto* session =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509* current = X509_STORE_CTX_get_current_cert(store);  // the one of the chain that is wrong
  X509* own = X509_STORE_CTX_get0_cert(store);
  const int error = X509_STORE_CTX_get_error(store);
  const std::string name = own != nullptr ? x509::common_name(X509_get_subject_name(own)) : "";
  std::string why = "its certificate" + (own != nullptr ? " (CN=" + name + ")" : "");
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH: {
      const char* wanted = X509_VERIFY_PARAM_get0_host(SSL_get0_param(session), 0);
      why += " does not bear the name \"" + std::string(wanted != nullptr ? wanted : "") +
             "\" (-serverName)";
      if (wanted != nullptr && name == wanted) {
        why += " among its alternative names; a common name counts with -allowCommonName only";
      }
      break;
    }
    case X509_V_ERR_INVALID_PURPOSE:
      why += " is not for nodes: its key usage must allow serverAuth and clientAuth";
      break;
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
             x509::date_text(x509::unix_time(X509_get0_notAfter(current)));
      break;
    default:
      why += " was refused: " + std::string(X509_verify_cert_error_string(error));
  }
  delete static_cast<std::string*>(SSL_get_ex_data(session, refusal_slot()));
  SSL_set_ex_data(session, refusal_slot(), new std::string(std::move(why)));
  return 0;
}

}  // namespace

struct TlsLoaded {
  TlsMaterial material;
  std::optional<TlsMisfit> misfit;
  Context dialler;
  Context acceptor;
};

namespace {

struct Parsed {
  std::vector<Certificate> chain;  // this node's first
  x509::Key key;
  std::vector<Certificate> authorities;
};

Result<Context> make_context(const SSL_METHOD* method, const Parsed& parsed,
                             const std::string& server_name, bool common_names) {
  Context context(SSL_CTX_new(method));
  if (context == nullptr) return fail(Errc::io, "TLS: " + reason());
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  const bool suites = SSL_CTX_set_cipher_list(raw, ciphers_1_2) == 1;
  // A connection lives for days and its first words are cheap: no resumption, no renegotiation.
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  bool good = suites && SSL_CTX_use_certificate(raw, parsed.chain.front().get()) == 1 &&
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
  X509_VERIFY_PARAM_set_hostflags(checks, x509::name_flags(common_names));
  good = good &&
         (x509::is_address(server_name)
              ? X509_VERIFY_PARAM_set1_ip_asc(checks, server_name.c_str())
              : X509_VERIFY_PARAM_set1_host(checks, server_name.data(), server_name.size())) == 1;
  // Each certificate in -ca is trusted, a root or not: as on gRPC's port, and as Go has it.
  X509_VERIFY_PARAM_set_flags(checks, X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verified);
  if (!good) return fail(Errc::invalid_argument, "TLS: " + reason());
  return context;
}

Result<Parsed> parse(const TlsPaths& paths, const TlsMaterial& pem) {
  Parsed parsed;
  parsed.chain = x509::certificates(pem.certificate_pem);
  if (parsed.chain.empty()) return bad(paths.certificate, "holds no PEM certificate");
  const x509::Bytes key = x509::bytes_of(pem.key_pem);
  bool encrypted = false;
  parsed.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, x509::no_passphrase, &encrypted));
  if (parsed.key == nullptr) {
    return bad(paths.key, encrypted ? "the key is encrypted; Iris takes keys without a passphrase"
                                    : "holds no PEM private key");
  }
  if (X509_check_private_key(parsed.chain.front().get(), parsed.key.get()) != 1) {
    return bad(paths.key, "the key is not that of the certificate in " + paths.certificate);
  }
  if (const Status dates = x509::check_dates(parsed.chain.front().get()); !dates) {
    return bad(paths.certificate, dates.error().text);
  }
  parsed.authorities = x509::certificates(pem.ca_pem);
  if (parsed.authorities.empty()) return bad(paths.ca, "holds no PEM certificate of a CA");
  bool one_is_good = false;
  Status dates = Unit{};
  for (const Certificate& authority : parsed.authorities) {
    dates = x509::check_dates(authority.get());
    one_is_good = one_is_good || dates;
  }
  if (!one_is_good) return bad(paths.ca, dates.error().text);
  return parsed;
}

std::optional<TlsMisfit> misfit_of(const Parsed& parsed, const TlsPaths& paths,
                                   const std::string& server_name, const TlsRules& rules) {
  X509* own = parsed.chain.front().get();
  const std::string usage = "its extended key usage does not allow ";
  if (rules.client_only) {
    if (x509::dials(own)) return std::nullopt;
    return TlsMisfit{usage + "clientAuth", false};
  }
  const Status signed_by = x509::check_chain(parsed.chain, parsed.authorities, paths.ca);
  if (!signed_by) return TlsMisfit{signed_by.error().text, true};
  if (!x509::serves(own)) return TlsMisfit{usage + "serverAuth", true};
  if (!x509::dials(own)) return TlsMisfit{usage + "clientAuth, and nodes dial each other", false};
  if (x509::bears(own, server_name, rules.common_names)) return std::nullopt;
  const bool as_common_name = x509::bears(own, server_name, true);
  return TlsMisfit{
      "it does not bear the name \"" + server_name +
          "\" (-serverName) among its subject alternative names" +
          (as_common_name ? "; as a common name it counts with -allowCommonName only" : ""),
      false};
}

// Differs once one of the files is another.
std::string fingerprint_of(const TlsPaths& paths) {
  may_wait_for_disk();
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

Status load(const TlsReader& reader, TlsLoaded& fresh) {
  const TlsPaths& paths = reader.paths;
  const auto read = [](const std::string& path, const char* what, std::string& text) -> Status {
    auto content = read_file(path, what);
    if (!content) return unexpected(content.error());
    text = std::move(*content);
    return Unit{};
  };
  TlsMaterial& material = fresh.material;
  if (Status got = read(paths.certificate, "certificate", material.certificate_pem); !got)
    return got;
  if (Status got = read(paths.key, "key", material.key_pem); !got) return got;
  if (Status got = read(paths.ca, "CA", material.ca_pem); !got) return got;
  const auto parsed = parse(paths, material);
  if (!parsed) return unexpected(parsed.error());
  X509* own = parsed->chain.front().get();
  material.expires_s = x509::unix_time(X509_get0_notAfter(own));
  const bool common_names = reader.rules.common_names;
  auto dialler = make_context(TLS_client_method(), *parsed, reader.server_name, common_names);
  auto acceptor = make_context(TLS_server_method(), *parsed, reader.server_name, common_names);
  if (!dialler) return unexpected(dialler.error());
  if (!acceptor) return unexpected(acceptor.error());
  fresh.dialler = std::move(*dialler);
  fresh.acceptor = std::move(*acceptor);
  fresh.misfit = misfit_of(*parsed, paths, reader.server_name, reader.rules);
  return Unit{};
}

}  // namespace

bool TlsReader::changed() const { return fingerprint_of(paths) != fingerprint; }

TlsFiles TlsReader::read() const {
  TlsFiles files;
  files.fingerprint = fingerprint_of(paths);
  files.loaded = std::make_shared<TlsLoaded>();
  files.fault = load(*this, *files.loaded);
  return files;
}

Tls::~Tls() = default;

Result<std::unique_ptr<Tls>> Tls::load(TlsPaths paths, std::string server_name, TlsRules rules) {
  TlsReader reader{std::move(paths), std::move(server_name), rules, ""};
  TlsFiles files = reader.read();
  return make(std::move(reader), std::move(files));
}

Result<std::unique_ptr<Tls>> Tls::make(TlsReader reader, TlsFiles files) {
  std::unique_ptr<Tls> tls(new Tls(std::move(reader)));
  if (Status taken = tls->take(std::move(files)); !taken) return unexpected(taken.error());
  return tls;
}

Status Tls::take(TlsFiles files) {
  reader_.fingerprint = std::move(files.fingerprint);
  if (!files.fault) return std::move(files.fault);
  const auto& misfit = files.loaded->misfit;
  if (misfit && loaded_ != nullptr && !loaded_->misfit) {
    return bad(reader_.paths.certificate, misfit->why);
  }
  loaded_ = std::move(files.loaded);
  return Unit{};
}

const TlsMaterial& Tls::material() const { return loaded_->material; }

const std::optional<TlsMisfit>& Tls::misfit() const { return loaded_->misfit; }

ssl_st* Tls::new_dialler() const { return SSL_new(loaded_->dialler.get()); }

ssl_st* Tls::new_acceptor() const { return SSL_new(loaded_->acceptor.get()); }

std::string Tls::refusal(const ssl_st* session) {
  const auto* text = static_cast<const std::string*>(SSL_get_ex_data(session, refusal_slot()));
  return text != nullptr ? *text : "";
}

}  // namespace iris
