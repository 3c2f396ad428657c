// How old each sealed segment is, on a clock that wall-clock jumps cannot move far.
//
// Age is time that passed while the log was open, by the monotonic clock, since the segment was
// sealed; each time the log was closed counts by the wall clock, but at most a tenth of the limit. A
// wall clock that jumps, either way and by years, while the log is open changes no age; one that is
// wrong at an opening makes segments at most a tenth of the limit too old, and a stamp in the future
// (after a jump) blocks nothing, because ages do not come from stamps.
// Only segments that were sealed while nobody counted (before retention was on, or the file below was
// lost) get their first age from append times: the distance to the next segment's, at most a tenth of
// the limit each, so that one false step between two segments cannot make all before it old.
//
// The file RETENTION keeps the ages over openings. It is derived: without it segments are kept longer.
// Not thread-safe; retention's thread owns it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "log/format.h"

namespace kappa::log {

class SegmentAges {
 public:
  using Micros = std::chrono::microseconds;
  // `limit`: the age at which segments are removed, above 0; it bounds what is believed of the wall clock.
  explicit SegmentAges(Micros limit) : limit_(limit) {}

  struct Stamp {
    std::uint64_t number = 0;
    Timestamp last_append_time;
  };
  // At opening. `stored` is the content of RETENTION (empty or damaged: as if there were none), `missing`
  // the sealed segments that it does not know, by number (see unknown()), with their stamps.
  void restore(std::string_view stored, const LogId& id);
  [[nodiscard]] bool knows(std::uint64_t number) const { return births_.contains(number); }
  void begin(Timestamp wall, Micros steady, std::span<const Stamp> missing);

  // Time passes; `steady` never goes back.
  void tick(Micros steady);
  // A segment was sealed just now.
  void sealed(std::uint64_t number) { births_.try_emplace(number, now_); }
  void removed_before(std::uint64_t number) { births_.erase(births_.begin(), births_.lower_bound(number)); }
  // Of a segment that is not known: 0.
  [[nodiscard]] Micros age(std::uint64_t number) const;

  // For RETENTION, with the wall clock as it is now.
  [[nodiscard]] std::string encode(const LogId& id, Timestamp wall) const;

 private:
  [[nodiscard]] Micros believed(std::int64_t micros) const;

  Micros limit_;
  Micros now_{0};  // Of the ages' own clock.
  Micros steady_{0};
  std::optional<Timestamp> saved_wall_;
  std::map<std::uint64_t, Micros> births_;  // By segment number.
};

}  // namespace kappa::log
