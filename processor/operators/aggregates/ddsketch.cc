// See ddsketch.h.
#include "processor/operators/aggregates/ddsketch.h"

#include <algorithm>
#include <bit>

#include "processor/operators/aggregates/group_layout.h"

namespace kappa::processor::ddsketch {
namespace {

constexpr unsigned kDropped = 52 - 6;  // Bits of the mantissa that buckets do not see.

std::int32_t bucket_at(std::string_view sketch, std::size_t at) {
  return load_raw<std::int32_t>(sketch.data() + at);
}
std::int64_t count_at(std::string_view sketch, std::size_t at) {
  return load_raw<std::int64_t>(sketch.data() + at + 4);
}

}  // namespace

std::int32_t bucket_of(double x) {
  const std::uint64_t magnitude = std::bit_cast<std::uint64_t>(x) & ~(std::uint64_t{1} << 63);
  if ((magnitude >> 52) == 0) return 0;
  // From 64 up: exponents from 1.
  const auto bucket = static_cast<std::int32_t>(magnitude >> kDropped);
  return x < 0 ? -bucket : bucket;
}

double middle_of(std::int32_t bucket) {
  if (bucket == 0) return 0;
  const auto low = static_cast<std::uint64_t>(bucket < 0 ? -static_cast<std::int64_t>(bucket) : bucket)
                   << kDropped;
  const auto middle = std::bit_cast<double>(low | std::uint64_t{1} << (kDropped - 1));
  return bucket < 0 ? -middle : middle;
}

Place find(std::string_view sketch, std::int32_t bucket) {
  std::size_t low = 0;
  std::size_t high = sketch.size() / kBucketBytes;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (bucket_at(sketch, middle * kBucketBytes) < bucket)
      low = middle + 1;
    else
      high = middle;
  }
  const std::size_t at = low * kBucketBytes;
  return {at, at < sketch.size() && bucket_at(sketch, at) == bucket};
}

void append(std::string& sketch, std::int32_t bucket, std::int64_t count) {
  char bytes[kBucketBytes];
  store_raw(bytes, bucket);
  store_raw(bytes + 4, count);
  sketch.append(bytes, kBucketBytes);
}

std::optional<std::string> merged(std::string_view a, std::string_view b) {
  if (a.size() % kBucketBytes != 0 || b.size() % kBucketBytes != 0) return std::nullopt;
  std::string both;
  both.reserve(a.size() + b.size());
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() || j < b.size()) {
    const bool from_a = i < a.size() && (j == b.size() || bucket_at(a, i) <= bucket_at(b, j));
    const bool from_b = j < b.size() && (i == a.size() || bucket_at(b, j) <= bucket_at(a, i));
    const std::int64_t count = (from_a ? count_at(a, i) : 0) + (from_b ? count_at(b, j) : 0);
    if (count != 0) append(both, from_a ? bucket_at(a, i) : bucket_at(b, j), count);
    if (from_a) i += kBucketBytes;
    if (from_b) j += kBucketBytes;
  }
  return both;
}

std::optional<double> value_at(std::string_view sketch, std::int64_t rank) {
  std::int64_t below = 0;
  for (std::size_t at = 0; at + kBucketBytes <= sketch.size(); at += kBucketBytes) {
    below += std::max<std::int64_t>(count_at(sketch, at), 0);
    if (rank < below) return middle_of(bucket_at(sketch, at));
  }
  return std::nullopt;
}

}  // namespace kappa::processor::ddsketch
