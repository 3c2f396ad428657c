// What a view says of itself, to any thread.
#include <algorithm>
#include <chrono>
#include <utility>

#include "processor/live_view.h"

namespace kappa::processor {

void LiveView::begin_replay(Offset end) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(replay_state_, "waiting").empty()) {
    build_end_.store(std::max(build_end(), end).value(), std::memory_order_relaxed);
  }
}

void LiveView::note_replay(const std::string& state, double events_per_second) {
  const std::lock_guard lock(mutex_);
  replay_state_ = state;
  replay_rate_ = events_per_second;
}

std::uint64_t LiveView::poison() const {
  const auto serving = served();
  return serving ? serving->store->progress().poison : 0;
}

// What is fixed (the total) and what is not (the tail) of a view that is being built.
void LiveView::describe_replay(Offset end, ViewStatus& status) const {
  ReplayProgress& replay = status.replay;
  replay.active = !replay.state.empty() || building();
  if (replay.active && replay.state.empty()) replay.state = "running";
  const Offset from = entry_->from;
  const Offset goal = std::max(build_end(), from);
  const Offset done = std::clamp(status.applied, from, goal);
  replay.events_total = goal - from;
  replay.events_done = done - from;
  const Offset beyond = std::max(goal, status.applied);
  replay.tail_events = end > beyond ? end - beyond : 0;
  if (!replay.active || replay.events_per_second <= 0) return;
  replay.eta_seconds =
      static_cast<double>(goal - done + replay.tail_events) / replay.events_per_second;
}

ViewStatus LiveView::status(log::Log& log) const {
  ViewStatus status;
  status.name = entry_->name;
  status.version = entry_->version;
  status.from = entry_->from;
  status.rebuildable = log.start() <= entry_->from;
  status.state = building() ? "building" : "live";
  Served serving;
  {
    const std::lock_guard lock(mutex_);
    serving = served_;
    status.rebuilt = rebuilt_why_;
    status.replay.state = replay_state_;
    status.replay.events_per_second = replay_rate_;
    if (error_) {
      status.state = error_->code == ErrorCode::kFull ? "full" : "failed";
      status.error = to_string(*error_);
    } else {
      status.error = commit_note_;
      if (commits_fail_.load(std::memory_order_relaxed) && over_budget_.load(std::memory_order_relaxed)) {
        status.state = "full";
      }
      if (const auto refused = output_ ? output_->refused() : std::nullopt; refused && refused->code == ErrorCode::kFull) {
        status.state = "full";
        status.error = to_string(*refused);
      }
    }
  }
  status.events_applied = events_applied_.load(std::memory_order_relaxed);
  status.commits = commits_.load(std::memory_order_relaxed);
  if (!serving.store) return status;
  const Progress progress = serving.store->progress();
  status.applied = progress.applied;
  status.committed = serving.store->committed();
  status.rows = progress.rows;
  status.poison = progress.poison;
  status.conversion_failures = progress.conversion_failures;
  status.expression_failures = expression_failures_.load(std::memory_order_relaxed);
  if (entry_->view->emit == ViewPlan::Emit::kOnWindowClose) status.late = late_rows(*serving.store).value_or(0);
  status.bytes_on_disk = serving.store->bytes_on_disk();
  status.bytes_in_memory = serving.store->bytes_in_memory();
  status.checked = serving.store->checked();
  const Offset end = log.durable_end();
  status.lag_events = end > progress.applied ? end - progress.applied : 0;
  describe_replay(end, status);
  if (status.lag_events > 0) {
    const auto first = log.reader(progress.applied, {})->next();
    if (first && *first) {
      const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::system_clock::now().time_since_epoch());
      // Append times may be ahead of a clock that went back.
      const std::int64_t appended = (*first)->header.append_time.value();
      if (now.count() > appended) status.lag_seconds = static_cast<double>(now.count() - appended) / 1e6;
    }
  }
  return status;
}

}  // namespace kappa::processor
