#include "log/missing_log.h"

#include "log/format.h"
#include "log/preparer.h"
#include "log/survey.h"

namespace kappa::log {
namespace {

// A segment under its name, or under the one that a repair moves it with.
bool is_segment(std::string_view name) {
  if (name.starts_with(kMovingPrefix)) name.remove_prefix(kMovingPrefix.size());
  return parse_segment_name(name).has_value();
}

// Files that only a log which has had its first segment makes. MANIFEST.tmp, CONTROL.tmp and
// first.unfinished are older than that.
bool outlives_creation(std::string_view name) {
  return name.starts_with(kRetentionName) || name.starts_with("torn-") || name.starts_with("damaged-") ||
         name.starts_with(kMovingPrefix) || is_prepared_name(name) || name.ends_with(".index") ||
         name.ends_with(".index.tmp") || name.find(".segment") != std::string_view::npos;
}

Error lost(const std::filesystem::path& directory, std::string_view example, std::string hint) {
  return {ErrorCode::kCorrupt, 3112,
          "there are files of a log (" + std::string(example) + ") but no manifest in " + directory.string(),
          std::move(hint), 0, {}};
}

}  // namespace

Error without_manifest(FileSystem& files, const std::filesystem::path& directory) {
  const Error none{ErrorCode::kNotFound, kNoLog, "no log in " + directory.string(),
                   "name the data directory with -d", 0, {}};
  const auto names = files.list(directory);
  if (!names) return names.error().code == ErrorCode::kNotFound ? none : names.error();
  for (const std::string& name : *names)
    if (is_segment(name))
      return lost(directory, name,
                  "`kappa verify` shows what is there, `kappa repair` can make the manifest anew from it");
  const std::string copy =
      "restore the directory from a backup or a copy; to begin anew instead, use another one";
  for (const std::string& name : *names)
    if (outlives_creation(name)) return lost(directory, name, copy);
  // Creation leaves a control file that tells of nothing. Any other means that a log was here.
  const auto control = files.read_whole(directory / kControlName, 4 * kControlPageBytes);
  if (!control) return control.error().code == ErrorCode::kNotFound ? none : control.error();
  const auto page = decode_control(as_bytes(*control));
  const bool fresh = page && page->watermark == LogPosition(0) && page->writer_epoch == WriterEpoch(0);
  return fresh ? none : lost(directory, kControlName, copy);
}

}  // namespace kappa::log
