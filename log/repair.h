// `kappa repair`: makes a damaged log writable again by giving up, on record, what is lost.
//
// Lost batches are replaced by gap batches over exactly their bytes and their offsets, so that every
// position, offset and hash behind them stays as it is; a segment file that is gone is replaced by one
// that holds the gap. What can be made anew from the rest (header pages, footers, the manifest, file
// names) costs nothing. If the part that takes the appends is damaged, it is sealed as it then is, and a
// new last segment begins with a snapshot of the tables.
//
// Nothing outside the damaged ranges changes, and the damaged bytes are kept beside the segments first
// (damaged-<position>.bin, damaged-<file name>). Killed at any point it leaves a directory that is still
// refused as damaged or already sound, and running it again finishes it. The steps and their order are
// in log/repair.cc.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "log/survey.h"

namespace kappa::log {

struct RepairOptions {
  std::filesystem::path directory;  // The log's own.
  bool accept_loss = false;         // Without: only says what would be done; nothing changes.
  FileSystem* files = nullptr;      // Borrowed; the real file system if null.
};

struct RepairReport {
  std::vector<std::string> damage;   // What the check found; empty: nothing to do, nothing was done.
  std::vector<std::string> actions;  // What was, or would be, done.
  std::vector<GapRange> lost;        // Offsets given up by it.
  LostDefinitions definitions;       // Topics and system records given up by it.
  std::vector<std::string> topics;   // Names of those that are left; the system topic is not one.
  std::vector<SystemRecord> records;  // That are left, by key.
  std::vector<std::string> remaining;  // What a check finds afterwards; empty after success.
  bool done = false;
};

// Takes the exclusive lock. `line` gets progress. Everything is durable on return. Errors: kBusy 3001
// (a server or another repair), kNotFound 3011, kCorrupt 3112 and 3132 (what no rule can repair; nothing
// further changes), kIo, kFull.
[[nodiscard]] Expected<RepairReport> repair(const RepairOptions& options,
                                            const std::function<void(std::string_view)>& line);

}  // namespace kappa::log
