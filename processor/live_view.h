// One materialized view version: its state, its operators and how far it is.
//
// Invariant: at applied offset N the state equals the view's SELECT over the events with offset < N.
// Every apply() moves from one such state to the next under one publication, so readers never see
// half a chunk. The state's directory can be deleted at any time the program is down; the log
// rebuilds it.
// Threads: open() before any other; the "processor thread" part from that thread only; commit() from
// the committer thread; the rest from any thread.
// views/<creation offset>-<version>/ is the state's directory.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "log/log.h"
#include "processor/catalog.h"
#include "processor/derived_output.h"
#include "processor/engine.h"
#include "processor/event_source.h"
#include "processor/feeder.h"
#include "processor/operators/build.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

// Number of the error of a state whose bytes are wrong (state_store.h): the log makes it anew.
inline constexpr std::uint16_t kStateDamaged = 3301;

class ViewFeed;

class LiveView {
 public:
  using Clock = std::chrono::steady_clock;

  LiveView(CatalogEntryPtr entry, const EngineOptions& options);
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  // Opens the state, or makes it new: when there is none, when it is damaged or unreadable, or when
  // it does not belong to this log's prefix (then it is deleted, and a warning logged). Read-only
  // never deletes and never makes new. On an error the view is failed() and stays in the catalog.
  // `check_bytes`: a state of at most so many bytes is checked whole before it is used; what that took is
  // taken off. A larger one is checked by check_state().
  [[nodiscard]] Status open(log::Log& log, std::uint64_t& check_bytes);

  // --- processor thread ---
  // Once more after an open() or rebuild() that found no room.
  [[nodiscard]] Status reopen(log::Log& log);
  // It waits for room to be opened.
  [[nodiscard]] bool failed_full() const;
  // The building of it begins, or goes on, and is to reach `end`, unless that was said before.
  void begin_replay(Offset end);
  // The building is over, or goes on elsewhere: what is committed next loads the state's tree (StateStore::set_bulk).
  void end_replay();
  // How it goes: a state of ReplayProgress (empty: it is over) and events a second.
  void note_replay(const std::string& state, double events_per_second);
  // Its building stands still, until somebody says otherwise.
  void set_paused(bool paused) { paused_.store(paused); }
  [[nodiscard]] bool paused() const { return paused_.load(); }
  // What an event source must give for it.
  [[nodiscard]] const std::vector<const Plan*>& scans() const { return feeder_.scans(); }
  [[nodiscard]] Offset applied() const { return progress_.applied; }
  // Applies what the source's last chunk holds for this view, whose scans begin at `first` among the source's;
  // applied() is then the chunk's end. After an error the view is failed.
  [[nodiscard]] Status apply(const EventSource& source, std::size_t first);
  // A derived stream writes what it made: hands it to the log. After apply(), while no reader is kept waiting.
  void send();
  // Goes on with what the log refused or acknowledged since; true in the value if visible() moved. Gives the time
  // of the next call, nullopt if set_wake() will tell. After an error the view is failed.
  struct Writing {
    bool moved = false;
    std::optional<Clock::time_point> next;
  };
  [[nodiscard]] Expected<Writing> go_on(Clock::time_point now);
  // Waits for what was sent to be durable.
  void finish_writing();
  // Starts the state over from the log, if that still has all of it; otherwise nothing is deleted. After an
  // error the view is failed.
  [[nodiscard]] Status rebuild(log::Log& log, const std::string& why);
  // The error of a view whose next event, `needed`, is not in the log any more; nullopt if it is.
  [[nodiscard]] std::optional<Error> lost(const log::Log& log, Offset needed) const;
  [[nodiscard]] bool may_rebuild() const { return !rebuilt_; }
  void mark_failed(const Error& error);
  // The same from a reader, about the state it read: false if that has been replaced since.
  [[nodiscard]] bool mark_failed(const Error& error, std::uint64_t generation);

