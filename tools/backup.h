// What `kappa backup`, `kappa restore` and `kappa verify` share about backups.
#pragma once

#include <string>

#include "log/backup.h"
#include "tools/output.h"

namespace kappa::tools {

// Shows `what` and the megabytes done on `progress`, which must outlive the result.
[[nodiscard]] log::BackupProgress byte_progress(Progress& progress, const char* what);

// Compares every file of the backup with its hash; findings and a summary on stdout. The exit status:
// 0, 7 for damage, 4 if there is no complete backup.
[[nodiscard]] int verify_backup_directory(const std::string& directory, bool json);

}  // namespace kappa::tools
