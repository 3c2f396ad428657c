// The sorted runs of a state that is built from nothing: what it has instead of a tree until it is loaded whole.
//
// A run has the changes from one commit to the next, and the commits that it holds in its name:
// run-<first>-<last>, 10 digits each. Newer runs hide older ones, so the newest ones can be merged into one that takes
// their place; of two runs of which one holds the other's commits, a crash left both, and the smaller goes.
// Lists are immutable and shared; the set is of the one thread that writes, after open().
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "processor/state/run.h"
#include "processor/state/run_list.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

// The runs in a directory. What is not whole a run by its name is not one; removes nothing. kCorrupt 3301, kIo.
[[nodiscard]] Expected<RunList> open_runs(const std::filesystem::path& directory);
// Whether there are any, without looking into them.
[[nodiscard]] bool has_runs(const std::filesystem::path& directory);
// Removes the files of all runs that are not in `kept`, and those that were not finished.
void remove_runs(const std::filesystem::path& directory, const RunList& kept);

// The newest version of an entry in the runs; nullopt if none has it.
[[nodiscard]] Expected<std::optional<RunEntry>> find_in_runs(const RunList& runs, TableId table, std::string_view key);

// Calls `visit` with the newest version of every entry in `newest` (sorted) over `runs`, in order; entries that do not
// exist any more included. An error of it ends the walk.
[[nodiscard]] Status merge_runs(std::span<StateEntry* const> newest, const RunList& runs,
                                const std::function<Status(const RunEntry&)>& visit);

// The list with one more run, of the sorted entries; the newest runs are merged where many are about as large, so that
// their number grows with the logarithm of the state and every entry is written again about as often.
// kFull, kIo 3302, kCorrupt 3301: the list is as it was. The files of those that are gone from it are removed.
[[nodiscard]] Expected<RunList> add_run(const std::filesystem::path& directory, const RunList& runs,
                                        std::span<StateEntry* const> entries, std::string_view note);

}  // namespace kappa::processor
