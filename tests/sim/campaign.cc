#include "tests/sim/campaign.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#include "raft/check.h"
#include "tests/sim/run.h"

namespace iris::sim {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned jobs_max = 64;
constexpr std::uint64_t twice_every = 100;  // seeds of which one is run twice
constexpr int hang_s = 120;                 // of CPU time for one seed: a busy machine is no hang
constexpr auto poll_every = std::chrono::milliseconds(20);
constexpr auto progress_every = std::chrono::seconds(5);

// Memory that workers and parent share.
struct Shared {
  std::atomic<std::uint64_t> next;  // offset of the next seed
  std::atomic<bool> stop;
  struct Worker {
    std::atomic<std::uint64_t> seed;
    Stats stats;  // written by the worker between two seeds
  };
  std::array<Worker, jobs_max> workers;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double cpu_seconds_of_children() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// Ends this process by SIGPROF, unless it is called again before hang_s more of CPU time are used.
void end_on_hang() {
  itimerval timer{};
  timer.it_value.tv_sec = hang_s;
  CHECK(setitimer(ITIMER_PROF, &timer, nullptr) == 0);
}

bool ended_on_hang(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF; }

std::string read_all(std::FILE* file) {
  std::string text;
  std::rewind(file);
  std::array<char, 4096> buffer{};
  for (std::size_t size = 0; (size = std::fread(buffer.data(), 1, buffer.size(), file)) > 0;) {
    text.append(buffer.data(), size);
  }
  return text;
}

void run_seed(const CampaignOptions& campaign, std::uint64_t seed, Shared::Worker& mine) {
  SimOptions options = draw_options(seed);
  if (campaign.narrow) campaign.narrow(options);
  const Verdict verdict = run(options, false);
  if (seed % twice_every == 0) {
    if (run(options, false).hash != verdict.hash) {
      std::fprintf(stderr, "violation of DET in seed %llu: two runs of it differ\n",
                   static_cast<unsigned long long>(seed));
      std::_Exit(1);
    }
    ++mine.stats.seeds_twice;
  }
  mine.stats.add(verdict.stats);
}

[[noreturn]] void work(const CampaignOptions& campaign, Shared& shared, unsigned number,
                       Clock::time_point begin) {
  Shared::Worker& mine = shared.workers.at(number);
  while (!shared.stop) {
    if (campaign.time_s > 0 && seconds_since(begin) >= static_cast<double>(campaign.time_s)) break;
    const std::uint64_t offset = shared.next++;
    if (campaign.seeds > 0 && offset >= campaign.seeds) break;
    mine.seed = campaign.first + offset;
    end_on_hang();
    run_seed(campaign, mine.seed, mine);
  }
  std::_Exit(0);
}

std::string faults_line(const Stats& stats) {
  std::string text;
  for (std::size_t i = 0; i < fault_count; ++i) {
    if (stats.faults[i] == 0) continue;
    text += ' ';
    text += name_of(static_cast<Fault>(i));
    text += '=';
    text += std::to_string(stats.faults[i]);
  }
  return text.empty() ? " none" : text;
}

std::string counts_line(const Stats& stats) {
  const auto count = [](const char* name, std::uint64_t number) {
    return std::to_string(number) + " " + name;
  };
  return count("commits", stats.commits) + ", " + count("elections", stats.elections) + ", " +
         count("crashes", stats.crashes) + ", " + count("snapshots", stats.snapshots) + ", " +
         count("member changes", stats.member_changes) + "; writes " +
         count("ok", stats.writes_ok) + " " + count("refused", stats.writes_failed) + " " +
         count("unknown", stats.writes_unknown) + ", reads " +
         count("checked", stats.reads_checked) + " " + count("refused", stats.reads_failed) + ", " +
         count("streams", stats.streams) + ", " + count("updates", stats.updates) + ", " +
         count("bookmarks", stats.bookmarks) + ", " + count("resyncs", stats.resyncs) + ", " +
         count("takeovers", stats.takeovers) + ", " + count("sessions expired", stats.expired) +
         ", " + count("hashes of states", stats.hashes) + ", " + count("verdicts", stats.verdicts) +
         ", " + count("odd ones found", stats.odd_ones);
}

class Campaign {
 public:
  explicit Campaign(const CampaignOptions& options) : options_(options), begin_(Clock::now()) {
    CHECK(options_.jobs >= 1 && options_.jobs <= jobs_max);
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    shared_ = new (memory) Shared();
  }
  ~Campaign() { munmap(shared_, sizeof(Shared)); }
  Campaign(const Campaign&) = delete;
  Campaign& operator=(const Campaign&) = delete;

