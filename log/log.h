// The commit log: one immutable, totally ordered sequence of events of every topic; the only truth.
//
// Owns the data directory's log/ folder: segments, indexes, control page, manifest, lock.
// Positions: reserved >= written >= durable. Nothing downstream ever sees an event at or above the
// durable end, so nothing downstream can be ahead of what a power cut leaves.
// Threads: submit(), pump(), append*(), readers and all queries may be called from any thread.
// Completions run on the thread that finished the sync (the log's sync thread or the caller of
// pump()); they must not block and must not call back into append().
// docs/log-format.md and docs/durability.md are normative.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "log/holds.h"
#include "proto/batch.h"
#include "proto/error.h"
#include "proto/ids.h"
#include "proto/limits.h"

namespace kappa::log {

// What an acknowledgement promises. Values are on the wire.
enum class Durability : std::uint8_t {
  kSync = 0,     // fdatasync covered the batch before the ack (default).
  kWritten = 1,  // In the kernel's page cache; survives the process, not the machine.
  kStrict = 2,   // kSync, and the watermark that proves it is durable too (a second sync).
};
[[nodiscard]] const char* name_of(Durability durability);  // "sync", "written", "strict"

struct Clock {
  virtual ~Clock() = default;
  // Wall clock, microseconds since the epoch; may jump.
  [[nodiscard]] virtual Timestamp now() = 0;
  // Time that passes evenly and never goes back, from any beginning.
  [[nodiscard]] virtual std::chrono::microseconds steady() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
  }
};

class FileSystem;  // log/file.h: the seam for fault injection.

// When whole sealed segments are removed, oldest first; zeros: never. log/retention.h.
struct RetentionLimits {
  std::uint64_t bytes = 0;           // Above so many bytes of segments.
  std::chrono::microseconds age{0};  // When so much time has passed since they were sealed (log/segment_ages.h).
  std::uint64_t bytes_max = 0;       // Above so many bytes, even if a hold needs them; at least `bytes`.
  [[nodiscard]] bool on() const { return bytes != 0 || age.count() != 0 || bytes_max != 0; }
};

struct LogOptions {
  std::filesystem::path directory;  // Created if missing (its parent must exist).
  bool create = true;  // False: a directory without a log is kNotFound 3011, and nothing is made there.
  std::size_t segment_bytes = limits::kSegmentBytesDefault;  // [kSegmentBytesMin, kSegmentBytesMax].
  Durability durability = Durability::kSync;
  // Zero-written segments kept ready for the writer, 0..8. More smooths bursts, costs disk.
  unsigned prepared_segments = 2;
  // Sealed segments whose pages the writer leaves in the page cache; older ones are given back as
  // new ones are prepared, so that a long load uses the same memory again (first touch of fresh memory
  // is what an append costs most on a virtual machine) and does not push the views out of the cache.
  // Readers of older segments read them from disk again. UINT64_MAX keeps everything.
  std::uint64_t cached_bytes = std::uint64_t{128} << 20;
  // Sealed segments are read again in the background at this rate, to find rot early (log/scrub.h); 0: not.
  // More finds it sooner and takes as much from the disk.
  std::uint64_t scrub_bytes_per_second = 0;
  bool read_only = false;         // Shared lock; nothing is written, recovery reports instead of cutting.
  RetentionLimits retention;      // In force from begin_retention() on.
  // Appends are refused when less space is free; nullopt: log/disk_reserve.h chooses; 0: off.
  std::optional<std::uint64_t> disk_reserve_bytes;
  Clock* clock = nullptr;         // Borrowed; the system clock if null.
  FileSystem* files = nullptr;    // Borrowed; the real file system if null.
};

// A batch on its way in. The body is kept byte for byte.
struct AppendBatch {
  TopicId topic;
  Codec codec = Codec::kNone;
  std::uint32_t count = 0;
  std::uint32_t uncompressed_length = 0;
  std::string body;
  std::optional<std::uint64_t> body_hash;  // From the client; computed here if absent, verified if present.
  ProducerId producer_id;                  // 0: not deduplicated.
  std::uint32_t producer_epoch = 0;
  std::uint64_t producer_sequence = 0;
  // What validate_body said of the (uncompressed) body, so that it is not walked a second time;
  // computed here if absent.
  std::optional<BodySummary> summary;
};

