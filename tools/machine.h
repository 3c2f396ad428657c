// The machine that a figure was measured on.
#pragma once

#include <string>

namespace kappa::tools {

// "AMD EPYC, 2 threads, Linux 6.1.0".
[[nodiscard]] std::string machine();

}  // namespace kappa::tools
