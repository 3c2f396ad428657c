// The processor thread: groups, slices, merging, freezing. pipeline_commit.cc has the committer.
#include "processor/pipeline.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace kappa::processor {
namespace {

// How long one group is fed before the others have their turn: short enough that a build does not
// delay live events noticeably, long enough that switching costs nothing.
constexpr std::chrono::milliseconds kSlice{5};
constexpr Offset kNoLimit{UINT64_MAX};
// How often a view that found no room to be opened is tried again.
constexpr std::chrono::milliseconds kOpeningInterval{500};
constexpr std::chrono::milliseconds kReadAgainAfter{500};

}  // namespace

Pipeline::Pipeline(log::Log& log, const ReplayOptions& replay, std::vector<std::shared_ptr<LiveView>> views)
    : log_(log), added_(std::move(views)), replayer_(std::make_unique<Replayer>(log, replay, static_cast<Replayer::Host&>(*this))) {
  subscription_ = log_.subscribe_durable([this] {
    // Waking a thread costs the caller, who has acknowledgements to send, tens of microseconds.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (has_views_.load(std::memory_order_relaxed)) wake();
  });
  committer_ = std::thread([this] { commit_loop(); });
  processor_ = std::thread([this] { process(); });
}

Pipeline::~Pipeline() {
  log_.unsubscribe_durable(subscription_);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_processor_.notify_all();
  processor_.join();
  replayer_->stop();  // The committer may still wake it.
  {
    const std::lock_guard lock(mutex_);
    stop_committer_ = true;
  }
  wake_committer_.notify_all();
  committer_.join();
  waiters_.abandon_all(Error{ErrorCode::kClosed, 4007, "the server is shutting down", {}, 0, {}});
  for (const auto& view : views_) view->set_wake({});
  final_commits();
}

void Pipeline::add(std::shared_ptr<LiveView> view) {
  {
    const std::lock_guard lock(mutex_);
    added_.push_back(std::move(view));
  }
  wake();
}

void Pipeline::remove(const std::shared_ptr<LiveView>& view) {
  wake();
  std::unique_lock lock(mutex_);
  to_remove_.push_back(view);
  woken_ = true;
  wake_processor_.notify_one();
  removed_.wait(lock, [&] {
    return std::ranges::find(to_remove_, view) == to_remove_.end() && committing_ != view.get();
  });
  // A commit that was under way may have put it back for a retry.
  std::erase_if(to_commit_, [&](const Commit& commit) { return commit.view == view; });
  lock.unlock();
  abandon(*view);
}

void Pipeline::abandon(const LiveView& view) {
  waiters_.abandon(view, Error{ErrorCode::kNotFound, 2003, "view \"" + view.entry().name + "\" was dropped",
                               {}, 0, {}});
}

void Pipeline::report_damage(LiveView& view, std::uint64_t generation, const Error& error) {
  if (!view.mark_failed(error, generation)) return;
  {
    const std::lock_guard lock(mutex_);
    failure_seen_ = true;
  }
  wake();
}

std::unique_lock<std::mutex> Pipeline::hold_live_views() {
  const std::lock_guard next(gate_);
  return std::unique_lock(still_);
}

Pipeline::Still Pipeline::hold_still() { return {hold_live_views(), replayer_->hold_still()}; }

void Pipeline::commit(std::shared_ptr<LiveView> view) {
  const std::lock_guard lock(mutex_);
  to_commit_.push_back({std::move(view), Clock::now(), {}});
  wake_committer_.notify_one();
}

void Pipeline::returned(std::shared_ptr<LiveView> view) {
  {
    const std::lock_guard lock(mutex_);
    returned_.push_back(std::move(view));
  }
  wake();
}

void Pipeline::take_returned(std::shared_ptr<LiveView> view) {
  if (std::erase(replaying_, view) == 0) return;  // It was removed, or taken back as failed.
  if (view->failed()) {
    rebuild_or_leave(std::move(view));
  } else {
    start_view(std::move(view), false);
  }
}

bool Pipeline::is_replaying(const LiveView& view) const {
  return std::ranges::any_of(replaying_, [&](const auto& other) { return other.get() == &view; });
}

void Pipeline::wait(std::shared_ptr<LiveView> view, Offset target, std::chrono::milliseconds timeout,
                    Waiters::Ready ready) {
  const LiveView& waited = *view;
  if (!waiters_.add(std::move(view), target, Clock::now() + timeout, std::move(ready))) return;
  waiters_.check(waited);  // It may have arrived, or failed, before the waiter was seen.
  wake();                  // The deadline.
}

