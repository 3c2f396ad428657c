// Types and the total order of values. Comparisons across BIGINT, DOUBLE and NUMERIC are exact: no
// operand is rounded to the other's type. Pure functions.
#include "proto/value.h"

#include <array>
#include <cmath>

#include "proto/check.h"

namespace kappa {
namespace {

// Quotient rounded down and the remainder, 0 <= remainder < 10^scale.
struct Split {
  Int128 whole;
  Int128 rest;
};

Split split(Int128 v, std::uint8_t scale) {
  const Int128 unit = power_of_ten(scale);
  Int128 whole = v / unit;
  Int128 rest = v % unit;
  if (rest < 0) {
    rest += unit;
    --whole;
  }
  return {whole, rest};
}

std::strong_ordering order(Int128 a, Int128 b) {
  return a < b   ? std::strong_ordering::less
         : a > b ? std::strong_ordering::greater
                 : std::strong_ordering::equal;
}

bool is_number(TypeId id) {
  return id == TypeId::kBigint || id == TypeId::kDouble || id == TypeId::kNumeric;
}

std::strong_ordering reverse(std::strong_ordering o) {
  return 0 <=> o;
}

std::strong_ordering order_doubles(double a, double b) {
  return a < b   ? std::strong_ordering::less
         : a > b ? std::strong_ordering::greater
                 : std::strong_ordering::equal;
}

std::strong_ordering compare_number_values(const Value& a, const Value& b) {
  const TypeId left = a.type().id;
  const TypeId right = b.type().id;
  if (left == TypeId::kDouble) {
    if (right == TypeId::kDouble) return order_doubles(a.as_double(), b.as_double());
    return reverse(compare_number_values(b, a));
  }
  const bool left_big = left == TypeId::kBigint;
  if (right == TypeId::kDouble) {
    return left_big ? compare_numbers(a.as_int64(), b.as_double())
                    : compare_numbers(a.as_int128(), a.type().scale, b.as_double());
  }
  const bool right_big = right == TypeId::kBigint;
  if (left_big && right_big) return a.as_int64() <=> b.as_int64();
  return compare_numbers(left_big ? Int128{a.as_int64()} : a.as_int128(), left_big ? 0 : a.type().scale,
                         right_big ? Int128{b.as_int64()} : b.as_int128(), right_big ? 0 : b.type().scale);
}

}  // namespace

Int128 power_of_ten(std::uint8_t exponent) {
  static constexpr auto kPowers = [] {
    std::array<Int128, 39> powers{};
    Int128 power = 1;
    for (std::size_t i = 0; i < powers.size(); ++i) {
      powers[i] = power;
      if (i + 1 < powers.size()) power *= 10;
    }
    return powers;
  }();
  KAPPA_CHECK(exponent < kPowers.size(), "power of ten");
  return kPowers[exponent];
}

std::strong_ordering compare_numbers(std::int64_t a, double b) {
  // 2^63 is a double; every double in between has an integer part that fits.
  if (b >= 0x1p63) return std::strong_ordering::less;
  if (b < -0x1p63) return std::strong_ordering::greater;
  const auto whole = static_cast<std::int64_t>(b);  // Toward zero.
  if (a != whole) return a <=> whole;
  return order_doubles(0.0, b - static_cast<double>(whole));
}

std::strong_ordering compare_numbers(Int128 a, std::uint8_t scale, double b) {
  if (b >= 0x1p127) return std::strong_ordering::less;
  if (b < -0x1p127) return std::strong_ordering::greater;
  if (b < 0) {
    // Toward zero the fraction of a double is exact, toward minus infinity it would be rounded.
    if (a >= 0) return std::strong_ordering::greater;
    return reverse(compare_numbers(-a, scale, -b));
  }
  if (a < 0) return std::strong_ordering::less;
  const double floor = std::floor(b);
  const Split left = split(a, scale);
  const auto whole = static_cast<Int128>(floor);
  if (left.whole != whole) return order(left.whole, whole);
  // Both fractions in [0, 1): compare their binary digits, which are exact on both sides.
  const auto unit = static_cast<unsigned __int128>(power_of_ten(scale));
  auto rest = static_cast<unsigned __int128>(left.rest);
  double fraction = b - floor;
  while (fraction != 0 && rest != 0) {
    rest *= 2;
    fraction *= 2;
    const bool left_bit = rest >= unit;
    const bool right_bit = fraction >= 1;
    if (left_bit != right_bit) return left_bit ? std::strong_ordering::greater : std::strong_ordering::less;
    if (left_bit) {
      rest -= unit;
      fraction -= 1;
    }
  }
  if (rest != 0) return std::strong_ordering::greater;
  return fraction != 0 ? std::strong_ordering::less : std::strong_ordering::equal;
}

std::strong_ordering compare_numbers(Int128 a, std::uint8_t a_scale, Int128 b, std::uint8_t b_scale) {
  if (a_scale == b_scale) return order(a, b);
  Split left = split(a, a_scale);
  Split right = split(b, b_scale);
  if (left.whole != right.whole) return order(left.whole, right.whole);
  // A remainder is below 10^scale, so raised to the greater scale it stays below 10^38.
  if (a_scale < b_scale) {
    left.rest *= power_of_ten(static_cast<std::uint8_t>(b_scale - a_scale));
  } else {
    right.rest *= power_of_ten(static_cast<std::uint8_t>(a_scale - b_scale));
  }
  return order(left.rest, right.rest);
}

std::strong_ordering compare(const Value& a, const Value& b, bool nulls_first) {
  if (a.is_null() || b.is_null()) {
    if (a.is_null() && b.is_null()) return std::strong_ordering::equal;
    return a.is_null() == nulls_first ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  const TypeId left = a.type().id;
  const TypeId right = b.type().id;
  if (is_number(left) && is_number(right)) return compare_number_values(a, b);
  if (left != right) return left <=> right;
  switch (left) {
    case TypeId::kBoolean: return a.as_bool() <=> b.as_bool();
    case TypeId::kTimestamp:
    case TypeId::kInterval: return a.as_int64() <=> b.as_int64();
    case TypeId::kText:
    case TypeId::kJson: return std::string_view(a.as_text()) <=> std::string_view(b.as_text());
    case TypeId::kNull:
    case TypeId::kBigint:
    case TypeId::kDouble:
    case TypeId::kNumeric: break;
  }
  return std::strong_ordering::equal;
}

std::string to_string(Type type) {
  switch (type.id) {
    case TypeId::kNull: return "NULL";
    case TypeId::kBoolean: return "BOOLEAN";
    case TypeId::kBigint: return "BIGINT";
    case TypeId::kDouble: return "DOUBLE";
    case TypeId::kNumeric:
      return "NUMERIC(" + std::to_string(type.precision) + "," + std::to_string(type.scale) + ")";
    case TypeId::kText: return "TEXT";
    case TypeId::kTimestamp: return "TIMESTAMP";
    case TypeId::kInterval: return "INTERVAL";
    case TypeId::kJson: return "JSON";
  }
  return "unknown";
}

}  // namespace kappa
