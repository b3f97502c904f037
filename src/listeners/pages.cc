#include "src/listeners/pages.h"

#include <algorithm>

#include "raft/check.h"
#include "src/machine/machine.h"

namespace iris::listening {
namespace {

// The space that is left on a page.
struct PageBudget {
  std::size_t bytes;
  std::size_t rows;

  explicit PageBudget(const PageLimits& limits) : bytes(limits.bytes_max), rows(limits.rows_max) {
    CHECK(bytes > 0 && rows > 0);
  }
  [[nodiscard]] bool left() const { return bytes > 0 && rows > 0; }
  void look() { --rows; }
  void take(const Update& update) { bytes -= std::min(bytes, update.cost_bytes()); }
};

void push(std::vector<UpdatePtr>& rows, PageBudget& budget, UpdatePtr update) {
  budget.take(*update);
  rows.push_back(std::move(update));
}

// A row of a state.
void push_row(std::vector<UpdatePtr>& rows, PageBudget& budget, Update::Op op,
              std::string_view source, std::string_view key, const ValueView& value) {
  auto update = row_update(op, source, key, value.bytes, value.revision);
  update->of_state = true;
  push(rows, budget, std::move(update));
}

void read_key(const store::View& view, const StateRequest& request, const StateItem& item,
              PageBudget& budget, std::vector<UpdatePtr>& rows) {
  budget.look();
  Value value;
  const store::Found found = get_value(view, item.source, *item.key, value);
  CHECK(found != store::Found::incomplete);
  if (found == store::Found::no) {
    if (!request.tell_absent) return;
    push_row(rows, budget, Update::Op::remove, item.source, *item.key, {{}, view.applied().value});
  } else if (!item.absent_only && value.revision > request.newer_than) {
    push_row(rows, budget, Update::Op::put, item.source, *item.key, {value.bytes, value.revision});
  }
}

// True where the source is complete; else last_key says how far it went.
bool read_source(const store::View& view, const StateRequest& request, const std::string& source,
                 const std::string& start_after, PageBudget& budget, StatePage& page) {
  bool complete = true;
  list_keys(view, source, {"", start_after, 0}, [&](std::string_view key, const ValueView& value) {
    if (!budget.left()) return complete = false;
    budget.look();
    page.last_key = key;
    if (value.revision > request.newer_than) {
      push_row(page.rows, budget, Update::Op::put, source, key, value);
    }
    return true;
  });
  return complete;
}

}  // namespace

std::size_t bytes_of(const std::vector<UpdatePtr>& rows) {
  std::size_t bytes = 0;
  for (const UpdatePtr& row : rows) bytes += row->cost_bytes();
  return bytes;
}

StatePage read_state(const store::View& view, const StateRequest& request,
                     const PageLimits& limits) {
  StatePage page;
  PageBudget budget(limits);
  for (const StateItem& item : request.items) {
    if (!budget.left()) break;
    if (item.key) {
      read_key(view, request, item, budget, page.rows);
    } else {
      const bool first = page.items_done == 0;
      if (first) page.last_key = request.start_after;
      if (!read_source(view, request, item.source, first ? request.start_after : "", budget,
                       page)) {
        return page;
      }
    }
    page.last_key.clear();
    ++page.items_done;
  }
  return page;
}

TombstonePage read_tombstone(const store::View& view, const TombstoneRequest& request,
                             const PageLimits& limits) {
  TombstonePage page;
  page.last_key = request.start_after;
  const auto tombstone = find_tombstone(view, request.revision);
  if (!tombstone) {
    page.purged = true;
    return page;
  }
  PageBudget budget(limits);
  page.complete = !request.more_keys;
  std::shared_ptr<Update> last;
  const auto look = [&](std::string_view key, bool there) {
    if (!budget.left()) return page.complete = false;
    budget.look();
    page.last_key = key;
    if (there) {
      last = row_update(Update::Op::remove, tombstone->source, key, {}, request.revision);
      last->more = true;
      push(page.rows, budget, last);
    }
    return true;
  };
  if (!request.keys) {
    list_generation(view, tombstone->generation, {"", request.start_after, 0},
                    [&](std::string_view key, const ValueView&) { return look(key, true); });
  } else {
    for (const std::string& key : *request.keys) {
      if (key <= request.start_after) continue;
      if (!look(key, generation_has(view, tombstone->generation, key))) break;
    }
  }
  if (page.complete && last != nullptr) last->more = false;
  return page;
}

}  // namespace iris::listening
