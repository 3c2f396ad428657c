// What `kappa read` says about offsets that a repair gave up: they are not an error, but nobody should
// take the events around them for all there were.
#pragma once

#include <string>
#include <string_view>

#include "proto/ids.h"

namespace kappa::tools {

// One line per gap that lies, wholly or in part, in [first, end), of a server's STATUS document; empty if
// there is none (or the document is not one).
[[nodiscard]] std::string gap_notice(std::string_view status_json, Offset first, Offset end);

}  // namespace kappa::tools
