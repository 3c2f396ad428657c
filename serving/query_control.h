// What a running query shares with its connection: whether it is cancelled, and how much of its
// result is not sent yet. A query thread waits while that is too much; the network thread never waits.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace kappa::serving {

// Result bytes of one query between its thread and the socket.
inline constexpr std::size_t kQueryUnsentBytesMax = std::size_t{1} << 20;

class QueryControl {
 public:
  [[nodiscard]] const std::atomic<bool>& cancelled() const { return cancelled_; }
  void cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }
  // Query thread: counts `bytes` in, after waiting until what was there before is below the bound.
  // False once cancelled. The wait ends at the latest when the connection, which has a deadline for
  // a client that does not read, gives up and cancels.
  [[nodiscard]] bool reserve(std::size_t bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return cancelled_ || unsent_ < kQueryUnsentBytesMax; });
    unsent_ += bytes;
    return !cancelled_;
  }
  // Whether reserve() would return at once.
  [[nodiscard]] bool has_room() {
    const std::lock_guard lock(mutex_);
    return cancelled_ || unsent_ < kQueryUnsentBytesMax;
  }
  // Network thread: everything handed over so far has left.
  void sent(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    unsent_ -= bytes;
    changed_.notify_all();
  }

 private:
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t unsent_ = 0;
};

}  // namespace kappa::serving
