// The keys of a batch's rows: their bytes, and which rows share one, with and without numbers of equal texts.
//
// Method: random vectors of every type, also with zeros inside texts, long texts and NULL, from few or many distinct
// values; each row's key must have the bytes of append_key(), and keys must stand in the order of their first rows.
#include "processor/operators/batch_keys.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "processor/state/key_encoding.h"
#include "tests/support/seed.h"

namespace kappa::processor {
namespace {

class BatchKeysTest : public ::testing::Test {
 protected:
  std::string any_text() {
    std::string text(random_() % (random_() % 8 == 0 ? 200 : 20), 'x');
    for (char& c : text) c = random_() % 12 == 0 ? '\0' : static_cast<char>('a' + random_() % 26);
    return text;
  }
  Value any_value(TypeId type) {
    if (random_() % 10 == 0) return Value::null(Type{type, 0, 0});
    switch (type) {
      case TypeId::kBoolean: return Value::boolean(random_() % 2 == 0);
      case TypeId::kBigint: return Value::bigint(static_cast<std::int64_t>(random_()));
      case TypeId::kDouble: return Value::real(static_cast<double>(static_cast<std::int64_t>(random_())) / 3);
      default: return Value::text(any_text());
    }
  }
  // `rows` values from `distinct` ones.
  Vector column(TypeId type, std::size_t rows, std::size_t distinct) {
    std::vector<Value> values;
    while (values.size() < distinct) values.push_back(any_value(type));
    Vector vector(Type{type, 0, 0});
    vector.reset(Type{type, 0, 0}, rows);
    for (std::size_t row = 0; row < rows; ++row) vector.set(row, values[random_() % distinct], arena_);
    return vector;
  }
  void expect_right(const std::vector<const Vector*>& columns, const Selection& rows) {
    keys_.find(columns, rows);
    ASSERT_EQ(keys_.key_of().size(), rows.size());
    ASSERT_EQ(keys_.first_rows().size(), keys_.keys().size());
    std::size_t seen = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::string expected;
      for (const Vector* const part : columns) append_key(part->value(rows[i]), expected);
      std::string of_vector;
      for (const Vector* const part : columns) append_key(*part, rows[i], of_vector);
      ASSERT_EQ(of_vector, expected);
      const std::uint32_t key = keys_.key_of()[i];
      ASSERT_LT(key, keys_.keys().size());
      ASSERT_EQ(keys_.keys()[key], expected) << "row " << rows[i];
      if (key == seen) {
        ASSERT_EQ(keys_.first_rows()[key], rows[i]);
        ++seen;
      }
      ASSERT_LT(key, seen) << "keys are not in the order of their first rows";
    }
    ASSERT_EQ(seen, keys_.keys().size()) << "a key without a row";
  }
  Selection any_rows(std::size_t count) {
    Selection rows;
    const unsigned share = 1 + static_cast<unsigned>(random_() % 8);
    for (std::uint32_t row = 0; row < count; ++row) {
      if (random_() % share == 0) rows.push_back(row);
    }
    return rows;
  }

  std::mt19937_64 random_{kappa::test::new_seed()};
  Arena arena_;
  BatchKeys keys_;
};

TEST_F(BatchKeysTest, EveryRowHasItsKey) {
  static constexpr TypeId kTypes[] = {TypeId::kBoolean, TypeId::kBigint, TypeId::kDouble, TypeId::kText};
  for (int round = 0; round < 300; ++round) {
    const std::size_t rows = 1 + random_() % kVectorRows;
    std::vector<Vector> vectors;
    for (std::size_t n = random_() % 4; n > 0; --n)
      vectors.push_back(column(kTypes[random_() % 4], rows, 1 + random_() % (round % 2 == 0 ? 5 : rows)));
    std::vector<const Vector*> columns;
    for (const Vector& vector : vectors) columns.push_back(&vector);
    expect_right(columns, any_rows(rows));
    if (HasFatalFailure()) return;
    arena_.reset();
  }
}

TEST_F(BatchKeysTest, NumbersOfEqualTextsGiveTheSameKeysEachOnce) {
  std::size_t used = 0;
  for (int round = 0; round < 300; ++round) {
    const std::size_t rows = 1 + random_() % kVectorRows;
    const std::size_t offered = random_() % 4 == 0 ? rows - random_() % rows : rows;
    Vector text = column(TypeId::kText, rows, 1 + random_() % (round % 3 == 0 ? rows : 40));
    text.offer_codes(offered);
    const Selection rows_wanted = any_rows(offered);
    expect_right({&text}, rows_wanted);
    if (HasFatalFailure()) return;
    if (text.codes(offered).of != nullptr) {
      ++used;
      expect_right({&text}, rows_wanted);  // Also where they became known in between.
      std::map<std::string_view, int> times;
      for (const std::string_view key : keys_.keys()) ASSERT_EQ(++times[key], 1) << "the key came twice";
    }
    // Another chunk in the same vector: nothing is left of the one before.
    Vector other = column(TypeId::kText, rows, 3);
    text.reset(text.type(), rows);
    for (std::size_t row = 0; row < rows; ++row) text.set(row, other.value(row), arena_);
    EXPECT_EQ(text.codes(rows).of, nullptr) << "nobody said that the values stay";
    if (random_() % 2 == 0) text.offer_codes(rows);
    expect_right({&text}, any_rows(rows));
    if (HasFatalFailure()) return;
    arena_.reset();
  }
  EXPECT_GT(used, 100U) << "the test must meet columns that have numbers";
}

}  // namespace
}  // namespace kappa::processor