void Pipeline::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (woken_) return;
    woken_ = true;
  }
  wake_processor_.notify_one();
}

void Pipeline::sleep(std::optional<Clock::time_point> until) {
  std::unique_lock lock(mutex_);
  const auto roused = [this] { return woken_ || stopping_; };
  if (until) {
    wake_processor_.wait_until(lock, *until, roused);
  } else {
    wake_processor_.wait(lock, roused);
  }
  woken_ = false;
}

void Pipeline::process() {
  pthread_setname_np(pthread_self(), "kappa-processor");
  for (;;) {
    take_inbox();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    // Before the durable end is looked at: what becomes durable after that wakes us.
    has_views_.store(!views_.empty(), std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    read_again_.reset();
    const bool moved = turn();
    drop_failed();
    const Clock::time_point now = Clock::now();
    const auto writing = go_on_writing(now);  // First: what is durable may be committed.
    auto until = freeze_due_views(now);
    const auto deadline = waiters_.expire(now);
    if (deadline && (!until || *deadline < *until)) until = deadline;
    if (writing && (!until || *writing < *until)) until = writing;
    const auto opening = open_again(now);
    if (opening && (!until || *opening < *until)) until = opening;
    if (read_again_ && (!until || *read_again_ < *until)) until = read_again_;
    if (!moved) sleep(until);
  }
}

void Pipeline::take_inbox() {
  std::vector<std::shared_ptr<LiveView>> added;
  std::vector<std::shared_ptr<LiveView>> removed;
  std::vector<std::shared_ptr<LiveView>> returned;
  {
    const std::lock_guard lock(mutex_);
    added.swap(added_);
    returned.swap(returned_);
    removed = to_remove_;
  }
  for (auto& view : added) {
    views_.push_back(view);
    view->set_wake([this] { wake(); });
    if (view->failed_full()) {
      unopened_.push_back(std::move(view));
    } else if (const auto error = view->failed(); !error) {
      start_view(std::move(view));
    } else if (error->number == kStateDamaged) {
      // Found by the check of its state before this thread had begun.
      rebuild_or_leave(std::move(view));
    }
  }
  for (auto& view : returned) take_returned(std::move(view));
  if (removed.empty()) return;
  for (const auto& view : removed) {
    view->set_wake({});
    forget(*view);
  }
  {
    const std::lock_guard lock(mutex_);
    for (const auto& view : removed) {
      std::erase(to_remove_, view);
      std::erase_if(to_commit_, [&](const Commit& commit) { return commit.view == view; });
    }
  }
  removed_.notify_all();
}

std::vector<const Plan*> Pipeline::scans_of_group(const Group& group) {
  std::vector<const Plan*> scans;
  for (const auto& view : group.views) scans.insert(scans.end(), view->scans().begin(), view->scans().end());
  return scans;
}

void Pipeline::refresh_scans(Group& group) { group.source->set_scans(scans_of_group(group)); }

Expected<Pipeline::Topics> Pipeline::topics_of(const LiveView& view) {
  Topics topics;
  for (const Plan* scan : view.scans()) {
    KAPPA_TRY(const TopicId topic, log_.ensure_topic(scan->stream->topic));
    topics.push_back(topic);
  }
  std::ranges::sort(topics);
  topics.erase(std::ranges::unique(topics).begin(), topics.end());
  return topics;
}

void Pipeline::start_view(std::shared_ptr<LiveView> view, bool may_replay) {
  const auto topics = topics_of(*view);
  if (!topics && topics.error().code == ErrorCode::kFull) {
    unopened_.push_back(std::move(view));
    return;
  }
  if (!topics) {
    view->mark_failed(topics.error());
    waiters_.check(*view);
    return;
  }
  if (view->paused()) {
    replaying_.push_back(view);
    replayer_->add_paused(std::move(view));
    return;
  }
  if (may_replay && replayer_->takes(*view)) {
    replaying_.push_back(view);
    replayer_->add(std::move(view));
    return;
  }
  std::vector<GroupPtr>& groups = topics_[*topics];
  const auto at = std::ranges::lower_bound(groups, view->applied(), {}, [](const GroupPtr& g) { return g->position(); });
  if (at != groups.end() && (*at)->position() == view->applied()) {
    (*at)->views.push_back(std::move(view));
    refresh_scans(**at);
    return;
  }
  auto group = std::make_unique<Group>();
  group->source = std::make_unique<EventSource>(log_, view->applied(), view->scans());
  group->views.push_back(std::move(view));
  groups.insert(at, std::move(group));
}

void Pipeline::forget(const LiveView& view) {
  const auto is_it = [&](const std::shared_ptr<LiveView>& other) { return other.get() == &view; };
  std::erase_if(views_, is_it);
  std::erase_if(stuck_, is_it);
  std::erase_if(unopened_, is_it);
  // What it returned meanwhile finds no place any more, see take_returned().
  if (std::erase_if(replaying_, is_it) > 0) static_cast<void>(replayer_->remove(view));
  for (auto& [topic, groups] : topics_) {
    for (const GroupPtr& group : groups) {
      if (std::erase_if(group->views, is_it) > 0 && !group->views.empty()) refresh_scans(*group);
    }
    std::erase_if(groups, [](const GroupPtr& group) { return group->views.empty(); });
  }
}

std::optional<Pipeline::Clock::time_point> Pipeline::open_again(Clock::time_point now) {
  if (unopened_.empty()) return std::nullopt;
  if (now < next_opening_) return next_opening_;
  next_opening_ = now + kOpeningInterval;
  for (auto& view : std::exchange(unopened_, {})) {
    if (!view->failed()) {
      start_view(std::move(view));
      wake();
    } else if (const Status opened = view->reopen(log_); !opened) {
      if (view->failed_full()) unopened_.push_back(std::move(view));
    } else {
      spdlog::info("view \"{}\" has room again", view->entry().name);
      start_view(std::move(view));
      wake();
    }
  }
  return unopened_.empty() ? std::nullopt : std::optional(next_opening_);
}

std::optional<Pipeline::Clock::time_point> Pipeline::go_on_writing(Clock::time_point now) {
  std::optional<Clock::time_point> next;
  for (const auto& view : views_) {
    if (!view->entry().derived() || view->failed()) continue;
    const auto writing = view->go_on(now);
    if (!writing) {
      view->mark_failed(writing.error());
      const std::lock_guard lock(mutex_);
      failure_seen_ = true;
      woken_ = true;
      continue;
    }
    if (writing->moved) waiters_.check(*view);
    if (writing->next && (!next || *writing->next < *next)) next = writing->next;
  }
  return next;
}

bool Pipeline::release_stuck() {
  bool released = false;
  for (auto& view : std::exchange(stuck_, {})) {
    if (view->failed()) continue;
    if (const auto lost = view->lost(log_, view->applied())) {
      // Retention's hard cap went by while it waited for room.
      spdlog::error("{}", to_string(*lost));
      view->mark_failed(*lost);
      waiters_.check(*view);
      continue;
    }
    if (view->over_budget()) {
      stuck_.push_back(std::move(view));
    } else {
      start_view(std::move(view));
      released = true;
    }
  }
  return released;
}

bool Pipeline::turn() {
  bool moved = !stuck_.empty() && release_stuck();
  for (auto& [topic, groups] : topics_) moved |= turn_groups(groups);
  return moved;
}

bool Pipeline::turn_groups(std::vector<GroupPtr>& groups) {
  if (groups.empty()) return false;
  bool moved = feed(*groups.back(), kNoLimit);
  if (groups.size() > 1) {
    // The last goes first: once it has joined the next, one decode serves both.
    moved |= feed(*groups[0], groups[1]->position());
    if (groups[0]->position() == groups[1]->position()) {
      Group& next = *groups[1];
      std::ranges::move(groups[0]->views, std::back_inserter(next.views));
      groups.erase(groups.begin());
      refresh_scans(next);
      moved = true;
    }
  }
  std::erase_if(groups, [](const GroupPtr& group) { return group->views.empty(); });  // Got stuck.
  return moved;
}

bool Pipeline::feed(Group& group, Offset limit) {
  limit = std::min(limit, log_.durable_end());
  const auto blocked = [&] {
    return std::ranges::any_of(group.views, [](const auto& view) { return view->over_budget(); });
  };
  const auto over_part = [&] {
    return std::ranges::any_of(group.views, [](const auto& view) { return view->over_part(); });
  };
  if (group.position() >= limit) return false;
  if (blocked()) {
    const std::size_t before = group.views.size();
    std::erase_if(group.views, [&](const std::shared_ptr<LiveView>& view) {
      if (!view->over_budget() || !(view->commits_fail() || view->checking())) return false;
      stuck_.push_back(view);
      return true;
    });
    if (group.views.size() == before || group.views.empty()) return false;
    refresh_scans(group);
    if (blocked()) return false;
  }
  const Clock::time_point end = Clock::now() + kSlice;
  bool any = false;
  bool failed = false;
  do {
    const auto moved = group.source->next(limit);
    if (!moved && moved.error().retryable()) {
      spdlog::warn("the log cannot be read at offset {} just now: {}", group.position().value(),
                   to_string(moved.error()));
      read_again_ = Clock::now() + kReadAgainAfter;
      break;
    }
    if (!moved) {
      spdlog::error("the log cannot be read at offset {}: {}", group.position().value(), to_string(moved.error()));
      for (const auto& view : group.views) {
        auto lost = view->lost(log_, view->applied());
        if (!lost && moved.error().number == 3010) {
          // Retention is removing it at this moment; the log's start says so only after that.
          lost = Error{ErrorCode::kNotFound, 2017,
                       "view \"" + view->entry().name + "\" cannot be rebuilt before the log's start: " +
                           moved.error().message,
                       "DROP it and CREATE it again: it is then made from what the log still has", 0, {}};
        }
        view->mark_failed(lost ? *lost : moved.error());
      }
      failed = true;
      break;
    }
    if (!*moved) break;
    any = true;
    {
      const std::unique_lock<std::mutex> applying = hold_live_views();
      std::size_t scan = 0;
      for (const auto& view : group.views) {
        failed |= !view->apply(*group.source, scan);
        scan += view->scans().size();
      }
    }
    for (const auto& view : group.views) {
      view->send();
      waiters_.check(*view);
    }
  } while (!failed && group.position() < limit && Clock::now() < end && !blocked() && !over_part());
  if (failed) {
    const std::lock_guard lock(mutex_);
    failure_seen_ = true;
  }
  return any || failed;
}

void Pipeline::drop_failed() {
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(failure_seen_, false)) return;
  }
  std::vector<std::shared_ptr<LiveView>> failed;
  std::erase_if(stuck_, [&](const std::shared_ptr<LiveView>& view) {
    if (!view->failed()) return false;
    failed.push_back(view);
    return true;
  });
  std::erase_if(replaying_, [&](const std::shared_ptr<LiveView>& view) {
    if (!view->failed()) return false;
    static_cast<void>(replayer_->remove(*view));
    failed.push_back(view);
    return true;
  });
  for (auto& [topic, groups] : topics_) {
    for (const GroupPtr& group : groups) {
      const std::size_t before = group->views.size();
      std::erase_if(group->views, [&](const std::shared_ptr<LiveView>& view) {
        if (!view->failed()) return false;
        failed.push_back(view);
        return true;
      });
      if (group->views.size() != before && !group->views.empty()) refresh_scans(*group);
    }
    std::erase_if(groups, [](const GroupPtr& group) { return group->views.empty(); });
  }
  for (auto& view : failed) rebuild_or_leave(std::move(view));
}

