// Backup of a cluster under load, restored as a new one: every key as it was acknowledged at the
// backup's revision. And a backup with one bit flipped, anywhere, is refused.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/client/program.h"
#include "tests/cluster/chaos.h"
#include "tests/cluster/content.h"
#include "tests/cluster/load.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

namespace {

constexpr Milliseconds patience{30000};
constexpr std::size_t flips = 12;

// The number or word behind `before` in `text`; empty: not there.
std::string word_behind(const std::string& text, const std::string& before) {
  const std::size_t at = text.find(before);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + before.size();
  return text.substr(begin, text.find_first_of(", \n", begin) - begin);
}

bool is_one_sentence(const std::string& text) {
  return text.size() > 1 && text.find('\n') == text.size() - 1;
}

class BackupRound {
 public:
  explicit BackupRound(const Arguments& arguments)
      : random_(arguments.seed),
        megabytes_(arguments.megabytes),
        tls_(arguments.tls),
        nodes_({.count = 3, .tls = arguments.tls, .flags = {}}),
        file_(nodes_.folder() + "/backup") {}

  bool run() {
    nodes_.start_all();
    return take() && restore() && flip_bits();
  }

 private:
  bool take() {
    const std::size_t leader = nodes_.await_leader();
    if (!fill(nodes_.api(leader), megabytes_)) return false;
    Load load(nodes_.api(leader), {.remove_one_in = 8});
    load.start();
    bool good = expect(load.await_progress(2000, patience), "no progress before the backup");
    const std::uint64_t before = load.acknowledged();
    // Through a follower, which must ask the leader for a read index.
    good = backup((leader + 1) % nodes_.size()) && good;
    const std::uint64_t during = load.acknowledged() - before;
    good = expect(load.await_progress(200, patience), "no progress after the backup") && good;
    load.stop();
    good = expect(load.unknown() == 0, "writes of unknown outcome") && good;
    const Ended verified = run_iris({"verify", file_});
    std::printf("  %lu writes during the backup; %s", during, verified.out.c_str());
    good = expect(verified.code == 0, "verify refuses a good backup: " + verified.err) && good;
    revision_ = std::strtoull(word_behind(verified.out, "revision ").c_str(), nullptr, 10);
    expected_ = load.at(revision_);
    pb::StatusResponse status;
    good = expect(nodes_.api(leader).status(status, patience), "no status") && good;
    old_cluster_ = status.cluster_id();
    for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_.kill(i);
    return expect(expected_ != load.at(load.last_revision()), "nothing was written behind it") &&
           good;
  }

  bool backup(std::size_t through) {
    std::vector<std::string> words = {binary("iris-cli"),      "backup",  file_, "-addr",
                                      nodes_.address(through), "-nostela"};
    if (tls_) {
      const std::string& folder = nodes_.tls().folder;
      words.insert(words.end(), {"-clientCert", folder + "/client.crt", "-clientKey",
                                 folder + "/client.key", "-ca", folder + "/ca.crt"});
    } else {
      words.emplace_back("-insecure");
    }
    const Ended taken = iris::test::run(words);
    return expect(taken.code == 0, "iris-cli backup: " + taken.err);
  }

  [[nodiscard]] static Ended run_iris(std::vector<std::string> words) {
    words.insert(words.begin(), binary("iris"));
    return iris::test::run(words);
  }

  // Into a new cluster, which grows to three nodes.
  bool restore() {
    Nodes fresh({.count = 3, .tls = tls_, .flags = {}});
    const std::string port = fresh.address(0).substr(fresh.address(0).rfind(':') + 1);
    const Ended restored =
        run_iris({"restore", file_, "-raftdir", fresh.data_folder(0), "-port", port});
    std::printf("  %s", restored.out.c_str());
    if (!expect(restored.code == 0, "iris restore: " + restored.err)) return false;
    fresh.start_all();
    pb::StatusResponse status;
    bool good = expect(fresh.api(0).status(status, patience), "no status of the restored node");
    good =
        expect(status.cluster_id() != old_cluster_, "the restored cluster has the old id") && good;
    good = expect(status.cluster_id() == word_behind(restored.out, "the new cluster "),
                  "restore names another cluster than it made") &&
           good;
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      const auto node = "node " + std::to_string(i) + ": ";
      const Compared same = compare_content(fresh.api(0), fresh.api(i), patience);
      const Compared load = compare_source(fresh.api(i), "load", expected_, {}, patience);
      const Compared filled =
          compare_source(fresh.api(i), "fill", fill_content(megabytes_), {}, patience);
      for (const Compared& compared : {same, load, filled}) {
        good = expect(compared.equal(), node + compared.difference) && good;
      }
      if (i == 0) std::printf("  %lu and %lu rows as acknowledged\n", load.rows, filled.rows);
    }
    const WriteAnswer written = fresh.api(1).set("load", "new", "value", patience);
    good = expect(written.answer == CallAnswer::ok, "the new cluster takes no write") && good;
    return expect(written.revision > revision_, "revisions of the new cluster go back") && good;
  }

  bool flip_bits() {
    const std::uint64_t size = std::filesystem::file_size(file_);
    bool good = true;
    for (std::size_t i = 0; i < flips; ++i) {
      const std::uint64_t at = random_() % size;
      const auto bit = static_cast<char>(1 << random_() % 8);
      flip(at, bit);
      const Ended verified = run_iris({"verify", file_});
      const std::string where = "a bit flipped at byte " + std::to_string(at);
      good = expect(verified.code == 1, where + " is not noticed by verify") && good;
      good = expect(is_one_sentence(verified.err), where + " gives: " + verified.err) && good;
      if (i == 0) {
        std::printf("  %s", verified.err.c_str());
        const std::string folder = nodes_.folder() + "/damaged";
        const Ended restored = run_iris({"restore", file_, "-raftdir", folder});
        good = expect(restored.code == 1, where + " is restored") && good;
        good = expect(!std::filesystem::exists(folder), "a damaged backup leaves a folder") && good;
      }
      flip(at, bit);
    }
    std::printf("  %zu flipped bits tried, of %lu bytes\n", flips, size);
    return expect(run_iris({"verify", file_}).code == 0, "the bits were not flipped back") && good;
  }

  void flip(std::uint64_t at, char bit) const {
    std::fstream bytes(file_, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(static_cast<std::streamoff>(at));
    const auto was = static_cast<char>(bytes.get());
    bytes.seekp(static_cast<std::streamoff>(at));
    bytes.put(static_cast<char>(was ^ bit));
  }

  std::mt19937_64 random_;
  const std::size_t megabytes_;
  const bool tls_;
  Nodes nodes_;
  const std::string file_;
  std::uint64_t revision_ = 0;  // of the backup
  std::map<std::string, std::string> expected_;
  std::string old_cluster_;
};

}  // namespace

Tally backup_rounds(const Arguments& arguments) {
  Tally tally;
  Arguments one = arguments;
  for (std::size_t round = 0; round < arguments.rounds; ++round, ++one.seed) {
    std::printf("round %zu\n", round);
    const bool good = BackupRound(one).run();
    (good ? tally.passed : tally.failed) += 1;
    std::fflush(stdout);
  }
  return tally;
}

}  // namespace iris::test
