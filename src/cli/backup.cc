// backup: the whole data of a running cluster, into a file.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/cli/command.h"

namespace iris::cli {

ExitCode run_backup(const Command& self, std::span<const std::string> arguments) {
  constexpr std::chrono::milliseconds there_max{5'000};
  Line line(self);
  line.timeout_is(std::chrono::hours(1), "how long the data may take to arrive");
  if (const auto code = line.parse(arguments, 1, 1)) return *code;
  auto client = line.client();
  if (!client) return line.code();
  // The time is for the data: that nobody is there, or no majority, is known sooner.
  client::ListOptions least;
  least.limit = 1;
  least.timeout = std::min(line.timeout(), there_max);
  if (const auto there = client->sources(least); !there) return line.failed(there.error());
  const auto taken = client->backup(line.plain()[0], {line.timeout()});
  if (!taken) return line.failed(taken.error());
  if (line.json()) {
    print_json({{"file", line.plain()[0]}, {"bytes", taken->bytes}, {"sha256", taken->sha256}});
  } else {
    print(line.plain()[0] + ": " + size_text(taken->bytes) + ", sha256 " + taken->sha256 + "\n");
  }
  return finish() ? exit_ok : exit_output;
}

}  // namespace iris::cli
