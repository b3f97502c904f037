// watch: prints each change, or runs a command for it, until a signal, a refusal or the command's
// failure ends it. The callbacks run on the listener's thread; the main thread waits for the end.
#include <atomic>
#include <functional>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "src/cli/command.h"
#include "src/cli/end_of_watch.h"
#include "src/cli/hook.h"
#include "src/cli/resume_file.h"

namespace iris::cli {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

// The number of different reasons why no node serves the watch that are printed.
constexpr std::size_t reasons_max = 20;

const char* op_text(client::Update::Op op) {
  switch (op) {
    case client::Update::Op::put:
      return "PUT";
    case client::Update::Op::remove:
      return "REMOVE";
    case client::Update::Op::bookmark:
      return "BOOKMARK";
    case client::Update::Op::synced:
      return "SYNCED";
    case client::Update::Op::resync:
      return "RESYNC";
  }
  return "";
}

bool is_mark(const client::Update& update) {
  return update.op != client::Update::Op::put && update.op != client::Update::Op::remove;
}

// Watcher: prints each update or runs the command for it, on the listener's thread. The position is
// saved on the same thread where a command runs, because it must not see a change twice; else on
// the main thread. After the listener has ended, only the main thread uses it.
class Watcher {
 public:
  Watcher(const Line& line, EndOfWatch& end, std::vector<std::string> command,
          std::optional<ResumeFile> file, client::Topic topic, bool begins_with_state)
      : json_(line.json()),
        end_(end),
        command_(std::move(command)),
        file_(std::move(file)),
        topic_(std::move(topic)),
        in_state_(begins_with_state) {}

  [[nodiscard]] bool prints() const { return command_.empty(); }
  [[nodiscard]] bool saves_late() const { return prints() && file_.has_value(); }

  void take(const client::Update& update) {
    if (over_) return;
    const bool bookmark = update.op == client::Update::Op::bookmark;
    if (!bookmark && !(prints() ? show(update) : run(update))) return;
    note(update);
    if (!prints()) save();
  }

  void save() {
    if (!file_) return;
    client::Position position;
    {
      const std::lock_guard lock(mutex_);
      if (!std::exchange(unsaved_, false)) return;
      position = position_;
    }
    const auto error = file_->write(position);
    if (!error) return;
    lost_ = true;
    finish(exit_output, error->text);
  }
  // Saves the rest, after the last callback. False: not all could be saved, which was said.
  [[nodiscard]] bool save_rest() {
    save();
    return !lost_;
  }

  void finish(ExitCode code, const std::string& text) {
    over_ = true;
    if (!text.empty()) say(text);
    end_.end(code);
  }

 private:
  bool show(const client::Update& update) {
    if (json_) {
      Json object;
      object["op"] = op_text(update.op);
      if (!is_mark(update)) {
        object["source"] = update.source;
        object["key"] = update.key;
      }
      if (update.op == client::Update::Op::put) add_value(object, update.value);
      object["revision"] = update.revision;
      print_json(object);
    } else if (update.op == client::Update::Op::resync) {
      say("the cluster does not know any more what was missed: the state follows");
    } else if (update.op == client::Update::Op::synced) {
      say("that was the state at revision " + std::to_string(update.revision));
    } else {
      const bool put = update.op == client::Update::Op::put;
      print(std::to_string(update.revision) + " " + op_text(update.op) + " " +
            name_text(update.source) + " " + name_text(update.key) +
            (put ? " " + value_text(update.value) : "") + "\n");
    }
    if (cli::finish()) return true;
    finish(exit_output, "");
    return false;
  }

  bool run(const client::Update& update) {
    const auto failure =
        run_hook(command_,
                 hook_variables(is_mark(update) ? topic_.source : update.source, update.key,
                                std::to_string(update.revision), op_text(update.op)),
                 update.value);
    if (!failure) return true;
    finish(exit_not_found, *failure);
    return false;
  }

  // As in client::Position, there is no position in the middle of a state.
  void note(const client::Update& update) {
    using Op = client::Update::Op;
    if (update.op == Op::resync) in_state_ = true;
    if (update.op == Op::synced) in_state_ = false;
    const std::lock_guard lock(mutex_);
    position_ = in_state_ ? client::Position{}
                          : client::Position{update.revision, update.key, update.source};
    unsaved_ = true;
  }

