// Raft folders and backups that former versions wrote: a node of this build goes on with each, and
// finds all that was in it (hazards 105, 118).
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "src/base/read_file.h"
#include "src/node/node.h"
#include "store/backup.h"
#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

namespace fs = std::filesystem;
using store::test::Loop;
using store::test::TempFolder;

constexpr raft::Level newer{feature_level.value + 1};
constexpr std::size_t file_bytes_max = 1u << 20;
constexpr std::uint64_t now_us = store::clock_from_us + 1;

std::string golden(const std::string& name) {
  const char* root = std::getenv("IRIS_ROOT");
  return std::string(root != nullptr ? root : ".") + "/tests/golden/" + name;
}

// A lone node has nobody to talk to.
class Nobody final : public Transport {
 public:
  void set_peers(const std::vector<raft::Member>&) override {}
  void send(raft::NodeId, PeerBody) override {}
  void probe(const std::string&, std::function<void(Result<PeerIdentity>)>) override {}
  [[nodiscard]] std::size_t queued_bytes(raft::NodeId) const override { return 0; }
};

// A production node on the production store in `folder`, of a build of `level`.
class LoneNode {
 public:
  explicit LoneNode(const std::string& folder, raft::Level level = feature_level) {
    store::RocksOptions rocks = store::test::options_for(folder, loop_);
    rocks.level_max = level;
    auto opened = store::open_rocks(std::move(rocks));
    if (!opened) FAIL(opened.error().text);
    store_ = std::move(*opened);
    NodeOptions options;
    options.raft.election_ticks = 10;
    options.raft.heartbeat_ticks = 2;
    options.address = "127.0.0.1:1";
    options.level = level;
    options.cluster_seed = options.life_seed = 1;
    NodeHooks hooks;
    hooks.schedule_flush = [this] {
      loop_.post([this] {
        if (node_) node_->flush();
      });
    };
    hooks.on_halt = [](bool, const Error& why) { FAIL(why.text); };
    node_ = std::make_unique<Node>(std::move(options), *store_, nobody_, std::move(hooks));
    node_->start();
  }

  [[nodiscard]] Node& node() { return *node_; }
  [[nodiscard]] store::Store& store() { return *store_; }
  // Leads, and has applied all that was in its log.
  void await_leading() {
    await([this] {
      return node_->core().role() == raft::Role::leader &&
             node_->applied() == node_->core().last_index();
    });
  }
  void await_level(raft::Level level) {
    await([this, level] { return node_->cluster_level() == level; });
  }
  std::uint64_t set(const std::string& source, const std::string& key, const std::string& value) {
    std::optional<Result<Outcome>> done;
    node_->submit(SetValue{source, key, value, std::nullopt}, 10'000,
                  [&](Result<Outcome> outcome) { done = std::move(outcome); });
    await([&] { return done.has_value(); });
    REQUIRE(done->has_value());
    return (*done)->revision;
  }
  void read(const std::function<void(const store::View&)>& job) {
    bool done = false;
    store_->read(job, [&] { done = true; });
    await([&] { return done; });
  }
  void await(const std::function<bool()>& state) {
    int rounds = 10'000;
    while (!state()) {
      REQUIRE(--rounds > 0);
      node_->tick();
      loop_.run_until(state, std::chrono::milliseconds(2));
    }
  }

 private:
  Loop loop_;
  Nobody nobody_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Node> node_;
};

// All that the data holds, a line a row.
std::string describe(const store::View& view) {
  std::ostringstream out;
  list_sources(view, {}, [&](std::string_view source) {
    out << "source " << source << "\n";
    list_keys(view, source, {}, [&](std::string_view key, const ValueView& value) {
      out << "  " << key << " = ";
      if (value.bytes.size() < 100) {
        out << value.bytes;
      } else {
        out << value.bytes.size() << " x " << value.bytes.front();
      }
      out << " @" << value.revision << "\n";
      return true;
    });
    return true;
  });
  list_sessions(view, {}, [&](std::string_view session, const SessionInfo& info) {
    out << "session " << session << " of " << info.born << ", " << info.subscriptions
        << " subscriptions, the last of " << info.subscribed << "\n";
    list_subscriptions(view, session, [&](const SubscriptionView& each) {
      out << "  " << each.source << (each.key ? "/" + std::string(*each.key) : std::string())
          << " since " << each.since << "\n";
      return true;
    });
    return true;
  });
  return out.str();
}

std::string describe(LoneNode& lone) {
  std::string text;
  lone.read([&](const store::View& view) { text = describe(view); });
  return text;
}

// The part of expected.txt that the row `title` begins; IRIS_REWRITE=1 writes a file that is not
// there.
std::string expected(const std::string& level, const std::string& title) {
  const auto text = read_file(golden(level + "/expected.txt"), file_bytes_max);
  if (!text) return {};
  const std::size_t begin = text->find("# " + title + "\n");
  REQUIRE(begin != std::string::npos);
  const std::size_t from = begin + title.size() + 3;
  const std::size_t end = text->find("# ", from);
  return text->substr(from, end == std::string::npos ? end : end - from);
}

