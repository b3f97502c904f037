// Lists: GetSources and GetKeys, in byte order, at one revision, however long they are. A page of
// rows is read at a time, on the read lane.
#include <algorithm>
#include <utility>
#include <vector>

#include "src/api/data_stream.h"
#include "src/machine/machine.h"

namespace iris {
namespace {

// A page ends at whichever comes first; one row may pass the bytes.
constexpr std::size_t page_rows_max = 512;
constexpr std::size_t page_bytes_max = 256u << 10;

constexpr CallLimits call_limits = {.ahead = 32, .open_max = 512, .connection_max = 128};

// The rows of one page, in the order they are sent.
template <class Row>
struct Rows {
  std::vector<Row> rows;
  std::size_t bytes = 0;
  std::string last_name;
  bool full = false;

  // Room for one more row, or nullptr where the page is full.
  Row* add(std::string_view name, std::size_t row_bytes) {
    if (rows.size() == page_rows_max || bytes >= page_bytes_max) {
      full = true;
      return nullptr;
    }
    bytes += row_bytes;
    last_name = name;
    return &rows.emplace_back();
  }
};

using SourceRows = Rows<pb::GetSourcesResponse>;
using KeyRows = Rows<pb::GetKeysResponse>;

void read_rows(const store::View& view, const pb::GetSourcesRequest&, const Page& page,
               SourceRows& rows) {
  list_sources(view, page, [&](std::string_view source) {
    auto* row = rows.add(source, source.size());
    if (row != nullptr) row->set_source(source.data(), source.size());
    return row != nullptr;
  });
}

void read_rows(const store::View& view, const pb::GetKeysRequest& request, const Page& page,
               KeyRows& rows) {
  list_keys(view, request.source(), page, [&](std::string_view key, const ValueView& value) {
    auto* row = rows.add(key, key.size() + (request.with_values() ? value.bytes.size() : 0));
    if (row == nullptr) return false;
    row->set_key(key.data(), key.size());
    if (request.with_values()) {
      row->set_value(value.bytes.data(), value.bytes.size());
      row->set_revision(value.revision);
    }
    return true;
  });
}

Status check(const Limits&, const pb::GetSourcesRequest&) { return Unit{}; }
Status check(const Limits& limits, const pb::GetKeysRequest& request) {
  return check_name(limits, "source", request.source());
}

template <class Request>
Status check_common(const Limits& limits, const Request& request) {
  const std::pair<const char*, const std::string*> names[] = {
      {"session", &request.session()},
      {"prefix", &request.prefix()},
      {"start_after", &request.start_after()}};
  for (const auto& [field, name] : names) {
    if (Status right = check_optional_name(limits, field, *name); !right) return right;
  }
  return check(limits, request);
}

template <class Request, class Row>
class List final : public DataStream<Request, Row> {
  using Base = DataStream<Request, Row>;

 public:
  using Call = StreamCall<Request, Row>;

  List(ApiContext& api, Call& call) : Base(api, call) { begin(); }

 private:
  void begin() {
    const Request& request = this->call_.request;
    if (const Status right = check_common(this->api_.options.limits, request); !right) {
      return this->end(right.error());
    }
    const auto consistency = consistency_of(request);
    if (!consistency) return this->end(consistency.error());
    left_ = request.limit() == 0 ? UINT64_MAX : request.limit();
    page_.prefix = request.prefix();
    page_.start_after = request.start_after();
    this->api_.node.read(*consistency, request.min_revision(), this->call_.remaining_ms(),
                         this->awaited([this](const Status& ready) {
                           if (!ready) return this->end(ready.error());
                           view_ = this->api_.store.hold();
                           read_page();
                         }),
                         &this->waiting_in_node_);
  }

  void read_page() {
    page_.limit = std::min<std::uint64_t>(left_, page_rows_max + 1);  // one more tells of an end
    rows_ = {};
    sent_ = 0;
    // The lane owns page_ and rows_ until it answers.
    this->api_.store.read_held(
        view_,
        [this](const store::View& view) { read_rows(view, this->call_.request, page_, rows_); },
        this->awaited([this] {
          left_ -= std::min<std::uint64_t>(left_, rows_.rows.size());
          page_.start_after = rows_.last_name;
          next();
        }));
  }

  void next() override {
    if (sent_ < rows_.rows.size()) {
      const Row& row = rows_.rows[sent_++];
      return this->call_.write(row, sent_ < rows_.rows.size());
    }
    if (rows_.full && left_ > 0) return read_page();
    this->end();
  }

  void release() override { view_.reset(); }

  std::shared_ptr<const store::View> view_;
  Page page_;
  Rows<Row> rows_;
  std::size_t sent_ = 0;    // of rows_
  std::uint64_t left_ = 0;  // rows the client still wants
};

}  // namespace

void add_list_calls(ApiContext& api) {
  using Sources = List<pb::GetSourcesRequest, pb::GetSourcesResponse>;
  using Keys = List<pb::GetKeysRequest, pb::GetKeysResponse>;
  add_stream<Sources>(api, api.iris, call_limits);
  add_stream<Keys>(api, api.iris, call_limits);
}

}  // namespace iris