  // When the next freeze is due; nullopt if nothing waits for one.
  // At the earliest `pause` after the last one, unless memory is short.
  [[nodiscard]] std::optional<Clock::time_point> freeze_due(Clock::duration pause = {}) const;
  // The overlay is over twice its budget and cannot be committed yet: feed it no more. Processor thread only.
  [[nodiscard]] bool over_budget() const;
  // It has more uncommitted than its part of the memory: what can be frozen should be, before more is applied.
  [[nodiscard]] bool over_part() const;
  // Commits fail for want of space, and will be tried again.
  [[nodiscard]] bool commits_fail() const {
    return commits_fail_.load(std::memory_order_relaxed) || (output_ && output_->refused());
  }
  // The state that was opened is not checked yet: it takes no commits.
  [[nodiscard]] bool checking() const { return store_ && !store_->checked(); }
  // Freezes the overlay together with the identity of the log prefix it stands for. False if the one
  // before is still being committed.
  [[nodiscard]] Expected<bool> freeze(log::Log& log);
  // Gives cached memory back while all views together are over their budget.
  void shrink() {
    if (store_ && options_.memory->excess() > 0) store_->shrink();
  }
  [[nodiscard]] bool has_frozen() const { return store_ && store_->has_frozen(); }
  // True if something was applied that is neither committed nor frozen.
  [[nodiscard]] bool changed() const { return store_ && (state_changed_ || offset_changed_); }

  // --- committer thread ---
  [[nodiscard]] Status commit();

  // --- checker thread ---
  // Checks the state that is served, if that was not done. `go_on` as in StateStore::check().
  [[nodiscard]] Status check_state(const std::function<bool(std::uint64_t)>& go_on) const;

  // Its memory is over the budget, and only the check's end can make room.
  [[nodiscard]] bool waits_for_check() const { return waits_for_check_.load(std::memory_order_relaxed); }

  // --- any thread ---
  // Called, from any thread, when go_on() has something to do; empty: nobody.
  void set_wake(std::function<void()> wake);
  [[nodiscard]] const CatalogEntry& entry() const { return *entry_; }
  // Whom changes of its rows are told, null: nobody. While no view moves (Pipeline::hold_still).
  void set_feed(std::shared_ptr<ViewFeed> feed);
  // No event changed anything from this applied offset on.
  [[nodiscard]] Offset changed_until() const { return Offset(changed_until_.load(std::memory_order_relaxed)); }
  // Keeps the plan alive, and nothing else of the view.
  [[nodiscard]] CatalogEntryPtr entry_pointer() const { return entry_; }
  [[nodiscard]] const ViewPlan& plan() const { return *entry_->view; }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  // What reads use; keeps the state alive. The view's error when it failed.
  struct Served {
    std::shared_ptr<StateStore> store;
    std::shared_ptr<const ViewReader> reader;
  };
  [[nodiscard]] Expected<Served> served() const;
  [[nodiscard]] std::optional<Error> failed() const;
  // Grows each time the state is replaced.
  [[nodiscard]] std::uint64_t generation() const;
  // Visible to readers: every event below is applied, and what a derived stream made of it is durable.
  [[nodiscard]] Offset visible() const { return Offset(visible_.load()); }
  // Where the first build ends: until then answers are of a view that is being built.
  [[nodiscard]] Offset build_end() const { return Offset(build_end_.load(std::memory_order_relaxed)); }
  [[nodiscard]] bool building() const { return visible() < build_end(); }
  // Readers of it have seen `offset` already, from this version or from the one before: until it is visible, they
  // wait. Before other threads use the view.
  void set_floor(Offset offset) { floor_ = offset; }
  [[nodiscard]] bool below_floor() const { return visible() < floor_; }
  [[nodiscard]] Offset floor() const { return floor_; }
  [[nodiscard]] ViewStatus status(log::Log& log) const;
  // Conversion failures so far, by stream and column.
  [[nodiscard]] std::map<std::string, std::map<std::string, std::uint64_t>> conversion_failures() const;
  // Events so far that were not JSON objects.
  [[nodiscard]] std::uint64_t poison() const;

