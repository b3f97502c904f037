#include "src/bench/report.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "src/bench/publication.h"

namespace iris::bench {
namespace {

constexpr std::array<const char*, codes> code_names = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

double microseconds(std::uint64_t nanoseconds) {
  const std::uint64_t tenths = nanoseconds / 100;  // as fine as anybody reads it
  return static_cast<double>(tenths) / 10;
}

double rounded(double value) {
  return static_cast<double>(static_cast<std::int64_t>(value * 10)) / 10;
}

bool on_terminal() { return ::isatty(STDERR_FILENO) == 1; }

// CPU of this process: a load generator without CPU to spare measures itself.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double rate(const LoadResult& result) {
  if (result.seconds <= 0) return 0;
  return static_cast<double>(result.tally.answered.load()) / result.seconds;
}

}  // namespace

void say(std::string_view text) {
  std::string line = "iris-bench: ";
  line.append(text).append("\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void show_progress(std::string_view text) {
  if (!on_terminal()) return;
  std::string line = "\r";
  line.append(text).append("\x1b[K");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

Json to_json(const Histogram& histogram) {
  Json object;
  object["count"] = histogram.count();
  object["mean"] = microseconds(static_cast<std::uint64_t>(histogram.mean()));
  object["p50"] = microseconds(histogram.quantile(0.50));
  object["p90"] = microseconds(histogram.quantile(0.90));
  object["p99"] = microseconds(histogram.quantile(0.99));
  object["p99_9"] = microseconds(histogram.quantile(0.999));
  object["max"] = microseconds(histogram.max());
  return object;
}

Json errors_to_json(const std::array<std::atomic<std::uint64_t>, codes>& ended) {
  Json object = Json::object();
  for (std::size_t code = 1; code < codes; ++code) {
    if (const auto count = ended[code].load(); count > 0) object[code_names[code]] = count;
  }
  return object;
}

Json to_json(const Options& options, const LoadResult& result) {
  const Tally& tally = result.tally;
  Json object;
  object["mode"] = mode_name(options.mode);
  object["loop"] = options.rate > 0 ? "open" : "closed";
  object["addresses"] = options.addresses;
  object["tls"] = options.tls.has_value();
  object["connections"] = options.connections;
  object["in_flight"] = options.in_flight;
  object["threads"] = options.threads;
  if (options.rate > 0) object["rate"] = options.rate;
  object["keys"] = options.keys;
  object["value_bytes"] = options.value_bytes;
  if (options.mode == Mode::mix) object["read_percent"] = options.read_percent;
  if (options.mode != Mode::set) object["stale"] = options.stale;
  object["seconds"] = rounded(result.seconds);
  object["ops"] = tally.ended[0].load();
  object["ops_per_s"] = rounded(rate(result));
  object["errors"] = errors_to_json(tally.ended);
  Histogram both;
  both.merge(tally.sets);
  both.merge(tally.gets);
  object["latency_us"] = to_json(both);
  if (options.mode == Mode::mix) {
    object["set_latency_us"] = to_json(tally.sets);
    object["get_latency_us"] = to_json(tally.gets);
  }
  if (options.rate > 0) {
    object["sent_late_us"] = to_json(tally.delays);
    object["unsent"] = tally.unsent.load();
  }
  object["client_cpu_s"] = rounded(cpu_seconds());
  return object;
}

Json to_json(const Options& options, const WatchResult& result) {
  Json object;
  object["mode"] = mode_name(options.mode);
  object["addresses"] = options.addresses;
  object["tls"] = options.tls.has_value();
  object["connections"] = options.connections;
  object["threads"] = options.threads;
  object["listeners"] = options.listeners;
  object["sources"] = options.sources;
  object["unread"] = options.unread;
  object["rate"] = options.rate;
  object["value_bytes"] = std::max<std::uint64_t>(options.value_bytes, publication_bytes);
  object["seconds"] = rounded(result.seconds);
  object["written"] = result.written;
  object["errors"] = errors_to_json(result.ended);
  object["delivered"] = result.delivered_all;
  object["delivered_per_s"] =
      result.seconds > 0 ? rounded(static_cast<double>(result.delivered) / result.seconds) : 0;
  object["delivery_us"] = to_json(result.deliveries);
  object["write_us"] = to_json(result.writes);
  object["lost"] = result.lost;
  object["duplicated"] = result.duplicated;
  object["reordered"] = result.reordered;
  object["resyncs"] = result.resyncs;
  object["reconnects"] = result.reconnects;
  object["client_cpu_s"] = rounded(cpu_seconds());
  return object;
}

std::string time_text(std::uint64_t nanoseconds) {
  char text[32];
  const auto value = static_cast<double>(nanoseconds);
  if (nanoseconds < 1'000'000) {
    std::snprintf(text, sizeof text, "%.0f us", value / 1e3);
  } else if (nanoseconds < 1'000'000'000) {
    std::snprintf(text, sizeof text, "%.2f ms", value / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.2f s", value / 1e9);
  }
  return text;
}

void show_summary(const LoadResult& result) {
  if (!on_terminal()) return;
  show_progress("");
  for (const auto& [name, histogram] :
       {std::pair<const char*, const Histogram*>{"set", &result.tally.sets},
        std::pair<const char*, const Histogram*>{"get", &result.tally.gets}}) {
    if (histogram->count() == 0) continue;
    std::fprintf(
        stderr, "%s: %.0f/s, p50 %s, p99 %s, p99.9 %s, max %s\n", name,
        static_cast<double>(histogram->count()) / std::max(result.seconds, 1e-9),
        time_text(histogram->quantile(0.5)).c_str(), time_text(histogram->quantile(0.99)).c_str(),
        time_text(histogram->quantile(0.999)).c_str(), time_text(histogram->max()).c_str());
  }
}

void show_summary(const WatchResult& result) {
  if (!on_terminal()) return;
  std::fprintf(stderr, "delivery: %.0f/s, p50 %s, p99 %s, max %s\n",
               static_cast<double>(result.delivered) / std::max(result.seconds, 1e-9),
               time_text(result.deliveries.quantile(0.5)).c_str(),
               time_text(result.deliveries.quantile(0.99)).c_str(),
               time_text(result.deliveries.max()).c_str());
}

bool print_line(const Json& object) {
  const std::string line = object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const bool good =
      std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fflush(stdout) == 0;
  if (!good) say(std::string("cannot write the result: ") + std::strerror(errno));
  return good;
}

}  // namespace iris::bench
