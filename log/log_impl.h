// The log behind the façade: tables, queue, the three threads and what they share.
//
// Threads. Any thread submits and reads. The *writer role* (the writer thread, or a caller of pump()
// while the log is idle) owns active_*; writing_ says that it is taken. The *sync role* (the sync
// thread, or that same caller) makes groups durable in order; syncing_ says that it is taken. The
// preparer makes and seals segment files.
// Locks, never taken in the other direction: queue_mutex_ -> nothing; state_mutex_ -> nothing. No lock
// is held over I/O or over a callback, except subscribers_mutex_ over notifications.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "log/control_file.h"
#include "log/damage.h"
#include "log/disk_reserve.h"
#include "log/log.h"
#include "log/log_state.h"
#include "log/preparer.h"
#include "log/recover.h"
#include "log/retention.h"
#include "log/scrub.h"
#include "log/segment.h"
#include "log/sync_placement.h"

namespace kappa::log {

// When work that found no room is tried again.
constexpr std::chrono::milliseconds kStalledRetry{200};

// What an append is told whose log failed: `cause` is why.
[[nodiscard]] Error unknown_outcome(const Error& cause);

// A batch in the queue.
struct Pending {
  BatchKind kind = BatchKind::kEvents;
  Durability durability = Durability::kSync;
  AppendBatch batch;  // kTopic: the body is the name.
  BodySummary summary;
  std::string system_key, system_value;  // kCatalog.
  AppendCallback done;                   // May be empty.
  bool renames_topic = false;            // kTopic of a topic that has a name already.
  [[nodiscard]] std::size_t bytes() const { return kBatchHeaderBytes + batch.body.size(); }
};

struct Completion {
  AppendCallback done;
  Expected<AppendAck> result;
  Durability durability;
};

// What a batch changes once it is durable.
struct DurableChange {
  TopicId topic;
  std::uint64_t next_sequence = 0;
  ProducerId producer;
  std::uint32_t producer_epoch = 0;
  std::uint64_t producer_next = 0;
  Offset end_offset;
};

// Batches that were written together, into one segment.
struct Group {
  std::shared_ptr<File> file;
  LogPosition end_position;
  Offset end_offset;
  std::size_t bytes = 0;
  std::uint64_t events = 0;
  bool strict = false;
  std::vector<Completion> completions;
  std::vector<DurableChange> changes;
  std::vector<SystemRecord> records;
  std::optional<SealJob> seal_before;  // The segment before, when this group is a segment's first.
};

// The pieces of a group in file order.
struct Gather {
  struct Piece {
    const void* data = nullptr;  // Null: in the arena, from `at`.
    std::size_t at = 0;
    std::size_t bytes = 0;
  };
  struct Added {
    BatchHeader header;
    std::uint64_t hash;
    std::uint64_t at;
  };
  std::string arena;  // Headers and small bodies.
  std::vector<Piece> pieces;
  std::vector<std::string> kept;  // Bodies that pieces point into.
  std::vector<Added> added;
  std::size_t bytes = 0;

  void clear();
  void in_arena(std::size_t at, std::size_t n);
  void body(std::string text);
};

class LogImpl final : public Log {
 public:
  LogImpl(LogOptions options, std::unique_ptr<File> lock, Recovered& recovered);
  ~LogImpl() override;
  // Control page of the new epoch, active file, threads.
  Status start_writing(Recovered& recovered);

  Expected<TopicId> ensure_topic(std::string_view name) override;
  Status drop_topic(std::string_view name) override;
  void submit(AppendBatch batch, AppendCallback done) override;
  void pump() override;
  Expected<Offset> append_system(std::string key, std::string value) override;
  std::vector<SystemRecord> system_records() const override;

  std::optional<TopicInfo> find_topic(std::string_view name) const override;
  std::optional<TopicInfo> topic(TopicId id) const override;
  std::vector<TopicInfo> topics() const override;
  Offset start() const override { return Offset(log_start_.load(std::memory_order_acquire)); }
  Hold hold(std::string name, Offset offset) override { return holds_->add(std::move(name), offset); }
  void begin_retention() override;
  Offset durable_end() const override { return Offset(durable_offset_.load(std::memory_order_acquire)); }
  std::unique_ptr<LogReader> reader(Offset from, ReadFilter filter) override;
  Expected<Offset> offset_at_time(Timestamp time) override;
  Expected<Offset> offset_before_end(TopicId topic, std::uint64_t count) override;
  Expected<TopicSequence> sequence_at(TopicId topic, Offset offset) override;
  Expected<PrefixMark> mark(Offset offset) override;
  ProducerState producer(TopicId topic, ProducerId id) const override;
  std::uint64_t subscribe_durable(std::function<void()> notify) override;
  void unsubscribe_durable(std::uint64_t token) override;
  std::uint64_t scrub_step(std::uint64_t bytes) override { return scrub_.step(bytes); }
  LogStatus status() const override;
  std::optional<Error> fatal_error() const override;

  // For readers.
  [[nodiscard]] LogPosition durable_position() const {
    return LogPosition(durable_position_.load(std::memory_order_acquire));
  }
  [[nodiscard]] SegmentList& segments() { return segments_; }
  [[nodiscard]] DamageRegistry& damage() { return damaged_; }
  [[nodiscard]] bool may_repair_indexes() const { return !read_only_; }
  // The batch that holds `offset` (start() <= offset < durable_end()), in `map`'s bytes.
  struct Located {
    FoundBatch batch;
    std::shared_ptr<const Mapping> map;
    std::shared_ptr<Segment> segment;
  };
  [[nodiscard]] Expected<Located> locate(Offset offset);
  // Notes what cannot be read around file byte `at`, and says it.
  [[nodiscard]] std::unexpected<Error> unreadable(Segment& segment, std::uint64_t at, std::string what);

