// The scrub: reads sealed segments again, slowly and for ever, so that rot is found while a copy still
// exists and not on the day the bytes are needed.
//
// Each pass goes over all sealed segments: header page, every batch (both hashes, position, chain) and the
// footer. What it finds goes to the damage registry. It reads the disk, not memory: pages that it has to
// fetch leave the page cache again, pages that were there stay. Passes begin a day apart.
// step() and status() may be called from any thread; run() is a thread's body.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "log/damage.h"
#include "log/file.h"
#include "log/log.h"
#include "log/segment.h"

namespace kappa::log {

class Scrub {
 public:
  // Microseconds between the beginnings of two passes, by `clock`; a clock that went back makes it due.
  static constexpr std::int64_t kPassInterval = std::int64_t{24} * 3600 * 1'000'000;

  struct Options {
    FileSystem& files;
    SegmentList& segments;
    DamageRegistry& damage;
    Clock& clock;
    std::uint64_t bytes_per_second;  // 0: only step() does anything.
    // A segment that is found sound loses its entries in the registry; not if the log was refused.
    bool may_clear;
    // Runs with every step: is the file that is being written still what its name leads to?
    std::function<void()> look_at_active;
  };
  explicit Scrub(Options options) : options_(std::move(options)) {}

  // Reads about `bytes` more (whole batches). The bytes read; 0 if no pass is due or nothing is sealed.
  std::uint64_t step(std::uint64_t bytes);
  // Steps at the rate until stop().
  void run();
  void stop();
  [[nodiscard]] ScrubStatus status() const;

 private:
  enum class Next : std::uint8_t { kFound, kNone, kLater };
  Next next_segment();
  bool check_piece();
  void finish_segment();
  void publish();
  void found_damage(std::uint64_t at, std::string what);
  Expected<Bytes> window(std::uint64_t at, std::size_t bytes);

  const Options options_;
  mutable std::mutex status_mutex_;
  ScrubStatus published_;  // As of the last piece: who asks does not wait for a slow disk.

  std::mutex mutex_;  // Over all below; held over a step.
  ScrubStatus status_;
  std::int64_t pass_began_ = 0;
  bool in_pass_ = false;
  std::uint64_t last_number_ = 0;     // Of the segment done last in this pass.
  std::shared_ptr<Segment> segment_;  // Shared with the log's list; retention may take it from there.
  std::unique_ptr<File> file_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t at_ = 0;
  std::optional<ChainState> chain_;
  std::uint64_t batches_ = 0;
  std::uint64_t segment_hash_ = 0;
  bool sound_ = true;  // Of the segment, so far.
  std::string buffer_;
  std::uint64_t buffer_at_ = 0;

  std::mutex stop_mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
};

}  // namespace kappa::log
