// What a view says of itself, to any thread.
#include <algorithm>
#include <chrono>
#include <utility>

#include "processor/live_view.h"

namespace kappa::processor {

void LiveView::begin_replay(Offset end) {
  if (store_) store_->set_bulk(true);
  const std::lock_guard lock(mutex_);
  if (std::exchange(replay_state_, "waiting").empty()) {
    build_end_.store(std::max(build_end(), end).value(), std::memory_order_relaxed);
  }
}

void LiveView::end_replay() {
  if (!store_) return;
  store_->set_bulk(false);
  if (store_->has_runs() || store_->has_frozen()) state_changed_ = true;  // A commit is wanted.
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

std::uint64_t LiveView::events_below(log::Log& log, Offset offset) const {
  std::vector<std::string_view> topics;
  std::uint64_t events = 0;
  for (const Plan* scan : scans()) {
    if (std::ranges::find(topics, scan->stream->topic) != topics.end()) continue;
    topics.push_back(scan->stream->topic);
    const auto topic = log.find_topic(scan->stream->topic);
    if (!topic) continue;
    const auto below = log.sequence_at(topic->id, offset);
    if (!below) return offset.value();
    events += below->value();
  }
  return events;
}

// What is fixed (the total) and what is not (the tail) of a view that is being built.
void LiveView::describe_replay(log::Log& log, Offset end, ViewStatus& status) const {
  ReplayProgress& replay = status.replay;
  replay.active = !replay.state.empty() || building();
  if (replay.active && replay.state.empty()) replay.state = "running";
  const Offset from = entry_->from;
  const Offset goal = std::max(build_end(), from);
  const Offset done = std::clamp(status.applied, from, goal);
  if (!replay.active) return;
  const Offset beyond = std::max(goal, status.applied);
  const std::uint64_t tail_offsets = end > beyond ? end - beyond : 0;
  // In order, so that what is counted can only be the events between.
  const std::uint64_t first = events_below(log, from);
  const std::uint64_t here = std::max(events_below(log, done), first);
  const std::uint64_t last = std::max(events_below(log, std::min(goal, end)), here);
  replay.events_total = last - first;
  replay.events_done = here - first;
  if (tail_offsets > 0) {
    const std::uint64_t reached = events_below(log, beyond);
    replay.tail_events = std::max(events_below(log, end), reached) - reached;
  }
  if (replay.events_per_second <= 0) return;
  // The rate is that of all topics' events, which pass at the same time.
  const auto left = static_cast<double>(goal - done + tail_offsets);
  replay.eta_seconds = left / replay.events_per_second;
  if (left > 0) replay.events_per_second *= static_cast<double>(last - here + replay.tail_events) / left;
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
  describe_replay(log, end, status);
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
