// How threads that found nothing to do learn that there may be something now.
//
// A thread reads epoch(), looks for work, and, if it found none, waits for another epoch: what happened between is
// not lost. Ringing costs one atomic add while nobody waits. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace kappa::processor {

class Bell {
 public:
  [[nodiscard]] std::uint64_t epoch() const { return epoch_.load(); }
  void ring() {
    epoch_.fetch_add(1);
    if (waiting_.load() == 0) return;
    { const std::lock_guard lock(mutex_); }  // Whoever is between its look and its sleep.
    rung_.notify_all();
  }
  // Until the epoch is not `seen` any more, or `timeout` passed.
  void wait(std::uint64_t seen, std::chrono::milliseconds timeout) {
    waiting_.fetch_add(1);
    std::unique_lock lock(mutex_);
    rung_.wait_for(lock, timeout, [&] { return epoch_.load() != seen; });
    waiting_.fetch_sub(1);
  }

 private:
  std::atomic<std::uint64_t> epoch_{0};
  std::atomic<unsigned> waiting_{0};
  std::mutex mutex_;
  std::condition_variable rung_;
};

}  // namespace kappa::processor
