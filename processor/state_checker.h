// The slow check of states that were too large to be checked at opening: one view after the other, on
// one thread of low priority, at a bounded rate. It begins with the view whose memory is fullest, and
// does not wait while that view may not be fed any more: a state takes no commits before it was checked.
//
// Threads: its own. Destruction stops it within one page of branches (some hundred pages).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "processor/live_view.h"
#include "proto/error.h"

namespace kappa::processor {

class StateChecker {
 public:
  // Runs on the checker's thread after each view; the generation is the one whose state was checked.
  using Done = std::function<void(LiveView& view, std::uint64_t generation, const Status& checked)>;

  StateChecker(std::vector<std::shared_ptr<LiveView>> views, std::uint64_t bytes_per_second, Done done);
  ~StateChecker();
  StateChecker(const StateChecker&) = delete;
  StateChecker& operator=(const StateChecker&) = delete;

 private:
  void run();
  // Paces; false when the checker is to stop.
  [[nodiscard]] bool go_on(const LiveView& view, std::uint64_t bytes);

  std::vector<std::shared_ptr<LiveView>> views_;
  const std::uint64_t bytes_per_second_;
  const Done done_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point free_at_;  // Its own thread: when the rate allows the next bytes.
  std::thread thread_;
};

}  // namespace kappa::processor
