// A whole look at a log directory: every file, every byte, nothing believed that does not verify, and
// nothing needed that may be lost (not even the manifest). `kappa verify` prints it, `kappa repair` plans
// from it. Changes nothing.
//
// What the segments must look like is put together from all that names them: their header pages, the
// manifest, file names, positions inside valid headers, and the watermark W. Where these leave a doubt
// about the end of the log, the same evidence decides as in recovery: bytes below W or below a later
// header's durable_upto were durable and are lost, bytes above are a torn tail.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "log/damage.h"
#include "log/file.h"
#include "log/log_state.h"
#include "log/segment_index.h"

namespace kappa::log {

// Whole batches that are gone.
struct LostRange {
  std::uint64_t from = 0, to = 0;   // File bytes.
  Offset first, last;               // May be equal: only control batches are lost.
  std::uint64_t previous_hash = 0;  // Of the batch before.
  std::uint64_t resume_hash = 0;    // What the batch behind names as the one before it, or the hash in the
                                    // lost header if it is sound; 0: nothing says so.
  Timestamp append_time;            // Of the batch before.
  WriterEpoch epoch;                // Of a neighbour.
  std::string what;
};

struct SurveyedSegment {
  SegmentHeader header;             // As its page must be.
  std::optional<std::string> file;  // The name its bytes are under; nullopt: there are none.
  bool page_damaged = false;
  bool sealed = false;  // Of the part of the log that does not change any more: has a footer.
  bool footer_damaged = false;
  bool entry_damaged = false;  // The manifest's entry is missing or another one.
  std::uint64_t end = kSegmentHeaderBytes;  // File byte where its batches, lost ones included, end.
  Offset end_offset;
  std::uint64_t file_bytes = 0;
  std::uint64_t torn_end = 0;  // Above `end`: bytes up to there belong to no batch.
  std::vector<LostRange> lost;
  std::uint64_t batches = 0;
  std::uint64_t events = 0;

  [[nodiscard]] std::string name() const { return segment_name(header.number, header.base_offset); }
  [[nodiscard]] bool misplaced() const { return file && *file != name(); }
};

// Topics and records of the system topic that may have been in lost batches and that nothing left repeats.
struct LostDefinitions {
  std::vector<GapRange> offsets;         // Where they were, if there were any. May be empty ranges.
  std::vector<std::string> topics;       // Names, as far as the damaged bytes can be read: not verified.
  std::vector<std::string> system_keys;  // The same of records.
};

struct Survey {
  LogId log_id;
  std::optional<Manifest> manifest;    // nullopt: missing or damaged.
  std::optional<ControlPage> control;  // nullopt: missing, damaged or another log's.
  Offset log_start;
  std::vector<SurveyedSegment> segments;  // By number, without gaps.
  std::vector<std::string> extra;         // Segment files that have no place in the log.
  // The part behind the sealed segments is damaged, or gone: it cannot take appends as it is.
  bool tail_damaged = false;
  LogPosition end_position;
  Offset end_offset;
  std::uint64_t end_hash = 0;
  WriterEpoch epoch;  // The highest seen.
  LogState state;     // After all that is left.
  LostDefinitions lost_definitions;
  std::vector<GapRange> gaps;          // Of earlier repairs.
  std::vector<std::string> damage;     // Findings, each with file, bytes and offsets as far as they exist.
  std::vector<std::string> warnings;   // Derived files, a torn tail.
  [[nodiscard]] bool sound() const { return damage.empty(); }
};

// `line` gets a line per segment and finding as it goes. Errors: kNotFound 3011 (no log here), kCorrupt
// 3112 (segment files, but nothing that says which log they are), kUnsupported 3103, kIo for the directory.
[[nodiscard]] Expected<Survey> survey(FileSystem& files, const std::filesystem::path& directory,
                                      const std::function<void(std::string_view)>& line);

// Prefix of a segment file that a repair is about to move to its name.
inline constexpr std::string_view kMovingPrefix = "repair-";

}  // namespace kappa::log
