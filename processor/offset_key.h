// System keys that name a record by an offset: "<kind>/<offset>", as replacements and pauses have them.
// Thread-safe.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "proto/ids.h"

namespace kappa::processor {

// `prefix` ends with the slash.
[[nodiscard]] inline std::string offset_key(std::string_view prefix, Offset id) {
  return std::string(prefix) + std::to_string(id.value());
}

// nullopt: another kind of key, or not a number behind the prefix.
[[nodiscard]] inline std::optional<Offset> parse_offset_key(std::string_view prefix, std::string_view key) {
  if (!key.starts_with(prefix)) return std::nullopt;
  key.remove_prefix(prefix.size());
  std::uint64_t id = 0;
  const auto parsed = std::from_chars(key.data(), key.data() + key.size(), id);
  if (parsed.ec != std::errc{} || parsed.ptr != key.data() + key.size()) return std::nullopt;
  return Offset(id);
}

}  // namespace kappa::processor
