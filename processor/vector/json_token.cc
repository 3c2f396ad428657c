// See json_token.h.
#include "processor/vector/json_token.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "processor/vector/short_bytes.h"

namespace kappa::processor {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Four hexadecimal digits at `at`; -1 if they are not there.
int hex4(std::string_view text, std::size_t at) {
  if (text.size() - at < 4) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const char c = text[i];
    int digit = 0;
    if (is_digit(c))
      digit = c - '0';
    else if (c >= 'a' && c <= 'f')
      digit = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
      digit = c - 'A' + 10;
    else
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

std::size_t write_utf8(std::uint32_t point, char* out) {
  const auto put = [&](std::size_t i, std::uint32_t v) {
    out[i] = static_cast<char>(static_cast<unsigned char>(v));
  };
  if (point < 0x80) {
    put(0, point);
    return 1;
  }
  if (point < 0x800) {
    put(0, 0xc0 | (point >> 6));
    put(1, 0x80 | (point & 0x3f));
    return 2;
  }
  if (point < 0x10000) {
    put(0, 0xe0 | (point >> 12));
    put(1, 0x80 | ((point >> 6) & 0x3f));
    put(2, 0x80 | (point & 0x3f));
    return 3;
  }
  put(0, 0xf0 | (point >> 18));
  put(1, 0x80 | ((point >> 12) & 0x3f));
  put(2, 0x80 | ((point >> 6) & 0x3f));
  put(3, 0x80 | (point & 0x3f));
  return 4;
}

// Reads the escape at text[at] == '\\'. Advances `at` past it; nullopt if it is not legal.
std::optional<std::uint32_t> read_escape(std::string_view text, std::size_t& at) {
  if (text.size() - at < 2) return std::nullopt;
  const char kind = text[at + 1];
  at += 2;
  switch (kind) {
    case '"': return '"';
    case '\\': return '\\';
    case '/': return '/';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u': break;
    default: return std::nullopt;
  }
  const int high = hex4(text, at);
  if (high < 0) return std::nullopt;
  at += 4;
  if (high < 0xd800 || high > 0xdfff) return static_cast<std::uint32_t>(high);
  // A surrogate has no UTF-8 form of its own: only a high one followed by a low one is a character.
  if (high > 0xdbff || text.size() - at < 6 || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  const int low = hex4(text, at + 2);
  if (low < 0xdc00 || low > 0xdfff) return std::nullopt;
  at += 6;
  return 0x10000U + ((static_cast<std::uint32_t>(high) - 0xd800U) << 10) +
         (static_cast<std::uint32_t>(low) - 0xdc00U);
}

// Position of the next backslash from `at`, or the end.
std::size_t next_escape(std::string_view text, std::size_t at) {
  const void* found = std::memchr(text.data() + at, '\\', text.size() - at);
  return found == nullptr ? text.size()
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

// `count` digits at text[at]; -1 if they are not there.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (!is_digit(text[i])) return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, year >= 1
// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013).
std::int64_t days_from_civil(int year, int month, int day) {
  const int y = year - (month <= 2 ? 1 : 0);
  const int era = y / 400;
  const int year_of_era = y - era * 400;
  const int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<std::int64_t>(era) * 146097 + day_of_era - 719468;
}

}  // namespace

bool valid_escapes(std::string_view text) {
  for (std::size_t at = next_escape(text, 0); at < text.size(); at = next_escape(text, at)) {
    if (!read_escape(text, at)) return false;
  }
  return true;
}

std::optional<std::size_t> unescape(std::string_view text, char* out) {
  std::size_t written = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t stop = next_escape(text, at);
    std::memcpy(out + written, text.data() + at, stop - at);
    written += stop - at;
    at = stop;
    if (at == text.size()) break;
    const std::optional<std::uint32_t> point = read_escape(text, at);
    if (!point) return std::nullopt;
    written += write_utf8(*point, out + written);
  }
  return written;
}

// Up to eight digits, the last one in the last byte of the word and '0' in the bytes before them.
struct DigitWord {
  std::uint64_t word = 0x3030303030303030;
};
// The text's last `count` bytes, at most eight and at most all of them. Nothing outside the text is read.
static DigitWord last_bytes(std::string_view text, std::size_t count) {
  static constexpr std::uint64_t kZeros = 0x3030303030303030;
  const char* const end = text.data() + text.size();
  std::uint64_t word = 0;
  if (text.size() >= 8) {
    word = load_bytes<std::uint64_t>(end - 8);
  } else if (text.size() >= 4) {
    word = std::uint64_t{load_bytes<std::uint32_t>(end - 4)} << 32 |
           std::uint64_t{load_bytes<std::uint32_t>(text.data())} << 8 * (8 - text.size());
  } else {
    for (std::size_t i = 0; i < text.size(); ++i)
      word |= std::uint64_t{static_cast<unsigned char>(text[i])} << 8 * (8 - text.size() + i);
  }
  if (count == 0) return {};
  const std::uint64_t used = UINT64_MAX << 8 * (8 - count);
  return {(word & used) | (kZeros & ~used)};
}
static bool all_digits(DigitWord digits) {
  // A byte below '0' borrows, one above '9' carries into the top bit; a false alarm of its neighbour is no harm.
  return (((digits.word + 0x4646464646464646) | (digits.word - 0x3030303030303030)) & 0x8080808080808080) == 0;
}
// Pairs, then fours, then all eight: three multiplications and no loop, so how many digits there are, which differs
// from number to number, is no branch to be missed.
static std::int64_t value_of(DigitWord digits) {
  std::uint64_t word = digits.word & 0x0f0f0f0f0f0f0f0f;
  word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ff;
  word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffff;
  return static_cast<std::int64_t>((word * 10000 + (word >> 32)) & 0xffffffff);
}

std::optional<std::int64_t> number_to_int64(std::string_view token) {
  static constexpr std::size_t kDigitsSafe = 16;  // Two words.
  const bool negative = token[0] == '-';
  const std::string_view digits = token.substr(negative ? 1 : 0);
  if (digits.size() <= kDigitsSafe) [[likely]] {
    std::int64_t value = 0;
    if (digits.size() <= 8) {
      const DigitWord word = last_bytes(digits, digits.size());
      if (!all_digits(word)) return std::nullopt;
      value = value_of(word);
    } else {
      const DigitWord low = last_bytes(digits, 8);
      const DigitWord high = last_bytes(digits.substr(0, digits.size() - 8), digits.size() - 8);
      if (!all_digits(low) || !all_digits(high)) return std::nullopt;
      value = value_of(high) * 100'000'000 + value_of(low);
    }
    return negative ? -value : value;
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  return value;
}

// Few digits without an exponent: both integers are exact as doubles, so their quotient is rounded once, and right
// (W. Clinger, "How to read floating point numbers accurately", 1990).
static std::optional<double> short_decimal(std::string_view token) {
  static constexpr std::size_t kDigitsExact = 15;
  static constexpr std::array<double, kDigitsExact + 1> kPowers{1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  if (token.size() > kDigitsExact) return std::nullopt;
  const bool negative = token[0] == '-';
  std::int64_t digits = 0;
  std::size_t fraction = token.size();
  for (std::size_t i = negative ? 1 : 0; i < token.size(); ++i) {
    if (token[i] == '.') {
      fraction = i + 1;
      continue;
    }
    if (token[i] < '0' || token[i] > '9') return std::nullopt;
    digits = digits * 10 + (token[i] - '0');
  }
  const double value = static_cast<double>(digits) / kPowers[token.size() - fraction];
  return negative ? -value : value;
}

std::optional<double> number_to_double(std::string_view token) {
  if (const auto few = short_decimal(token)) return few;
  double value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error == std::errc{} && std::isfinite(value)) return value;
  // Out of range. A zero may be written with any exponent: the digits say whether this is one.
  for (const char c : token) {
    if ((c | 0x20) == 'e') return 0.0;
    if (c >= '1' && c <= '9') return std::nullopt;
  }
  return 0.0;
}

std::optional<Int128> number_to_numeric(std::string_view token, std::uint8_t precision, std::uint8_t scale) {
  const std::size_t mantissa_begin = token[0] == '-' ? 1 : 0;
  std::size_t mantissa_end = mantissa_begin;
  std::size_t point = std::string_view::npos;
  for (; mantissa_end < token.size() && (token[mantissa_end] | 0x20) != 'e'; ++mantissa_end) {
    if (token[mantissa_end] == '.') point = mantissa_end;
  }
  std::int64_t exponent = 0;
  if (mantissa_end < token.size()) {
    // Far beyond the longest event, so that a longer exponent decides the same.
    static constexpr std::int64_t kFar = std::int64_t{1} << 40;
    const std::size_t from = mantissa_end + (token[mantissa_end + 1] == '+' ? 2 : 1);
    const auto [end, error] = std::from_chars(token.data() + from, token.data() + token.size(), exponent);
    if (error != std::errc{}) exponent = token[from] == '-' ? -kFar : kFar;
    exponent = std::min(kFar, std::max(-kFar, exponent));
  }
  const auto integer_digits =
      static_cast<std::int64_t>((point == std::string_view::npos ? mantissa_end : point) - mantissa_begin);
  // So many digits from the first are kept; the one after them decides the rounding.
  const std::int64_t kept = integer_digits + exponent + scale;
  Int128 value = 0;
  std::int64_t seen = 0;
  int significant = 0;
  bool round_up = false;
  for (std::size_t i = mantissa_begin; i < mantissa_end; ++i) {
    if (token[i] == '.') continue;
    const int digit = token[i] - '0';
    if (seen >= kept) {
      round_up = seen == kept && digit >= 5;
      break;
    }
    if (value != 0 || digit != 0) {
      if (++significant > 38) return std::nullopt;
      value = value * 10 + digit;
    }
    ++seen;
  }
  if (value != 0) {
    for (; seen < kept; ++seen) {
      if (++significant > 38) return std::nullopt;
      value *= 10;
    }
  }
  if (round_up) ++value;
  Int128 bound = 1;
  for (int i = 0; i < precision; ++i) bound *= 10;
  if (value >= bound) return std::nullopt;
  return token[0] == '-' ? -value : value;
}

std::optional<std::int64_t> text_to_timestamp(std::string_view text) {
  // 2024-05-06T07:08:09[.f..ffffff]Z
  const std::size_t size = text.size();
  if (size >= 20 && size <= 27 && text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':' &&
      text[16] == ':' && text[size - 1] == 'Z' && (size == 20 || (text[19] == '.' && size > 21))) {
    static constexpr std::array<int, 13> kDays{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int year = digits(text, 0, 4);
    const int month = digits(text, 5, 2);
    const int day = digits(text, 8, 2);
    const int hour = digits(text, 11, 2);
    const int minute = digits(text, 14, 2);
    const int second = digits(text, 17, 2);
    const std::size_t places = size == 20 ? 0 : size - 21;
    int fraction = places == 0 ? 0 : digits(text, 20, places);
    for (std::size_t i = places; i < 6; ++i) fraction *= 10;
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
        day <= kDays[static_cast<std::size_t>(month)] + (month == 2 && leap ? 1 : 0) && hour >= 0 &&
        hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60 && fraction >= 0) {
      const std::int64_t seconds =
          days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
      return seconds * 1'000'000 + fraction;
    }
  }
  if (text.starts_with("0000")) return std::nullopt;  // No year before 1, as in the other SQL databases.
  return parse_timestamp(text, true);
}

std::optional<std::int64_t> text_to_interval(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t micros;
  };
  static constexpr std::array<Unit, 22> kUnits{{
      {"microsecond", 1},      {"microseconds", 1},     {"us", 1},
      {"millisecond", 1000},   {"milliseconds", 1000},  {"ms", 1000},
      {"second", 1'000'000},   {"seconds", 1'000'000},  {"sec", 1'000'000},
      {"secs", 1'000'000},     {"s", 1'000'000},        {"minute", 60'000'000},
      {"minutes", 60'000'000}, {"min", 60'000'000},     {"mins", 60'000'000},
      {"m", 60'000'000},       {"hour", 3'600'000'000}, {"hours", 3'600'000'000},
      {"h", 3'600'000'000},    {"day", 86'400'000'000}, {"days", 86'400'000'000},
      {"d", 86'400'000'000},
  }};
  // Decimal number at `at`, in millionths; nullopt when there is none or it is too large.
  const auto number = [&](std::size_t& at) -> std::optional<Int128> {
    const std::size_t begin = at;
    Int128 value = 0;
    int places = -1;
    for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && places < 0)); ++at) {
      if (text[at] == '.') {
        places = 0;
      } else if (places < 6) {
        value = value * 10 + (text[at] - '0');
        if (places >= 0) ++places;
        if (value > (Int128{1} << 60)) return std::nullopt;
      }
    }
    if (at == begin || (places >= 0 && at == begin + 1)) return std::nullopt;
    for (int i = std::max(places, 0); i < 6; ++i) value *= 10;
    return value;
  };
  Int128 total = 0;
  std::size_t at = 0;
  bool any = false;
  const auto skip_spaces = [&] {
    while (at < text.size() && text[at] == ' ') ++at;
  };
  for (skip_spaces(); at < text.size(); skip_spaces()) {
    const bool negative = text[at] == '-';
    if (negative || text[at] == '+') ++at;
    std::optional<Int128> amount = number(at);
    if (!amount) return std::nullopt;
    Int128 micros = 0;
    if (at < text.size() && text[at] == ':') {
      // hours:minutes[:seconds]
      static constexpr std::array<std::int64_t, 3> kParts{3'600'000'000, 60'000'000, 1'000'000};
      micros = *amount * kParts[0];
      for (std::size_t part = 1; at < text.size() && text[at] == ':'; ++part) {
        if (part == kParts.size()) return std::nullopt;
        ++at;
        amount = number(at);
        if (!amount || *amount >= Int128{60} * 1'000'000) return std::nullopt;
        micros += *amount * kParts[part];
      }
    } else {
      skip_spaces();
      std::array<char, 16> name{};
      std::size_t length = 0;
      for (; at < text.size() && (text[at] | 0x20) >= 'a' && (text[at] | 0x20) <= 'z'; ++at) {
        if (length == name.size()) return std::nullopt;
        name[length++] = static_cast<char>(text[at] | 0x20);
      }
      std::int64_t unit = 0;
      for (const Unit& candidate : kUnits) {
        if (candidate.name == std::string_view(name.data(), length)) unit = candidate.micros;
      }
      if (unit == 0) return std::nullopt;
      micros = *amount * unit;
    }
    micros /= 1'000'000;
    total += negative ? -micros : micros;
    if (total > INT64_MAX || total < INT64_MIN) return std::nullopt;
    any = true;
  }
  if (!any) return std::nullopt;
  return static_cast<std::int64_t>(total);
}

}  // namespace kappa::processor
