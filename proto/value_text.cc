// Values as text: what people read, and JSON. Numbers are exact: shortest round-trip for DOUBLE, all
// digits for BIGINT and NUMERIC. Pure functions, no locale.
#include <algorithm>
#include <charconv>
#include <system_error>

#include "proto/value.h"

namespace kappa {

std::string format_int128(Int128 v) {
  char digits[48];
  char* at = digits + sizeof digits;
  auto rest = static_cast<unsigned __int128>(v);
  if (v < 0) rest = 0 - rest;
  do {
    *--at = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (v < 0) *--at = '-';
  return {at, digits + sizeof digits};
}

std::string format_numeric(Int128 v, std::uint8_t scale) {
  std::string text = format_int128(v);
  if (scale == 0) return text;
  const std::size_t sign = v < 0 ? 1 : 0;
  if (text.size() - sign <= scale) text.insert(sign, scale + 1 - (text.size() - sign), '0');
  text.insert(text.size() - scale, 1, '.');
  return text;
}

std::string format_double(double v) {
  char digits[32];
  const auto result = std::to_chars(digits, digits + sizeof digits, v);
  return {digits, result.ptr};
}

std::optional<Int128> parse_numeric(std::string_view text, std::uint8_t precision, std::uint8_t scale) {
  std::size_t at = 0;
  bool negative = false;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) negative = text[at++] == '-';
  // Mantissa digits without the point; `point` is how many of them stand before it.
  std::string digits;
  std::optional<std::int64_t> point;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !point) {
      point = static_cast<std::int64_t>(digits.size());
    } else if (text[at] >= '0' && text[at] <= '9') {
      digits += text[at];
    } else {
      break;
    }
  }
  if (digits.empty()) return std::nullopt;
  std::int64_t exponent = 0;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && text[at] == '+') ++at;
    const auto result = std::from_chars(text.data() + at, text.data() + text.size(), exponent);
    if (result.ec != std::errc{}) {
      if (result.ec != std::errc::result_out_of_range) return std::nullopt;
      exponent = text[at] == '-' ? -1'000'000 : 1'000'000;
    }
    at = static_cast<std::size_t>(result.ptr - text.data());
    exponent = std::clamp<std::int64_t>(exponent, -1'000'000'000, 1'000'000'000);
  }
  if (at != text.size()) return std::nullopt;
  const std::int64_t before = point.value_or(static_cast<std::int64_t>(digits.size())) + exponent;
  // Digits at positions [0, kept) count; the next decides the rounding; missing ones are zero.
  const std::int64_t kept = before + scale;
  const Int128 bound = power_of_ten(precision);
  Int128 number = 0;
  bool nonzero = false;
  for (std::int64_t i = 0; i < kept; ++i) {
    const bool have = i < static_cast<std::int64_t>(digits.size());
    if (!have && !nonzero) break;  // Zeros only.
    const int digit = have ? digits[static_cast<std::size_t>(i)] - '0' : 0;
    nonzero = nonzero || digit != 0;
    if (number >= bound / 10) return std::nullopt;  // Before it wraps.
    number = number * 10 + digit;
  }
  if (kept >= 0 && kept < static_cast<std::int64_t>(digits.size()) &&
      digits[static_cast<std::size_t>(kept)] >= '5') {
    ++number;
  }
  if (number >= bound) return std::nullopt;
  return negative ? -number : number;
}

std::string display(const Value& value) {
  if (value.is_null()) return "NULL";
  switch (value.type().id) {
    case TypeId::kNull: break;
    case TypeId::kBoolean: return value.as_bool() ? "true" : "false";
    case TypeId::kBigint: return std::to_string(value.as_int64());
    case TypeId::kDouble: return format_double(value.as_double());
    case TypeId::kNumeric: return format_numeric(value.as_int128(), value.type().scale);
    case TypeId::kText:
    case TypeId::kJson: return value.as_text();
    case TypeId::kTimestamp: return format_timestamp(value.as_int64());
    case TypeId::kInterval: return format_interval(value.as_int64());
  }
  return "NULL";
}

void append_json_string(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;  // Start of the run not written yet.
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    out += '\\';
    switch (byte) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      case '\b': out += 'b'; break;
      case '\f': out += 'f'; break;
      default:
        out += "u00";
        out += kHex[byte >> 4];
        out += kHex[byte & 0xf];
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

void append_json(const Value& value, std::string& out) {
  if (value.is_null()) {
    out += "null";
    return;
  }
  switch (value.type().id) {
    case TypeId::kText:
    case TypeId::kTimestamp:
    case TypeId::kInterval: append_json_string(display(value), out); return;
    case TypeId::kNull:
    case TypeId::kBoolean:
    case TypeId::kBigint:
    case TypeId::kDouble:
    case TypeId::kNumeric:
    case TypeId::kJson: out += display(value); return;
  }
}

}  // namespace kappa
