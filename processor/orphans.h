// The directories in views/ that no view of the catalog has, and states that another log's views made.
//
// A state is derived, but only from its own log, and after retention perhaps from none any more. So what
// another log's view left is never deleted: it is moved aside within views/, as orphan-<name>, and stays
// until somebody deletes it. What this log's dropped views left is removed.
// Before any view is open; not thread-safe.
#pragma once

#include <filesystem>

#include "log/log.h"
#include "processor/catalog.h"
#include "proto/error.h"

namespace kappa::processor {

// Whether a view's state is in `views`: one that something was committed to, or that cannot be read.
// What was moved aside does not count. False if there is no such directory.
[[nodiscard]] bool holds_states(const std::filesystem::path& views);

// kCorrupt 3116 if the log has never held a record while `views` holds the state of another log's view: the
// log is not the one that belongs here.
[[nodiscard]] Status check_log_belongs(const std::filesystem::path& views, log::Log& log);

// Removes or moves aside what does not belong to a view of `catalog`, and moves aside what another log left
// under the name of one. kIo 3302 if that is not possible.
[[nodiscard]] Status clear_orphans(const std::filesystem::path& views, const CatalogState& catalog,
                                   log::Log& log);

// The error of serving without the log that `views` was made from. `log`: its directory.
[[nodiscard]] Error log_is_missing(const std::filesystem::path& log, const std::filesystem::path& views);

}  // namespace kappa::processor
