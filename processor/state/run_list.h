// The sorted runs of a state (run_set.h), for those who only pass them on.
#pragma once

#include <memory>
#include <vector>

namespace kappa::processor {

class Run;
using RunList = std::vector<std::shared_ptr<const Run>>;  // Newest first.

}  // namespace kappa::processor
