// Builds views that are far behind: on threads of its own, beside the processor thread, which goes on with the views
// that are not.
//
// Views over the same topics at the same place form a job, with one decode for all of them (ordered_scan.h). Decoding
// runs on all threads; chunks are applied to the views in the order of the log by whoever has the turn. So every
// plan, order-dependent ones too, does exactly what it does live, and its state has the same bytes. Of several jobs
// over the same topics the hindmost runs until it meets the next one and joins it. A job that has come near the end
// of the log gives its views to the host, at their applied offset: they slide into live.
//
// What a view commits on the way is a checkpoint: after a crash it goes on from there.
// Threads run at low priority and, with a share below 100 %, rest in between, so that live views keep theirs.
// Memory: what a view has uncommitted is bounded as when it is live; a job waits while one of its views is over its
// part. Chunks: see OrderedScan.
//
// The part of LiveView that is the processor thread's is, between add() and returned(), that of who holds the turn.
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "log/log.h"
#include "processor/live_view.h"
#include "processor/replay/bell.h"
#include "processor/replay/ordered_scan.h"
#include "processor/replay/replay_options.h"

namespace kappa::processor {

class Replayer {
 public:
  // Whose views they are. Called from the replayer's threads.
  class Host {
   public:
    virtual ~Host() = default;
    // The view has moved.
    virtual void replayed(LiveView& view) = 0;
    // A frozen overlay waits for its commit. The end of that must wake().
    virtual void commit(std::shared_ptr<LiveView> view) = 0;
    // The replayer is done with it: it is near the end, it failed, it cannot commit, or the log cannot be read there.
    virtual void returned(std::shared_ptr<LiveView> view) = 0;
  };

  Replayer(log::Log& log, const ReplayOptions& options, Host& host);
  ~Replayer() { stop(); }
  Replayer(const Replayer&) = delete;
  Replayer& operator=(const Replayer&) = delete;

  // Ends the threads, once and for all. Views stay where they are; they are not returned. Nobody may add() any more.
  void stop();

  // Whether it is worth to add() the view.
  [[nodiscard]] bool takes(const LiveView& view) const;
  void add(std::shared_ptr<LiveView> view);
  // The same, but it stays where it is until resume(), however far behind it is.
  void add_paused(std::shared_ptr<LiveView> view);
  // Takes it away: afterwards no thread uses it, and it is not returned. False if it is not here.
  bool remove(const LiveView& view);
  // A paused view stays where it is, and others of its job go on. False if it is not here.
  bool pause(const LiveView& view);
  bool resume(const LiveView& view);
  // While the lock lives no view moves here.
  [[nodiscard]] std::unique_lock<std::mutex> hold_still();
  // A commit ended, or a state was checked.
  void wake() { bell_.ring(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Job;
  class Turn;
  using JobPtr = std::shared_ptr<Job>;  // Shared by the list and the threads that work on it.
  using Lock = std::unique_lock<std::mutex>;

  void work(unsigned number);  // A thread.
  // A piece of work on some job; false if there is none.
  bool work_once();
  [[nodiscard]] std::vector<JobPtr> runnable();
  // Of the holder of turn_:
  void start_scan(Job& job);
  [[nodiscard]] bool apply(Job& job, const OrderedScan& scan, const EventSource& chunk);
  void freeze_due(Job& job);
  // Commits what the view has, if nothing is in the way.
  void checkpoint(const std::shared_ptr<LiveView>& view);
  void look_at_budget(Job& job);
  void finish(const JobPtr& job, const OrderedScan& scan, bool failed);
  void give_back(std::shared_ptr<LiveView> view);
  void note_progress(Job& job);
  [[nodiscard]] JobPtr job_of(const LiveView& view, std::shared_ptr<LiveView>& found);
  void insert(std::shared_ptr<LiveView> view);
  void drop_empty_jobs();
  // Every job of these topics decodes anew, up to where it must end now.
  void restart_scans(const std::vector<std::string>& topics);

  log::Log& log_;
  const ReplayOptions options_;
  Host& host_;
  Bell bell_;
  std::atomic<bool> stopping_{false};

  // The turn: whoever applies chunks, or changes jobs. gate_ lets others than the last holder have it.
  std::mutex gate_;
  std::mutex turn_;
  mutable std::mutex mutex_;  // Guards jobs_' list, for those who do not hold the turn. Inside turn_.
  std::vector<JobPtr> jobs_;  // Changed under both.
  std::vector<std::shared_ptr<LiveView>> paused_;  // Of the turn.
  std::atomic<std::size_t> next_job_{0};
  std::vector<std::thread> threads_;
};

}  // namespace kappa::processor
