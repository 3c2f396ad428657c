// Goal: the differences between two lists of rows in order are exactly those that a set comparison finds, by key and
// whole, and a list out of order is noticed. Method: small lists by hand; random ones against a map of all rows, with
// the order of keys as the state keeps them (NULL first).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tools/version_diff.h"

namespace kappa::tools {
namespace {

class Rows final : public RowSource {
 public:
  explicit Rows(std::vector<Row> rows) : rows_(std::move(rows)) {}
  Expected<std::optional<Row>> next() override {
    if (at_ == rows_.size()) return std::nullopt;
    return rows_[at_++];
  }

 private:
  std::vector<Row> rows_;
  std::size_t at_ = 0;
};

Row row(std::string key, std::int64_t n) { return {Value::text(std::move(key)), Value::bigint(n)}; }

const std::vector<ClientColumn> kColumns{{"page", kTextType}, {"n", kBigintType}};

std::string shown(const DiffShape& shape, std::vector<Row> left, std::vector<Row> right, DiffCounts* counts = nullptr) {
  Rows a(std::move(left)), b(std::move(right));
  std::string text;
  const auto result = diff_rows(shape, a, b, [&](bool is_right, const Row& one) {
    text += is_right ? "+" : "-";
    for (const Value& value : one) text += display(value) + " ";
  });
  if (!result) return "error " + std::to_string(result.error().number);
  if (counts != nullptr) *counts = *result;
  return text;
}

TEST(VersionDiff, ByKeyAChangedRowIsBothOfItsSides) {
  const DiffShape shape = diff_shape(kColumns, KeyColumns{{0}}, kColumns, KeyColumns{{0}});
  EXPECT_TRUE(shape.by_key && shape.same_columns());
  DiffCounts counts;
  EXPECT_EQ(shown(shape, {row("a", 1), row("b", 2), row("d", 4)}, {row("b", 3), row("c", 1), row("d", 4)}, &counts),
            "-a 1 -b 2 +b 3 +c 1 ");
  EXPECT_EQ((std::tuple{counts.equal, counts.differing, counts.left_only, counts.right_only}), (std::tuple{1U, 1U, 1U, 1U}));
  EXPECT_TRUE(counts.any());
  EXPECT_EQ(shown(shape, {}, {}, &counts), "");
  EXPECT_FALSE(counts.any());
  EXPECT_EQ(shown(shape, {row("b", 1), row("a", 1)}, {}), "error 5003");
}

TEST(VersionDiff, WithoutACommonKeyWholeRowsArePairedOff) {
  const DiffShape shape = diff_shape(kColumns, std::nullopt, kColumns, KeyColumns{{0}});
  EXPECT_FALSE(shape.by_key);
  EXPECT_EQ(shown(shape, {row("a", 1), row("a", 1), row("a", 1), row("b", 2)}, {row("a", 1), row("a", 2)}),
            "-a 1 -a 1 +a 2 -b 2 ");
}

TEST(VersionDiff, ColumnsOfOneSideAreNotCompared) {
  const std::vector<ClientColumn> wider{{"mean", kDoubleType}, {"page", kTextType}, {"n", kDoubleType}};
  const DiffShape shape = diff_shape(kColumns, KeyColumns{{0}}, wider, KeyColumns{{1}});
  EXPECT_TRUE(shape.by_key);
  EXPECT_EQ(shape.right_only, std::vector<std::string>{"mean"});
  EXPECT_FALSE(shape.same_columns());
  // 1 is 1.0; 2 is not 2.5.
  EXPECT_EQ(shown(shape, {row("a", 1), row("b", 2)},
                  {{Value::real(9), Value::text("a"), Value::real(1)}, {Value::real(9), Value::text("b"), Value::real(2.5)}}),
            "-b 2 +9 b 2.5 ");
}

TEST(VersionDiff, KeysOfOtherTypesAreNoCommonKey) {
  const std::vector<ClientColumn> other{{"page", kBigintType}, {"n", kBigintType}};
  EXPECT_FALSE(diff_shape(kColumns, KeyColumns{{0}}, other, KeyColumns{{0}}).by_key);
  EXPECT_FALSE(diff_shape(kColumns, KeyColumns{{0}}, kColumns, KeyColumns{{0, 1}}).by_key);
  // No key columns at all: there is one row.
  const DiffShape one = diff_shape({{"n", kBigintType}}, KeyColumns(std::in_place), {{"n", kBigintType}}, KeyColumns(std::in_place));
  EXPECT_TRUE(one.by_key);
  EXPECT_EQ(shown(one, {{Value::bigint(1)}}, {{Value::bigint(2)}}), "-1 +2 ");
}

TEST(VersionDiff, RandomListsGiveWhatAMapOfThemGives) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const DiffShape shape = diff_shape(kColumns, KeyColumns{{0}}, kColumns, KeyColumns{{0}});
  for (int round = 0; round < 200; ++round) {
    using Content = std::map<int, std::int64_t>;  // Key -1 is NULL, first in the order.
    const auto content = [&] {
      Content rows;
      for (int key = -1; key < 20; ++key)
        if (random() % 2 == 0) rows[key] = static_cast<std::int64_t>(random() % 3);
      return rows;
    };
    const auto text_key = [](int key) { return std::string(1, static_cast<char>('a' + key)); };
    const auto list = [&](const Content& rows) {
      std::vector<Row> all;
      for (const auto& [key, n] : rows) {
        all.push_back({key < 0 ? Value::null(kTextType) : Value::text(text_key(key)), Value::bigint(n)});
      }
      return all;
    };
    const Content left = content(), right = content();
    std::string expected;
    for (int key = -1; key < 20; ++key) {
      const auto a = left.find(key), b = right.find(key);
      if (a != left.end() && b != right.end() && a->second == b->second) continue;
      const std::string name = key < 0 ? "NULL" : text_key(key);
      if (a != left.end()) expected += "-" + name + " " + std::to_string(a->second) + " ";
      if (b != right.end()) expected += "+" + name + " " + std::to_string(b->second) + " ";
    }
    ASSERT_EQ(shown(shape, list(left), list(right)), expected);
  }
}

}  // namespace
}  // namespace kappa::tools
