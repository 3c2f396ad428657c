// Reads that wait until a view has applied an offset. Thread-safe; bounded; callbacks run without
// any lock held, exactly once each.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "processor/live_view.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

// Reads waiting at once, over all views. Each costs about 200 bytes.
inline constexpr std::size_t kWaitersMax = 10'000;

class Waiters {
 public:
  using Clock = std::chrono::steady_clock;
  using Ready = std::function<void(Status)>;

  // Registers `ready` for visible() >= target. False (kBusy 4006 was given to `ready`) when full.
  // The caller must check() afterwards: the view may have moved meanwhile.
  bool add(std::shared_ptr<LiveView> view, Offset target, Clock::time_point deadline, Ready ready);
  // Completes what a view satisfies or, if it failed, ends its waiters with its error.
  void check(const LiveView& view);
  // Ends every waiter of the view with `error`.
  void abandon(const LiveView& view, const Error& error);
  // Ends every waiter with `error`.
  void abandon_all(const Error& error);
  // Ends those whose deadline has passed with kTimeout 4005; gives the next deadline.
  std::optional<Clock::time_point> expire(Clock::time_point now);

 private:
  struct Waiter {
    std::shared_ptr<LiveView> view;
    Offset target;
    Clock::time_point deadline;
    Ready ready;
  };
  using Key = std::pair<const LiveView*, std::uint64_t>;  // View and target, so that a view's lie in order.

  std::mutex mutex_;
  std::multimap<Key, Waiter> waiters_;
  std::atomic<std::size_t> count_{0};
};

// The timeout of a wait, in words.
[[nodiscard]] Error wait_timeout(const LiveView& view, Offset target);

}  // namespace kappa::processor
