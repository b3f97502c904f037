// Listeners::Hub: the inside of src/listeners/listeners.h, shared by its two halves. listeners.cc:
// who listens, to what, and what happened; serve.cc: moving updates out, stage by stage.
// Loop thread. Answers of the store and of the barrier hold it weakly and name a listener by id and
// job, so that one that comes too late finds nobody.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "src/listeners/filter.h"
#include "src/listeners/listeners.h"
#include "src/listeners/log_tail.h"
#include "src/listeners/matcher.h"
#include "src/listeners/pages.h"

namespace iris {

class Listeners::Hub : public std::enable_shared_from_this<Hub> {
 public:
  Hub(ListenersOptions options, store::Store& store, const History& history, ListenersHooks hooks);

  // As in Listeners.
  void start();
  Result<ListenerId> open(ListenSpec spec, UpdateStream& stream);
  void writable(ListenerId id);
  void cancelled(ListenerId id);
  void on_applied(const raft::EntryPtr& entry, const Outcome& outcome);
  void on_installed(raft::Index index);
  void on_trimmed(raft::Index floor);
  void pump();
  void tick(bool leader_known);
  void stop();
  [[nodiscard]] std::vector<std::string> served() const;
  [[nodiscard]] std::optional<raft::Index> keeps_log_after() const;
  [[nodiscard]] ListenersStatus status() const { return status_; }

 private:
  enum class Stage {
    barrier,       // waits until this node has applied what was acknowledged
    loading,       // waits for its subscriptions
    live,          //
    replay,        // see listeners.h
    grave,         //
    state_begins,  // holds a view that is ahead of on_applied()
    state,         //
    stalled,       // took nothing for so long that its view was let go; a state again, later
  };

  // How far the rows of a state went, in the order of Filter::sources(), whole source before keys.
  struct StateCursor {
    std::string source;   // empty: nothing yet
    std::string key;      // complete up to here
    bool inside = false;  // in the source as a whole; else in its single keys,
    bool whole = false;   // after the source as a whole
    // Of a source as a whole that was unsubscribed in the middle: values up to here were told.
    std::string told;
  };

  struct Listener {
    ListenerId id;
    ListenSpec spec;
    UpdateStream* stream = nullptr;
    bool marks = false;  // asked for a new field
    Stage stage = Stage::barrier;
    std::uint64_t job = 0;  // of the read under way; answers of another are stale
    bool reading = false;   // one is under way

    // The session, as of revision `loaded` and what on_applied() said since.
    Filter filter;
    bool begun = false;  // loaded once; where to begin was decided
    std::uint64_t loaded = 0;
    bool known = false;                   // replicated
    std::uint64_t subscribed = 0;         // revision of its last Subscribe
    std::uint64_t born = 0;               // of the one that made it
    std::vector<raft::EntryPtr> changes;  // that came while loading

    // Everything up to here was queued or does not concern it. Not kept up while live.
    std::uint64_t position = 0;
    std::deque<UpdatePtr> queue;
    std::size_t queue_bytes = 0;
    bool writable = true;
    bool ready = false;  // in ready_
    std::uint64_t written_tick = 0;
    bool prune_due = false;  // something in the queue may not be wanted any more
    bool told = false;       // something was written
    bool promised = false;   // the stream was told that another update follows

    std::uint64_t grave = 0;  // stage grave: revision of the RemoveSource,
    std::string grave_source;
    std::string grave_key;     // how far it went,
    bool keeps_grave = false;  // and whether it is in kept_graves_

    std::shared_ptr<const store::View> view;  // stages state_begins, state
    std::uint64_t view_revision = 0;
    StateCursor cursor;
    std::uint64_t newer_than = 0;
    bool resync = false;
    // From the state on until it is live, the log that follows the state is kept for it.
    std::optional<std::uint64_t> keeps_log_after;
  };

  // An update of so much is written in its turn only, and made once for all who replay it.
  static constexpr std::size_t great_bytes_min = 16u << 10;

  // What one pump() may spend; so that the loop is back in a few milliseconds.
  struct Work {
    static constexpr std::size_t pump = 200'000;
    static constexpr std::size_t turn = 20'000;  // of one listener
    static constexpr std::size_t write = 500;
    static constexpr std::size_t bytes = 64;   // so many put into their wire form cost 1
    static constexpr std::size_t update = 50;  // made from a log entry
    static constexpr std::size_t prune = 8;    // looked at in a queue
    static constexpr std::size_t look = 1;     // at a digest
  };

