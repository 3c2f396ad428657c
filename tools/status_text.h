// The status document for people.
#pragma once

#include <string>
#include <string_view>

#include "proto/error.h"

namespace kappa::tools {

// Any JSON object as text: members of nested objects as aligned "name value" lines under a heading,
// arrays of objects as tables (without what is an object in them). What a newer server adds is therefore shown too. kInvalid 5001 if it is
// not a JSON object.
[[nodiscard]] Expected<std::string> status_text(std::string_view json, std::string_view heading = "kappa");

}  // namespace kappa::tools
