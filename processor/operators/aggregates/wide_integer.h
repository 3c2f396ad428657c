// Exact integers of any size that a sum can have, and their correctly rounded value as a double.
//
// A sum of doubles is kept as one integer in units of 2^-1074, the least double, so that order and
// batches do not matter and taking a value back is exact (after R. Neal, "Fast exact summation using
// small and large superaccumulators", 2015; here carried through after each addition and stored
// without its zero and sign limbs, so that equal sums have equal bytes).
//
// No allocation. Thread-safe: values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "processor/operators/aggregates/magnitude.h"
#include "proto/value.h"

namespace kappa::processor {

// A two's complement integer of up to kLimbs 64-bit limbs, of which only limbs first .. first+count-1
// differ from zeros below and the sign above.
template <std::size_t kLimbs>
class BasicWideInteger {
 public:
  // Above it, bytes are not one of ours.
  static constexpr std::size_t kBytesMax = 2 + kLimbs * 8;

  BasicWideInteger() = default;
  // Adds value * 2^shift; shift + 128 < 64 * (kLimbs - 1).
  void add(Int128 value, std::size_t shift);
  // Adds x * weight, in units of 2^-1074. x is finite.
  void add(double x, std::int64_t weight);
  // Adds value * weight, value^2 * weight, and x^2 * weight in units of 2^-2148.
  void add_product(Int128 value, std::int64_t weight);
  void add_square(Int128 value, std::int64_t weight);
  void add_square(double x, std::int64_t weight);
  // Adds another sum in the same units.
  void add(const BasicWideInteger& other);

  [[nodiscard]] bool is_zero() const { return count_ == 0 && !negative_; }
  // Stored form: u8 first, u8 sign (0 or 1), limbs; empty for zero. The bytes of a value are unique.
  [[nodiscard]] std::size_t stored_bytes() const { return is_zero() ? 0 : 2 + count_ * 8; }
  void store(char* out) const;
  // Takes what store() wrote; false for bytes that it does not write.
  [[nodiscard]] bool load(std::string_view stored);

  // Adds x, in units of 2^-1074, to a value in its stored form, where that takes no more and no fewer bytes: then the
  // bytes are those of load(), add(), store(). False where it may; nothing is changed then.
  [[nodiscard]] static bool add_in_place(char* stored, std::size_t bytes, double x);

  // The integer itself, if it fits.
  [[nodiscard]] std::optional<Int128> to_int128() const;
  // This * 2^exponent / (divisor * 10^decimals), rounded once, to nearest, ties to even; nullopt when
  // that is beyond the largest double. divisor > 0.
  [[nodiscard]] std::optional<double> to_double(int exponent, std::uint64_t divisor, unsigned decimals) const;
  [[nodiscard]] bool is_negative() const { return negative_; }
  // The absolute value * 2^exponent.
  [[nodiscard]] Magnitude magnitude(int exponent) const;

 private:
  [[nodiscard]] std::uint64_t limb(std::size_t index) const {
    if (index < first_) return 0;
    if (index >= first_ + count_) return negative_ ? ~std::uint64_t{0} : 0;
    return limbs_[index - first_];
  }
  void normalise(const std::uint64_t* limbs, std::size_t first, std::size_t count, bool negative);

  std::array<std::uint64_t, kLimbs> limbs_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  bool negative_ = false;  // The limbs above are all ones.
};

// Sums: 2098 bits of doubles, 64 of the weights, 64 of the row count, and a few to spare.
using WideInteger = BasicWideInteger<40>;
// Sums of squares: twice as many bits of doubles.
using WideSquares = BasicWideInteger<72>;

}  // namespace kappa::processor
