// Which files a log directory has, and what each of them is: the first half of a survey (log/survey.h).
// A file is what its header page says it is; its name only counts where the page is damaged.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "log/file.h"
#include "log/format.h"

namespace kappa::log {

// A segment file as found.
struct SurveyedFile {
  std::string file;
  std::uint64_t number = 0;
  std::optional<SegmentHeader> page;  // If it is valid and of this log.
  SegmentHeader header;               // Its page, or the best guess; base_position only if known.
  bool known = false;                 // header can be relied on.
  // What its first batch, or its page, names as the batch before it.
  std::optional<std::uint64_t> previous_hash;
};

struct SurveyedFiles {
  LogId log_id;
  std::optional<Manifest> manifest;    // nullopt: missing or damaged.
  std::optional<ControlPage> control;  // nullopt: missing, damaged or another log's.
  std::map<std::uint64_t, ManifestEntry> entries;  // Of the manifest, by number.
  std::map<std::uint64_t, SurveyedFile> segments;  // By number.
  std::vector<std::string> extra;   // Segment files that have no place in the log.
  std::vector<std::string> damage;  // Findings.
};

// Errors: those of survey().
[[nodiscard]] Expected<SurveyedFiles> survey_files(FileSystem& files, const std::filesystem::path& directory);

}  // namespace kappa::log
