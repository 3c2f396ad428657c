// Says what a repair of the log costs besides events: topics, streams and views whose definitions were in
// the lost batches and that no snapshot repeats.
//
// Names come from damaged bytes as far as they can be read, and from the states of views, so the list may be
// incomplete; then it says so, and what is left is listed too. Changes nothing.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "log/repair.h"

namespace kappa::processor {

// Lines for people, without line ends; empty if no definition is lost. `views` is the directory of all states.
[[nodiscard]] std::vector<std::string> lost_definitions(const log::RepairReport& report,
                                                        const std::filesystem::path& views);

}  // namespace kappa::processor