  // --- listeners.cc
  [[nodiscard]] Listener* find(ListenerId id) const;
  [[nodiscard]] Listener* find(ListenerId id, std::uint64_t job) const;
  void close(Listener& listener, StreamEnd end, const std::string& text);
  void forget(Listener& listener);
  void barrier_passed(ListenerId id, const Status& status);
  void load(Listener& listener);
  struct Loaded;
  void loaded(Listener& listener, Loaded& result);
  void begin(Listener& listener);
  void replay_from(Listener& listener, std::uint64_t position);
  void set_filter(Listener& listener, Filter filter);
  void learn_tail(std::uint64_t purged, std::uint64_t applied,
                  const std::vector<std::uint64_t>& voids);
  void publish(const raft::EntryPtr& entry, const CommandView& command);
  void deliver(Listener& listener, const UpdatePtr& update);
  void change_session(const raft::EntryPtr& entry, const CommandView& command);
  // False where the session is expired; the listener is gone then.
  bool apply_change(Listener& listener, std::uint64_t revision, const CommandView& command);
  void sweep(Listener& listener, bool leader_known);
  void purge_graves();

  // --- serve.cc
  void schedule();
  void make_ready(Listener& listener);
  [[nodiscard]] bool has_work(const Listener& listener) const;
  [[nodiscard]] bool wants_more(const Listener& listener) const;
  void serve(Listener& listener, std::size_t& work);
  void drain(Listener& listener, std::size_t& work);
  void push(Listener& listener, UpdatePtr update);
  void prune(Listener& listener);
  [[nodiscard]] UpdatePtr update_of(const raft::EntryPtr& entry, const CommandView& command);
  void refill(Listener& listener, std::size_t& work);
  void replay(Listener& listener, std::size_t& work);
  // False: the listener left the stage replay.
  bool replay_entry(Listener& listener, std::uint64_t index);
  void begin_grave(Listener& listener, std::uint64_t revision, std::string_view source);
  void release_grave(Listener& listener);
  [[nodiscard]] std::vector<std::string> grave_keys(const Listener& listener,
                                                    const Filter::Source* source, bool& more) const;
  void read_grave_page(Listener& listener);
  void check_graves();
  void share_grave_page(const std::pair<std::uint64_t, std::string>& key, const GravePage& page);
  void take_grave_page(Listener& listener, const GravePage& page);
  void end_grave(Listener& listener);
  void begin_state(Listener& listener, bool resync);
  void keep_log(Listener& listener, std::optional<std::uint64_t> after);
  void enter_states();
  void drop_untold_states(Listener& listener);
  void read_state_page(Listener& listener);
  [[nodiscard]] std::vector<StateItem> next_items(const Listener& listener) const;
  void take_state_page(Listener& listener, const std::vector<StateItem>& items, StatePage& page);
  void end_state(Listener& listener);
  void leave_stage(Listener& listener);
  // `work` on the read lane, then `done` here; at most reads_max at a time, in order. Neither where
  // it is for a listener's job that is let go before its turn.
  struct ReadFor {
    ListenerId id;
    std::uint64_t job = 0;
  };
  void read(std::optional<ReadFor> reader, std::shared_ptr<const store::View> view,
            std::function<void(const store::View&)> work, std::function<void()> done);
  void start_reads();

  const ListenersOptions options_;
  store::Store& store_;
  const History& history_;
  const ListenersHooks hooks_;
  ListenersStatus status_;

  std::map<ListenerId, std::unique_ptr<Listener>> listeners_;
  std::map<std::string, Listener*, std::less<>> sessions_;
  std::uint64_t last_id_ = 0;
  Matcher matcher_;

  LogTail tail_;
  bool tail_known_ = false;        // what it did before start() is learned, or does not matter
  std::vector<ListenerId> early_;  // wait for that
  bool stopping_ = false;

  std::deque<ListenerId> ready_;
  bool scheduled_ = false;
  std::set<ListenerId> beginning_;         // in stage state_begins
  std::multiset<std::uint64_t> kept_log_;  // Listener::keeps_log_after of all

  struct Read {
    std::optional<ReadFor> reader;            // none: it is wanted in any case
    std::shared_ptr<const store::View> view;  // nullptr: the state of the moment
    std::function<void(const store::View&)> work;
    std::function<void()> done;
  };
  std::deque<Read> reads_;
  std::size_t reading_ = 0;

  // Great updates that somebody still holds, by revision: listeners that replay the same entry
  // share one, and its wire form.
  std::map<std::uint64_t, std::weak_ptr<const Update>> great_;
  std::size_t great_looked_ = 0;  // since those that nobody holds were taken out

  // Listeners that wait for the same page of a grave share one read.
  using GraveKey = std::pair<std::uint64_t, std::string>;
  std::map<GraveKey, std::vector<std::pair<ListenerId, std::uint64_t>>> grave_reads_;
  // Who asks for single keys of a grave: many at a time in one read, and one such read at a time,
  // so that however many they are, others come to read between them.
  struct GraveCheck {
    ListenerId id;
    std::uint64_t job = 0;
    GraveRequest request;
    bool more_keys = false;
    GravePage page;
  };
  std::deque<GraveCheck> grave_checks_;
  bool checking_graves_ = false;
  std::multiset<std::uint64_t> kept_graves_;  // that a listener is in
  std::uint64_t trimmed_ = 0;                 // floor of the log
  std::uint64_t purged_ = 0;                  // done up to here
  bool purging_ = false;

  std::uint64_t tick_ = 0;
  std::uint64_t leaderless_ms_ = 0;
};

}  // namespace iris
