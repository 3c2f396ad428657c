// The committer thread: frozen overlays to LMDB, one view at a time.
//
// A full disk is a state, not a failure: the commit is repeated with a growing pause, and meanwhile
// the processor stops at the view's memory budget. Any other error fails the view.
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "processor/pipeline.h"

namespace kappa::processor {
namespace {

constexpr std::chrono::milliseconds kBackoffMin{200};
constexpr std::chrono::milliseconds kBackoffMax{10'000};

}  // namespace

void Pipeline::commit_loop() {
  pthread_setname_np(pthread_self(), "kappa-committer");
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto earliest = std::ranges::min_element(to_commit_, {}, &Commit::not_before);
    if (stop_committer_) return;  // final_commits() does the rest.
    if (earliest == to_commit_.end()) {
      wake_committer_.wait(lock);
      continue;
    }
    if (earliest->not_before > Clock::now()) {
      // A copy: the list may grow while this waits, and the wait reads its deadline again afterwards.
      const Clock::time_point deadline = earliest->not_before;
      wake_committer_.wait_until(lock, deadline);
      continue;
    }
    Commit commit = std::move(*earliest);
    to_commit_.erase(earliest);
    committing_ = commit.view.get();
    lock.unlock();
    const Status status = commit.view->commit();
    lock.lock();
    committing_ = nullptr;
    if (!status && status.error().code == ErrorCode::kFull) {
      commit.backoff = std::clamp(commit.backoff * 2, kBackoffMin, kBackoffMax);
      commit.not_before = Clock::now() + commit.backoff;
      spdlog::warn("view \"{}\" waits for disk space to commit: {}", commit.view->entry().name,
                   to_string(status.error()));
      to_commit_.push_back(std::move(commit));
    } else if (!status) {
      commit.view->mark_failed(status.error());
      failure_seen_ = true;
    }
    woken_ = true;
    wake_processor_.notify_one();
    removed_.notify_all();
    replayer_->wake();
  }
}

void Pipeline::final_commits() {
  for (const auto& view : views_) {
    if (view->failed() || view->checking()) continue;
    view->finish_writing();
    // At most two rounds: what is frozen, then what is not.
    for (int round = 0; round < 2; ++round) {
      Status status = view->commit();
      if (status && view->changed()) {
        if (auto frozen = view->freeze(log_); !frozen) status = std::unexpected(frozen.error());
      }
      if (!status) {
        spdlog::warn("view \"{}\" is not committed at its applied offset, the log will repeat it: {}",
                     view->entry().name, to_string(status.error()));
        break;
      }
    }
  }
}

}  // namespace kappa::processor
