// Goal: sketches have the bytes that their formats say, whatever the order of the values; their answers are
// within the promised errors; a HyperLogLog is refused where rows are taken back. Method: bytes written by
// hand for chosen hashes and values; fixed seeds, with the true answer computed from all values; the
// aggregate through an operator, cut and shuffled.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "processor/operators/aggregate.h"
#include "processor/operators/aggregates/ddsketch.h"
#include "processor/operators/aggregates/hyperloglog.h"
#include "tests/processor/operators/change_source.h"

namespace kappa::processor {
namespace {

using namespace testing;

void add(std::string& sketch, std::uint64_t hash) {
  const hyperloglog::Rank value = hyperloglog::rank_of(hash);
  if (hyperloglog::add_in_place(sketch.data(), sketch.size(), value) == hyperloglog::Added::kNeedsRoom)
    sketch = hyperloglog::with(sketch, value);
}

TEST(HyperLogLog, BytesAreThoseOfTheFormat) {
  EXPECT_EQ(hyperloglog::rank_of(3 | 1ULL << 14).place, 3U);
  EXPECT_EQ(hyperloglog::rank_of(3 | 1ULL << 14).rank, 1U);
  EXPECT_EQ(hyperloglog::rank_of(0x3fff).rank, 51U);  // No one among the 50 others.
  EXPECT_EQ(hyperloglog::rank_of(1ULL << 63).rank, 50U);
  std::string sketch;
  add(sketch, 0x200 | 1ULL << 16);  // Register 512, rank 3.
  add(sketch, 3 | 1ULL << 14);      // Register 3, rank 1.
  add(sketch, 0x200 | 1ULL << 14);  // Less than what is there.
  EXPECT_EQ(sketch, std::string("\xc1\x00\x00\x03\x80\x00", 6));
  add(sketch, 3 | 1ULL << 15);  // Register 3, rank 2.
  EXPECT_EQ(sketch, std::string("\xc2\x00\x00\x03\x80\x00", 6));
  // Every register at rank 1: 6 bits each, from the lowest up.
  std::string full;
  for (std::uint64_t i = 0; i < hyperloglog::kRegisters; ++i) {
    add(full, i | 1ULL << 14);
    ASSERT_EQ(full.size(), i + 1 <= 4095 ? 3 * (i + 1) : 12'288);
  }
  for (std::size_t at = 0; at < full.size(); at += 3)
    ASSERT_EQ(full.substr(at, 3), std::string("\x41\x10\x04"));
}

TEST(HyperLogLog, CountsAreWithinFourStandardErrorsAndDoNotDependOnOrder) {
  for (const std::size_t n :
       {std::size_t{1}, std::size_t{50}, std::size_t{1000}, std::size_t{3000}, std::size_t{5000},
        std::size_t{20'000}, std::size_t{100'000}, std::size_t{1'000'000}}) {
    std::mt19937_64 random(n);
    std::vector<std::uint64_t> hashes(n);
    for (std::uint64_t& hash : hashes) hash = random();
    std::string sketch;
    for (const std::uint64_t hash : hashes) add(sketch, hash);
    const double estimate = *hyperloglog::estimate(sketch);
    EXPECT_NEAR(estimate, static_cast<double>(n), 0.5 + 4 * 0.0082 * static_cast<double>(n)) << n;
    // In another order, in two parts with values in common, and again.
    std::ranges::shuffle(hashes, random);
    std::string parts[2];
    for (std::size_t i = 0; i < n; ++i) {
      if (i % 3 != 0) add(parts[0], hashes[i]);
      if (i % 3 != 1) add(parts[1], hashes[i]);
    }
    EXPECT_TRUE(hyperloglog::merged(parts[0], parts[1]) == sketch) << n;
    EXPECT_TRUE(hyperloglog::merged(sketch, parts[1]) == sketch) << n;
  }
}

TEST(HyperLogLog, ForeignBytesAreRefused) {
  EXPECT_FALSE(hyperloglog::estimate("ab"));
  EXPECT_FALSE(hyperloglog::estimate("\xff\xff\xff"));
  EXPECT_FALSE(hyperloglog::estimate(std::string(hyperloglog::kDenseBytes, '\xff')));
  EXPECT_FALSE(hyperloglog::merged("", "abcd"));
}

TEST(DdSketch, BytesAreThoseOfTheFormat) {
  EXPECT_EQ(ddsketch::bucket_of(0), 0);
  EXPECT_EQ(ddsketch::bucket_of(-0.0), 0);
  EXPECT_EQ(ddsketch::bucket_of(5e-324), 0);
  EXPECT_EQ(ddsketch::bucket_of(1.0), 0x3ff << 6);
  EXPECT_EQ(ddsketch::bucket_of(-1.0), -(0x3ff << 6));
  EXPECT_EQ(ddsketch::bucket_of(1.5), (0x3ff << 6) + 32);
  EXPECT_EQ(ddsketch::middle_of(0x3ff << 6), 1 + 1.0 / 128);
  EXPECT_EQ(ddsketch::middle_of(-((0x3ff << 6) + 32)), -1.5 - 1.0 / 128);
  std::string sketch;
  ddsketch::append(sketch, -2, 1);
  ddsketch::append(sketch, 0x3ff << 6, 258);
  EXPECT_EQ(sketch, std::string("\xfe\xff\xff\xff\x01\0\0\0\0\0\0\0\xc0\xff\0\0\x02\x01\0\0\0\0\0\0", 24));
  EXPECT_TRUE(ddsketch::find(sketch, -2).found);
  EXPECT_EQ(ddsketch::find(sketch, 0).at, 12U);
  std::string back;
  ddsketch::append(back, -2, -1);
  EXPECT_EQ(ddsketch::merged(sketch, back), sketch.substr(12));
  EXPECT_FALSE(ddsketch::merged(sketch, "short"));
}

TEST(DdSketch, EveryValueIsWithinItsError) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 200'000; ++i) {
    const double x = std::ldexp(1 + static_cast<double>(random() >> 12) * 0x1p-52,
                                static_cast<int>(random() % 2000) - 1000);
    ASSERT_LE(std::fabs(ddsketch::middle_of(ddsketch::bucket_of(x)) - x), x / 128) << x;
    ASSERT_EQ(ddsketch::bucket_of(-x), -ddsketch::bucket_of(x));
  }
  EXPECT_TRUE(std::isfinite(ddsketch::middle_of(ddsketch::bucket_of(1.7976931348623157e308))));
}

// Values of an aggregate over one group of integers.
Value over(const Aggregate& one, const std::vector<std::int64_t>& values, std::mt19937_64& random,
           std::string* state) {
  const PlanPtr plan = aggregate_plan(scan_plan(), {}, {one});
  const auto store = make_memory_state();
  TableId next_table = 1;
  auto set = AggregateSet::make(*plan, InputKind::kAppendOnly, store.get(), next_table);
  const AggregateSet& reading = **set;
  AggregateOperator group_by(*plan, std::move(*set), *store, {});
  std::vector<Change> changes;
  for (std::size_t i = 0; i < values.size(); ++i) {
    Row row(kColumnCount);
    for (std::size_t c = 0; c < row.size(); ++c) row[c] = Value::null(source_columns()[c].type);
    row[kInt] = Value::bigint(values[i]);
    changes.push_back({std::move(row), 1});
    if (changes.size() < 1 + random() % 900 && i + 1 < values.size()) continue;
    EXPECT_TRUE(push_changes(group_by, changes, random));
    changes.clear();
  }
  *state = *store->read(0, {})->value;
  return *reading.row({}, *state)->begin();
}

TEST(ApproxCountDistinct, CountsValuesOfAGroup) {
  std::mt19937_64 random(7);
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < 40'000; ++i) values.push_back(i % 30'000);
  const Aggregate count = aggregate("approx_count_distinct", col(source_columns(), kInt));
  std::string first;
  EXPECT_NEAR(static_cast<double>(over(count, values, random, &first).as_int64()), 30'000, 30'000 * 0.025);
  std::ranges::shuffle(values, random);
  std::string second;
  static_cast<void>(over(count, values, random, &second));
  EXPECT_TRUE(first == second);
}

TEST(ApproxCountDistinct, IsRefusedWhereRowsAreTakenBack) {
  const PlanPtr plan =
      aggregate_plan(scan_plan(), {}, {aggregate("approx_count_distinct", col(source_columns(), kInt))});
  TableId next_table = 1;
  const auto set = AggregateSet::make(*plan, InputKind::kRetracting, nullptr, next_table);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().number, 2005);
  EXPECT_NE(to_string(set.error()).find("count(DISTINCT"), std::string::npos);
}

}  // namespace
}  // namespace kappa::processor
