// Seeds of random tests: printed, and repeatable through the environment.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace kappa::test {

[[nodiscard]] inline std::uint64_t new_seed() {
  const char* const given = std::getenv("KAPPA_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu (KAPPA_TEST_SEED repeats it)\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace kappa::test
