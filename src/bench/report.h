// The output of iris-bench: words on stderr while it runs, where that is a terminal, and one line
// of JSON on stdout at the end. Main thread. Owns nothing.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "src/bench/histogram.h"
#include "src/bench/load.h"
#include "src/bench/options.h"
#include "src/bench/watch.h"

namespace iris::bench {

using Json = nlohmann::ordered_json;

// "iris-bench: TEXT" on stderr.
void say(std::string_view text);
// Replaces the line of progress on a terminal; elsewhere nothing. Empty: clears it.
void show_progress(std::string_view text);

// count, mean, p50, p90, p99, p99_9, max; times in microseconds.
[[nodiscard]] Json to_json(const Histogram& histogram);
// The options of a run and its results.
[[nodiscard]] Json to_json(const Options& options, const LoadResult& result);
[[nodiscard]] Json to_json(const Options& options, const WatchResult& result);
// By name: {"UNAVAILABLE": 3}, without those that did not happen.
[[nodiscard]] Json errors_to_json(const std::array<std::atomic<std::uint64_t>, codes>& ended);
// "1.25 ms"
[[nodiscard]] std::string time_text(std::uint64_t nanoseconds);
// The whole of it for people, on stderr where that is a terminal.
void show_summary(const LoadResult& result);
void show_summary(const WatchResult& result);

// One line on stdout. False: it could not be written; says so.
[[nodiscard]] bool print_line(const Json& object);

}  // namespace iris::bench
