// "did you mean": the known name nearest to a mistyped one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kappa::processor::sql {

// Text for Error::hint, empty when nothing is near. Distance: insertions, deletions, replacements and
// swaps of neighbours (optimal string alignment), at most a third of the name's length and at least 1;
// letter case does not count. Of several nearest names the first in order.
[[nodiscard]] std::string did_you_mean(std::string_view name, const std::vector<std::string>& known);

}  // namespace kappa::processor::sql
