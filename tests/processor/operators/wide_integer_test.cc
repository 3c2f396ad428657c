// Goal: sums of doubles are exact whatever their size and order, equal sums have equal bytes, and
// sums and averages are rounded once.
// Method: hand-picked values with known results; random doubles over the whole range against
// Shewchuk's expansion sums ("Adaptive Precision Floating-Point Arithmetic", 1997); averages of
// integers against 113-bit arithmetic.
#include "processor/operators/aggregates/wide_integer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace kappa::processor {
namespace {

__extension__ typedef __float128 Quad;

std::string bytes(const WideInteger& value) {
  std::string out(value.stored_bytes(), '\0');
  value.store(out.data());
  return out;
}
WideInteger sum_of(const std::vector<double>& values) {
  WideInteger sum;
  for (const double v : values) sum.add(v, 1);
  return sum;
}
double rounded(const WideInteger& sum) {
  return sum.to_double(-1074, 1, 0).value_or(NAN);
}

// Correctly rounded sum by non-overlapping partial sums.
double expansion_sum(const std::vector<double>& values) {
  std::vector<double> partials;
  for (double x : values) {
    std::size_t kept = 0;
    for (double y : partials) {
      if (std::fabs(x) < std::fabs(y)) std::swap(x, y);
      const double high = x + y;
      const double low = y - (high - x);
      if (low != 0) partials[kept++] = low;
      x = high;
    }
    partials.resize(kept);
    partials.push_back(x);
  }
  double total = 0;
  std::size_t n = partials.size();
  if (n == 0) return 0;
  total = partials[--n];
  double low = 0;
  while (n > 0) {
    const double x = total;
    const double y = partials[--n];
    total = x + y;
    low = y - (total - x);
    if (low != 0) break;
  }
  // Half-way cases look one partial further.
  if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
    const double y = low * 2;
    const double x = total + y;
    if (y == x - total) total = x;
  }
  return total;
}

TEST(WideInteger, KnownSums) {
  EXPECT_EQ(rounded(sum_of({0.1, 0.2})), 0.1 + 0.2);
  EXPECT_EQ(rounded(sum_of({1e308, 1e308, -1e308})), 1e308);
  EXPECT_EQ(rounded(sum_of({1e300, 1, -1e300})), 1);
  EXPECT_EQ(rounded(sum_of({5e-324, 5e-324})), 1e-323);
  EXPECT_EQ(rounded(sum_of({1, 0x1p-53})), 1);                    // Tie to even.
  EXPECT_EQ(rounded(sum_of({1, 0x1p-53, 5e-324})), 1 + 0x1p-52);  // Above the tie.
  EXPECT_EQ(rounded(sum_of({-1, -0x1p-53, -5e-324})), -1 - 0x1p-52);
  EXPECT_EQ(rounded(sum_of({-0.0})), 0);
  EXPECT_TRUE(std::isnan(rounded(sum_of({1.7e308, 1.7e308}))));  // Beyond the largest double.
  EXPECT_TRUE(sum_of({1e300, -1e300, 3.5, -3.5}).is_zero());
}

TEST(WideInteger, RandomSumsEqualTheExpansionAndDoNotDependOnOrder) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 3000; ++round) {
    // A window of exponents: narrow ones cancel, wide ones use many limbs; the top is left out so that
    // no partial sum of the reference overflows.
    const std::uint64_t low = random() % 1900;
    const std::uint64_t width = 1 + random() % std::min<std::uint64_t>(1990 - low, random() % 2 ? 20 : 1990);
    std::vector<double> values;
    for (std::size_t n = 1 + random() % 30; n > 0; --n) {
      const std::uint64_t bits = (random() & 0x800fffffffffffffU) | (low + random() % width) << 52;
      values.push_back(std::bit_cast<double>(bits));
      if (random() % 4 == 0) values.push_back(-values[random() % values.size()]);
    }
    WideInteger sum = sum_of(values);
    ASSERT_EQ(rounded(sum), expansion_sum(values));
    std::vector<double> shuffled = values;
    std::ranges::shuffle(shuffled, random);
    const std::string stored = bytes(sum);
    ASSERT_EQ(bytes(sum_of(shuffled)), stored);
    WideInteger loaded;
    ASSERT_TRUE(loaded.load(stored));
    ASSERT_EQ(bytes(loaded), stored);
    // Taken back, it is as if it had never been.
    const double extra = std::bit_cast<double>((random() & 0x800fffffffffffffU) | (random() % 2046) << 52);
    const auto weight = static_cast<std::int64_t>(random() >> (1 + random() % 60));
    sum.add(extra, weight);
    sum.add(extra, -weight);
    ASSERT_EQ(bytes(sum), stored);
    for (const double v : shuffled) sum.add(v, -1);
    ASSERT_TRUE(sum.is_zero());
    ASSERT_EQ(sum.stored_bytes(), 0U);
  }
}