  const bool json_;
  EndOfWatch& end_;
  const std::vector<std::string> command_;
  const std::optional<ResumeFile> file_;
  const client::Topic topic_;
  bool in_state_;
  bool lost_ = false;  // of the thread that saves
  std::atomic<bool> over_ = false;
  std::mutex mutex_;  // of what is below
  client::Position position_;
  bool unsaved_ = false;
};

// The flags of watch.
struct WatchFlags {
  bool initial = false;
  std::optional<std::uint64_t> from;
  std::string resume;
  milliseconds heartbeat{5'000};

  void declare(Flags& flags) {
    flags.section("Where to begin");
    flags.boolean("initial", &initial, "the state first, then changes");
    flags.number("from", &from, 1, std::numeric_limits<std::uint64_t>::max(), "REVISION",
                 "changes after this revision; else those from now on");
    flags.text(
        "resume", &resume, "FILE",
        "go on where FILE says the last watch stopped, and keep it up to date; where it is "
        "not there, begin as the other flags say. After a crash what was printed in the last "
        "200 ms may come again");
    flags.section("Stream");
    flags.duration("heartbeat", &heartbeat, 100ms, 1h,
                   "how often the node says that nothing changed; a stream silent for three of "
                   "these is opened at another node");
  }
};

struct Beginning {
  client::ListenOptions options;
  bool anew = false;  // the last watch stopped amid a state: whoever had half of it is told resync
};

// The beginning of the watch. An error is one of usage.
client::Result<Beginning> begin_at(const WatchFlags& flags, const client::Topic& topic,
                                   const std::optional<ResumeFile>& file) {
  Beginning beginning;
  auto& options = beginning.options;
  options.topics = {topic};
  options.heartbeat = flags.heartbeat;
  options.send_initial = flags.initial;
  if (flags.from) options.after.revision = *flags.from;
  if (!file) return beginning;
  auto found = file->read();
  if (!found) return found.error();
  if (!*found) return beginning;
  options.after = **found;
  beginning.anew = options.after.revision == 0;
  options.send_initial = beginning.anew;
  return beginning;
}

// Listens until the end; no callback runs after this has returned. It tries for ever, and prints
// each reason for that once, until a node serves it.
ExitCode listen(Client& client, client::ListenOptions options, const Line& line, Watcher& watcher,
                EndOfWatch& end) {
  bool connected = false;
  std::set<std::string> said;
  client::ListenHandlers handlers;
  handlers.on_update = [&](const client::Update& update) { watcher.take(update); };
  handlers.on_connected = [&](const std::string& address) {
    said.clear();
    if (std::exchange(connected, true)) say("goes on at " + address);
  };
  handlers.on_lost = [&](const client::Error& error) {
    const bool refused = error.code == client::Code::refused || error.code == client::Code::not_now;
    if (refused && !connected) return watcher.finish(line.failed(error), "");
    if (said.size() == reasons_max || !said.insert(error.text).second) return;
    constexpr std::string_view then = "; trying again";
    if (connected || said.size() > 1) return say(name_text(error.text) + std::string(then));
    line.failed(error, then);
  };
  handlers.on_end = [&](const client::Error& error) { watcher.finish(line.failed(error), ""); };
  auto listener = client.listen(std::move(options), std::move(handlers));
  if (!listener) return line.usage(listener.error().text);
  std::function<void()> save;
  if (watcher.saves_late()) save = [&] { watcher.save(); };
  return end.wait(watcher.prints(), save);
}

}  // namespace

ExitCode run_watch(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  WatchFlags flags;
  flags.declare(line.flags());
  if (const auto code = line.parse(arguments, 1, std::numeric_limits<std::size_t>::max())) {
    return *code;
  }
  const auto& plain = line.plain();
  const std::size_t names = line.given().before_dashes;
  if (names < 1) return line.usage("SOURCE is missing: it stands before --");
  if (names > 2) return line.one_too_many(2);
  client::Topic topic{plain[0], std::nullopt};
  if (names == 2) topic.key = plain[1];
  const std::vector<std::string> command(plain.begin() + static_cast<std::ptrdiff_t>(names),
                                         plain.end());
  if (line.json() && !command.empty()) {
    return line.usage("-o json is for what watch prints; a COMMAND prints what it likes");
  }
  if (flags.initial && flags.from) return line.usage("-initial and -from exclude each other");
  if (line.flags().given("resume") && flags.resume.empty()) {
    return line.usage("-resume: the name of the file is empty");
  }
  std::optional<ResumeFile> file;
  if (!flags.resume.empty()) file.emplace(flags.resume, topic);
  auto beginning = begin_at(flags, topic, file);
  if (!beginning) return line.usage(beginning.error().text);
  auto& options = beginning->options;

  EndOfWatch end;
  auto client = line.client();
  if (!client) return line.code();
  Watcher watcher(line, end, command, std::move(file), topic, options.send_initial);
  if (beginning->anew) watcher.take({.op = client::Update::Op::resync});
  const ExitCode code = listen(*client, std::move(options), line, watcher, end);
  return watcher.save_rest() ? code : exit_output;
}

}  // namespace iris::cli
