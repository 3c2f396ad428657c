// What opening a log decides about its end: a pure function of the facts found on disk.
// docs/durability.md prints the table; tests/log/recovery_test.cc checks every row.
#pragma once

#include <cstdint>
#include <optional>

#include "proto/ids.h"

namespace kappa::log {

// What stands behind the last batch of the unbroken chain ("the end").
enum class TailBytes : std::uint8_t {
  kZeros,    // Nothing: zeros to the end of the segment.
  kGarbage,  // Anything else.
};

struct TailFacts {
  // W from the control file; nullopt if neither page is valid.
  std::optional<LogPosition> watermark;
  // End of the unbroken chain of valid batches.
  LogPosition end;
  TailBytes tail = TailBytes::kZeros;
  // The highest durable_upto of any valid header found behind the end, in the rest of the segment or
  // in the next one (a footer counts as one with its own end position); nullopt if there is none.
  std::optional<LogPosition> later_durable_upto;
  bool operator==(const TailFacts&) const = default;
};

enum class TailDecision : std::uint8_t {
  kClean,          // The log ends where it says. Nothing to do.
  kKeepUnproven,   // Whole batches above W: keep them, write them again, sync.
  kCutTornTail,    // Never acknowledged as far as can be known: copy aside, zero, keep what is whole.
  kRefuseRot,      // Bytes that were durable are gone: read-only, change nothing.
  kRefuseControl,  // W is unknown, so a loss could not be told from a torn tail: read-only.
};

[[nodiscard]] TailDecision classify(const TailFacts& facts);
[[nodiscard]] const char* name_of(TailDecision decision);

}  // namespace kappa::log