  bool go() {
    workers_.resize(options_.jobs);
    for (unsigned i = 0; i < options_.jobs; ++i) start(i);
    auto progress_at = begin_ + progress_every;
    while (std::any_of(workers_.begin(), workers_.end(),
                       [](const Child& child) { return child.pid > 0; })) {
      std::this_thread::sleep_for(poll_every);
      for (unsigned i = 0; i < options_.jobs; ++i) look_after(i);
      if (Clock::now() >= progress_at) {
        progress();
        progress_at += progress_every;
      }
    }
    summary();
    return failures_ == 0;
  }

 private:
  struct Child {
    pid_t pid = 0;  // 0: ended
    std::FILE* errors = nullptr;
  };

  void start(unsigned number) {
    Child& child = workers_[number];
    child.errors = std::tmpfile();
    CHECK(child.errors != nullptr);
    std::fflush(nullptr);
    child.pid = fork();
    CHECK(child.pid >= 0);
    if (child.pid > 0) return;
    dup2(fileno(child.errors), STDERR_FILENO);
    work(options_, *shared_, number, begin_);
  }

  void look_after(unsigned number) {
    Child& child = workers_[number];
    if (child.pid == 0) return;
    int status = 0;
    if (waitpid(child.pid, &status, WNOHANG) != child.pid) return;
    child.pid = 0;
    const bool failed = status != 0;
    if (failed) report(number, ended_on_hang(status));
    std::fclose(child.errors);
    if (!failed) return;
    if (options_.keep_going) {
      start(number);
    } else {
      shared_->stop = true;
    }
  }

  void report(unsigned number, bool hangs) {
    ++failures_;
    const std::uint64_t seed = shared_->workers.at(number).seed;
    std::fprintf(stderr, "FAILED seed %llu%s\n%sreplay: iris-sim --seed %llu%s --trace\n",
                 static_cast<unsigned long long>(seed), hangs ? " (hangs)" : "",
                 read_all(workers_[number].errors).c_str(), static_cast<unsigned long long>(seed),
                 options_.replay.c_str());
  }

  [[nodiscard]] Stats total() const {
    Stats stats;
    for (const auto& worker : shared_->workers) stats.add(worker.stats);
    return stats;
  }

  void progress() const {
    const Stats stats = total();
    const double seconds = seconds_since(begin_);
    std::fprintf(stderr, "%6.0f s  %llu seeds, %.1f seeds/s, %.1f simulated hours, %s; faults:%s\n",
                 seconds, static_cast<unsigned long long>(stats.seeds),
                 static_cast<double>(stats.seeds) / seconds,
                 static_cast<double>(stats.simulated_us) / 3.6e9, counts_line(stats).c_str(),
                 faults_line(stats).c_str());
  }

  void summary() const {
    const Stats stats = total();
    const double cpu = std::max(0.001, cpu_seconds_of_children());
    std::uint64_t faults = 0;
    for (const std::uint64_t each : stats.faults) faults += each;
    std::fprintf(
        stderr,
        "%s: %llu seeds from %llu, %d failed, %llu run twice with one hash; %.2f simulated "
        "hours in %.1f CPU s = %.0f times real time per core; %llu events, %s; %llu "
        "faults:%s\n",
        failures_ == 0 ? "PASSED" : "FAILED", static_cast<unsigned long long>(stats.seeds),
        static_cast<unsigned long long>(options_.first), failures_,
        static_cast<unsigned long long>(stats.seeds_twice),
        static_cast<double>(stats.simulated_us) / 3.6e9, cpu,
        static_cast<double>(stats.simulated_us) / 1e6 / cpu,
        static_cast<unsigned long long>(stats.events), counts_line(stats).c_str(),
        static_cast<unsigned long long>(faults), faults_line(stats).c_str());
  }

  const CampaignOptions& options_;
  Clock::time_point begin_;
  Shared* shared_ = nullptr;
  std::vector<Child> workers_;
  int failures_ = 0;
};

}  // namespace

bool run_campaign(const CampaignOptions& campaign) { return Campaign(campaign).go(); }

std::string run_apart(const SimOptions& options) {
  std::FILE* errors = std::tmpfile();
  CHECK(errors != nullptr);
  std::fflush(nullptr);
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    dup2(fileno(errors), STDERR_FILENO);
    end_on_hang();
    static_cast<void>(run(options, false));
    std::_Exit(0);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  std::string text = read_all(errors);
  std::fclose(errors);
  if (status == 0) return {};
  return text.empty() ? "ended by signal " + std::to_string(WTERMSIG(status)) + "\n" : text;
}

}  // namespace iris::sim
