// Latencies in buckets of at most 1.6 % relative width (the shape of HdrHistogram: Tene, 2012): fixed
// memory, exact counts, percentiles that never hide a tail.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace kappa::tools {

class Histogram {
 public:
  // `value` in whatever unit; values from 2^44 on share the last bucket.
  void record(std::uint64_t value) {
    ++counts_[bucket(value)];
    ++total_;
    max_ = std::max(max_, value);
  }
  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
  }
  // Upper end of the bucket that holds the `share` (0..1) of the recorded values; 0 if there are none.
  [[nodiscard]] std::uint64_t percentile(double share) const {
    if (total_ == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_) + 0.5);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (counts_[i] > 0 && seen >= wanted) return std::min(upper(i), max_);
    }
    return max_;
  }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] std::uint64_t count() const { return total_; }

 private:
  static constexpr unsigned kSubBits = 6;  // 64 buckets per power of two.
  static constexpr std::uint64_t kSub = std::uint64_t{1} << kSubBits;
  static constexpr std::size_t kBuckets = kSub * 40;

  static std::size_t bucket(std::uint64_t value) {
    if (value < kSub) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return std::min<std::size_t>(kBuckets - 1, (shift + 1) * kSub + ((value >> shift) - kSub));
  }
  static std::uint64_t upper(std::size_t index) {
    if (index < kSub) return index;
    const std::size_t shift = index / kSub - 1;
    return ((index % kSub + kSub + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace kappa::tools
