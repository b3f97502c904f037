#include "tests/cluster/audit_load.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <variant>

namespace iris::test::audit {

namespace {

using namespace std::chrono_literals;

constexpr auto write_limit = 5s;
constexpr std::size_t under_way_max = 20'000;
// Of 10,000 writes.
constexpr unsigned removed_sources = 5;
constexpr unsigned removed_keys = 800;

template <class Response>
struct CallAnswer {
  Response response;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
};

}  // namespace

struct AuditLoad::Write {
  Stored what;
  grpc::ClientContext context;
  grpc::Status status;
  std::variant<std::monostate, CallAnswer<pb::SetValueResponse>,
               CallAnswer<pb::RemoveValueResponse>, CallAnswer<pb::RemoveSourceResponse>>
      answer;

  template <class Response, class Reader>
  void expect(Reader reader) {
    auto& call = answer.emplace<CallAnswer<Response>>();
    call.reader = std::move(reader);
    call.reader->Finish(&call.response, &status, this);
  }
  [[nodiscard]] std::uint64_t revision() const {
    return std::visit(
        [](const auto& call) -> std::uint64_t {
          if constexpr (requires { call.response; }) return call.response.revision();
          return 0;
        },
        answer);
  }
};

AuditLoad::AuditLoad(const Nodes& nodes, std::uint32_t rate, std::uint64_t seed)
    : nodes_(nodes), rate_(rate), random_(seed) {}

AuditLoad::~AuditLoad() { pause(); }

void AuditLoad::start() {
  pausing_ = false;
  queue_ = std::make_unique<grpc::CompletionQueue>();
  taker_ = std::thread([this] { take_answers(); });
  sender_ = std::thread([this] { send(); });
}

void AuditLoad::pause() {
  if (!queue_) return;
  pausing_ = true;
  sender_.join();
  queue_->Shutdown();  // calls under way still end
  taker_.join();
  queue_.reset();
}

void AuditLoad::send() {
  const auto begin = Clock::now();
  const std::chrono::duration<double> period(1.0 / rate_);
  for (std::uint64_t count = 0; !pausing_; ++count) {
    std::this_thread::sleep_until(
        begin + std::chrono::duration_cast<Clock::duration>(period * static_cast<double>(count)));
    if (under_way_ < under_way_max) {
      send_one();
    } else {
      ++skipped_;
    }
  }
}

void AuditLoad::send_one() {
  ++under_way_;
  auto write = std::make_unique<Write>();
  write->what = {0, static_cast<std::uint16_t>(random_() % sources),
                 static_cast<std::uint16_t>(random_() % keys), 0};
  write->context.set_deadline(std::chrono::system_clock::now() + write_limit);
  auto& stub = nodes_.api(random_() % nodes_.size()).iris();
  const auto kind = random_() % 10'000;
  if (kind < removed_sources) {
    pb::RemoveSourceRequest request;
    request.set_source(source_name(write->what.source));
    write->expect<pb::RemoveSourceResponse>(
        stub.AsyncRemoveSource(&write->context, request, queue_.get()));
  } else if (kind < removed_sources + removed_keys) {
    pb::RemoveValueRequest request;
    request.set_source(source_name(write->what.source));
    request.set_key(key_name(write->what.key));
    write->expect<pb::RemoveValueResponse>(
        stub.AsyncRemoveValue(&write->context, request, queue_.get()));
  } else {
    write->what.number = ++number_;
    pb::SetValueRequest request;
    request.set_source(source_name(write->what.source));
    request.set_key(key_name(write->what.key));
    request.set_value(value_of(write->what.number));
    write->expect<pb::SetValueResponse>(stub.AsyncSetValue(&write->context, request, queue_.get()));
  }
  static_cast<void>(write.release());  // take_answers() owns it
}

void AuditLoad::take_answers() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    const std::unique_ptr<Write> write(static_cast<Write*>(tag));
    --under_way_;
    if (!write->status.ok()) {
      ++unacknowledged_;
      continue;
    }
    ++acknowledged_;
    write->what.revision = write->revision();
    last_revision_ = std::max(last_revision_, write->what.revision);
    if (write->what.number != 0) stored_.push_back(write->what);
  }
}

}  // namespace iris::test::audit
