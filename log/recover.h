// Opening a log directory: reads manifest, control file and the segments that are not sealed,
// gathers the facts, asks classify() and carries the decision out.
//
// Reads the sealed segments' footers and scans at most two segments. With read_only, or when the
// decision is to refuse, nothing on disk changes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "log/control_file.h"
#include "log/log_state.h"
#include "log/recovery.h"
#include "log/segment.h"

namespace kappa::log {

struct Recovered {
  Manifest manifest;
  std::optional<ControlPage> control;
  std::vector<std::shared_ptr<Segment>> segments;  // All, in order; the last one takes the appends.
  std::size_t unsealed = 0;                        // How many at the end have no manifest entry.
  LogState state;
  ChainState chain;  // At the end.
  LogPosition end_position;
  std::uint64_t end_at = 0;  // File byte after the last batch, in the last segment.
  std::uint64_t bytes_on_disk = 0;
  std::optional<std::string> damage;  // Set: open read-only.
  std::vector<DamagedRange> damaged;  // The same, by place.
  std::vector<GapRange> gaps;         // Known ones, in order, neighbours joined.
  std::string summary;
  std::uint64_t segments_scanned = 0;  // Whose batches were read; the others only by their footers.
  std::uint64_t bytes_read = 0;        // Of all files.
};

// Appends [first, last), joined with the last one where they touch.
void add_gap(std::vector<GapRange>& gaps, Offset first, Offset last);

// Makes MANIFEST, CONTROL and the first segment of an empty directory (or finishes that after a
// crash in the middle). The first segment gets its snapshot with the first append.
Status initialize(FileSystem& files, const std::filesystem::path& directory, std::uint64_t segment_bytes);

// Errors: kNotFound 3011 (no log here), kIo, kCorrupt 3112 (nothing can be read without a
// manifest), kUnsupported 3103.
[[nodiscard]] Expected<Recovered> recover(FileSystem& files, const std::filesystem::path& directory,
                                          bool read_only);

}  // namespace kappa::log
