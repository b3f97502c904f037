#include "src/bench/echo.h"

#include <grpcpp/grpcpp.h>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <csignal>

#include "proto/iris.grpc.pb.h"
#include "src/api/completion.h"
#include "src/api/unary_call.h"
#include "src/base/read_file.h"
#include "src/base/scheduling.h"
#include "src/bench/report.h"
#include "src/client/credentials.h"

namespace iris::bench {
namespace {

using SetMethod = UnaryMethod<pb::SetValueRequest, pb::SetValueResponse>;
using GetMethod = UnaryMethod<pb::GetValueRequest, pb::GetValueResponse>;

constexpr CallLimits limits = {.ahead = 200, .open_max = 16'384};  // as src/api/values.cc

Result<std::string> read_pem(const std::string& path) {
  std::optional<std::string> bytes = iris::read_file(path);
  if (!bytes) return fail(Errc::invalid_argument, "cannot read " + path);
  return std::move(*bytes);
}

Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const Options& options) {
  if (!options.tls) return grpc::InsecureServerCredentials();
  // Says of each file what is wrong with it.
  if (const auto checked = client::credentials(options.tls); !checked) {
    return fail(Errc::invalid_argument, checked.error().text);
  }
  const auto ca = read_pem(options.tls->ca);
  const auto certificate = read_pem(options.tls->certificate);
  const auto key = read_pem(options.tls->key);
  for (const auto* read : {&ca, &certificate, &key}) {
    if (!*read) return unexpected(read->error());
  }
  grpc::SslServerCredentialsOptions settings(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  settings.pem_root_certs = *ca;
  settings.pem_key_cert_pairs = {{*key, *certificate}};
  return grpc::SslServerCredentials(settings);
}

template <class Call>
void refuse(Call& call, const Error& error) {
  call.finish({grpc::StatusCode::RESOURCE_EXHAUSTED, error.text});
}

class Echo {
 public:
  Echo(asio::io_context& loop, std::uint64_t value_bytes)
      : gate_(loop),
        value_(value_bytes, 'x'),
        set_(gate_, limits,
             {.ask = [this](auto* context, auto* request, auto* writer,
                            void* tag) { service_.ask(context, request, writer, queue(), tag); },
              .handle =
                  [](SetMethod::Call& call) {
                    call.response.set_value(std::move(*call.request.mutable_value()));
                    call.finish();
                  },
              .refuse = refuse<SetMethod::Call>,
              .abandon = {}}),
        get_(gate_, limits,
             {.ask = [this](auto* context, auto* request, auto* writer,
                            void* tag) { service_.ask(context, request, writer, queue(), tag); },
              .handle =
                  [this](GetMethod::Call& call) {
                    call.response.set_value(value_);
                    call.response.set_found(true);
                    call.finish();
                  },
              .refuse = refuse<GetMethod::Call>,
              .abandon = {}}) {}

  [[nodiscard]] Status start(std::uint16_t port,
                             const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    int bound = 0;
    builder.AddListeningPort("[::]:" + std::to_string(port), credentials, &bound);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterService(&service_);
    completions_ = std::make_unique<CompletionThread>(gate_.loop(), builder.AddCompletionQueue());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return fail(Errc::io, "cannot listen on port " + std::to_string(port) + " (flag -port)");
    }
    completions_->start();
    set_.start();
    get_.start();
    return Unit{};
  }

  // On the loop.
  void stop() {
    gate_.shut();
    server_->Shutdown(std::chrono::system_clock::now());
    gate_.when_empty([this] { completions_->stop([this] { gate_.loop().stop(); }); });
  }

 private:
  grpc::ServerCompletionQueue* queue() { return completions_->queue(); }

  CallGate gate_;
  const std::string value_;
  ReceivingService<pb::Iris::AsyncService> service_;
  SetMethod set_;
  GetMethod get_;
  std::unique_ptr<CompletionThread> completions_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Status run_echo(const Options& options) {
  const auto credentials = server_credentials(options);
  if (!credentials) return unexpected(credentials.error());
  asio::io_context loop(1);
  const auto work = asio::make_work_guard(loop);
  Echo echo(loop, options.value_bytes);
  if (Status started = echo.start(options.port, *credentials); !started) return started;
  asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](std::error_code, int) { echo.stop(); });
  say("echo on port " + std::to_string(options.port));
  Scheduling::set_all(true);  // as a server with much to do
  loop.run();
  return Unit{};
}

}  // namespace iris::bench
