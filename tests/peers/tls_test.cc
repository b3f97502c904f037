// src/net/tls.h: errors of bad files, reloading; and which certificates open the raft port.
#include "src/net/tls.h"

#include <openssl/ssl.h>
#include <sys/stat.h>

#include <ctime>

#include "tests/catch.h"
#include "tests/peers/certificates.h"
#include "tests/peers/harness.h"

namespace iris {
namespace {

std::string load_error(const TlsPaths& paths) {
  const auto loaded = Tls::load(paths, "Iris");
  if (loaded) return "";
  CHECK(loaded.error().code == Errc::invalid_argument);
  return loaded.error().text;
}

TEST_CASE("each bad file is named with what is wrong with it (hazard 109)") {
  const Folder folder;
  const Authority authority;
  const Issued own = issue({.alternative_names = "DNS:Iris"}, &authority.self());
  const TlsPaths good = write_files(folder, "good", own, authority.self());
  CHECK(load_error(good).empty());

  const std::string nowhere = folder / "nowhere.pem";
  TlsPaths paths = good;
  paths.certificate = nowhere;
  CHECK(load_error(paths) == nowhere + ": this certificate file does not exist");
  paths = good;
  paths.key = nowhere;
  CHECK(load_error(paths) == nowhere + ": this key file does not exist");
  paths = good;
  paths.ca = nowhere;
  CHECK(load_error(paths) == nowhere + ": this CA file does not exist");
  paths.ca = folder / "";
  CHECK(load_error(paths) == paths.ca + ": is not a file");
  if (::geteuid() != 0) {  // nothing is unreadable for root
    paths.ca = folder / "closed.pem";
    write_file(paths.ca, "x");
    ::chmod(paths.ca.c_str(), 0);
    CHECK(load_error(paths) == paths.ca + ": cannot be read: Permission denied");
  }

  const std::string garbage = folder / "garbage.pem";
  write_file(garbage, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
  paths = good;
  paths.certificate = garbage;
  CHECK(load_error(paths) == garbage + ": holds no PEM certificate");
  paths = good;
  paths.key = garbage;
  CHECK(load_error(paths) == garbage + ": holds no PEM private key");
  paths = good;
  paths.ca = garbage;
  CHECK(load_error(paths) == garbage + ": holds no PEM certificate of a CA");
  write_file(garbage, std::string((1u << 20) + 1, 'x'));
  CHECK(load_error(paths) == garbage + ": is no PEM file");

  paths = good;
  paths.key = write_files(folder, "other", issue({}, &authority.self()), authority.self()).key;
  CHECK(load_error(paths) ==
        paths.key + ": the key is not that of the certificate in " + good.certificate);
  write_file(paths.key, own.key_pem("secret"));
  CHECK(load_error(paths) ==
        paths.key + ": the key is encrypted; Iris takes keys without a passphrase");
}

std::string date(long from_now_s) {
  const std::time_t time = std::time(nullptr) + from_now_s;
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:", std::gmtime(&time));
  return text;
}

TEST_CASE("a certificate is good between its dates only, and they are told (hazard 109)") {
  const Folder folder;
  const Authority authority;
  const auto files = [&](const std::string& name, long from_s, long until_s) {
    return write_files(
        folder, name,
        issue({.alternative_names = "DNS:Iris", .from_s = from_s, .until_s = until_s},
              &authority.self()),
        authority.self());
  };
  constexpr long day = 24 * 3600;
  const TlsPaths expired = files("expired", -2 * day, -day);
  CHECK(load_error(expired).starts_with(expired.certificate + ": the certificate expired at " +
                                        date(-day)));
  const TlsPaths early = files("early", day, 2 * day);
  CHECK(load_error(early).starts_with(early.certificate + ": the certificate is not valid before " +
                                      date(day)));
  TlsPaths old_ca = files("good", -day, day);
  const Issued ca = issue({.common_name = "Old CA", .from_s = -2 * day, .until_s = -day}, nullptr);
  old_ca.ca = folder / "old_ca.pem";
  write_file(old_ca.ca, ca.certificate_pem());
  CHECK(load_error(old_ca).starts_with(old_ca.ca + ": the certificate expired at "));
  // While CAs are changed, one that is still good is enough.
  write_file(old_ca.ca, ca.certificate_pem() + authority.self().certificate_pem());
  CHECK(load_error(old_ca).empty());

  const auto loaded = Tls::load(files("good", -day, day), "Iris");
  REQUIRE(loaded);
  CHECK(std::abs((*loaded)->material().expires_s - (std::time(nullptr) + day)) < 60);
}

TEST_CASE("both ports get the same: PEM as it was read, and contexts from TLS 1.2 on") {
  const Folder folder;
  const Authority authority;
  const TlsPaths paths =
      write_files(folder, "node", issue({}, &authority.self()), authority.self());
  const auto tls = Tls::load(paths, "Iris");
  REQUIRE(tls);
  std::ifstream file(paths.key);
  const std::string key((std::istreambuf_iterator<char>(file)), {});
  CHECK((*tls)->material().key_pem == key);
  for (ssl_st* session : {(*tls)->new_dialler(), (*tls)->new_acceptor()}) {
    CHECK(SSL_CTX_get_min_proto_version(SSL_get_SSL_CTX(session)) == TLS1_2_VERSION);
    CHECK(SSL_get_verify_mode(session) == (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT));
    SSL_free(session);
  }
}

TEST_CASE("own certificate bears the name by its DNS names, by CN where that is allowed") {
  const Authority authority;
  const auto bears = [&](const CertificatePlan& plan, bool common_names) {
    return !authority.tls(plan, {.common_names = common_names})->misfit();
  };
  for (const bool common_names : {false, true}) {
    CHECK(bears({.common_name = "x", .alternative_names = "DNS:localhost,DNS:Iris"}, common_names));
    CHECK(bears({.common_name = "Iris"}, common_names) == common_names);
    CHECK(bears({.common_name = "Iris", .alternative_names = "IP:127.0.0.1"}, common_names) ==
          common_names);
    CHECK_FALSE(bears({.common_name = "Iris", .alternative_names = "DNS:localhost"}, common_names));
    CHECK_FALSE(bears({.common_name = "iris-client"}, common_names));
  }
  CHECK(authority.tls({.common_name = "Iris"})->misfit()->why ==
        "it does not bear the name \"Iris\" (-serverName) among its subject alternative names; as "
        "a common name it counts with -allowCommonName only");
}

// What others will think of a certificate, as its node finds when it loads it.
TlsMisfit misfit(const TlsPaths& paths, TlsRules rules = {}) {
  const auto loaded = Tls::load(paths, "Iris", rules);
  REQUIRE(loaded);
  return (*loaded)->misfit().value_or(TlsMisfit{});
}

TEST_CASE("a certificate that its own CA did not sign, or whose intermediate is missing, is told") {
  const Folder folder;
  const Authority root("Root CA");
  const Authority other("Another CA");
  const Authority namesake("Root CA");
  const CertificatePlan plan{.alternative_names = "DNS:Iris"};
  const Issued middle = issue({.common_name = "Middle CA", .authority = true}, &root.self());
  const Issued own = issue(plan, &middle);
  TlsPaths paths = write_files(folder, "n", own, root.self());
  const TlsMisfit missing = misfit(paths);
  CHECK(missing.for_clients_too);
  CHECK(missing.why == "the certificate \"Iris\" is signed by \"Middle CA\", which is neither in " +
                           paths.ca +
                           " nor among the certificates that follow it in its file "
                           "(another CA, or an intermediate certificate is missing)");
  write_file(paths.certificate, own.certificate_pem() + middle.certificate_pem());
  CHECK(misfit(paths).why.empty());
  write_file(paths.ca, other.self().certificate_pem());
  CHECK(misfit(paths).why.starts_with("the certificate \"Middle CA\" is signed by \"Root CA\""));
  write_file(paths.ca, namesake.self().certificate_pem());
  CHECK(misfit(paths).why.find("is not signed by the CA \"Root CA\"") != std::string::npos);
  const Issued self_signed = issue(plan, nullptr);
  paths = write_files(folder, "s", self_signed, root.self());
  CHECK(misfit(paths).why == "the certificate \"Iris\" signs itself and is not in " + paths.ca);
  write_file(paths.ca, self_signed.certificate_pem());  // trusts itself
  CHECK(misfit(paths).why.empty());
  const Issued no_authority = issue({.common_name = "No CA"}, &root.self());
  write_file(paths.ca, root.self().certificate_pem());
  const Issued under = issue(plan, &no_authority);
  paths = write_files(folder, "u", under, root.self());
  write_file(paths.certificate, under.certificate_pem() + no_authority.certificate_pem());
  CHECK(misfit(paths).why.starts_with("the certificate \"No CA\": "));
}

TEST_CASE("a certificate whose key usage fits no node is told") {
  const Folder folder;
  const Authority authority;
  const auto of = [&](const std::string& usage, TlsRules rules = {}) {
    const Issued own =
        issue({.alternative_names = "DNS:Iris", .extended_usage = usage}, &authority.self());
    return misfit(write_files(folder, "n", own, authority.self()), rules);
  };
  CHECK(of("").why.empty());
  CHECK(of("serverAuth,clientAuth").why.empty());
  for (const char* usage : {"clientAuth", "codeSigning"}) {
    CHECK(of(usage).for_clients_too);
    CHECK(of(usage).why == "its extended key usage does not allow serverAuth");
  }
  CHECK_FALSE(of("serverAuth").for_clients_too);
  CHECK(of("serverAuth").why ==
        "its extended key usage does not allow clientAuth, and nodes dial each other");
  CHECK(of("clientAuth", {.client_only = true}).why.empty());
  CHECK(of("serverAuth", {.client_only = true}).why ==
        "its extended key usage does not allow clientAuth");
}

TEST_CASE("TLS 1.2 on the raft port takes ciphers with AEAD and forward secrecy only") {
  const Authority authority;
  const auto tls = authority.node();
  for (ssl_st* session : {tls->new_dialler(), tls->new_acceptor()}) {
    const STACK_OF(SSL_CIPHER)* all = SSL_get_ciphers(session);
    CHECK(sk_SSL_CIPHER_num(all) > 3);
    for (int i = 0; i < sk_SSL_CIPHER_num(all); ++i) {
      CAPTURE(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)));
      CHECK(SSL_CIPHER_is_aead(sk_SSL_CIPHER_value(all, i)) == 1);
      CHECK(SSL_CIPHER_get_kx_nid(sk_SSL_CIPHER_value(all, i)) != NID_kx_rsa);
    }
    SSL_free(session);
  }
}

// --- On the raft port.

// Dials from one to the other and says what the log said of it; empty where they connected.
struct Attempt {
  Attempt(const Tls* dialler, const Tls* acceptor) {
    const LogCapture log;
    Loop loop;
    TestNode a(loop, quick_options(1), dialler);
    TestNode b(loop, quick_options(2), acceptor);
    a.peers.set_peers({b.member()});
    a.peers.send(b.id, ReadIndexRequest{1});
    REQUIRE(loop.until([&] { return b.got(1) || a.peers.stats().dials >= 3; }));
    connected = b.got(1);
    text = log.text();
    CHECK(log.count("cannot reach a peer") <= 1);
    CHECK(log.count("refused a connection on the raft port") <= 1);
  }
  [[nodiscard]] bool says(const std::string& part) const {
    return text.find(part) != std::string::npos;
  }
  bool connected = false;
  std::string text;
};

TEST_CASE("nodes with the name in SAN connect, in CN where both ends allow it") {
  const Authority authority;
  const CertificatePlan san{.common_name = "n1", .alternative_names = "DNS:Iris"};
  const CertificatePlan cn{.common_name = "Iris"};
  const auto by_san = authority.tls(san);
  const auto by_cn = authority.tls(cn);
  for (const Attempt& attempt :
       {Attempt(by_san.get(), by_cn.get()), Attempt(by_cn.get(), by_san.get())}) {
    CHECK_FALSE(attempt.connected);
    CHECK(
        attempt.says("does not bear the name \\\"Iris\\\" (-serverName) among its alternative "
                     "names; a common name counts with -allowCommonName only"));
  }
  const auto lenient_san = authority.tls(san, {.common_names = true});
  CHECK(Attempt(lenient_san.get(), by_cn.get()).connected);
  CHECK(Attempt(by_cn.get(), lenient_san.get()).connected);
}

TEST_CASE(
    "a certificate of the right name that is for clients or servers only opens no raft port") {
  const Authority authority;
  const auto node = authority.node();
  for (const char* usage : {"clientAuth", "serverAuth", "codeSigning"}) {
    const auto other = authority.tls({.alternative_names = "DNS:Iris", .extended_usage = usage});
    for (const Attempt& attempt :
         {Attempt(other.get(), node.get()), Attempt(node.get(), other.get())}) {
      CAPTURE(usage);
      CHECK_FALSE(attempt.connected);
      CHECK(
          attempt.says("its certificate (CN=Iris) is not for nodes: its key usage must allow "
                       "serverAuth and clientAuth"));
    }
  }
  const auto both =
      authority.tls({.alternative_names = "DNS:Iris", .extended_usage = "serverAuth,clientAuth"});
  CHECK(Attempt(both.get(), node.get()).connected);
  CHECK(Attempt(node.get(), both.get()).connected);
}

TEST_CASE("-ca may hold a CA that another one has signed, without that other") {
  const Authority root;
  const Issued middle = issue({.common_name = "Middle CA", .authority = true}, &root.self());
  const Folder folder;
  const auto node = [&](const char* name) {
    const Issued own = issue({.alternative_names = "DNS:Iris"}, &middle);
    auto tls = Tls::load(write_files(folder, name, own, middle), "Iris");
    REQUIRE(tls);
    return std::move(*tls);
  };
  const auto one = node("one");
  CHECK(Attempt(one.get(), node("two").get()).connected);
  const Attempt by_root(root.node().get(), one.get());  // signed by whom -ca does not hold
  CHECK_FALSE(by_root.connected);
  CHECK(by_root.says("is not signed by a CA of -ca"));
}

TEST_CASE("-serverName may be an address") {
  const Authority authority;
  const Folder folder;
  const auto node = [&](const char* name, const char* names) {
    const Issued own = issue({.alternative_names = names}, &authority.self());
    auto tls = Tls::load(write_files(folder, name, own, authority.self()), "192.0.2.1");
    REQUIRE(tls);
    return std::move(*tls);
  };
  const auto right = node("right", "IP:192.0.2.1");
  const auto wrong = node("wrong", "IP:192.0.2.2,DNS:192.0.2.1");
  CHECK_FALSE(right->misfit());
  CHECK(wrong->misfit());
  CHECK(Attempt(right.get(), node("other", "IP:192.0.2.1").get()).connected);
  const Attempt attempt(wrong.get(), right.get());
  CHECK_FALSE(attempt.connected);
  CHECK(attempt.says("does not bear the address 192.0.2.1 (-serverName)"));
}

TEST_CASE("a client's certificate of the same CA opens no raft port (hazard 109)") {
  const Authority authority;
  const auto node = authority.node();
  const auto client = authority.tls({.common_name = "iris-client"});
  const auto server = authority.tls({.common_name = "Iris", .alternative_names = "DNS:web"});
  for (const Tls* other : {client.get(), server.get()}) {
    const Attempt as_dialler(other, node.get());
    CHECK_FALSE(as_dialler.connected);
    CHECK(as_dialler.says("does not bear the name \\\"Iris\\\" (-serverName)"));
    CHECK(as_dialler.says(
        "\"event\":\"refused a connection on the raft port\",\"from\":\"127.0.0.1:"));
    CHECK(as_dialler.says("bad certificate"));  // the dialler is told as well
    const Attempt as_acceptor(node.get(), other);
    CHECK_FALSE(as_acceptor.connected);
    CHECK(as_acceptor.says("does not bear the name \\\"Iris\\\" (-serverName)"));
  }
}

TEST_CASE("a certificate of another CA opens no raft port (hazard 109)") {
  const Authority ours;
  const Authority theirs("Other CA");
  const auto node = ours.node();
  const auto foreign = theirs.node();
  // Has their certificate but trusts our CA, so that it is our side that refuses.
  const Folder folder;
  const Issued own = issue({.alternative_names = "DNS:Iris"}, &theirs.self());
  const auto trusting = Tls::load(write_files(folder, "t", own, ours.self()), "Iris");
  REQUIRE(trusting);
  for (const auto& [dialler, acceptor] :
       {std::pair<const Tls*, const Tls*>(trusting->get(), node.get()),
        {node.get(), trusting->get()},
        {foreign.get(), node.get()}}) {
    const Attempt attempt(dialler, acceptor);
    CHECK_FALSE(attempt.connected);
    CAPTURE(attempt.text);
    CHECK(attempt.says("its certificate (CN=Iris) is not signed by a CA of -ca"));
    CHECK(attempt.says("TLS: the other end refused this one: tlsv1 alert unknown ca"));
  }
}

TEST_CASE("a certificate that has expired meanwhile opens no raft port (hazard 109)") {
  const Authority authority;
  const auto node = authority.node();
  const long life_s = 2;
  const auto dying = authority.tls({.alternative_names = "DNS:Iris", .until_s = life_s});
  const auto end_s = dying->material().expires_s;
  CHECK(Attempt(dying.get(), node.get()).connected);
  Loop loop;
  REQUIRE(loop.until([&] { return std::time(nullptr) > end_s; }));
  const Attempt attempt(dying.get(), node.get());
  CHECK_FALSE(attempt.connected);
  CHECK(attempt.says("its certificate (CN=Iris) expired at " + date(0)));
}

TEST_CASE("TLS and plain TCP do not meet, and both ends say why (hazard 109)") {
  const Authority authority;
  const auto node = authority.node();
  const Attempt plain_dials(nullptr, node.get());
  CHECK_FALSE(plain_dials.connected);
  CHECK(plain_dials.says("TLS: the other end does not speak it (is it run with -insecure?)"));
  CHECK(plain_dials.says(
      "the other end hung up (does it want TLS? is it an Iris of 2017, or no Iris?)"));
  const Attempt plain_accepts(node.get(), nullptr);
  CHECK_FALSE(plain_accepts.connected);
  CHECK(plain_accepts.says("the other end speaks TLS, this one does not (-insecure)"));
}

TEST_CASE("a half-open TLS handshake is hung up on in time (hazard 110)") {
  const Authority authority;
  const auto tls = authority.node();
  Loop loop;
  PeersOptions options = quick_options(1);
  options.handshake_ms_max = 200;
  TestNode node(loop, options, tls.get());
  RawSocket half(loop, std::string("\x16\x03\x01\x02\x00\x01\x00", 7), node.peers.port());
  RawSocket silent(loop, "", node.peers.port());
  REQUIRE(loop.until([&] { return half.closed && silent.closed; }));
  CHECK(node.peers.stats().refused == 2);
}

TEST_CASE("new certificates serve new handshakes, old connections live on (hazard 119)") {
  const Folder folder;
  const Authority first;
  const Authority second("Second CA");
  const auto names = CertificatePlan{.alternative_names = "DNS:Iris"};
  const TlsPaths paths = write_files(folder, "n", issue(names, &first.self()), first.self());
  auto loaded = Tls::load(paths, "Iris");
  REQUIRE(loaded);
  Tls& tls = **loaded;
  CHECK_FALSE(tls.reader().changed());
  Loop loop;
  TestNode a(loop, quick_options(1), &tls);
  const auto old_tls = first.node();
  const auto new_tls = second.node();
  TestNode b(loop, quick_options(2), old_tls.get());
  introduce(a, b);
  REQUIRE(loop.until([&] { return a.peers.connected(b.id) && b.peers.connected(a.id); }));

  write_file(paths.certificate, "garbage");
  CHECK(tls.reader().changed());
  const std::string before = tls.material().certificate_pem;
  const Status bad = tls.take(tls.reader().read());
  REQUIRE_FALSE(bad);
  CHECK(bad.error().text == paths.certificate + ": holds no PEM certificate");
  CHECK(tls.material().certificate_pem == before);
  CHECK_FALSE(tls.reader().changed());  // what is there was looked at
  write_file(paths.certificate, issue(names, &second.self()).certificate_pem());
  CHECK_FALSE(tls.take(tls.reader().read()));  // not the key's, and of another CA
  const TlsPaths foreign = write_files(folder, "n", issue(names, &second.self()), first.self());
  const Status refused = tls.take(tls.reader().read());  // by all nodes
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.starts_with(foreign.certificate + ": the certificate \"Iris\" is "));
  CHECK(tls.material().certificate_pem == before);
  TestNode c(loop, quick_options(3), old_tls.get());
  a.peers.set_peers({b.member(), c.member()});
  REQUIRE(loop.until([&] { return a.peers.connected(c.id); }));  // the former one still serves

  static_cast<void>(write_files(folder, "n", issue(names, &second.self()), second.self()));
  CHECK(tls.reader().changed());
  REQUIRE(tls.take(tls.reader().read()));
  CHECK(tls.material().certificate_pem != before);
  a.peers.send(b.id, ReadIndexRequest{1});
  REQUIRE(loop.until([&] { return b.got(1); }));
  CHECK(b.peers.connected(a.id));  // begun under the former ones
  TestNode d(loop, quick_options(4), new_tls.get());
  d.peers.set_peers({a.member()});
  d.peers.send(a.id, ReadIndexRequest{2});
  REQUIRE(loop.until([&] { return a.got(2); }));
}

}  // namespace
}  // namespace iris
