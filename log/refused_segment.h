// A sealed segment that is not what the manifest says: what of it is damaged, exactly. Opening looks at no
// batch of a sealed segment; of a refused one it reads them all, once, so that the report names the offsets
// that are lost and not the whole segment.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "log/damage.h"
#include "log/segment.h"

namespace kappa::log {

struct RefusedSegment {
  // Never empty; one without offsets (first == last) when every batch is sound.
  std::vector<DamagedRange> damaged;
  // Of the last batch, if that is sound: what the next segment names as the one before it.
  std::optional<std::uint64_t> last_hash;
};

// `end_offset` and segment.end() are the manifest's; `why` it was refused. Reads the segment's file; a file
// that cannot be mapped is lost whole.
[[nodiscard]] RefusedSegment look_at_refused(Segment& segment, Offset end_offset, const std::string& why);

// Where the last batch that verifies ends, damage before it or not; 0 if there is none.
[[nodiscard]] Offset held_upto(Bytes file, const SegmentHeader& header);

// The batches that begin a segment and repeat the log's tables are all there.
[[nodiscard]] bool snapshot_is_whole(Segment& segment);

}  // namespace kappa::log