struct AppendAck {
  Offset base_offset;            // Of the first event (of the original if a duplicate).
  std::uint32_t count = 0;       // Zero for an empty batch: acknowledged, nothing changes.
  bool duplicate = false;        // The batch was in the log already; its original is durable.
  bool offsets_known = true;     // False for a duplicate too old for its offsets to be remembered.
  Durability durability = Durability::kSync;
};
using AppendCallback = std::function<void(Expected<AppendAck>)>;

struct TopicInfo {
  TopicId id;
  std::string name;
  TopicSequence next_sequence;  // Durable events of the topic so far, retention aside.
};

struct ProducerState {
  std::uint32_t epoch = 0;
  std::uint64_t next_sequence = 0;  // What the log expects next, as far as it is durable.
  Offset end_offset;                // After the producer's last event; 0 if none.
};

// A record of the system topic: the current value of a key. Erased keys are not listed.
struct SystemRecord {
  std::string key;
  std::string value;
  Offset offset;
};

// A batch handed to a reader. `body` is the uncompressed records; it points into the mapped
// segment or into a buffer owned by the reader, is valid until the reader's next call, and is
// followed by at least 64 readable bytes of unspecified content (vector parsers read past the end).
struct BatchView {
  BatchHeader header;
  Bytes body;
  std::uint64_t header_hash = 0;
};

struct ReadFilter {
  // nullopt: every topic, system topic included; control batches are never delivered.
  std::optional<TopicId> topic;
};

// Walks the log forward from an offset; the first batch may begin before it (the caller skips).
// One thread at a time. Keeps the segment it reads mapped.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // The next batch below the durable end; nullopt when there is none yet (ask again after
  // notification); kCorrupt with the exact offsets for damage; kNotFound (3010) below log start.
  // Verifies header and body hash of every batch it gives.
  [[nodiscard]] virtual Expected<std::optional<BatchView>> next() = 0;
  // To be asked after the body that next() gave last was used and before its results are published,
  // unless it was copied and asked then: kCorrupt 3130 if the disk failed to deliver a part of it
  // meanwhile (the mapped page then reads as zeros, see log/mapping_guard.h). One atomic load.
  [[nodiscard]] virtual Status intact() { return {}; }
  // Where next() continues.
  [[nodiscard]] virtual Offset position() const = 0;
  virtual Status seek(Offset offset) = 0;
};

// Identity of a log prefix: a view commits it with its applied offset, so that an older log that
// was restored and grew again is not taken for the same.
struct PrefixMark {
  Offset offset;                  // End of the prefix.
  WriterEpoch writer_epoch;       // Of the batch that ends at or covers offset; 0 for the empty prefix.
  std::uint64_t header_hash = 0;  // Of the same batch; 0 for the empty prefix.
  // That batch was given up by a repair and nothing names it any more: the hash is that of the gap. What
  // was committed before the repair has another hash then, and nobody can say of which batch.
  bool lost = false;
  bool operator==(const PrefixMark&) const = default;
};

enum class PrefixMatch : std::uint8_t {
  kSame,
  kOther,    // Proven: another log, or another history of it.
  kUnknown,  // The log cannot say.
};
// Compares Log::mark() with a mark that was committed earlier at the same offset. The epochs are not looked
// at: the hash covers them, and a gap has that of a neighbour. Pure.
[[nodiscard]] PrefixMatch compare_prefix(const PrefixMark& log, const PrefixMark& committed);

// Bytes of a file of the log that are damaged, and the offsets [first, last) that this costs.
struct DamagedRange {
  std::string file;           // Name within the log's directory.
  std::uint64_t segment = 0;  // Its number; 0 for a file that is not a segment's.
  std::uint64_t from = 0;     // File bytes [from, to).
  std::uint64_t to = 0;
  Offset first, last;
  std::string what;  // Why it is not believed.
  bool operator==(const DamagedRange&) const = default;
};

// Offsets [first, last) that a repair gave up. Readers pass over them, nothing is ever given for them.
struct GapRange {
  Offset first, last;
  bool operator==(const GapRange&) const = default;
};

// The background check of sealed segments.
struct ScrubStatus {
  std::uint64_t bytes_per_second = 0;  // 0: off.
  std::uint64_t passes = 0;            // Whole ones, since opening.
  std::optional<Timestamp> last_pass;  // When the latest of them ended.
  std::uint64_t segment = 0;           // Number of the one being read; 0: none.
  std::uint64_t segments_done = 0;     // In this pass, of segments_total.
  std::uint64_t segments_total = 0;
  std::uint64_t bytes_read = 0;     // Since opening.
  std::uint64_t damaged_found = 0;  // Ranges that nobody knew of.
};

