// Tokens of JSON text: strings with escapes and numbers, checked against RFC 8259 and converted.
//
// Everything here works on a token that stage 1 has cut out and whose bytes are valid UTF-8 without
// raw control characters. Nothing allocates. Thread-safe (no state).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "proto/value.h"

namespace kappa::processor {

// Length of the number at the start of `token` by the grammar of RFC 8259, section 6; 0 if there is
// none. `integer` is false when a fraction or an exponent is written.
struct NumberShape {
  std::size_t length = 0;
  bool integer = true;
};
[[nodiscard]] inline NumberShape scan_number(std::string_view token) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const char* at = token.data();
  const char* const end = at + token.size();
  NumberShape shape;
  if (at != end && *at == '-') ++at;
  if (at == end || !is_digit(*at)) return {};
  if (*at == '0') {
    ++at;
  } else {
    while (at != end && is_digit(*at)) ++at;
  }
  if (at != end && *at == '.') {
    shape.integer = false;
    ++at;
    if (at == end || !is_digit(*at)) return {};
    while (at != end && is_digit(*at)) ++at;
  }
  if (at != end && (*at | 0x20) == 'e') {
    shape.integer = false;
    ++at;
    if (at != end && (*at == '+' || *at == '-')) ++at;
    if (at == end || !is_digit(*at)) return {};
    while (at != end && is_digit(*at)) ++at;
  }
  shape.length = static_cast<std::size_t>(at - token.data());
  return shape;
}

// Whether every backslash of `text` (a string's inside) begins a legal escape, surrogates in pairs.
[[nodiscard]] bool valid_escapes(std::string_view text);

// Writes the string that `text` (a string's inside, with escapes) stands for; never longer than
// `text`. Returns the bytes written, or nullopt for an illegal escape or a lone surrogate.
[[nodiscard]] std::optional<std::size_t> unescape(std::string_view text, char* out);

// Conversions of a token that scan_number accepted. nullopt: not of the type, or out of its range.
[[nodiscard]] std::optional<std::int64_t> number_to_int64(std::string_view token);
// Underflow to zero of a number that is not zero counts as out of range.
[[nodiscard]] std::optional<double> number_to_double(std::string_view token);
// Rounds half away from zero to `scale` places, as PostgreSQL does; nullopt if the result has more
// than `precision` digits.
[[nodiscard]] std::optional<Int128> number_to_numeric(std::string_view token, std::uint8_t precision,
                                                      std::uint8_t scale);

// RFC 3339 with a zone, years 1 to 9999. The common shape (upper-case T and Z, up to six digits of
// fraction) is read here; everything else goes to parse_timestamp().
[[nodiscard]] std::optional<std::int64_t> text_to_timestamp(std::string_view text);
// "5 minutes", "1 day -2 hours", "-3 seconds", "01:02:03.5": sums of fixed units, in microseconds.
[[nodiscard]] std::optional<std::int64_t> text_to_interval(std::string_view text);

}  // namespace kappa::processor
