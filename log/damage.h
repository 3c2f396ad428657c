// Known damage: which bytes of which file cannot be believed, and which offsets that costs.
//
// Filled by recovery, by readers that meet bad bytes and by the scrub; shown in LogStatus. It only ever
// says what was found: bytes that nobody has looked at are not in it. The registry is thread-safe; the
// rest are pure functions.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "log/log.h"
#include "log/segment_scan.h"

namespace kappa::log {

// "bytes [5, 9)"
[[nodiscard]] std::string bracket(const char* what, std::uint64_t from, std::uint64_t to);
// "offsets [5, 9) are damaged: segment file X, bytes [4096, 5000): what"
[[nodiscard]] std::string describe(const DamagedRange& range);
// kCorrupt 3130 with that text, and where reading can go on.
[[nodiscard]] Error damage_error(const DamagedRange& range);

// The damage at file byte `at` of a segment whose batches end at `end`, as exact as the bytes allow: from
// the end of the last sound header before `at` (searched from `start`, a place at or before `at` where a
// batch begins) up to the next batch that verifies whole, or to `end` and `end_offset`. Reads the bytes
// between; `file` may be shorter than `end`.
[[nodiscard]] DamagedRange damaged_range(Bytes file, const SegmentHeader& segment, std::uint64_t start,
                                         std::uint64_t at, std::uint64_t end, Offset end_offset);

class DamageRegistry {
 public:
  // Ranges kept for one segment; more are merged with their nearest neighbour.
  static constexpr std::size_t kRangesOfSegment = 64;

  // False if it is known already (inside a known range).
  bool add(DamagedRange range);
  // By file and byte; at most `count`.
  [[nodiscard]] std::vector<DamagedRange> list(std::size_t count = SIZE_MAX) const;
  [[nodiscard]] std::size_t size() const { return size_.load(std::memory_order_acquire); }
  // Forgets a segment's damage: it was repaired, or read again and found sound, or retired.
  void forget(std::uint64_t segment);
  // Forgets the damage of all segments before `segment`: retention removed them.
  void forget_before(std::uint64_t segment);

 private:
  std::atomic<std::size_t> size_{0};
  mutable std::mutex mutex_;
  std::vector<DamagedRange> ranges_;  // By segment and byte.
};

}  // namespace kappa::log