struct LogStatus {
  std::string log_id;  // 32 hex digits.
  Offset start;
  Offset written_end;
  Offset durable_end;
  LogPosition written_position;
  LogPosition durable_position;
  WriterEpoch writer_epoch;
  Durability durability = Durability::kSync;
  std::uint64_t segments = 0;
  std::uint64_t bytes_on_disk = 0;
  std::uint64_t events_appended = 0;  // Since opening.
  std::uint64_t bytes_appended = 0;
  std::uint64_t syncs = 0;
  std::uint64_t sync_micros_total = 0;
  std::uint64_t queue_bytes = 0;
  bool read_only = false;
  bool full = false;                 // Appends are refused with kFull.
  std::string full_reason;           // Why; empty when not.
  std::uint64_t disk_free_bytes = 0;
  std::uint64_t disk_reserve_bytes = 0;
  RetentionLimits retention;
  std::uint64_t segments_removed = 0;    // By retention, since opening.
  std::uint64_t bytes_removed = 0;
  std::optional<HoldInfo> lowest_hold;   // Who needs the oldest part of the log.
  std::string retention_note;            // What retention waits for, or that it went over a hold; else empty.
  std::optional<std::string> damage;  // Exact report when recovery found rot.
  std::vector<GapRange> gaps;         // All there are, in order.
  std::vector<DamagedRange> damaged;  // Everything found so far: by recovery, readers and the scrub.
  std::string recovery;               // What opening did, one line.
  std::uint64_t recovery_segments_scanned = 0;  // Whose batches opening read; at most two without damage.
  std::uint64_t recovery_bytes_read = 0;        // By opening, of all files of the log.
  ScrubStatus scrub;
};

class Log {
 public:
  // Locks the directory, recovers, prepares. Errors: kBusy 3001 (another process holds the lock),
  // kNotFound 3011 (no log there, and none is to be made), kIo, kCorrupt (only when not even reading is
  // possible; 3112: files of a log, but no manifest), kUnsupported 3103 (newer format).
  // Rot does not fail: the log opens read-only and status().damage says what.
  [[nodiscard]] static Expected<std::unique_ptr<Log>> open(LogOptions options);
  virtual ~Log() = default;  // Drains, syncs, stops its threads.

  // --- writing ---
  // Id of a topic, registering it (a control batch, made durable with the first batch after it) if
  // new. Errors: kInvalid 3020 (empty, over 255 bytes, not UTF-8, control characters, or a name that
  // begins with '$', which is reserved), kFull, kReadOnly, kTooLarge.
  [[nodiscard]] virtual Expected<TopicId> ensure_topic(std::string_view name) = 0;

  // Takes a topic's name away, durably: the next ensure_topic() of the name registers a topic anew, with sequence
  // numbers from 0. Its events stay in the log until retention removes them, under a reserved name that nobody can
  // append to. What is appended at the same time may still go to the old one. kNotFound 3024, kFull, kReadOnly.
  [[nodiscard]] virtual Status drop_topic(std::string_view name) {
    static_cast<void>(name);
    return fail(ErrorCode::kUnsupported, 3024, "this log cannot drop topics");
  }

  // Queues a batch. `done` runs exactly once. Immediate refusals (also through `done`): kInvalid,
  // kTooLarge, kBusy (queue bound), kFull, kReadOnly, kClosed, kSequence 3030 (gap or old epoch; the
  // message names the expected sequence). The body must have been checked by validate_body (or, with
  // a codec, decompressed and checked) by the caller.
  // Nothing is woken: call pump() after the last submit of a round.
  virtual void submit(AppendBatch batch, AppendCallback done) = 0;
  // Starts the writing of what was submitted. If the log is idle and little is queued, the caller
  // writes and syncs itself (a hand-over to a sleeping thread costs about 35 us) and the completions
  // run before this returns; otherwise the writer thread is woken.
  virtual void pump() = 0;
  // submit + pump + wait.
  [[nodiscard]] Expected<AppendAck> append(AppendBatch batch);

