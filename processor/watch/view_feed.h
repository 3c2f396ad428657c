// What a view did, told to those who follow it. One for each view that is watched.
//
// published() comes from whoever moves the view, in order. Followers are borrowed: remove() waits for a call that is
// under way. Lock order: Pipeline::hold_still(), then this, then a follower's own.
#pragma once

#include <algorithm>
#include <mutex>
#include <span>
#include <vector>

#include "processor/state/state_store.h"
#include "proto/ids.h"

namespace kappa::processor {

class ViewFeed {
 public:
  // Called with the feed locked: takes its part and returns.
  class Follower {
   public:
    virtual ~Follower() = default;
    // Changes are in the order of the keys.
    virtual void published(Offset applied, const StateStore::Changes& changes) = 0;
    // Nothing that was said holds any more.
    virtual void made_anew() = 0;
    virtual void failed() = 0;
  };

  void add(Follower& follower) {
    const std::lock_guard lock(mutex_);
    followers_.push_back(&follower);
  }
  // False: nobody follows the view any more.
  bool remove(Follower& follower) {
    const std::lock_guard lock(mutex_);
    std::erase(followers_, &follower);
    return !followers_.empty();
  }

  void published(Offset applied, const StateStore::Changes& changes) {
    const std::lock_guard lock(mutex_);
    for (Follower* const follower : followers_) follower->published(applied, changes);
  }
  void made_anew() {
    const std::lock_guard lock(mutex_);
    for (Follower* const follower : followers_) follower->made_anew();
  }
  void failed() {
    const std::lock_guard lock(mutex_);
    for (Follower* const follower : followers_) follower->failed();
  }

 private:
  std::mutex mutex_;
  std::vector<Follower*> followers_;
};

}  // namespace kappa::processor
