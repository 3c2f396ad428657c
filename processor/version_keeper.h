// The thread that brings replacements forward: it lets readers switch when the new versions are there, and drops
// what was kept long enough.
//
// It does nothing by itself: `round` is called from its thread, first at once, then again when the time that it
// gave is over or after wake(); nullopt waits for wake() alone, so an engine without replacements uses no CPU.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace kappa::processor {

class VersionKeeper {
 public:
  using Round = std::function<std::optional<std::chrono::milliseconds>()>;
  explicit VersionKeeper(Round round);
  ~VersionKeeper();  // Waits for the round that runs.
  VersionKeeper(const VersionKeeper&) = delete;
  VersionKeeper& operator=(const VersionKeeper&) = delete;

  void wake();
  // The destructor has begun: a round should give up waiting.
  [[nodiscard]] bool stopping() const;

 private:
  void run();
  const Round round_;
  mutable std::mutex mutex_;  // Guards the next two.
  bool woken_ = false;
  bool stopping_ = false;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace kappa::processor
