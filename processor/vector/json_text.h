// Finding a place inside JSON text without parsing all of it: for -> and ->> and for casts of JSON.
//
// The text is that of a JSON column, so it was validated; on text that is not JSON the functions give
// nullopt or some piece of it, and never read outside. The last of duplicate members wins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kappa::processor {

// The text of an object's member or an array's element; nullopt if there is none.
[[nodiscard]] std::optional<std::string_view> json_member(std::string_view json, std::string_view name);
// A negative index counts from the end.
[[nodiscard]] std::optional<std::string_view> json_element(std::string_view json, std::int64_t index);

// White space around the value removed.
[[nodiscard]] std::string_view json_trim(std::string_view json);
[[nodiscard]] bool json_is_null(std::string_view json);
// The characters of a JSON string (quotes included in `json`); nullopt if it is not one.
[[nodiscard]] std::optional<std::string> json_unquote(std::string_view json);
// Whether the text is one valid JSON value of any kind, nothing after it.
[[nodiscard]] bool json_valid(std::string_view json);

}  // namespace kappa::processor
