// The offline check of every view's state in a data directory (`kappa verify`): structure, checksums,
// multiset hash, and that each state stands for a prefix of the log that is there. Changes nothing.
//
// States are derived: what is wrong with one costs a rebuild at the next start, never an event. A view that the
// log cannot make again, because it begins too late, is named as such.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "proto/error.h"

namespace kappa::processor {

struct ViewsReport {
  std::uint64_t views = 0;
  std::vector<std::string> damage;    // One line a view whose state will not be used, or that has lost it for good.
  std::vector<std::string> warnings;  // States that could not be compared with the log.
};

// `views` is the directory of all states; a missing one has none. `log` is borrowed and may be null (it
// could not be opened): then states are checked but not compared with it. Nobody may have the directory
// open. `line` gets one line a view as it is done.
[[nodiscard]] ViewsReport verify_views(const std::filesystem::path& views, log::Log* log,
                                       const std::function<void(std::string_view)>& line);

}  // namespace kappa::processor
