// What a running query shares with its connection: whether it is cancelled, and how much of its
// result is not sent yet. A query thread waits while that is too much; the network thread never waits.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

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
  // Network thread: cancelled because it took too long.
  void expire() {
    expired_ = true;
    cancel();
  }
  [[nodiscard]] bool expired() const { return expired_; }
  // Query thread: counts `bytes` in, after waiting until what was there before is below the bound.
  // False once cancelled. The wait ends at the latest when the connection, which has a deadline for
  // a client that does not read, gives up and cancels.
  [[nodiscard]] bool reserve(std::size_t bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return cancelled_ || roomy(); });
    count(bytes);
    return !cancelled_;
  }
  // The same, but it waits at most until then: false also if there is no room by that time.
  [[nodiscard]] bool reserve_until(std::size_t bytes, std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, until, [this] { return cancelled_ || roomy(); })) return false;
    count(bytes);
    return !cancelled_;
  }
  // Counts them in without waiting.
  [[nodiscard]] bool reserve_now(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    count(bytes);
    return !cancelled_;
  }
  // Whether reserve() would return at once.
  [[nodiscard]] bool has_room() {
    const std::lock_guard lock(mutex_);
    return cancelled_ || roomy();
  }
  // From here on at most so many bytes are sent, and what grant() adds; the last frame may go over it. reserve_now()
  // may take more than that: the caller keeps such frames until grant() made room (Watches::deliver).
  void limit_credit(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    limited_ = true;
    credit_ = static_cast<std::int64_t>(bytes);
    sendable_ = credit_;
  }
  // Network thread: whether a reserved frame of so many bytes may be sent now; it is counted as sent if so.
  [[nodiscard]] bool take_credit(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (!limited_) return true;
    if (sendable_ <= 0) return false;
    sendable_ -= static_cast<std::int64_t>(bytes);
    return true;
  }
  // Network thread.
  void grant(std::uint64_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      credit_ += static_cast<std::int64_t>(bytes);
      sendable_ += static_cast<std::int64_t>(bytes);
      changed_.notify_all();
    }
    if (on_room_) on_room_();
  }
  // Network thread: what to do when there may be room again.
  void set_on_room(std::function<void()> on_room) { on_room_ = std::move(on_room); }
  // Network thread: everything handed over so far has left.
  void sent(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      unsent_ -= bytes;
      changed_.notify_all();
    }
    if (on_room_) on_room_();
  }

 private:
  // With mutex_.
  [[nodiscard]] bool roomy() const { return unsent_ < kQueryUnsentBytesMax && (!limited_ || credit_ > 0); }
  void count(std::size_t bytes) {
    unsent_ += bytes;
    if (limited_) credit_ -= static_cast<std::int64_t>(bytes);
  }

  std::function<void()> on_room_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> expired_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t unsent_ = 0;
  bool limited_ = false;
  std::int64_t credit_ = 0;    // Granted and not reserved.
  std::int64_t sendable_ = 0;  // Granted and not sent.
};

}  // namespace kappa::serving
