#include "tests/cluster/recorder.h"

#include <algorithm>

namespace iris::test {
namespace {

using history::Kind;
using history::Operation;
using history::Outcome;

// Of 100 calls on an unconditional source.
constexpr unsigned sets = 40;
constexpr unsigned removals = 5;
constexpr unsigned gets = 45;
constexpr unsigned stale_gets = 4;
constexpr unsigned lists = 5;  // what is left removes the source
constexpr unsigned conditional_share = 10;

// What a status says of a write. UNAVAILABLE may come from the transport, which cannot know: only
// a node's own word is taken for "not done".
Outcome outcome_of(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return Outcome::ok;
  if (status.error_code() == grpc::StatusCode::ABORTED) return Outcome::conflict;
  const auto& trailers = context.GetServerTrailingMetadata();
  const bool said = trailers.find("iris-not-done") != trailers.end();
  return said || status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ? Outcome::not_done
                                                                             : Outcome::unknown;
}

template <class Request>
void address(Request& request, const Operation& operation) {
  request.set_source(operation.source);
  request.set_key(operation.key);
}

void set(pb::Iris::Stub& stub, grpc::ClientContext& context, Operation& operation) {
  pb::SetValueRequest request;
  address(request, operation);
  request.set_value(operation.value);
  if (operation.if_revision) request.set_if_revision(*operation.if_revision);
  pb::SetValueResponse response;
  operation.outcome = outcome_of(stub.SetValue(&context, request, &response), context);
  operation.revision = response.revision();
}

void remove(pb::Iris::Stub& stub, grpc::ClientContext& context, Operation& operation) {
  pb::RemoveValueRequest request;
  address(request, operation);
  if (operation.if_revision) request.set_if_revision(*operation.if_revision);
  pb::RemoveValueResponse response;
  operation.outcome = outcome_of(stub.RemoveValue(&context, request, &response), context);
  operation.revision = response.revision();
}

void remove_source(pb::Iris::Stub& stub, grpc::ClientContext& context, Operation& operation) {
  pb::RemoveSourceRequest request;
  request.set_source(operation.source);
  pb::RemoveSourceResponse response;
  operation.outcome = outcome_of(stub.RemoveSource(&context, request, &response), context);
  operation.revision = response.revision();
}

void get(pb::Iris::Stub& stub, grpc::ClientContext& context, Operation& operation) {
  pb::GetValueRequest request;
  address(request, operation);
  if (operation.stale) request.set_consistency(pb::STALE);
  pb::GetValueResponse response;
  operation.outcome = outcome_of(stub.GetValue(&context, request, &response), context);
  operation.found = response.found();
  operation.value = response.value();
  operation.revision = response.revision();
}

void list(pb::Iris::Stub& stub, grpc::ClientContext& context, Operation& operation) {
  pb::GetKeysRequest request;
  request.set_source(operation.source);
  request.set_with_values(true);
  const auto reader = stub.GetKeys(&context, request);
  pb::GetKeysResponse row;
  while (reader->Read(&row)) operation.rows.push_back({row.key(), row.value(), row.revision()});
  operation.outcome = outcome_of(reader->Finish(), context);
  if (operation.outcome != Outcome::ok) operation.rows.clear();
}

}  // namespace

Recorder::Recorder(const Nodes& nodes, RecorderOptions options, std::uint64_t seed)
    : nodes_(nodes), options_(options), random_(seed) {}

Recorder::~Recorder() { stop(); }

void Recorder::start() {
  stopping_ = false;
  for (std::uint32_t i = 0; i < options_.clients; ++i) {
    threads_.emplace_back([this, i, seed = random_()] { run(i, seed); });
  }
}

void Recorder::stop() {
  stopping_ = true;
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

std::int64_t Recorder::now_us() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin_).count();
}

std::string Recorder::source_of(std::uint64_t epoch, std::size_t number, bool conditional) const {
  return (conditional ? "if" : "s") + std::to_string(epoch) + "-" + std::to_string(number);
}

