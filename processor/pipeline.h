// The moving part: one thread reads the log and applies it to the views, another commits.
//
// Views of the same topics that stand at the same offset form a group: one source, one decode. A group
// behind the others (a new view, a restart) is fed in slices between those of the group in front,
// never past it, and joins it when it arrives. The processor thread sleeps on a condition variable
// that the log's durable end, a new view, a finished commit or a waiting read wakes; it uses timed
// waits only while something is uncommitted or a read waits, so an idle engine uses no CPU.
//
// A view that is far behind is built by the replayer (replay/replayer.h) on threads of its own and comes back near
// the log's end.
//
// Owners: groups and the processor part of LiveView belong to the processor thread; other threads
// hand it views through a small inbox. Memory: a view whose overlay is over twice its budget stops
// its group until the committer is done with it, and leaves it if its commits fail for want of space.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "log/log.h"
#include "processor/event_source.h"
#include "processor/live_view.h"
#include "processor/replay/replayer.h"
#include "processor/waiters.h"
#include "proto/error.h"

namespace kappa::processor {

class Pipeline : private Replayer::Host {
 public:
  // Views must have been opened. The log outlives the pipeline.
  Pipeline(log::Log& log, const ReplayOptions& replay, std::vector<std::shared_ptr<LiveView>> views);
  // Stops the threads, then commits what is applied.
  ~Pipeline() override;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Takes an opened view; it is fed from its applied offset on.
  void add(std::shared_ptr<LiveView> view);
  // Returns when neither thread uses the view any more. Its waiters end with kNotFound 2003.
  void remove(const std::shared_ptr<LiveView>& view);
  // Ends the waiters of a view that was removed.
  void abandon(const LiveView& view);
  // A reader found the state of that generation damaged: the view is rebuilt, or fails if it was
  // rebuilt before.
  void report_damage(LiveView& view, std::uint64_t generation, const Error& error);
  // The check of a view's state ended: its commits may begin.
  void state_checked() {
    wake();
    replayer_->wake();
  }
  // Between two chunks: while the lock lives, no view moves, so that readers see views that are equally far at
  // one offset. Any thread; to be held for moments.
  struct Still {
    std::unique_lock<std::mutex> live, replays;
  };
  [[nodiscard]] Still hold_still();
  // The building of a view stops where it is, and goes on. False if it is not being replayed.
  bool pause_replay(const LiveView& view) { return replayer_->pause(view); }
  bool resume_replay(const LiveView& view) { return replayer_->resume(view); }
  // See Engine::wait; `target` is the applied offset to reach.
  void wait(std::shared_ptr<LiveView> view, Offset target, std::chrono::milliseconds timeout,
            Waiters::Ready ready);

 private:
  using Clock = std::chrono::steady_clock;
  // Views of the same topics at one offset.
  struct Group {
    std::vector<std::shared_ptr<LiveView>> views;
    std::unique_ptr<EventSource> source;
    [[nodiscard]] Offset position() const { return source->position(); }
  };
  using GroupPtr = std::unique_ptr<Group>;
  using Topics = std::vector<TopicId>;  // Ascending, each once.

  [[nodiscard]] std::unique_lock<std::mutex> hold_live_views();
  void process();                                   // The processor thread.
  void take_inbox();
  // Into a group of its own, or the one at its offset; to the replayer if it is far behind and `may_replay`.
  void start_view(std::shared_ptr<LiveView> view, bool may_replay = true);
  void take_returned(std::shared_ptr<LiveView> view);
  [[nodiscard]] bool is_replaying(const LiveView& view) const;
  void forget(const LiveView& view);
  // The topics of its streams; registers those that the log does not have.
  [[nodiscard]] Expected<Topics> topics_of(const LiveView& view);
  // One turn over every set of topics; true if anything moved.
  bool turn();
  bool turn_groups(std::vector<GroupPtr>& groups);
  // Feeds one slice, at most up to `limit`. True if the group moved.
  bool feed(Group& group, Offset limit);
  // Takes failed views out of their groups; a damaged one is rebuilt, once.
  void drop_failed();
  void rebuild_or_leave(std::shared_ptr<LiveView> view);
  // Opens again what found no room, if it is time; gives the next time.
  std::optional<Clock::time_point> open_again(Clock::time_point now);
  // Derived streams go on with their writing; gives the next time.
  std::optional<Clock::time_point> go_on_writing(Clock::time_point now);
  // Feeds those stuck views again whose commits made room.
  bool release_stuck();
  [[nodiscard]] static std::vector<const Plan*> scans_of_group(const Group& group);
  static void refresh_scans(Group& group);
  // Freezes what is due and hands it to the committer; gives the time of the next one. A view whose
  // last overlay is still being committed, or whose state is being checked, has no time: the end of that
  // wakes us.
  std::optional<Clock::time_point> freeze_due_views(Clock::time_point now);
  void sleep(std::optional<Clock::time_point> until);
  void wake();

  // Of the replayer's threads:
  void replayed(LiveView& view) override { waiters_.check(view); }
  void commit(std::shared_ptr<LiveView> view) override;
  void returned(std::shared_ptr<LiveView> view) override;

  void commit_loop();                               // The committer thread.
  void final_commits();

  log::Log& log_;
  Waiters waiters_;

  // Processor thread only.
  std::map<Topics, std::vector<GroupPtr>> topics_;   // Groups by position, lowest first.
  std::vector<std::shared_ptr<LiveView>> views_;     // All that there are.
  // Over their memory budget while their commits find no space: in no group, so that they stop
  // nobody else.
  std::vector<std::shared_ptr<LiveView>> stuck_;
  std::vector<std::shared_ptr<LiveView>> replaying_;  // With the replayer, whose they are meanwhile.
  // Could not be opened, or their topic not be registered, for want of space; tried again.
  std::vector<std::shared_ptr<LiveView>> unopened_;
  Clock::time_point next_opening_;
  // When a read of the log that failed for want of a descriptor or of memory is tried again.
  std::optional<Clock::time_point> read_again_;

  // hold_still(): the processor holds still_ while it applies a chunk. Who wants it next holds gate_, or the
  // processor would have it again before anybody who sleeps for it.
  std::mutex gate_;
  std::mutex still_;

  std::atomic<bool> has_views_{true};                // Nobody to feed: the log need not wake us.

  std::mutex mutex_;                                 // Guards what follows.
  std::condition_variable wake_processor_;
  std::condition_variable wake_committer_;
  std::condition_variable removed_;
  bool woken_ = false;
  bool stopping_ = false;
  bool stop_committer_ = false;
  bool failure_seen_ = false;                        // drop_failed() has something to do.
  std::vector<std::shared_ptr<LiveView>> added_;
  std::vector<std::shared_ptr<LiveView>> to_remove_;
  std::vector<std::shared_ptr<LiveView>> returned_;  // By the replayer.
  struct Commit {
    std::shared_ptr<LiveView> view;
    Clock::time_point not_before;
    std::chrono::milliseconds backoff{0};            // After a full disk.
  };
  std::vector<Commit> to_commit_;
  const LiveView* committing_ = nullptr;

  std::unique_ptr<Replayer> replayer_;
  std::uint64_t subscription_ = 0;
  std::thread processor_;
  std::thread committer_;
};

}  // namespace kappa::processor