void compare(const std::string& level, const std::string& title, const std::string& found) {
  const std::string file = golden(level + "/expected.txt");
  static std::vector<std::string> rewritten;
  const bool begun = std::find(rewritten.begin(), rewritten.end(), file) != rewritten.end();
  if (std::getenv("IRIS_REWRITE") != nullptr && (begun || !fs::exists(file))) {
    rewritten.push_back(file);
    std::ofstream(file, std::ios::app) << "# " << title << "\n" << found;
    return;
  }
  CHECK(found == expected(level, title));
}

std::string unpacked(const TempFolder& folder, const std::string& level) {
  const std::string command = "tar --extract --gzip --file='" + golden(level + "/raft.tar.gz") +
                              "' --directory='" + folder.path() + "'";
  REQUIRE(std::system(command.c_str()) == 0);  // NOLINT(cert-env33-c): no user's words in it
  return folder.path() + "/raft";
}

std::string name_of(std::uint64_t level) { return "level-" + std::to_string(level); }

TEST_CASE("a node of this build goes on with the folder of each former version (105, 118)") {
  for (std::uint64_t level = 0; level <= feature_level.value; ++level) {
    const std::string name = name_of(level);
    INFO(name);
    const TempFolder folder;
    const std::string path = unpacked(folder, name);
    std::uint64_t revision = 0;
    {
      LoneNode lone(path);
      CHECK(lone.node().cluster_level() == raft::Level{level});
      const raft::Index recovered = lone.node().core().last_index();
      lone.await_leading();
      compare(name, "folder",
              "level " + std::to_string(level) + ", last entry " + std::to_string(recovered.value) +
                  "\n" + describe(lone));
      lone.await_level(feature_level);
      revision = lone.set("colors", "sky", "new");
      CHECK(revision > recovered.value);
    }
    LoneNode again(path);
    CHECK(again.node().cluster_level() == feature_level);
    again.await_leading();
    CHECK(describe(again).find("sky = new @" + std::to_string(revision)) != std::string::npos);
  }
}

TEST_CASE("the backup of each former version becomes a node of this build (105, 118)") {
  for (std::uint64_t level = 0; level <= feature_level.value; ++level) {
    const std::string name = name_of(level);
    INFO(name);
    const TempFolder folder;
    const auto info = store::verify_backup(golden(name + "/backup"), feature_level);
    if (!info) FAIL(info.error().text);
    CHECK(info->mark.members.level == raft::Level{level});
    const std::string path = folder.path() + "/restored";
    const auto made =
        store::restore_backup(golden(name + "/backup"), path, "127.0.0.1:1", now_us, feature_level);
    if (!made) FAIL(made.error().text);
    LoneNode lone(path);
    CHECK(lone.node().cluster_level() == raft::Level{level});
    compare(name, "backup",
            "level " + std::to_string(level) + ", last entry " +
                std::to_string(info->mark.last.index.value) + "\n" + describe(lone));
    lone.await_leading();
    lone.await_level(feature_level);
    CHECK(lone.set("colors", "sky", "new") > now_us);
  }
}

TEST_CASE("folder and backup of a newer level are refused with a sentence (105, 118)") {
  const TempFolder folder;
  const std::string path = unpacked(folder, name_of(feature_level.value));
  {
    LoneNode lone(path, newer);
    lone.await_leading();
    lone.await_level(newer);
    static_cast<void>(lone.set("colors", "sky", "newer"));
  }
  Loop loop;
  store::RocksOptions older = store::test::options_for(path, loop);
  older.level_max = feature_level;
  const auto refused = store::open_rocks(std::move(older));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::unimplemented);
  const std::string numbers = "at feature level " + std::to_string(newer.value) +
                              ", and this build knows feature levels up to " +
                              std::to_string(feature_level.value) + ": run the newer version";
  CHECK(refused.error().text.find(numbers) != std::string::npos);

  const std::string file = folder.path() + "/backup";
  {
    LoneNode lone(path, newer);
    lone.await_leading();
    const std::unique_ptr<store::Export> pinned = lone.store().pin();
    std::ofstream out(file, std::ios::binary);
    for (bool end = false; !end;) {
      bool answered = false;
      pinned->read(64u << 10, [&](const Result<std::string>& bytes) {
        out << *bytes;
        end = bytes->empty();
        answered = true;
      });
      lone.await([&] { return answered; });
    }
  }
  CHECK(store::verify_backup(file, newer).has_value());
  const auto info = store::verify_backup(file, feature_level);
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().code == Errc::unimplemented);
  CHECK(info.error().text.find(numbers) != std::string::npos);
  LoneNode still(path, newer);  // the build that wrote it opens it
  CHECK(still.node().cluster_level() == newer);
}

}  // namespace
}  // namespace iris::test
