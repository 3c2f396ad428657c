// The append path: the queue, and who writes its groups (log/group_write.cc) and when. Syncs and
// acknowledgements are in log/group_sync.cc.
//
// No timers: a group is whatever queued up while the one before was being written, and a sync covers
// whatever was written while the sync before was running. With nothing in flight the caller of
// pump() does both itself, because a hand-over to a sleeping thread costs about 35 us each way.
#include <spdlog/spdlog.h>

#include <future>

#include "log/log_impl.h"

namespace kappa::log {
namespace {

// Up to this much the caller of pump() writes and syncs itself. A caller with more has still more to
// come, and queues nothing while it sits in a sync: a single submitter of 64 KiB batches did one sync
// a batch with 256 KiB here, and a tenth of that with the hand-over.
constexpr std::size_t kInlineBytesMax = std::size_t{32} << 10;
// Up to this many batches it syncs too: their senders wait for the answer, so nothing is lost while the
// caller sits in the sync (50 connections with one event each: 96 k events/s, 78 k with a hand-over).
constexpr std::size_t kInlineBatchesMax = 64;
// Groups that the caller adds behind a running sync before it leaves the writing to the writer thread.
constexpr std::size_t kInlineGroupsMax = 16;
// The writer waits while this much is written but not durable.
constexpr std::size_t kUnsyncedBytesMax = 2 * limits::kGroupBytesMax;
// How often free space is looked at while appends come.
constexpr std::chrono::milliseconds kRoomInterval{10};
constexpr std::uint16_t kClosedNumber = 3002;

Error full_error(const Error& cause) {
  const bool descriptors = out_of_handles(cause);
  return {ErrorCode::kFull,
          3004,
          (descriptors ? "no descriptor for the log: " : "no space for the log: ") + cause.message,
          descriptors ? "close connections, or raise the limit of open files; appends go on by themselves"
                      : "free some space; appends go on by themselves",
          cause.system_errno,
          {}};
}

// Takes a name out of the catalog.
bool is_drop(const Pending& pending) {
  return pending.kind == BatchKind::kCatalog && pending.system_value.empty();
}

// No control characters, valid UTF-8, not reserved.
bool valid_topic_name(std::string_view name) {
  if (name.empty() || name.size() > limits::kTopicNameBytesMax || name.front() == '$') return false;
  for (std::size_t i = 0; i < name.size();) {
    const auto byte = [&](std::size_t k) {
      return k < name.size() ? static_cast<unsigned char>(name[k]) : static_cast<unsigned char>(0);
    };
    const unsigned char lead = byte(i);
    if (lead < 0x20 || lead == 0x7f) return false;
    std::size_t length = 1;
    std::uint32_t code = lead;
    if (lead >= 0x80) {
      if (lead >= 0xc2 && lead <= 0xdf)
        length = 2, code = lead & 0x1fu;
      else if ((lead & 0xf0) == 0xe0)
        length = 3, code = lead & 0x0fu;
      else if (lead >= 0xf0 && lead <= 0xf4)
        length = 4, code = lead & 0x07u;
      else
        return false;
      for (std::size_t k = 1; k < length; ++k) {
        if ((byte(i + k) & 0xc0) != 0x80) return false;
        code = code << 6 | (byte(i + k) & 0x3fu);
      }
      const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
      if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) || code < 0xa0) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

Expected<AppendAck> Log::append(AppendBatch batch) {
  std::promise<Expected<AppendAck>> promise;
  auto future = promise.get_future();
  submit(std::move(batch), [&promise](Expected<AppendAck> ack) { promise.set_value(std::move(ack)); });
  pump();
  return future.get();
}

std::optional<Error> LogImpl::refusal(std::size_t bytes, bool drop) const {
  if (fatal_) return unknown_outcome(*fatal_);
  if (read_only_)
    return Error{ErrorCode::kReadOnly,
                 3005,
                 damage_ ? "the log is damaged and read-only: " + *damage_
                         : std::string("the log was opened read-only"),
                 damage_ ? "stop the server; `kappa verify` lists the damage, `kappa repair` says what giving it up costs"
                         : "",
                 0,
                 {}};
  if (closing_) return Error{ErrorCode::kClosed, kClosedNumber, "the log is closing", {}, 0, {}};
  if (full_ && !drop) return full_error(*full_);
  if (queue_bytes_ + bytes > limits::kAppendQueueBytesMax)
    return Error{ErrorCode::kBusy, 3003, "too many appends are waiting", "slow down and try again", 0, {}};
  return std::nullopt;
}

void LogImpl::enqueue(Pending pending) {
  std::optional<Error> error;
  {
    std::lock_guard guard(queue_mutex_);
    const std::size_t bytes = pending.bytes();
    error = refusal(bytes, is_drop(pending) && !stalled_);
    if (!error) {
      queue_bytes_ += bytes;
      queue_.push_back(std::move(pending));
      return;
    }
  }
  if (pending.done) pending.done(std::unexpected(std::move(*error)));
}

Expected<TopicId> LogImpl::ensure_topic(std::string_view name) {
  if (!valid_topic_name(name))
    return fail(ErrorCode::kInvalid, 3020,
                "a topic name is 1 to " + std::to_string(limits::kTopicNameBytesMax) +
                    " bytes of UTF-8 without control characters, and does not begin with '$'");
  Pending pending;
  {
    std::lock_guard guard(state_mutex_);
    const auto found = state_.topic_by_name.find(std::string(name));
    if (found != state_.topic_by_name.end()) return found->second;
  }
  {
    std::lock_guard guard(queue_mutex_);
    if (auto error = refusal(0)) return std::unexpected(std::move(*error));
  }
  {
    std::lock_guard guard(state_mutex_);
    const auto found = state_.topic_by_name.find(std::string(name));
    if (found != state_.topic_by_name.end()) return found->second;
    if (state_.topics.size() >= limits::kTopicsMax)
      return fail(ErrorCode::kTooLarge, 3023,
                  "the log has " + std::to_string(limits::kTopicsMax) + " topics, the most it can have");
    pending.kind = BatchKind::kTopic;
    pending.batch.topic = state_.add_topic(name);
    pending.batch.body = name;
  }
  const TopicId id = pending.batch.topic;
  // Should the queue refuse it, the topic's first batch brings it along.
  enqueue(std::move(pending));
  return id;
}

Status LogImpl::drop_topic(std::string_view name) {
  Pending pending;
  pending.kind = BatchKind::kTopic;
  pending.renames_topic = true;
  {
    std::lock_guard guard(state_mutex_);
    const auto found = state_.topic_by_name.find(std::string(name));
    if (found == state_.topic_by_name.end() || !valid_topic_name(name))
      return fail(ErrorCode::kNotFound, 3024, "there is no topic \"" + std::string(name) + "\"");
    pending.batch.topic = found->second;
  }
  pending.batch.body = "$dropped-" + std::to_string(pending.batch.topic.value());
  enqueue(std::move(pending));
  // What comes behind it is durable no earlier than it.
  KAPPA_TRY([[maybe_unused]] const Offset offset, append_system("topic/" + std::string(name), {}));
  return {};
}

Status LogImpl::check_batch(AppendBatch& batch, BodySummary& summary) {
  const auto invalid = [](const char* what) { return fail(ErrorCode::kInvalid, 3022, what); };
  if (batch.body.size() > limits::kBatchBytesMax || batch.uncompressed_length > limits::kBatchBytesMax ||
      batch.count > limits::kBatchEventsMax)
    return fail(ErrorCode::kTooLarge, 3006, "batch over the limits of a batch");
  if (batch.codec != Codec::kNone && batch.codec != Codec::kZstd) return invalid("unknown codec");
  if (batch.codec == Codec::kNone && batch.uncompressed_length == 0)
    batch.uncompressed_length = static_cast<std::uint32_t>(batch.body.size());
  if (batch.codec == Codec::kNone && batch.uncompressed_length != batch.body.size())
    return invalid("the uncompressed length is not the body's");
  if (batch.topic == kSystemTopic) return invalid("the system topic takes no appends");
  {
    std::lock_guard guard(state_mutex_);
    if (batch.topic.value() >= state_.topics.size() || state_.topics[batch.topic.value()].name.empty())
      return fail(ErrorCode::kNotFound, 3024, "no topic has the id " + std::to_string(batch.topic.value()));
  }
  if (batch.producer_sequence > std::numeric_limits<std::uint64_t>::max() - batch.count)
    return invalid("the producer sequence overflows");
  const std::uint64_t hash = hash_body(as_bytes(batch.body));
  if (batch.body_hash && *batch.body_hash != hash) return invalid("the body does not match its hash");
  batch.body_hash = hash;
  if (batch.summary) {
    summary = *batch.summary;
  } else if (batch.codec == Codec::kNone) {
    KAPPA_TRY(summary, validate_body(as_bytes(batch.body), batch.count));
  } else {
    KAPPA_TRY(const std::string plain, decompress_body(as_bytes(batch.body), batch.uncompressed_length));
    KAPPA_TRY(summary, validate_body(as_bytes(plain), batch.count));
  }
  return {};
}

void LogImpl::submit(AppendBatch batch, AppendCallback done) {
  Pending pending;
  if (batch.count == 0 && batch.body.empty()) {
    AppendAck ack;
    ack.base_offset = durable_end();
    ack.durability = options_.durability;
    if (done) done(ack);
    return;
  }
  Status checked = batch.count == 0 ? fail(ErrorCode::kInvalid, 3022, "a body without events")
                                    : check_batch(batch, pending.summary);
  if (!checked) {
    if (checked.error().code == ErrorCode::kCorrupt) checked.error().code = ErrorCode::kInvalid;
    if (done) done(std::unexpected(std::move(checked).error()));
    return;
  }
  pending.durability = options_.durability;
  pending.batch = std::move(batch);
  pending.done = std::move(done);
  enqueue(std::move(pending));
}

Expected<Offset> LogImpl::append_system(std::string key, std::string value) {
  BatchBuilder builder;
  if (key.empty()) return fail(ErrorCode::kInvalid, 3025, "a system record needs a key");
  KAPPA_CHECK_OK(builder.add({.value = value, .key = key, .timestamp = {}, .headers = {}}));
  Pending pending;
  pending.kind = BatchKind::kCatalog;
  pending.batch.topic = kSystemTopic;
  pending.batch.count = 1;
  pending.batch.body = builder.take();
  pending.batch.uncompressed_length = static_cast<std::uint32_t>(pending.batch.body.size());
  pending.batch.body_hash = hash_body(as_bytes(pending.batch.body));
  pending.summary.all_timestamps_explicit = false;
  pending.system_key = std::move(key);
  pending.system_value = std::move(value);
  std::promise<Expected<AppendAck>> promise;
  auto future = promise.get_future();
  pending.done = [&promise](Expected<AppendAck> ack) { promise.set_value(std::move(ack)); };
  enqueue(std::move(pending));
  pump();
  KAPPA_TRY(const AppendAck ack, future.get());
  return ack.base_offset;
}

void LogImpl::pump() {
  std::deque<Pending> work;
  bool sync_here = false;
  {
    std::lock_guard guard(queue_mutex_);
    if (queue_.empty() || fatal_) {
      if (!queue_.empty()) writer_wake_.notify_one();
      return;
    }
    if (writing_) return;  // Whoever writes looks at the queue when it is done; it owns what follows.
    // The margin keeps a roll, which may wait for the preparer, off the caller's thread.
    const bool small = queue_bytes_ <= kInlineBytesMax && written_.size() < kInlineGroupsMax &&
                       write_at_ + queue_bytes_ + 2 * kInlineBytesMax < capacity_;
    if (!small) {
      writer_wake_.notify_one();
      return;
    }
    // Behind a running sync the caller still writes: the next group forms without waking anybody.
    sync_here = !syncing_ && written_.empty() && queue_.size() <= kInlineBatchesMax &&
                options_.durability != Durability::kWritten;
    writing_ = true;
    work.swap(queue_);
    queue_bytes_ = 0;
  }
  std::vector<Group> groups;
  write_all(std::move(work), groups);
  {
    std::lock_guard guard(queue_mutex_);
    writing_ = stalled_.has_value();
    if (!queue_.empty() || writing_) writer_wake_.notify_one();
    if (!sync_here) {
      for (Group& group : groups) {
        unsynced_bytes_ += group.bytes;
        written_.push_back(std::move(group));
      }
      if (!syncing_) sync_wake_.notify_one();
      return;
    }
    syncing_ = true;
  }
  const auto begin = std::chrono::steady_clock::now();
  sync_and_complete(groups);
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - begin;
  const Processors at = processors();
  const auto to = placement_.after_sync(at.current, at.count, spent.count());
  {
    std::lock_guard guard(queue_mutex_);
    syncing_ = false;
    if (!written_.empty() || stop_sync_) sync_wake_.notify_one();
  }
  if (to) move_to_processor(*to, at.count);
}

// Everything in `work` that needs room is refused, and so is what comes after it until there is room.
void LogImpl::refuse_full(std::deque<Pending>& work, Group& group, const Error& cause) {
  bool first = false;
  {
    std::lock_guard guard(queue_mutex_);
    first = !full_;
    full_ = cause;
  }
  if (first) spdlog::warn("log: appends are refused, reading goes on: {}", cause.message);
  for (Pending& pending : work) settle(pending, group, std::unexpected(full_error(cause)));
  work.clear();
}

// The reserve is for everything but appends. Dropping something is how room may be made.
Status LogImpl::room_for(std::deque<Pending>& work, Group& group) {
  const auto now = std::chrono::steady_clock::now();
  if (now - room_checked_ < kRoomInterval) return {};
  const Status room = reserve_.check(0);
  if (room) {
    room_checked_ = now;
    return {};
  }
  std::deque<Pending> drops;
  std::deque<Pending> others;
  for (Pending& pending : work) (is_drop(pending) ? drops : others).push_back(std::move(pending));
  work = std::move(drops);
  refuse_full(others, group, room.error());
  preparer_->watch_space();
  return room;
}

// Writer role. Every pending of `work` ends in a group, written or settled with an error, or in stalled_.
void LogImpl::write_all(std::deque<Pending> work, std::vector<Group>& groups) {
  while (!work.empty()) {
    Group group;
    static_cast<void>(room_for(work, group));
    const Status written = write_group(work, group);
    if (!written && written.error().code == ErrorCode::kFull && group.bytes > 0) {
      Group refused;
      refuse_full(work, refused, written.error());
      refused.end_position = LogPosition(written_position_.load());
      refused.end_offset = Offset(written_offset_.load());
      groups.push_back(std::move(refused));
      std::lock_guard guard(queue_mutex_);
      stalled_ = std::move(group);
      full_ = written.error();
      return;
    }
    if (!written) {
      if (written.error().code == ErrorCode::kFull) {
        refuse_full(work, group, written.error());
        preparer_->watch_space();
      } else {
        set_fatal(written.error());
        const Error error = unknown_outcome(written.error());
        for (Completion& completion : group.completions) completion.result = std::unexpected(error);
        for (Pending& pending : work) settle(pending, group, std::unexpected(error));
        work.clear();
      }
      group.bytes = 0;
      group.changes.clear();
      group.records.clear();
      group.end_position = LogPosition(written_position_.load());
      group.end_offset = Offset(written_offset_.load());
    }
    if (options_.durability == Durability::kWritten) acknowledge_written(group);
    groups.push_back(std::move(group));
  }
}

// The writer thread, with the writer role: tries once more, a little later. At closing it gives up: what the
// group's senders know is that they do not know.
void LogImpl::resume_stalled(std::unique_lock<std::mutex>& lock) {
  if (!closing_) writer_wake_.wait_for(lock, kStalledRetry, [this] { return closing_; });
  Group group = std::move(*stalled_);
  lock.unlock();
  const Status written = write_gathered(group);
  const bool full = !written && written.error().code == ErrorCode::kFull;
  if (!written && !full) set_fatal(written.error());
  lock.lock();
  if (full && !closing_) {
    stalled_ = std::move(group);
    return;
  }
  if (!written) {
    // Later offsets follow from these: nothing more is written.
    if (!fatal_) fatal_ = written.error();
    for (Completion& completion : group.completions)
      if (completion.result) completion.result = std::unexpected(unknown_outcome(written.error()));
    group.bytes = 0;
    group.changes.clear();
    group.records.clear();
    group.seal_before.reset();
    group.end_position = LogPosition(written_position_.load());
    group.end_offset = Offset(written_offset_.load());
  } else {
    full_.reset();
    spdlog::info("log: there is room again");
  }
  stalled_.reset();
  writing_ = false;
  if (options_.durability == Durability::kWritten) {
    lock.unlock();
    acknowledge_written(group);
    lock.lock();
  }
  unsynced_bytes_ += group.bytes;
  written_.push_back(std::move(group));
  if (!syncing_) sync_wake_.notify_one();
}

void LogImpl::writer_loop() {
  std::unique_lock lock(queue_mutex_);
  for (;;) {
    writer_wake_.wait(lock, [this] {
      return stalled_ || (!writing_ && (queue_.empty() ? closing_ : unsynced_bytes_ < kUnsyncedBytesMax || fatal_));
    });
    if (stalled_) {
      resume_stalled(lock);
      continue;
    }
    if (queue_.empty()) return;
    std::deque<Pending> work;
    std::size_t bytes = 0;
    while (!queue_.empty() && bytes < limits::kGroupBytesMax) {
      bytes += queue_.front().bytes();
      work.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    queue_bytes_ -= bytes;
    if (fatal_) {
      const Error error = unknown_outcome(*fatal_);
      lock.unlock();
      for (Pending& pending : work)
        if (pending.done) pending.done(std::unexpected(error));
      lock.lock();
      continue;
    }
    writing_ = true;
    lock.unlock();
    std::vector<Group> groups;
    write_all(std::move(work), groups);
    lock.lock();
    writing_ = stalled_.has_value();
    for (Group& group : groups) {
      unsynced_bytes_ += group.bytes;
      written_.push_back(std::move(group));
    }
    if (!syncing_) sync_wake_.notify_one();
  }
}

}  // namespace kappa::log
