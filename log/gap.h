// Gap batches: what stands in the place of batches that a repair gives up.
#pragma once

#include <string>
#include <vector>

#include "log/survey.h"

namespace kappa::log {

// One gap batch as it is written: header, and `filler` zeros behind it.
struct GapBatch {
  std::uint64_t at = 0;  // File byte.
  std::string header;    // kBatchHeaderBytes, encoded.
  std::uint64_t filler = 0;
};

struct Gap {
  std::vector<GapBatch> batches;
  std::uint64_t chain_hash = 0;  // What the batch behind it must name as the one before it.
};

// Gap batches that take exactly the bytes [range.from, range.to) and the offsets [range.first, range.last)
// of `segment`: as few as the limits of a batch allow, the last one with range.resume_hash.
// kCorrupt 3132 if the offsets do not fit into the bytes (the range is then not one of whole batches).
[[nodiscard]] Expected<Gap> make_gap(const SegmentHeader& segment, const LostRange& range);

}  // namespace kappa::log