  // Appends one keyed record to the system topic and waits until it is durable (always kSync). An
  // empty value erases the key. Live records survive retention: every segment begins with them.
  [[nodiscard]] virtual Expected<Offset> append_system(std::string key, std::string value) = 0;
  // Current records in offset order.
  [[nodiscard]] virtual std::vector<SystemRecord> system_records() const = 0;

  // --- reading ---
  [[nodiscard]] virtual std::optional<TopicInfo> find_topic(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<TopicInfo> topic(TopicId id) const = 0;
  [[nodiscard]] virtual std::vector<TopicInfo> topics() const = 0;
  [[nodiscard]] virtual Offset start() const = 0;        // First offset still kept.
  [[nodiscard]] virtual Offset durable_end() const = 0;  // One relaxed load; monotonic.
  [[nodiscard]] virtual std::unique_ptr<LogReader> reader(Offset from, ReadFilter filter) = 0;
  // First offset whose batch has append time >= time, or durable_end().
  [[nodiscard]] virtual Expected<Offset> offset_at_time(Timestamp time) = 0;
  // First offset of the last `count` durable events of a topic (for tail -N).
  [[nodiscard]] virtual Expected<Offset> offset_before_end(TopicId topic, std::uint64_t count) = 0;
  // How many events a topic has had below `offset`, retention aside: the sequence number of its first event from there
  // on. Reads an index and a few headers. kNotFound 3024, and what reading a damaged log gives.
  [[nodiscard]] virtual Expected<TopicSequence> sequence_at(TopicId topic, Offset offset) {
    static_cast<void>(offset);
    return fail(ErrorCode::kUnsupported, 3024,
                "this log does not count the events of topic " + std::to_string(topic.value()));
  }
  // Keeps the log from `offset` on (Hold::offset(): from where really) as long as the token lives.
  // mark(N) needs the event before N.
  [[nodiscard]] virtual Hold hold(std::string name, Offset offset) {
    static_cast<void>(name);
    static_cast<void>(offset);
    return {};
  }
  // Lets retention run. Until then nothing is removed, so that whoever needs old segments can say so.
  virtual void begin_retention() {}
  // Mark of the prefix that ends at `offset` (<= durable_end). kNotFound 3010 below start(). At start(),
  // where the batch before is gone, its epoch is 0 and its hash the one that the first segment names. Inside
  // a gap it may be `lost`. kCorrupt, kIo, kNotFound 3201 and so on: the log cannot say at the moment.
  [[nodiscard]] virtual Expected<PrefixMark> mark(Offset offset) = 0;
  [[nodiscard]] virtual ProducerState producer(TopicId topic, ProducerId id) const = 0;

  // `notify` runs after durable_end() advanced, on the completing thread; it must not block.
  // Returns a token for unsubscribe(), after which `notify` does not run any more.
  [[nodiscard]] virtual std::uint64_t subscribe_durable(std::function<void()> notify) = 0;
  virtual void unsubscribe_durable(std::uint64_t token) = 0;

  // Goes on with the scrub by about `bytes` now, whatever its rate; the bytes read, 0 if no pass is due.
  virtual std::uint64_t scrub_step(std::uint64_t bytes) { return static_cast<void>(bytes), 0; }

  [[nodiscard]] virtual LogStatus status() const = 0;
  // Set when a sync failed: pending acks failed as kClosed ("unknown"), the process must stop.
  [[nodiscard]] virtual std::optional<Error> fatal_error() const = 0;
};

// kNotFound 3010, with what is kept.
[[nodiscard]] std::unexpected<Error> below_log_start(Offset offset, Offset start);

// Offline check of a log directory (`kappa verify`): every segment, header, hash, chain, index,
// footer and the manifest. Writes nothing. `line` gets one line of progress or finding at a time.
struct VerifyReport {
  std::uint64_t segments = 0;
  std::uint64_t batches = 0;
  std::uint64_t events = 0;
  std::vector<std::string> damage;    // Each names file, byte range and offsets.
  std::vector<GapRange> gaps;         // Given up by repairs: known, and no damage.
  std::vector<std::string> warnings;  // Derived files that will be rebuilt, a torn tail that will be cut.
};
// `files`: borrowed; the real file system if null.
[[nodiscard]] Expected<VerifyReport> verify(const std::filesystem::path& directory,
                                            const std::function<void(std::string_view)>& line,
                                            FileSystem* files = nullptr);

}  // namespace kappa::log
