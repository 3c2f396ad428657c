// Retention: removes the oldest sealed segments, whole, when the log is over its limits.
//
// Order, so that a crash anywhere loses nothing that is kept: log_start and the shorter list become
// durable in the MANIFEST; readers are told; then index and segment files are unlinked and the
// directory is synced. Files that a crash leaves behind are removed by the next opening: only files
// that are numbered below the manifest's first segment and begin below its log_start.
// The newest sealed segment is never removed: the chain and the position of the segments that are not
// sealed hang on it. Holds (log/holds.h) keep what they need; only bytes_max goes over them.
// Runs on a thread of its own, which exists only while retention is on and begun; it wakes for a
// sealed segment, and by the clock only while ages count or a hold is in the way.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <thread>

#include "log/holds.h"
#include "log/log.h"
#include "log/preparer.h"
#include "log/segment_ages.h"

namespace kappa::log {

struct RetainedSegment {
  Offset end_offset;
  std::uint64_t bytes = 0;
  std::chrono::microseconds age{0};
};

struct RetentionPlan {
  std::size_t remove = 0;     // So many of the oldest.
  std::size_t over_hold = 0;  // The last so many of them although a hold needs them.
  std::size_t held = 0;       // So many more are over the limits and wait for a hold.
};
// `sealed` oldest first; `other_bytes` of segments that are not sealed.
[[nodiscard]] RetentionPlan plan_retention(const RetentionLimits& limits,
                                           std::span<const RetainedSegment> sealed, std::uint64_t other_bytes,
                                           std::optional<Offset> lowest_hold);

// Removes files of segments that the manifest does not list any more (see above), durably. Fails when the
// sync does; a file that cannot be removed stays, with a warning.
Status remove_leftovers(FileSystem& files, const std::filesystem::path& directory, const Manifest& manifest);

class Retention {
 public:
  struct Parts {
    FileSystem& files;
    std::filesystem::path directory;
    LogId id;
    Clock& clock;
    Preparer& preparer;
    Directory& names;  // Of `directory`.
    SegmentList& segments;
    HoldTable& holds;
    // Bytes of segments that are not sealed.
    std::function<std::uint64_t()> other_bytes;
    // log_start is durable at `start`; the segments leave the list after this. Then, once they are
    // unlinked, with the bytes given back.
    std::function<void(Offset start)> advanced;
    std::function<void(std::uint64_t bytes)> removed;
    // A sync failed, or something else that is no lack of space: the log must stop.
    std::function<void(const Error&)> failed;
  };
  Retention(RetentionLimits limits, Parts parts);
  ~Retention();
  // Something may have become due: a segment was sealed.
  void wake();

  struct Report {
    std::uint64_t segments_removed = 0;  // Since opening.
    std::uint64_t bytes_removed = 0;
    std::string note;  // What is in its way, or that it went over a hold; empty: nothing to say.
  };
  [[nodiscard]] Report report() const;

 private:
  void run();
  void begin_ages();
  enum class Next : std::uint8_t {
    kWhenWoken,
    kSoon,  // A hold or the disk is in the way.
    kNever,
  };
  [[nodiscard]] Next pass();
  Status remove(const Manifest& manifest, std::size_t count);
  void save_ages();
  void set_note(std::string note);

  const RetentionLimits limits_;
  Parts parts_;
  std::optional<SegmentAges> ages_;  // With a limit of age; this thread's.
  std::chrono::microseconds saved_at_{0};
  std::string warned_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = true;
  bool stop_ = false;
  Report report_;
  std::thread thread_;
};

}  // namespace kappa::log