void Pipeline::rebuild_or_leave(std::shared_ptr<LiveView> view) {
  const Error error = *view->failed();
  const bool damaged = error.number == kStateDamaged;
  if (damaged && view->may_rebuild()) {
    spdlog::warn("view \"{}\" is rebuilt from the log: {}", view->entry().name, to_string(error));
    {
      std::unique_lock lock(mutex_);
      std::erase_if(to_commit_, [&](const Commit& commit) { return commit.view == view; });
      removed_.wait(lock, [&] { return committing_ != view.get(); });
    }
    if (view->rebuild(log_, to_string(error))) {
      start_view(std::move(view));
      return;
    }
  }
  spdlog::error("view \"{}\" failed: {}", view->entry().name, to_string(*view->failed()));
  waiters_.check(*view);
  if (view->failed_full()) unopened_.push_back(std::move(view));
}

std::optional<Pipeline::Clock::time_point> Pipeline::freeze_due_views(Clock::time_point now) {
  std::optional<Clock::time_point> next;
  for (const auto& view : views_) {
    if (is_replaying(*view)) continue;  // It is not ours now.
    view->shrink();
    const auto due = view->freeze_due();
    if (!due || view->has_frozen() || view->checking() || view->failed()) continue;
    if (*due > now) {
      if (!next || *due < *next) next = due;
      continue;
    }
    const auto frozen = view->freeze(log_);
    const std::lock_guard lock(mutex_);
    if (!frozen) {
      view->mark_failed(frozen.error());
      failure_seen_ = true;
      woken_ = true;
    } else if (*frozen) {
      to_commit_.push_back({view, now, {}});
      wake_committer_.notify_one();
    }
  }
  return next;
}

}  // namespace kappa::processor