TEST(WideInteger, AddingInPlaceGivesTheSameBytesOrChangesNothing) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  std::size_t in_place = 0;
  std::size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::uint64_t low = random() % 1900;
    const std::uint64_t width = 1 + random() % (random() % 2 == 0 ? 4 : 100);
    const bool signs = random() % 4 == 0;
    std::string stored;
    for (int n = 0; n < 60; ++n) {
      std::uint64_t fraction = random() >> 12;
      if (random() % 3 == 0) fraction = random() % 2 == 0 ? 0 : (std::uint64_t{1} << 52) - 1;  // Carries, zeros.
      const std::uint64_t sign = signs && random() % 2 == 0 ? std::uint64_t{1} << 63 : 0;
      const double x = std::bit_cast<double>(sign | (low + random() % width) << 52 | fraction);
      WideInteger sum;
      ASSERT_TRUE(sum.load(stored));
      sum.add(x, 1);
      std::string changed = stored;
      const bool done = WideInteger::add_in_place(changed.data(), changed.size(), x);
      ASSERT_EQ(changed, done ? bytes(sum) : stored);
      ++(done ? in_place : refused);
      stored = bytes(sum);
    }
  }
  EXPECT_GT(in_place, 10'000U);
  EXPECT_GT(refused, 1000U);
  // All bits carry out of the only limb; all bits of the lowest limb become zero.
  const std::string full = bytes(sum_of({0x1.fffffffffffffp52 * 0x1p-1074, 0x1p53 * 0x1p-1074}));
  std::string same = full;
  EXPECT_FALSE(WideInteger::add_in_place(same.data(), same.size(), -1));
  EXPECT_FALSE(WideInteger::add_in_place(same.data(), same.size(), 5e-324)) << "no denormal";
  EXPECT_EQ(same, full);
}

TEST(WideInteger, AveragesAreRoundedOnce) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20'000; ++round) {
    const Int128 sum =
        static_cast<Int128>(static_cast<std::int64_t>(random())) << (random() % 40) >> (random() % 90);
    const std::uint64_t count = 1 + (random() >> (random() % 63));
    const unsigned decimals = static_cast<unsigned>(random() % 25);
    WideInteger wide;
    wide.add(sum, 0);
    Quad expected = static_cast<Quad>(sum) / static_cast<Quad>(count);
    ASSERT_EQ(wide.to_double(0, count, 0), static_cast<double>(expected));
    Quad scale = 1;
    for (unsigned i = 0; i < decimals; ++i) scale *= 10;
    expected = static_cast<Quad>(sum) / (static_cast<Quad>(count) * scale);
    const double actual = wide.to_double(0, count, decimals).value_or(NAN);
    // 113 bits cannot hold every divisor here; one unit in the last place at the most.
    ASSERT_LE(std::fabs(actual - static_cast<double>(expected)),
              std::fabs(static_cast<double>(expected)) * 0x1p-52);
  }
}

TEST(WideInteger, ForeignBytesAreRefused) {
  WideInteger value;
  EXPECT_FALSE(value.load("x"));
  EXPECT_FALSE(value.load("12345"));
  EXPECT_FALSE(value.load(std::string(1000, 'x')));
  EXPECT_FALSE(value.load("\x28" + std::string(9, '\0')));
}

TEST(WideInteger, Int128ComesBackWhole) {
  for (const Int128 v : {Int128{0}, Int128{1}, Int128{-1}, Int128{1} << 64, -(Int128{1} << 64),
                         Int128{1} << 126, -(Int128{1} << 126)}) {
    WideInteger wide;
    wide.add(v, 0);
    EXPECT_EQ(wide.to_int128(), v);
    wide.add(v, 64);
    EXPECT_EQ(wide.to_int128().has_value(), v == 0 || v == -1 || v == 1);
  }
}

}  // namespace
}  // namespace kappa::processor
