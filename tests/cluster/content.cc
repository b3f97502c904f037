#include "tests/cluster/content.h"

#include <optional>

namespace iris::test {

namespace {

struct Reading {
  const NodeApi& api;
  pb::Consistency consistency;
  std::uint64_t min_revision;
  Milliseconds limit;

  template <class Request>
  void ask(grpc::ClientContext& context, Request& request) const {
    set_deadline(context, limit);
    request.set_consistency(consistency);
    request.set_min_revision(min_revision);
  }
};

// Nothing: the call failed, and why.
std::optional<std::set<std::string>> sources(const Reading& reading, std::string& why) {
  grpc::ClientContext context;
  pb::GetSourcesRequest request;
  reading.ask(context, request);
  auto stream = reading.api.iris().GetSources(&context, request);
  std::set<std::string> names;
  pb::GetSourcesResponse row;
  while (stream->Read(&row)) names.insert(row.source());
  const auto status = stream->Finish();
  if (status.ok()) return names;
  why = "the sources cannot be listed: " + status.error_message();
  return std::nullopt;
}

// The rows of one source, one after the other.
class Rows {
 public:
  Rows(const Reading& reading, const std::string& source) {
    pb::GetKeysRequest request;
    reading.ask(context_, request);
    request.set_source(source);
    request.set_with_values(true);
    stream_ = reading.api.iris().GetKeys(&context_, request);
  }
  [[nodiscard]] bool next() { return stream_->Read(&row_); }
  [[nodiscard]] const pb::GetKeysResponse& row() const { return row_; }
  // After the last row: what went wrong; empty: nothing.
  [[nodiscard]] std::string finish() {
    const auto status = stream_->Finish();
    return status.ok() ? "" : "the keys cannot be listed: " + status.error_message();
  }
  // Ends the call before the last row.
  void cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<pb::GetKeysResponse>> stream_;
  pb::GetKeysResponse row_;
};

std::string row_difference(const pb::GetKeysResponse& one, const pb::GetKeysResponse& other) {
  if (one.key() != other.key()) return "keys " + one.key() + " and " + other.key();
  if (one.value() != other.value()) return "the values of " + one.key();
  if (one.revision() != other.revision()) {
    return "the revisions of " + one.key() + ", " + std::to_string(one.revision()) + " and " +
           std::to_string(other.revision());
  }
  return "";
}

void compare_rows(const Reading& one, const Reading& other, const std::string& source,
                  Compared& compared) {
  Rows left(one, source);
  Rows right(other, source);
  std::string difference;
  for (;;) {
    const bool more_left = left.next();
    const bool more_right = right.next();
    if (!more_left && !more_right) break;
    if (more_left != more_right) {
      difference = "row " + (more_left ? left : right).row().key() + ", which only one has";
    } else {
      difference = row_difference(left.row(), right.row());
    }
    if (!difference.empty()) {
      left.cancel();
      right.cancel();
      break;
    }
    ++compared.rows;
  }
  const std::string left_end = left.finish();
  const std::string right_end = right.finish();
  if (difference.empty()) {
    difference = left_end.empty() ? right_end : left_end;
  } else {
    difference.insert(0, "they differ in ");
  }
  if (!difference.empty()) compared.difference = "source " + source + ": " + difference;
}

}  // namespace

Compared compare_content(const NodeApi& one, const NodeApi& other, Milliseconds limit) {
  Compared compared;
  pb::StatusResponse status;
  if (!one.status(status, limit)) return {0, "no status"};
  const Reading left{one, pb::LINEARIZABLE, 0, limit};
  const Reading right{other, pb::STALE, status.applied(), limit};
  const auto left_sources = sources(left, compared.difference);
  const auto right_sources = sources(right, compared.difference);
  if (!left_sources || !right_sources) return compared;
  if (*left_sources != *right_sources) {
    compared.difference = "they have different sources";
    return compared;
  }
  for (const std::string& source : *left_sources) {
    compare_rows(left, right, source, compared);
    if (!compared.equal()) break;
  }
  return compared;
}

Compared compare_source(const NodeApi& api, const std::string& source,
                        const std::map<std::string, std::string>& expected,
                        const std::set<std::string>& unclear, Milliseconds limit) {
  Compared compared;
  Rows rows({api, pb::STALE, 0, limit}, source);
  std::map<std::string, std::string> found;
  while (rows.next()) found[rows.row().key()] = rows.row().value();
  compared.rows = found.size();
  if (compared.difference = rows.finish(); !compared.difference.empty()) return compared;
  for (const auto& [key, value] : expected) {
    const auto at = found.find(key);
    if (at == found.end()) {
      compared.difference = "key " + key + " is missing";
    } else if (at->second != value) {
      compared.difference = "key " + key + " has other bytes than were acknowledged";
    }
    if (!compared.equal()) return compared;
  }
  for (const auto& [key, value] : found) {
    if (!expected.contains(key) && !unclear.contains(key)) {
      compared.difference = "key " + key + " should not be there";
      break;
    }
  }
  return compared;
}

}  // namespace iris::test
