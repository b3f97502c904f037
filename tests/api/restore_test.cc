// restore and recover of the built iris, and a client of the old cluster: a revision of the old
// history is no place to resume at in the new one (hazards 86, 102).
#include <csignal>
#include <filesystem>

#include "tests/api/iris_process.h"

namespace iris::test {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

constexpr const char* source = "s";
constexpr int news = 20;  // more changes than the old cluster made after the backup

std::string binary(const std::string& name) {
  return std::string(std::getenv("IRIS_BINARIES")) + "/" + name;
}

void run(const std::vector<std::string>& words, const Folder& folder) {
  Process program = Process::start(words, folder / "log", folder / "");
  const auto code = program.wait(20s);
  INFO(read_text(folder / "log"));
  REQUIRE(code == 0);
}

// A node on `folder`/NAME; the destructor stops it in good order.
class Running {
 public:
  Running(const Folder& folder, const std::string& name)
      : port_(free_port()), process_(plain(port_) + Texts{"-raftdir", name}, &folder) {
    process_.await_log("this node leads");
  }
  ~Running() {
    process_.signal(SIGTERM);
    process_.exit_code();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::unique_ptr<pb::Iris::Stub> stub() const { return iris_at(port_); }

  // The revision.
  std::uint64_t put(const std::string& key, std::optional<std::uint64_t> if_revision = {}) const {
    pb::SetValueRequest request;
    request.set_source(source);
    request.set_key(key);
    request.set_value("v");
    if (if_revision) request.set_if_revision(*if_revision);
    pb::SetValueResponse response;
    const auto status = stub()->SetValue(context().get(), request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    return response.revision();
  }
  // The revision of the last.
  std::uint64_t put_many(const std::string& key, int count) const {
    std::uint64_t last = 0;
    for (int i = 0; i < count; ++i) last = put(key);
    return last;
  }
  void remove(const std::string& key) const {
    pb::RemoveValueRequest request;
    request.set_source(source);
    request.set_key(key);
    pb::RemoveValueResponse response;
    REQUIRE(stub()->RemoveValue(context().get(), request, &response).ok());
  }
  // A session that wants all of the source.
  [[nodiscard]] std::string subscribe() const {
    pb::ConnectResponse connected;
    REQUIRE(stub()->Connect(context().get(), {}, &connected).ok());
    pb::SubscribeRequest request;
    request.set_session(connected.session());
    request.set_source(source);
    pb::SubscribeResponse response;
    REQUIRE(stub()->Subscribe(context().get(), request, &response).ok());
    return connected.session();
  }
  // The first updates of a session that resumes after `revision`, up to a mark other than RESYNC.
  [[nodiscard]] Texts resume(const std::string& session, std::uint64_t revision) const {
    pb::ListenRequest request;
    request.set_session(session);
    request.set_after_revision(revision);
    request.set_heartbeat_ms(500);
    const auto call = context();
    const auto listening = stub()->Listen(call.get(), request);
    Texts texts;
    pb::Update update;
    while (listening->Read(&update)) {
      const bool mark = update.source().empty();
      texts.push_back(mark ? pb::Update::Op_Name(update.op()) : update.key());
      if (mark && update.op() != pb::Update::RESYNC) break;
    }
    call->TryCancel();
    return texts;
  }

 private:
  const std::uint16_t port_;
  Iris process_;
};

Texts state_of(Texts keys) {
  keys.insert(keys.begin(), "RESYNC");
  keys.emplace_back("SYNCED");
  return keys;
}

}  // namespace

TEST_CASE("a client of a restored cluster is told to forget, however far it was (86, 102)") {
  const Folder folder;
  std::string session;
  std::uint64_t kept = 0;
  std::uint64_t position = 0;
  {
    const Running old(folder, "old");
    session = old.subscribe();
    kept = old.put("kept");
    run({binary("iris-cli"), "backup", folder / "backup", "-addr",
         "127.0.0.1:" + std::to_string(old.port()), "-nostela", "-insecure"},
        folder);
    position = old.put("lost");
    REQUIRE(old.resume(session, kept) == Texts{"lost", "BOOKMARK"});
  }
  // The second time from the same backup.
  for (const std::string name : {"first", "second"}) {
    CAPTURE(name);
    run({binary("iris"), "restore", folder / "backup", "-raftdir", folder / name}, folder);
    const Running restored(folder, name);
    const std::uint64_t begin = restored.put("new");
    REQUIRE(begin > position);
    const std::uint64_t end = restored.put_many("new", news);
    REQUIRE(restored.resume(session, position) == state_of({"kept", "new"}));
    REQUIRE(restored.resume(session, 0) == state_of({"kept", "new"}));
    REQUIRE(restored.resume(session, begin) == Texts(news, "new") + Texts{"BOOKMARK"});
    restored.put("kept", kept);  // a value has the revision it had
    position = end;
  }
}

TEST_CASE("a client of a recovered node is told to forget changes of lost nodes (86, 102)") {
  const Folder folder;
  std::string session;
  {
    const Running old(folder, "old");
    session = old.subscribe();
    old.put("kept");
    old.put("removed");
  }
  fs::copy(folder / "old", folder / "alone", fs::copy_options::recursive);
  {
    const Running old(folder, "old");
    old.put("late");
    old.remove("removed");
  }
  // As after a power cut: the data has less than the log, which is to be applied first.
  fs::remove_all(folder / "alone/log");
  fs::remove(folder / "alone/log.mark");
  fs::copy(folder / "old/log", folder / "alone/log", fs::copy_options::recursive);
  fs::copy(folder / "old/log.mark", folder / "alone/log.mark");
  std::uint64_t position = 0;
  {
    const Running old(folder, "old");
    position = old.put("lost");
  }
  for (int time = 0; time < 2; ++time) {
    CAPTURE(time);
    run({binary("iris"), "recover", "-force-new-cluster", "-yes", "-raftdir", folder / "alone"},
        folder);
    const Running alone(folder, "alone");
    REQUIRE(alone.put("new") > position);
    const std::uint64_t end = alone.put_many("new", news);
    REQUIRE(alone.resume(session, position) == state_of({"kept", "late", "new"}));
    position = end;
  }
}

}  // namespace iris::test
