// One top-level member of an event that is known to be valid JSON, for `kappa append --key`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kappa::tools {

// The member's value as key bytes: the characters of a string, the JSON text of anything else. The
// last of duplicate members wins. nullopt if it is missing or null. `scratch` holds an unescaped
// string; the view is valid while it and `event` are.
[[nodiscard]] std::optional<std::string_view> find_key(std::string_view event, std::string_view name,
                                                       std::string& scratch);

}  // namespace kappa::tools
