// The p of a percentile: the decimal number that it is written as, so that 0.07 of 100 rows is 7 rows.
#pragma once

#include <cstdint>
#include <string>

#include "proto/value.h"

namespace kappa::processor {

// numerator / 10^18; a p above zero is not rounded down to it.
class Fraction {
 public:
  static constexpr std::uint8_t kDecimals = 18;

  // `p` is from 0 to 1.
  explicit Fraction(double p) {
    const auto exact = parse_numeric(format_double(p), 38, kDecimals);
    numerator_ = exact ? static_cast<std::int64_t>(*exact) : 0;
    if (numerator_ == 0 && p > 0) numerator_ = 1;
  }

  // p * count: whole part, and what is left in units of 10^-18.
  struct Position {
    std::int64_t whole = 0;
    std::int64_t rest = 0;
  };
  [[nodiscard]] Position of(std::int64_t count) const {
    const Int128 product = static_cast<Int128>(numerator_) * count;
    const Int128 unit = power_of_ten(kDecimals);
    return {static_cast<std::int64_t>(product / unit), static_cast<std::int64_t>(product % unit)};
  }
  // 10^18.
  [[nodiscard]] static std::int64_t unit() { return static_cast<std::int64_t>(power_of_ten(kDecimals)); }

 private:
  std::int64_t numerator_ = 0;
};

}  // namespace kappa::processor
