#include <condition_variable>
#include <mutex>
#include <sstream>

#include "raft/check.h"
#include "src/base/address.h"
#include "src/cli/command.h"
#include "src/client/credentials.h"
#include "src/discovery/stela.h"

namespace iris::cli {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::string_view connection_section = "Where and how to connect";
constexpr char default_address[] = "127.0.0.1:32000";
constexpr milliseconds stela_patience{1'000};

// The names in a synopsis that must be there: of "SOURCE [KEY] [flags]" SOURCE alone.
std::vector<std::string> needed_names(std::string_view synopsis) {
  std::vector<std::string> names;
  std::istringstream words{std::string(synopsis)};
  for (std::string word; words >> word && !word.starts_with('[');) names.push_back(word);
  return names;
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

Line::Line(const Command& command) : command_(command) {}

void Line::timeout_is(milliseconds timeout, std::string help) {
  timeout_ = timeout;
  timeout_help_ = std::move(help);
  timeout_in_environment_ = false;
}

void Line::declare_common() {
  flags_.section("Output and time");
  flags_.custom("o", "FORMAT", "text", "text, or json: one object a line",
                [this](std::string_view text) -> iris::Status {
                  if (text != "text" && text != "json") {
                    return fail(Errc::invalid_argument, "text or json");
                  }
                  format_ = text == "json" ? Format::json : Format::text;
                  return Unit{};
                });
  flags_.duration("timeout", &timeout_, 1ms, 1h, timeout_help_);
  if (timeout_in_environment_) flags_.variable("timeout", client::variable_of("timeout"));
  flags_.section(std::string(connection_section));
  connection_.declare(
      flags_,
      "gRPC address of a node; several, separated by commas or given one by one: the first that "
      "can be reached is asked. Without it, what Stela knows, else 127.0.0.1:32000");
  flags_.boolean("nostela", &no_stela_, "do not ask the discovery service");
  flags_.text("stela", &stela_, "HOST:PORT", "address of the discovery service");
  flags_.text("stelaCert", &stela_tls_.certificate, "FILE", "PEM certificate towards Stela");
  flags_.text("stelaKey", &stela_tls_.key, "FILE", "PEM key towards Stela");
  flags_.text("stelaCA", &stela_tls_.ca, "FILE", "PEM certificate of Stela's authority");
  flags_.text("stelaServerName", &stela_tls_.server_name, "NAME", "name in Stela's certificate");
  for (const char* name :
       {"nostela", "stela", "stelaCert", "stelaKey", "stelaCA", "stelaServerName"}) {
    flags_.variable(name, client::variable_of(name));
  }
}

std::string Line::connection_help() {
  static constexpr Command none{};
  Line line(none);
  line.declare_common();
  return "Flags that every command takes, and the environment variables that stand for them.\n"
         "A flag wins over its variable; an empty variable is none.\n\n"
         "Examples\n"
         "  export IRIS_INSECURE=true IRIS_NOSTELA=true; iris-cli ls\n"
         "  iris-cli ls -addr a:32000,b:32000 -ca ca.crt -clientCert me.crt -clientKey me.key\n\n" +
         line.flags_.help_of(connection_section);
}

void Line::print_help() const {
  std::string text = "usage: iris-cli " + std::string(command_.name) + " " +
                     std::string(command_.synopsis) + "\n\n" + std::string(command_.summary) + "\n";
  if (!command_.details.empty()) text += std::string(command_.details) + "\n";
  text += "\nExamples\n";
  for (const auto example : command_.examples) text += "  " + std::string(example) + "\n";
  text += "\n" + flags_.help_without(connection_section);
  text += "\n" + std::string(connection_section) + " (iris-cli help connection)\n";
  print(text + flags_.names_of(connection_section));
}

std::optional<ExitCode> Line::parse(std::span<const std::string> arguments, std::size_t plain_min,
                                    std::size_t plain_max) {
  declare_common();
  if (plain_max > 0) flags_.unknown_hint("an argument that begins with - stands behind --");
  auto parsed = flags_.parse(arguments);
  if (!parsed) return usage(parsed.error().text);
  given_ = std::move(*parsed);
  if (given_.help) {
    print_help();
    return finish() ? exit_ok : exit_output;
  }
  if (const auto code = need(plain_min)) return code;
  if (given_.plain.size() > plain_max) return one_too_many(plain_max);
  return std::nullopt;
}

std::optional<ExitCode> Line::need(std::size_t count) const {
  const std::size_t have = given_.plain.size();
  const auto names = needed_names(command_.synopsis);
  CHECK(count <= names.size());
  if (have >= count) return std::nullopt;
  std::string text;
  for (std::size_t place = have; place < count; ++place) {
    if (place > have) text += place + 1 == count ? " and " : ", ";
    text += names[place];
  }
  return usage(text + (count - have == 1 ? " is" : " are") + " missing: iris-cli " +
               std::string(command_.name) + " " + std::string(command_.synopsis));
}

ExitCode Line::one_too_many(std::size_t place) const {
  const std::string& argument = given_.plain[place];
  const bool behind_dashes = place >= given_.before_dashes && argument.starts_with('-');
  return usage(
      "one argument too many: \"" + argument + "\"" +
      (behind_dashes ? "; behind -- everything is an argument: flags stand before it" : ""));
}

std::vector<std::string> Line::ask_stela() {
  StelaOptions options{.address = stela_, .server_name = stela_tls_.server_name};
  // -insecure is about the nodes. Certificates that are named for Stela are meant for Stela.
  const bool named = flags_.given("stelaCA") || flags_.in_environment("stelaCA") ||
                     flags_.given("stelaCert") || flags_.in_environment("stelaCert");
  const bool plain = connection_.insecure && !named;
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
  auto& addresses = connection_.addresses;
  if (flags_.in_environment("addr")) origin_ = "the addresses are from IRIS_ADDR";
  if (!addresses.empty()) return;
  if (!no_stela_) addresses = ask_stela();
  if (addresses.empty()) {
    addresses = {default_address};
    origin_ = (origin_.empty() ? "no -addr was given" : "no -addr was given, " + origin_) +
              "; so " + default_address + " was tried";
  }
}

client::Options Line::client_options() const {
  client::Options options;
  options.addresses = connection_.addresses;
  options.timeout = timeout_;
  options.tls.reset();
  if (!connection_.insecure) options.tls = connection_.tls;
  return options;
}

std::optional<Client> Line::client_of(const std::string& address) const {
  client::Options options = client_options();
  options.addresses = {address};
  auto made = Client::create(std::move(options));
  if (!made) return std::nullopt;
  return std::move(*made);
}

std::optional<Client> Line::client() {
  find_addresses();
  auto made = Client::create(client_options());
  if (made) return std::move(*made);
  code_ = exit_usage;
  say(made.error().text);
  if (!connection_.insecure && !flags_.given("ca") && !flags_.given("clientCert")) {
    say("certificates are given by -ca, -clientCert and -clientKey; -insecure does without TLS "
        "(iris-cli help connection)");
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
  say(name_text(error.text) + std::string(then));
  if (address_matters && !origin_.empty()) say(origin_);
  return code;
}

}  // namespace iris::cli
