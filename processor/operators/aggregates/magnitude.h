// Natural numbers of any size times a power of two, and correctly rounded doubles of their quotients and
// square roots: what averages, variances and interpolations are computed with, from sums that are exact.
//
// Slow paths, of results only: vectors. Thread-safe: values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kappa::processor {

// limbs * 2^exponent.
struct Magnitude {
  std::vector<std::uint64_t> limbs;  // Lowest first.
  std::int64_t exponent = 0;

  [[nodiscard]] bool is_zero() const;
};

[[nodiscard]] Magnitude square(const Magnitude& a);
[[nodiscard]] Magnitude multiply(const Magnitude& a, std::uint64_t b);
// a - b; nullopt if that is below zero.
[[nodiscard]] std::optional<Magnitude> subtract(const Magnitude& a, const Magnitude& b);

// The double nearest to a / (product of the divisors * 10^decimals), ties to even; nullopt when it is beyond
// the largest double. Divisors are above zero.
[[nodiscard]] std::optional<double> to_double(Magnitude a, std::span<const std::uint64_t> divisors,
                                              unsigned decimals);
// The double nearest to the square root of that.
[[nodiscard]] std::optional<double> root_to_double(Magnitude a, std::span<const std::uint64_t> divisors,
                                                   unsigned decimals);

}  // namespace kappa::processor
