// What a statement would read, and whether a token allows it. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "serving/tokens.h"

namespace kappa::serving {

// K4013: the token lacks this scope.
[[nodiscard]] Error forbidden(std::string_view what, std::string_view scope);

// "v" of "v@3": a scope is for every version of a view.
[[nodiscard]] std::string_view without_version(std::string_view view);

// The views and streams that a SELECT, EXPLAIN or DESCRIBE names. kInvalid 4013 for any other statement; the parser's
// errors.
[[nodiscard]] Expected<std::vector<std::string>> names_read(std::string_view statement);

// kInvalid 4013 when the token does not allow the statement; the parser's errors.
[[nodiscard]] Status may_run(const Token& token, std::string_view statement);

}  // namespace kappa::serving
