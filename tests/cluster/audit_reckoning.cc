#include "tests/cluster/audit_reckoning.h"

#include <algorithm>
#include <array>

namespace iris::test::audit {

namespace {

using Streams = std::vector<std::unique_ptr<AuditStream>>;

// The history of each source, in order.
using History = std::array<std::vector<Seen>, sources>;

std::string text_of(const Seen& seen) {
  return source_name(seen.source) + " " + key_name(seen.place.key) + " at " +
         std::to_string(seen.place.revision) +
         (seen.number == 0 ? " removed" : " = " + std::to_string(seen.number));
}

History collect(const Streams& streams, std::vector<std::string>& wrong) {
  History history;
  for (const auto& stream : streams) {
    for (const Seen& seen : stream->seen()) history[seen.source].push_back(seen);
  }
  for (auto& all : history) {
    std::sort(all.begin(), all.end(), [](const Seen& a, const Seen& b) {
      return a.place != b.place ? a.place < b.place : a.number < b.number;
    });
    all.erase(std::unique(all.begin(), all.end()), all.end());
    for (std::size_t i = 1; i < all.size(); ++i) {
      if (all[i].place != all[i - 1].place) continue;
      wrong.push_back("two streams saw " + text_of(all[i - 1]) + " and " + text_of(all[i]));
    }
  }
  return history;
}

auto find_place(const std::vector<Seen>& all, Place place) {
  return std::lower_bound(all.begin(), all.end(), place,
                          [](const Seen& seen, Place at) { return seen.place < at; });
}

// Updates that the stream should have seen in one span and did not.
void check_span(AuditStream& stream, const AuditStream::Span& span, std::size_t end,
                const History& history, std::uint64_t revision) {
  // Of its own updates, by source; they are a part of the history.
  std::array<std::vector<Place>, sources> own;
  for (std::size_t i = span.first; i < end; ++i) {
    const Seen& seen = stream.seen()[i];
    own[seen.source].push_back(seen.place);
  }
  const Place until = std::min(span.until, Place{revision, key_end});
  for (std::uint16_t source = 0; source < sources; ++source) {
    if (!std::any_of(stream.topics().begin(), stream.topics().end(),
                     [&](const Topic& topic) { return topic.source == source; })) {
      continue;
    }
    auto& places = own[source];
    std::sort(places.begin(), places.end());
    const auto& all = history[source];
    for (auto at = find_place(all, {span.after, key_end}); at != all.end() && at->place <= until;
         ++at) {
      if (!stream.wants(source, at->place.key)) continue;
      if (std::binary_search(places.begin(), places.end(), at->place)) continue;
      stream.add_lost(1, "has not seen " + text_of(*at));
    }
  }
}

// An acknowledged value that no stream saw is lost by all streams to which it was due.
void check_stored(const Streams& streams, const Stored& stored, const History& history,
                  std::uint64_t revision, std::vector<std::string>& wrong) {
  const Seen expected{{stored.revision, stored.key}, stored.source, stored.number};
  const auto& all = history[stored.source];
  const auto found = find_place(all, expected.place);
  if (found != all.end() && found->place == expected.place) {
    if (*found != expected) {
      wrong.push_back("acknowledged was " + text_of(expected) + ", seen " + text_of(*found));
    }
    return;
  }
  for (const auto& stream : streams) {
    if (!stream->wants(stored.source, stored.key)) continue;
    for (const auto& span : stream->spans()) {
      const Place until = std::min(span.until, Place{revision, key_end});
      if (stored.revision > span.after && expected.place <= until) {
        stream->add_lost(1, "and nobody else has seen " + text_of(expected));
      }
    }
  }
}

}  // namespace

std::vector<std::string> reckon(const Streams& streams, const std::vector<Stored>& stored,
                                std::uint64_t revision) {
  std::vector<std::string> wrong;
  const History history = collect(streams, wrong);
  for (const auto& stream : streams) {
    const auto& spans = stream->spans();
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const std::size_t end = i + 1 < spans.size() ? spans[i + 1].first : stream->seen().size();
      check_span(*stream, spans[i], end, history, revision);
    }
  }
  for (const Stored& one : stored) check_stored(streams, one, history, revision, wrong);
  return wrong;
}

}  // namespace iris::test::audit
