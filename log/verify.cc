// The offline check behind `kappa verify`: reads every byte of every file of the log, changes nothing.
#include "log/survey.h"

namespace kappa::log {

Expected<VerifyReport> verify(const std::filesystem::path& directory,
                              const std::function<void(std::string_view)>& line, FileSystem* file_system) {
  FileSystem& files = file_system != nullptr ? *file_system : real_file_system();
  // A directory without its lock file is checked all the same: it may be a copy.
  std::unique_ptr<File> lock;
  if (auto opened = files.open(directory / kLockName, OpenMode::kRead)) {
    lock = std::move(*opened);
    KAPPA_TRY(const bool locked, lock->lock(false));
    if (!locked)
      return fail(ErrorCode::kBusy, 3001, "another process has the log " + directory.string() + " open",
                  "stop it first; `kappa status` shows what its scrub and its readers found so far");
  } else if (opened.error().code != ErrorCode::kNotFound) {
    return std::unexpected(opened.error());
  }
  KAPPA_TRY(Survey found, survey(files, directory, line));
  VerifyReport report;
  for (const SurveyedSegment& segment : found.segments) {
    if (segment.file) ++report.segments;
    report.batches += segment.batches;
    report.events += segment.events;
  }
  report.damage = std::move(found.damage);
  report.warnings = std::move(found.warnings);
  report.gaps = std::move(found.gaps);
  return report;
}

}  // namespace kappa::log
