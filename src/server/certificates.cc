#include "src/server/certificates.h"

#include <algorithm>
#include <utility>

#include "src/base/log.h"

namespace iris {
namespace {

constexpr std::int64_t days_warned[] = {1, 7, 30};  // ascending
constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t hour_s = 3'600;

}  // namespace

Result<std::unique_ptr<Certificates>> Certificates::load(const TlsPaths& paths,
                                                         const std::string& server_name,
                                                         TlsRules rules) {
  auto tls = Tls::load(paths, server_name, rules);
  if (!tls) return unexpected(tls.error());
  if (const auto& misfit = (*tls)->misfit()) {
    if (misfit->for_clients_too) {
      return fail(Errc::invalid_argument, paths.certificate + ": " + misfit->why);
    }
    log(LogLevel::warn, "other nodes will refuse this node's certificate",
        {{"file", paths.certificate}, {"reason", misfit->why}});
  }
  return std::unique_ptr<Certificates>(new Certificates(paths.certificate, std::move(*tls)));
}

Certificates::Certificates(std::string certificate_path, std::unique_ptr<Tls> tls)
    : certificate_path_(std::move(certificate_path)),
      tls_(std::move(tls)),
      grpc_(tls_->material()) {}

bool Certificates::take(TlsFiles files) {
  if (const Status done = tls_->take(std::move(files)); !done) {
    fault_ = done.error().text;
    log(LogLevel::error, "certificates not reloaded, the former ones stay", {{"reason", fault_}});
    return false;
  }
  fault_.clear();
  grpc_.update(tls_->material());
  warned_days_ = 0;
  log(LogLevel::info, "certificates reloaded");
  return true;
}

void Certificates::warn_of_expiry(std::int64_t now_s) {
  const std::int64_t left_s = tls_->material().expires_s - now_s;
  for (const std::int64_t days : days_warned) {
    if (left_s > days * day_s) continue;
    if (std::exchange(warned_days_, days) == days) return;
    log(LogLevel::warn, "the certificate expires soon",
        {{"file", certificate_path_}, {"hours_left", std::max<std::int64_t>(left_s, 0) / hour_s}});
    return;
  }
}

}  // namespace iris
