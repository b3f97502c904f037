// TombstoneReads: pages of the keys that a RemoveSource removed, read for the listeners that are
// subscribed to them. Listeners that need the same page share one read; those with a few single
// keys each are looked up many at a time.
// Loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "src/listeners/pages.h"
#include "src/listeners/reads.h"

namespace iris::listening {

class TombstoneReads {
 public:
  using Done = std::function<void(const Job& job, const TombstonePage& page)>;

  // `wanted`: false for a job that is stale. `done` is called for every job, stale or not.
  TombstoneReads(Reads& reads, const PageLimits& limits, std::function<bool(const Job&)> wanted,
                 Done done)
      : reads_(reads), limits_(limits), wanted_(std::move(wanted)), done_(std::move(done)) {}

  // A page of all keys after `start_after`.
  void read_all(const Job& job, std::uint64_t revision, const std::string& start_after);
  // REQUIRES: request.keys is set.
  // One such read is under way at a time, so that others come to read between them.
  void look_up(const Job& job, TombstoneRequest request);
  // A snapshot was installed: pages on their way are of the former state, and go to no job.
  void forget_pages() { waiting_.clear(); }

 private:
  using PageKey = std::pair<std::uint64_t, std::string>;  // revision, start_after
  struct LookUp {
    Job job;
    TombstoneRequest request;
    TombstonePage page;
  };
  void share(const PageKey& key, const TombstonePage& page);
  void start_look_ups();

  Reads& reads_;
  const PageLimits limits_;
  const std::function<bool(const Job&)> wanted_;
  const Done done_;
  std::map<PageKey, std::vector<Job>> waiting_;
  std::deque<LookUp> look_ups_;
  bool looking_up_ = false;
};

}  // namespace iris::listening
