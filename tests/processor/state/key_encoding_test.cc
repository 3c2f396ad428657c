// Goal: key bytes order like the values, decode to them, and compose so that the first columns of a
// key are a prefix of its bytes.
// Method: a list of values per type in ascending order, compared pairwise; random rows compared with
// the value order; vectors encode like values.
#include "processor/state/key_encoding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace kappa::processor {
namespace {

std::string encoded(const Value& value) {
  std::string out;
  append_key(value, out);
  return out;
}

void expect_order(const std::vector<Value>& ascending, Type type) {
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    const std::string bytes = encoded(ascending[i]);
    std::string_view in = bytes;
    const Expected<Value> back = read_key(in, type);
    ASSERT_TRUE(back);
    EXPECT_TRUE(in.empty());
    EXPECT_EQ(*back, ascending[i]) << i;
    for (std::size_t j = i + 1; j < ascending.size(); ++j)
      EXPECT_LT(bytes, encoded(ascending[j])) << i << " " << j;
    // As a vector position.
    Vector vector(type);
    vector.resize(1);
    Arena arena;
    vector.set(0, ascending[i], arena);
    std::string from_vector;
    append_key(vector, 0, from_vector);
    EXPECT_EQ(from_vector, bytes);
    // Every cut is refused.
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      std::string_view shorter = std::string_view(bytes).substr(0, cut);
      EXPECT_FALSE(read_key(shorter, type));
    }
  }
}

TEST(KeyEncoding, EveryTypeKeepsItsOrder) {
  expect_order({Value::null(kBooleanType), Value::boolean(false), Value::boolean(true)}, kBooleanType);
  expect_order({Value::null(kBigintType), Value::bigint(INT64_MIN), Value::bigint(-256), Value::bigint(-1),
                Value::bigint(0), Value::bigint(1), Value::bigint(255), Value::bigint(INT64_MAX)},
               kBigintType);
  expect_order({Value::null(kDoubleType), Value::real(-1.7e308), Value::real(-1), Value::real(-5e-324),
                Value::real(0), Value::real(5e-324), Value::real(1), Value::real(1.5), Value::real(1.7e308)},
               kDoubleType);
  expect_order({Value::null(kTextType), Value::text(""), Value::text(std::string("\0", 1)),
                Value::text(std::string("\0\xff", 2)), Value::text("\x01"), Value::text("a"),
                Value::text(std::string("a\0", 2)), Value::text(std::string("a\0b", 3)), Value::text("aa"),
                Value::text("b"), Value::text("\xff")},
               kTextType);
  const Type numeric{TypeId::kNumeric, 38, 3};
  expect_order({Value::null(numeric), Value::numeric(-(Int128{1} << 100), 38, 3), Value::numeric(-1, 38, 3),
                Value::numeric(0, 38, 3), Value::numeric(1, 38, 3), Value::numeric(Int128{1} << 64, 38, 3),
                Value::numeric(Int128{1} << 100, 38, 3)},
               numeric);
  expect_order({Value::timestamp(-5), Value::timestamp(0), Value::timestamp(7)}, kTimestampType);
  expect_order({Value::interval(-5), Value::interval(7)}, kIntervalType);
}

TEST(KeyEncoding, NegativeZeroIsZero) {
  EXPECT_EQ(encoded(Value::real(-0.0)), encoded(Value::real(0.0)));
}

TEST(KeyEncoding, RowsOrderColumnByColumn) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  const auto text = [&] {
    std::string t;
    for (std::size_t n = random() % 4; n > 0; --n)
      t += "\0\x01"
           "ab\xff"[random() % 5];
    return random() % 8 == 0 ? Value::null(kTextType) : Value::text(t);
  };
  const auto number = [&] {
    return random() % 8 == 0 ? Value::null(kBigintType)
                             : Value::bigint(static_cast<std::int64_t>(random() % 5) - 2);
  };
  const auto order = [](const Row& a, const Row& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (const auto c = compare(a[i], b[i]); c != 0) return c;
    }
    return std::strong_ordering::equal;
  };
  for (int round = 0; round < 20'000; ++round) {
    const Row a{text(), number(), text()};
    const Row b{text(), number(), text()};
    std::string x;
    std::string y;
    for (const Value& v : a) append_key(v, x);
    for (const Value& v : b) append_key(v, y);
    ASSERT_EQ(x.compare(y) <=> 0, order(a, b));
    std::string prefix;
    append_key(a[0], prefix);
    ASSERT_TRUE(x.starts_with(prefix));
    ASSERT_EQ(y.starts_with(prefix), a[0] == b[0]);
  }
}

// Found by fuzzing: bytes that append_key() never writes were read as values, among them a DOUBLE that is
// not a number.
TEST(KeyEncoding, OneValueHasOneEncoding) {
  const auto refused = [](std::string bytes, Type type) {
    std::string_view in = bytes;
    const auto value = read_key(in, type);
    return !value && value.error().number == 3301;
  };
  EXPECT_TRUE(refused("\x01\x02", kBooleanType));
  EXPECT_TRUE(refused("\x01" + std::string(8, '\xff'), kDoubleType));                        // NaN
  EXPECT_TRUE(refused("\x01\xff\xf0" + std::string(6, '\0'), kDoubleType));                 // Infinity
  EXPECT_TRUE(refused("\x01\x7f" + std::string(7, '\xff'), kDoubleType));                   // -0
  EXPECT_TRUE(refused("\x01\x80" + std::string(14, '\0') + "\x64", {TypeId::kNumeric, 2, 0}));  // 100
}

TEST(KeyEncoding, KeyAfterPrefixEndsThePrefix) {
  EXPECT_EQ(key_after_prefix("ab"), "ac");
  EXPECT_EQ(key_after_prefix("a\xff\xff"), "b");
  EXPECT_EQ(key_after_prefix("\xff"), "");
  EXPECT_EQ(key_after_prefix(""), "");
}

}  // namespace
}  // namespace kappa::processor
