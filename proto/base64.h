// Bytes as text that every tool can turn back: RFC 4648, with padding. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kappa {

[[nodiscard]] std::string encode_base64(std::string_view bytes);
// nullopt for anything that encode_base64 does not give.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace kappa
