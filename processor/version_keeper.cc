// See version_keeper.h.
#include "processor/version_keeper.h"

#include <utility>

namespace kappa::processor {

VersionKeeper::VersionKeeper(Round round) : round_(std::move(round)), thread_([this] { run(); }) {}

VersionKeeper::~VersionKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void VersionKeeper::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

bool VersionKeeper::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void VersionKeeper::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    woken_ = false;
    lock.unlock();
    const auto pause = round_();
    lock.lock();
    const auto called = [this] { return woken_ || stopping_; };
    if (pause) {
      changed_.wait_for(lock, *pause, called);
    } else {
      changed_.wait(lock, called);
    }
  }
}

}  // namespace kappa::processor