 private:
  // log_append.cc: the queue and who writes.
  // Needs queue_mutex_. `drop`: goes on without room.
  [[nodiscard]] std::optional<Error> refusal(std::size_t bytes, bool drop = false) const;
  void enqueue(Pending pending);
  [[nodiscard]] Status check_batch(AppendBatch& batch, BodySummary& summary);
  void writer_loop();
  void write_all(std::deque<Pending> work, std::vector<Group>& groups);
  void refuse_full(std::deque<Pending>& work, Group& group, const Error& cause);
  [[nodiscard]] Status room_for(std::deque<Pending>& work, Group& group);
  void resume_stalled(std::unique_lock<std::mutex>& lock);
  Status begin_epoch();

  // group_sync.cc: the sync role.
  void sync_loop();
  void sync_and_complete(std::vector<Group>& groups);
  void publish(std::vector<Group>& groups, bool watermark_stored);
  void acknowledge_written(Group& group);
  void fail_groups(std::vector<Group>& groups, const Error& error);
  void set_fatal(const Error& error);
  void notify_durable();

  // group_write.cc: the writer role.
  Status write_group(std::deque<Pending>& work, Group& group);
  Status write_gathered(Group& group);
  bool build(std::deque<Pending>& work, Group& group, Gather& gather);
  void settle(Pending& pending, Group& group, Expected<AppendAck> result);
  Status roll(std::uint64_t bytes_needed, Group& group);
  void look_at_active();
  // log_query.cc.
  template <class Ask>
  auto over_kept(Ask ask) -> decltype(ask());
  [[nodiscard]] Expected<Offset> find_time(Timestamp time);
  [[nodiscard]] Expected<TopicSequence> find_sequence(TopicId topic, Offset offset);
  [[nodiscard]] Expected<Offset> find_before_end(TopicId topic, std::uint64_t count);

  LogOptions options_;
  FileSystem& files_;
  Clock& clock_;
  std::unique_ptr<File> lock_;
  LogId id_;
  bool read_only_;
  WriterEpoch epoch_;
  std::atomic<std::uint64_t> log_start_;
  std::optional<std::string> damage_;
  std::string recovery_;
  std::uint64_t recovery_segments_scanned_ = 0, recovery_bytes_read_ = 0;
  std::vector<GapRange> gaps_;

  SegmentList segments_;
  DamageRegistry damaged_;
  Scrub scrub_;
  std::shared_ptr<HoldTable> holds_;
  DiskReserve reserve_;
  std::unique_ptr<ControlFile> control_;
  std::unique_ptr<Directory> directory_;  // Open for the log's life: a roll must not need a descriptor.
  std::unique_ptr<Preparer> preparer_;
  // Set once; a seal may ask for it at the same time.
  mutable std::mutex retention_mutex_;
  std::unique_ptr<Retention> retention_;

  mutable std::mutex state_mutex_;
  LogState state_;                 // As written (reserved).
  SystemRecords durable_records_;  // As durable.

  // Writer role; these two change under state_mutex_, for look_at_active().
  std::shared_ptr<Segment> active_;
  std::shared_ptr<File> active_file_;
  std::uint64_t nameless_ = 0;  // look_at_active(): the segment that was found without its name.
  std::uint64_t write_at_ = 0;
  std::uint64_t capacity_ = 0;
  std::uint64_t previous_hash_ = 0;
  // After a crash between a roll and its first sync: the segment has no whole snapshot yet, so the one
  // before, which recovery still needs, is sealed only behind the first group.
  bool snapshot_due_ = false;
  std::optional<SealJob> held_seal_;
  Gather gather_;  // Of the group being written; kept for its capacity.
  // The writer role found no room in the middle of a group: its offsets are given, so the same bytes go to
  // the same place later. The role stays taken (writing_), and the writer thread tries again.
  std::optional<Group> stalled_;  // Guarded by queue_mutex_.
  bool epoch_begun_ = false;
  std::chrono::steady_clock::time_point room_checked_;

  SyncPlacement placement_;  // Sync role, of callers of pump().

  mutable std::mutex queue_mutex_;
  std::condition_variable writer_wake_, sync_wake_;
  std::deque<Pending> queue_;
  std::size_t queue_bytes_ = 0;
  std::vector<Group> written_;  // Waiting for the sync role.
  std::size_t unsynced_bytes_ = 0;
  bool writing_ = false;
  bool syncing_ = false;
  bool closing_ = false;
  bool stop_sync_ = false;
  bool watermark_dirty_ = false;
  std::chrono::steady_clock::time_point last_commit_;
  std::optional<Error> fatal_;
  std::optional<Error> full_;

  std::atomic<std::uint64_t> durable_position_{0};
  std::atomic<std::uint64_t> durable_offset_{0};
  std::atomic<std::uint64_t> written_position_{0};
  std::atomic<std::uint64_t> written_offset_{0};
  std::atomic<std::uint64_t> events_appended_{0}, bytes_appended_{0}, syncs_{0}, sync_micros_{0};
  std::atomic<std::uint64_t> bytes_on_disk_{0};

  std::mutex subscribers_mutex_;
  std::vector<std::pair<std::uint64_t, std::function<void()>>> subscribers_;
  std::uint64_t next_token_ = 1;

  std::thread writer_thread_, sync_thread_, scrub_thread_;
};

}  // namespace kappa::log
