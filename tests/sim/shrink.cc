// Shrinking a failing seed: fewer faults, then fewer calls, then less time, as long as the run
// still fails in the same way.
#include <algorithm>
#include <cstdio>
#include <string>

#include "tests/sim/campaign.h"

namespace iris::sim {
namespace {

// The kind of a failure: the invariant or the CHECK, without the times and numbers of the run.
std::string kind_of(const std::string& text) {
  const std::size_t in_seed = text.find(" in seed");
  if (in_seed != std::string::npos) return text.substr(0, in_seed);
  return text.substr(0, text.find('\n'));
}

class Shrinker {
 public:
  explicit Shrinker(SimOptions options) : best_(std::move(options)) {}

  bool go() {
    text_ = run_apart(best_);
    if (text_.empty()) {
      std::fprintf(stderr, "seed %llu passes\n", static_cast<unsigned long long>(best_.seed));
      return false;
    }
    std::fprintf(stderr, "%s", text_.c_str());
    drop_faults();
    drop_subscribers();
    halve(&SimOptions::safety_us, 100'000);
    if (best_.calls_max == 0) {
      SimOptions limited = best_;
      limited.calls_max = 4096;
      try_it(limited, "calls 4096");
    }
    if (best_.calls_max > 0) halve(&SimOptions::calls_max, 1);
    drop_faults();
    print();
    return true;
  }

 private:
  bool try_it(const SimOptions& options, const std::string& what) {
    const std::string text = run_apart(options);
    const bool same = !text.empty() && kind_of(text) == kind_of(text_);
    std::fprintf(stderr, "  %s: %s\n", what.c_str(),
                 same           ? "still fails"
                 : text.empty() ? "passes"
                                : "fails otherwise");
    if (!same) return false;
    best_ = options;
    text_ = text;
    return true;
  }

  void drop_faults() {
    for (std::size_t i = 0; i < fault_count; ++i) {
      if (!best_.faults[i]) continue;
      SimOptions fewer = best_;
      fewer.faults[i] = false;
      try_it(fewer, "without " + std::string(name_of(static_cast<Fault>(i))));
    }
  }

  void drop_subscribers() {
    while (best_.subscribers > 0) {
      SimOptions fewer = best_;
      --fewer.subscribers;
      if (!try_it(fewer, std::to_string(fewer.subscribers) + " subscribers")) break;
    }
  }

  // Cuts in halves, then in quarters of what is left.
  void halve(std::uint64_t SimOptions::*number, std::uint64_t least) {
    for (const std::uint64_t part : {2, 4, 8}) {
      for (;;) {
        SimOptions less = best_;
        less.*number -= less.*number / part;
        if (less.*number < least || less.*number == best_.*number) break;
        if (!try_it(less, std::to_string(less.*number))) break;
      }
    }
  }

  void print() const {
    std::string without;
    const SimOptions drawn = draw_options(best_.seed);
    for (std::size_t i = 0; i < fault_count; ++i) {
      if (!drawn.faults[i] || best_.faults[i]) continue;
      without += without.empty() ? " --without " : ",";
      without += name_of(static_cast<Fault>(i));
    }
    std::printf(
        "%ssmallest: iris-sim --seed %llu%s --safety-ms %llu --subscribers %llu%s --trace\n%s\n",
        text_.c_str(), static_cast<unsigned long long>(best_.seed), without.c_str(),
        static_cast<unsigned long long>(best_.safety_us / 1000),
        static_cast<unsigned long long>(best_.subscribers),
        best_.calls_max > 0 ? (" --calls " + std::to_string(best_.calls_max)).c_str() : "",
        describe(best_).c_str());
  }

  SimOptions best_;
  std::string text_;
};

}  // namespace

bool shrink(SimOptions options) { return Shrinker(std::move(options)).go(); }

}  // namespace iris::sim
