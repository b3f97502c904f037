#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "src/base/address.h"
#include "src/cli/command.h"
#include "src/client/credentials.h"
#include "src/client/key_variable.h"
#include "src/discovery/stela.h"

namespace iris::cli {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr char default_address[] = "127.0.0.1:32000";
constexpr milliseconds stela_patience{1'000};

std::string from_environment(const char* name, std::string otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : std::move(otherwise);
}

// The list that IRIS_ADDR is: a,b,c. What is wrong with a piece the client will say.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> pieces;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    pieces.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return pieces;
}

// discover(), waited for.
iris::Result<std::vector<StelaService>> discover(StelaOptions options) {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<iris::Result<std::vector<StelaService>>> answer;
  Stela stela(std::move(options), [](const std::function<void()>& work) { work(); });
  stela.discover(Stela::service_name, stela_patience, [&](auto result) {
    const std::lock_guard lock(mutex);
    answer = std::move(result);
    answered.notify_all();
  });
  std::unique_lock lock(mutex);
  answered.wait(lock, [&] { return answer.has_value(); });
  return std::move(*answer);
}

}  // namespace

Line::Line(const Command& command) : command_(command) {
  tls_.ca = from_environment("IRIS_CA", tls_.ca);
  tls_.certificate = from_environment("IRIS_CERT", tls_.certificate);
  tls_.key = from_environment(client::key_variable(), tls_.key);
}

void Line::declare_common() {
  flags_.section("Output");
  flags_.custom("o", "FORMAT", "text", "text, or json: one object a line",
                [this](std::string_view text) -> iris::Status {
                  if (text != "text" && text != "json") {
                    return fail(Errc::invalid_argument, "text or json");
                  }
                  format_ = text == "json" ? Format::json : Format::text;
                  return Unit{};
                });
  flags_.section("Where and how to connect");
  flags_.list("addr", &addresses_, "HOST:PORT",
              "gRPC address of a node; several, separated by commas or given one by one: the first "
              "that can be reached is asked (IRIS_ADDR; else what Stela knows, else "
              "127.0.0.1:32000)");
  flags_.duration("timeout", &timeout_, 1ms, 1h, "how long a call may take, all retries included");
  flags_.boolean("insecure", &insecure_, "no TLS");
  flags_.text("ca", &tls_.ca, "FILE", "PEM certificate of the authority (IRIS_CA)");
  flags_.text("clientCert", &tls_.certificate, "FILE", "PEM certificate (IRIS_CERT)");
  flags_.text("clientKey", &tls_.key, "FILE", "PEM key (IRIS_KEY)");
  flags_.text("serverName", &tls_.server_name, "NAME", "name in the certificates of the nodes");
  flags_.boolean("nostela", &no_stela_, "do not ask the discovery service");
  flags_.text("stela", &stela_, "HOST:PORT", "address of the discovery service");
  flags_.text("stelaCert", &stela_tls_.certificate, "FILE", "PEM certificate towards Stela");
  flags_.text("stelaKey", &stela_tls_.key, "FILE", "PEM key towards Stela");
  flags_.text("stelaCA", &stela_tls_.ca, "FILE", "PEM certificate of Stela's authority");
  flags_.text("stelaServerName", &stela_tls_.server_name, "NAME", "name in Stela's certificate");
}

void Line::print_help() const {
  std::string text = "usage: iris-cli " + std::string(command_.name) + " " +
                     std::string(command_.synopsis) + "\n\n" + std::string(command_.summary) + "\n";
  if (!command_.details.empty()) text += std::string(command_.details) + "\n";
  text += "\nExamples\n";
  for (const auto example : command_.examples) text += "  " + std::string(example) + "\n";
  print(text + "\n" + flags_.help());
}

std::optional<ExitCode> Line::parse(std::span<const std::string> arguments, std::size_t plain_min,
                                    std::size_t plain_max) {
  declare_common();
  auto parsed = flags_.parse(arguments);
  if (!parsed) return usage(parsed.error().text);
  given_ = std::move(*parsed);
  if (given_.help) {
    print_help();
    return finish() ? exit_ok : exit_output;
  }
  if (given_.plain.size() < plain_min) return usage("it takes " + std::string(command_.synopsis));
  if (given_.plain.size() > plain_max) {
    return usage("one argument too many: \"" + given_.plain[plain_max] + "\"");
  }
  return std::nullopt;
}

std::vector<std::string> Line::ask_stela() {
  StelaOptions options{.address = stela_, .server_name = stela_tls_.server_name};
  // -insecure speaks of the nodes; who names certificates for Stela means them.
  const bool plain = insecure_ && !flags_.given("stelaCA") && !flags_.given("stelaCert");
  if (!plain) {
    const auto credentials = client::credentials(stela_tls_);
    if (!credentials) {
      origin_ = "Stela was not asked: " + credentials.error().text;
      return {};
    }
    options.credentials = *credentials;
  }
  const auto found = discover(std::move(options));
  if (!found) {
    origin_ = found.error().text;
    return {};
  }
  std::vector<std::string> addresses;
  for (const auto& service : *found) {
    if (addresses.size() == client::Options::addresses_max) break;
    const std::string& host = !service.ipv4.empty()   ? service.ipv4
                              : !service.ipv6.empty() ? service.ipv6
                                                      : service.hostname;
    if (!host.empty()) addresses.push_back(address_text(host, service.port));
  }
  origin_ = addresses.empty() ? "Stela at " + stela_ + " knows of no node"
                              : "the addresses are from Stela at " + stela_;
  return addresses;
}

void Line::find_addresses() {
  if (!addresses_.empty()) return;
  if (const std::string list = from_environment("IRIS_ADDR", ""); !list.empty()) {
    addresses_ = split(list);
    origin_ = "the addresses are from IRIS_ADDR";
    return;
  }
  if (!no_stela_) addresses_ = ask_stela();
  if (addresses_.empty()) {
    addresses_ = {default_address};
    origin_ = (origin_.empty() ? "no -addr was given" : "no -addr was given, " + origin_) +
              "; so " + default_address + " was tried";
  }
}

std::optional<Client> Line::client() {
  find_addresses();
  client::Options options;
  options.addresses = addresses_;
  options.timeout = timeout_;
  if (insecure_) {
    options.tls.reset();
  } else {
    options.tls = tls_;
  }
  auto made = Client::create(std::move(options));
  if (made) return std::move(*made);
  code_ = exit_usage;
  say(made.error().text);
  if (!insecure_ && !flags_.given("ca") && !flags_.given("clientCert")) {
    say("certificates are given by -ca, -clientCert and -clientKey; -insecure does without TLS");
  }
  return std::nullopt;
}

ExitCode Line::usage(std::string_view text) const {
  say(std::string(command_.name) + ": " + std::string(text));
  say("iris-cli " + std::string(command_.name) + " -h tells more");
  return exit_usage;
}

ExitCode Line::failed(const client::Error& error, std::string_view then) const {
  const ExitCode code = exit_code(error.code);
  const bool address_matters = code == exit_unreachable || code == exit_refused;
  say(error.text + std::string(then));
  if (address_matters && !origin_.empty()) say(origin_);
  return code;
}

}  // namespace iris::cli
