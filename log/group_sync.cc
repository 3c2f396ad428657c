// The sync role: makes written groups durable, stores the watermark off the path of acknowledgements,
// publishes the durable end and completes appends in their order. A failed sync is final: what it covered
// is unknown, nothing is tried again, and every later append is refused.
#include <spdlog/spdlog.h>

#include "log/log_impl.h"

namespace kappa::log {
namespace {

// W is persisted between one and two of these after the last commit.
constexpr std::chrono::milliseconds kWatermarkIdle{24};
constexpr std::uint16_t kClosedNumber = 3002;

}  // namespace

Error unknown_outcome(const Error& cause) {
  return {ErrorCode::kClosed,
          kClosedNumber,
          "the log failed, so the outcome of this append is unknown: " + cause.message,
          "restart the server; what it then reports is what was kept",
          cause.system_errno,
          {}};
}

void LogImpl::sync_loop() {
  std::unique_lock lock(queue_mutex_);
  for (;;) {
    const auto runnable = [this] { return !syncing_ && (!written_.empty() || stop_sync_); };
    if (!watermark_dirty_) {
      sync_wake_.wait(lock, [&] { return runnable() || watermark_dirty_; });
    } else {
      sync_wake_.wait_for(lock, kWatermarkIdle, runnable);
    }
    if (runnable()) {
      if (written_.empty()) return;
      std::vector<Group> groups = std::move(written_);
      written_.clear();
      std::size_t bytes = 0;
      for (const Group& group : groups) bytes += group.bytes;
      syncing_ = true;
      lock.unlock();
      sync_and_complete(groups);
      lock.lock();
      syncing_ = false;
      unsynced_bytes_ -= std::min(unsynced_bytes_, bytes);
      if (!queue_.empty() || closing_) writer_wake_.notify_one();
      continue;
    }
    if (watermark_dirty_ && !fatal_ && std::chrono::steady_clock::now() - last_commit_ >= kWatermarkIdle) {
      watermark_dirty_ = false;
      lock.unlock();
      // Off the ack path. A failure here is as final as any failed sync.
      const Status stored = control_->write(durable_position(), durable_end());
      const bool full = !stored && stored.error().code == ErrorCode::kFull;
      if (!stored && !full) set_fatal(stored.error());
      lock.lock();
      if (full) {
        // A smaller W costs proof, not data. Written again when there may be room.
        watermark_dirty_ = true;
        sync_wake_.wait_for(lock, kStalledRetry, runnable);
      }
    } else if (fatal_) {
      watermark_dirty_ = false;
    }
  }
}

// Sync role.
void LogImpl::sync_and_complete(std::vector<Group>& groups) {
  {
    std::unique_lock lock(queue_mutex_);
    if (fatal_) {
      const Error error = *fatal_;
      lock.unlock();
      fail_groups(groups, error);
      return;
    }
  }
  bool strict = false;
  const auto work = [&]() -> Status {
    File* dirty = nullptr;
    const auto flush = [&]() -> Status {
      if (dirty == nullptr) return {};
      const auto begin = std::chrono::steady_clock::now();
      KAPPA_CHECK_OK(dirty->fdatasync());
      const auto spent = std::chrono::steady_clock::now() - begin;
      syncs_.fetch_add(1, std::memory_order_relaxed);
      sync_micros_.fetch_add(
          static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(spent).count()),
          std::memory_order_relaxed);
      return {};
    };
    for (const Group& group : groups) {
      strict = strict || group.strict;
      if (group.seal_before) {
        // In order: the segment before, the name of the new one, the new one.
        KAPPA_CHECK_OK(flush());
        dirty = nullptr;
        KAPPA_CHECK_OK(directory_->sync());
      }
      if (group.bytes > 0) dirty = group.file.get();
    }
    KAPPA_CHECK_OK(flush());
    if (!strict) return {};
    const Status stored = control_->write(groups.back().end_position, groups.back().end_offset);
    if (stored || stored.error().code != ErrorCode::kFull) return stored;
    // No room for W (where overwriting takes room): durable as with kSync, and the answer says that.
    strict = false;
    for (Group& group : groups)
      for (Completion& completion : group.completions)
        if (completion.result) completion.result->durability = Durability::kSync;
    spdlog::warn("log: the watermark cannot be stored, appends are sync instead of strict: {}",
                 stored.error().message);
    return {};
  };
  if (Status done = work(); !done) {
    set_fatal(done.error());
    fail_groups(groups, done.error());
    return;
  }
  publish(groups, strict);
}

void LogImpl::publish(std::vector<Group>& groups, bool watermark_stored) {
  bool advanced = false;
  {
    std::lock_guard guard(state_mutex_);
    for (Group& group : groups) {
      for (const DurableChange& change : group.changes) {
        state_.topics[change.topic.value()].durable_sequence = change.next_sequence;
        if (change.producer.value() != 0)
          state_.producers.make_durable({change.topic, change.producer}, change.producer_epoch,
                                        change.producer_next, change.end_offset);
      }
      for (const SystemRecord& record : group.records)
        put_record(durable_records_, record.key, record.value, record.offset);
      advanced = advanced || group.bytes > 0;
    }
  }
  if (advanced) {
    // Position first: a reader that sees the offset may read up to it.
    durable_position_.store(groups.back().end_position.value(), std::memory_order_release);
    durable_offset_.store(groups.back().end_offset.value(), std::memory_order_release);
    std::lock_guard guard(queue_mutex_);
    last_commit_ = std::chrono::steady_clock::now();
    if (!watermark_dirty_ && !watermark_stored) {
      watermark_dirty_ = true;
      sync_wake_.notify_one();
    }
  }
  for (Group& group : groups)
    for (Completion& completion : group.completions) completion.done(std::move(completion.result));
  if (advanced) notify_durable();
  for (Group& group : groups)
    if (group.seal_before) preparer_->seal(std::move(*group.seal_before));
}

void LogImpl::acknowledge_written(Group& group) {
  std::vector<Completion> later;
  for (Completion& completion : group.completions) {
    if (completion.durability == Durability::kWritten)
      completion.done(std::move(completion.result));
    else
      later.push_back(std::move(completion));
  }
  group.completions = std::move(later);
}

void LogImpl::fail_groups(std::vector<Group>& groups, const Error& error) {
  for (Group& group : groups)
    for (Completion& completion : group.completions)
      completion.done(completion.result ? std::unexpected(unknown_outcome(error))
                                        : std::move(completion.result));
}

void LogImpl::set_fatal(const Error& error) {
  {
    std::lock_guard guard(queue_mutex_);
    if (fatal_) return;
    fatal_ = error;
  }
  spdlog::critical("log: {}; appends are refused, the process must stop", to_string(error));
  writer_wake_.notify_all();
  notify_durable();  // So that whoever waits for events looks and sees the error.
}

void LogImpl::notify_durable() {
  std::lock_guard guard(subscribers_mutex_);
  for (const auto& [token, notify] : subscribers_) notify();
}

std::uint64_t LogImpl::subscribe_durable(std::function<void()> notify) {
  std::lock_guard guard(subscribers_mutex_);
  subscribers_.emplace_back(next_token_, std::move(notify));
  return next_token_++;
}
void LogImpl::unsubscribe_durable(std::uint64_t token) {
  std::lock_guard guard(subscribers_mutex_);
  std::erase_if(subscribers_, [token](const auto& entry) { return entry.first == token; });
}

}  // namespace kappa::log