Operation Recorder::draw(std::uint32_t client, std::mt19937_64& random) {
  Operation operation;
  operation.client = client;
  const std::uint64_t epoch = calls_++ / options_.calls_per_epoch;
  const bool conditional = random() % 100 < conditional_share;
  operation.source = source_of(epoch, random() % options_.sources, conditional);
  operation.key = "k" + std::to_string(random() % options_.keys);
  const auto chance = static_cast<unsigned>(random() % 100);
  unsigned below = sets;
  if (chance < below) {
    operation.kind = Kind::set;
  } else if (chance < (below += removals)) {
    operation.kind = Kind::remove;
  } else if (chance < (below += gets)) {
    operation.kind = Kind::get;
  } else if (chance < (below += stale_gets)) {
    operation.kind = Kind::get;
    operation.stale = true;
  } else {
    operation.kind = chance < below + lists ? Kind::list : Kind::remove_source;
    operation.key.clear();
  }
  if (operation.kind == Kind::set) operation.value = "v" + std::to_string(++values_);
  return operation;
}

void Recorder::run(std::uint32_t client, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const NodeApi& api = nodes_.api(client % nodes_.size());
  // Of keys with conditions, the revision that this client saw last.
  std::pair<std::string, std::uint64_t> seen;
  while (!stopping_) {
    Operation operation = draw(client, random);
    const bool conditional = operation.source.starts_with("if");
    const std::string name = operation.source + "/" + operation.key;
    if (conditional && (operation.kind == Kind::set || operation.kind == Kind::remove)) {
      operation.if_revision = seen.first == name ? seen.second : 0;
    }
    call(api, operation);
    if (conditional && operation.outcome == Outcome::ok && operation.kind != Kind::list) {
      seen = {name, operation.kind == Kind::remove ? 0 : operation.revision};
    }
    const bool waits =
        operation.outcome == Outcome::unknown || operation.outcome == Outcome::not_done;
    keep(std::move(operation));
    // A dead node refuses at once: the machine is not burnt while it is away.
    if (waits) std::this_thread::sleep_for(Milliseconds(20));
  }
}

void Recorder::call(const NodeApi& api, Operation& operation) const {
  grpc::ClientContext context;
  set_deadline(context, options_.call_limit);
  operation.begin_us = now_us();
  switch (operation.kind) {
    case Kind::set:
      set(api.iris(), context, operation);
      break;
    case Kind::remove:
      remove(api.iris(), context, operation);
      break;
    case Kind::remove_source:
      remove_source(api.iris(), context, operation);
      break;
    case Kind::get:
      get(api.iris(), context, operation);
      break;
    case Kind::list:
      list(api.iris(), context, operation);
      break;
  }
  operation.end_us = now_us();
}

void Recorder::keep(Operation operation) {
  if (operation.outcome == Outcome::ok || operation.outcome == Outcome::conflict) ++succeeded_;
  const std::lock_guard lock(mutex_);
  history_.push_back(std::move(operation));
}

bool Recorder::await_progress(std::uint64_t more, Milliseconds limit) const {
  const std::uint64_t goal = succeeded() + more;
  return await(limit, [&] { return succeeded() >= goal; });
}

void Recorder::read_all(std::size_t i) {
  const std::uint64_t epoch = calls_ / options_.calls_per_epoch;
  const auto read = [&](const std::string& source, const std::string& key, Kind kind) {
    Operation operation;
    operation.client = static_cast<std::uint32_t>(options_.clients);
    operation.kind = kind;
    operation.source = source;
    operation.key = key;
    call(nodes_.api(i), operation);
    keep(std::move(operation));
  };
  for (const bool conditional : {false, true}) {
    for (std::size_t source = 0; source < options_.sources; ++source) {
      const std::string name = source_of(epoch, source, conditional);
      read(name, "", Kind::list);
      for (std::size_t key = 0; key < options_.keys; ++key) {
        read(name, "k" + std::to_string(key), Kind::get);
      }
    }
  }
}

}  // namespace iris::test
