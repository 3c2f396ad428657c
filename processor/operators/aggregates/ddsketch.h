// Quantiles with a bounded relative error, from how many values lie in each of buckets that grow with the
// value (C. Masson, J. Rim, H. Lee: "DDSketch", VLDB 2019). The buckets are those of its bitwise linear
// mapping: the sign, the exponent and the first 6 bits of the mantissa of a double, so that they need no
// logarithm and are the same on every machine. The middle of a bucket is within 1/128 = 0.79 percent of all
// values in it. Counts add up exactly: values can be taken back. No bucket is ever joined with another, which
// would forget.
//
// Zero and what is nearer to it than the least normal double share bucket 0; of negative values it is
// negative.
//
// Bytes, a function of the bag of values alone: i32 bucket | i64 count, ascending, no count zero;
// little-endian. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kappa::processor::ddsketch {

inline constexpr std::size_t kBucketBytes = 12;

// `x` is finite.
[[nodiscard]] std::int32_t bucket_of(double x);
// The value that stands for a bucket.
[[nodiscard]] double middle_of(std::int32_t bucket);

// Where the bucket is among the bytes, or belongs.
struct Place {
  std::size_t at = 0;
  bool found = false;
};
[[nodiscard]] Place find(std::string_view sketch, std::int32_t bucket);
void append(std::string& sketch, std::int32_t bucket, std::int64_t count);

// That of both bags; nullopt for bytes that are no sketch.
[[nodiscard]] std::optional<std::string> merged(std::string_view a, std::string_view b);
// The value at place `rank` (from 0, ascending), of those with counts above zero. nullopt if there is none.
[[nodiscard]] std::optional<double> value_at(std::string_view sketch, std::int64_t rank);

}  // namespace kappa::processor::ddsketch