 private:
  // From one freeze to the next.
  [[nodiscard]] Clock::duration commit_pause() const;
  class Receiver;
  // A column of a stream in which conversion failures are counted, and their key in the state.
  struct CountedColumn {
    std::string stream;
    std::string column;
    std::string key;
  };
  // Lists the columns that its scans read, each once.
  void find_counted_columns();
  // Failures and event times beside the view's own tables.
  [[nodiscard]] Status load_side_tables();
  void count_failures(const EventSource& source, std::size_t first);
  // What expressions straight over streams could not compute since the last call.
  void count_expression_failures();
  void store_times();
  [[nodiscard]] Status open_state(log::Log& log, std::uint64_t check_bytes);
  // Deletes the state and begins it anew.
  [[nodiscard]] Status make_new(log::Log& log, const std::string& why);
  [[nodiscard]] Status start_over(log::Log& log);
  void describe_replay(log::Log& log, Offset end, ViewStatus& status) const;
  // Events of the topics that it reads below an offset; of all topics where the log cannot say.
  [[nodiscard]] std::uint64_t events_below(log::Log& log, Offset offset) const;
  // What is below the committed offset is not needed any more.
  void hold_from(Offset committed);
  // Sequentially consistent: a waiter registers and then looks here, the processor stores here and
  // then looks for waiters.
  void publish_visible() { visible_.store((output_ ? output_->settled_below() : progress_.applied).value()); }

  const CatalogEntryPtr entry_;
  const EngineOptions options_;
  const std::filesystem::path directory_;
  Offset floor_{};
  std::atomic<bool> paused_{false};
  std::vector<CountedColumn> counted_;               // Constant once made.
  std::vector<std::vector<std::size_t>> counted_at_; // Per scan and output column: index into it, or kNotCounted.

  std::shared_ptr<StateStore> store_;  // Shared with readers through served_.
  Dataflow flow_;
  std::uint64_t row_count_ = 0;        // Kept by the operators.
  Progress progress_;
  Feeder feeder_;
  const std::unique_ptr<DerivedOutput> output_;  // Of a derived stream.
  std::vector<std::uint64_t> failures_;       // By index into counted_.
  std::uint64_t seen_failures_ = 0;           // Of the dataflow's.
  std::atomic<std::uint64_t> expression_failures_{0};
  std::vector<std::int64_t> stored_times_;    // As the state has them, by index into Feeder::times().
  bool state_changed_ = false;         // Since the last freeze; the offset alone is not a change.
  bool offset_changed_ = false;
  bool rebuilt_ = false;
  Clock::time_point last_freeze_ = Clock::now();
  Clock::time_point freeze_not_before_{};  // The log could not name the place.

  mutable std::mutex mutex_;           // Guards the next eight; feed_ changes only while no view moves.
  std::shared_ptr<ViewFeed> feed_;     // Shared with who follows it.
  log::Hold hold_;                     // Keeps the log from the committed offset on.
  Served served_;
  std::optional<Error> error_;
  std::uint64_t generation_ = 0;
  std::string rebuilt_why_;            // For the status.
  std::string commit_note_;            // Why commits do not succeed at the moment.
  std::string replay_state_;           // Empty: it is not being replayed.
  double replay_rate_ = 0;
  std::atomic<std::uint64_t> visible_{0};
  std::atomic<std::uint64_t> build_end_{0};
  std::atomic<std::uint64_t> changed_until_{0};
  std::atomic<std::uint64_t> events_applied_{0};
  std::atomic<std::uint64_t> commits_{0};
  std::atomic<Clock::duration::rep> commit_took_{0};  // The last one.
  std::atomic<bool> commits_fail_{false};
  std::atomic<bool> over_budget_{false};  // As of what is published, for the status.
  std::atomic<bool> waits_for_check_{false};
};

}  // namespace kappa::processor
