#include "src/listeners/pages.h"

#include <algorithm>

#include "raft/check.h"
#include "src/machine/machine.h"

namespace iris {
namespace {

// What is left of a page.
struct Room {
  std::size_t bytes;
  std::size_t rows;

  explicit Room(const PageLimits& limits) : bytes(limits.bytes_max), rows(limits.rows_max) {
    CHECK(bytes > 0 && rows > 0);
  }
  [[nodiscard]] bool left() const { return bytes > 0 && rows > 0; }
  void look() { --rows; }
  void take(const Update& update) { bytes -= std::min(bytes, update.cost_bytes()); }
};

void push(std::vector<UpdatePtr>& rows, Room& room, UpdatePtr update) {
  room.take(*update);
  rows.push_back(std::move(update));
}

// A row of a state.
void push_row(std::vector<UpdatePtr>& rows, Room& room, Update::Op op, std::string_view source,
              std::string_view key, const ValueView& value) {
  auto update = row_update(op, source, key, value.bytes, value.revision);
  update->of_state = true;
  push(rows, room, std::move(update));
}

void read_key(const store::View& view, const StateRequest& request, const StateItem& item,
              Room& room, std::vector<UpdatePtr>& rows) {
  room.look();
  Value value;
  const store::Found found = get_value(view, item.source, *item.key, value);
  CHECK(found != store::Found::incomplete);
  if (found == store::Found::no) {
    if (!request.tell_absent) return;
    push_row(rows, room, Update::Op::remove, item.source, *item.key, {{}, view.applied().value});
  } else if (!item.absent_only && value.revision > request.newer_than) {
    push_row(rows, room, Update::Op::put, item.source, *item.key, {value.bytes, value.revision});
  }
}

// True where the source is complete; else last_key says how far it went.
bool read_source(const store::View& view, const StateRequest& request, const std::string& source,
                 const std::string& start_after, Room& room, StatePage& page) {
  bool complete = true;
  list_keys(view, source, {"", start_after, 0}, [&](std::string_view key, const ValueView& value) {
    if (!room.left()) return complete = false;
    room.look();
    page.last_key = key;
    if (value.revision > request.newer_than) {
      push_row(page.rows, room, Update::Op::put, source, key, value);
    }
    return true;
  });
  return complete;
}

}  // namespace

StatePage read_state(const store::View& view, const StateRequest& request,
                     const PageLimits& limits) {
  StatePage page;
  Room room(limits);
  for (const StateItem& item : request.items) {
    if (!room.left()) break;
    if (item.key) {
      read_key(view, request, item, room, page.rows);
    } else {
      const bool first = page.items_done == 0;
      if (first) page.last_key = request.start_after;
      if (!read_source(view, request, item.source, first ? request.start_after : "", room, page)) {
        return page;
      }
    }
    page.last_key.clear();
    ++page.items_done;
  }
  return page;
}

GravePage read_grave(const store::View& view, const GraveRequest& request,
                     const PageLimits& limits) {
  GravePage page;
  page.last_key = request.start_after;
  const auto grave = find_tombstone(view, request.revision);
  if (!grave) {
    page.purged = true;
    return page;
  }
  Room room(limits);
  page.complete = true;
  const auto look = [&](std::string_view key, bool there) {
    if (!room.left()) return page.complete = false;
    room.look();
    page.last_key = key;
    if (there) {
      push(page.rows, room,
           row_update(Update::Op::remove, grave->source, key, {}, request.revision));
    }
    return true;
  };
  if (!request.keys) {
    list_generation(view, grave->generation, {"", request.start_after, 0},
                    [&](std::string_view key, const ValueView&) { return look(key, true); });
    return page;
  }
  for (const std::string& key : *request.keys) {
    if (key <= request.start_after) continue;
    if (!look(key, generation_has(view, grave->generation, key))) break;
  }
  return page;
}

}  // namespace iris
