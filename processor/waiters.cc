// Waiters in one ordered map: few waiters, many publications, so check() is one lookup.
#include "processor/waiters.h"

#include <string>
#include <utility>
#include <vector>

namespace kappa::processor {

Error wait_timeout(const LiveView& view, Offset target) {
  return Error{ErrorCode::kTimeout, 4005,
               "view \"" + view.entry().name + "\" has applied the events below offset " +
                   std::to_string(view.visible().value()) + ", not yet below " + std::to_string(target.value()),
               "wait longer (--timeout), or ask without --at-least or --fresh", 0, {}};
}

bool Waiters::add(std::shared_ptr<LiveView> view, Offset target, Clock::time_point deadline, Ready ready) {
  {
    const std::lock_guard lock(mutex_);
    if (waiters_.size() < kWaitersMax) {
      const Key key{view.get(), target.value()};
      waiters_.emplace(key, Waiter{std::move(view), target, deadline, std::move(ready)});
      count_.store(waiters_.size(), std::memory_order_seq_cst);
      return true;
    }
  }
  ready(fail(ErrorCode::kBusy, 4006, "too many reads are waiting for views", "try again later"));
  return false;
}

void Waiters::check(const LiveView& view) {
  if (count_.load(std::memory_order_seq_cst) == 0) return;
  if (const auto error = view.failed()) {
    abandon(view, *error);
    return;
  }
  std::vector<Ready> done;
  {
    const std::lock_guard lock(mutex_);
    const auto from = waiters_.lower_bound(Key{&view, 0});
    const auto to = waiters_.upper_bound(Key{&view, view.visible().value()});
    for (auto at = from; at != to; ++at) done.push_back(std::move(at->second.ready));
    waiters_.erase(from, to);
    count_.store(waiters_.size(), std::memory_order_seq_cst);
  }
  for (const Ready& ready : done) ready({});
}

void Waiters::abandon(const LiveView& view, const Error& error) {
  std::vector<Ready> done;
  {
    const std::lock_guard lock(mutex_);
    const auto from = waiters_.lower_bound(Key{&view, 0});
    const auto to = waiters_.upper_bound(Key{&view, UINT64_MAX});
    for (auto at = from; at != to; ++at) done.push_back(std::move(at->second.ready));
    waiters_.erase(from, to);
    count_.store(waiters_.size(), std::memory_order_seq_cst);
  }
  for (const Ready& ready : done) ready(std::unexpected(error));
}

void Waiters::abandon_all(const Error& error) {
  std::multimap<Key, Waiter> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(waiters_);
    count_.store(0, std::memory_order_seq_cst);
  }
  for (const auto& [key, waiter] : all) waiter.ready(std::unexpected(error));
}

std::optional<Waiters::Clock::time_point> Waiters::expire(Clock::time_point now) {
  if (count_.load(std::memory_order_seq_cst) == 0) return std::nullopt;
  std::vector<Waiter> late;
  std::optional<Clock::time_point> next;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = waiters_.begin(); at != waiters_.end();) {
      if (at->second.deadline <= now) {
        late.push_back(std::move(at->second));
        at = waiters_.erase(at);
        continue;
      }
      if (!next || at->second.deadline < *next) next = at->second.deadline;
      ++at;
    }
    count_.store(waiters_.size(), std::memory_order_seq_cst);
  }
  for (const Waiter& waiter : late) waiter.ready(std::unexpected(wait_timeout(*waiter.view, waiter.target)));
  return next;
}

}  // namespace kappa::processor
