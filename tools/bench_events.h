// Synthetic events for benchmarks: deterministic, web-like, of a chosen size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kappa::tools {

// SplitMix64 (Steele, Lea, Flood, 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

// A JSON object {"ts":..,"user":..,"page":"/p/0..groups-1",...} padded to `bytes` (at least 120).
[[nodiscard]] std::string make_event(std::uint64_t index, std::size_t bytes, std::uint64_t groups, Random& random);

}  // namespace kappa::tools
