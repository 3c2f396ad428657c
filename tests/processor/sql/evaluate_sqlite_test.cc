// Goal: expressions mean what SQL says. Method: constant expressions and random expression trees whose
// semantics SQLite shares (three-valued logic, integer arithmetic in range, comparisons, CASE,
// COALESCE, IN, BETWEEN, LIKE, text) are evaluated by both. Seeds are printed. Trees are built without
// parentheses where precedence must agree, too.
#include <random>

#include "tests/processor/sql/sqlite_values.h"
#include "tests/support/seed.h"

namespace kappa::processor {
namespace {

TEST(AgainstSqlite, PrecedenceAndOperators) {
  Sqlite sqlite;
  for (const char* expression : {
           "1 + 2 * 3",
           "(1 + 2) * 3",
           "10 - 4 - 3",
           "100 / 7 / 2",
           "-7 / 2",
           "-7 % 3",
           "7 % -3",
           "7 / 0",
           "7 % 0",
           "- 2 * 3",
           "2 * - 3",
           "- - 5",
           "1 + 2 = 3",
           "1 = 1 AND 2 = 3 OR 4 = 4",
           "1 = 1 OR 2 = 2 AND 1 = 2",
           "NOT 1 = 2",
           "NOT 1 = 1 OR 1 = 1",
           "NOT 1 = 2 AND 1 = 2",
           "NOT NOT 1 = 1",
           "1 BETWEEN 0 AND 2 AND 3 = 3",
           "5 NOT BETWEEN 1 AND 3",
           "2 IN (1, 2, 3) AND 1 = 1",
           "2 NOT IN (1, 3)",
           "1 IN (NULL)",
           "1 NOT IN (2, NULL)",
           "NULL IN (1)",
           "NULL IS NULL AND 1 = 1",
           "1 + NULL IS NULL",
           "1 IS NOT NULL",
           "'a' || 'b' = 'ab'",
           "'a' || 'b' || 'c'",
           "'abc' LIKE 'a%' AND 1 = 1",
           "'abc' NOT LIKE 'a%'",
           "'100%' LIKE '100!%' ESCAPE '!'",
           "CASE WHEN 1 = 2 THEN 'a' WHEN 2 = 2 THEN 'b' ELSE 'c' END",
           "CASE 3 WHEN 1 THEN 'a' WHEN 3 THEN 'b' END",
           "CASE 4 WHEN 1 THEN 'a' END",
           "COALESCE(NULL, 1 + 1, 5)",
           "NULLIF(3, 3)",
           "NULLIF(3, 4)",
           "abs(-5)",
           "length('h\xc3\xa9llo')",
           "upper('abc') || lower('ABC')",
           "substr('hello', 2, 3)",
           "substr('hello', 2)",
           "replace('banana', 'an', '-')",
           "trim('  x ')",
           "ltrim('xxabc', 'x')",
           "rtrim('abcxx', 'x')",
           "9223372036854775807 - 1",
           "-9223372036854775808",
           "9007199254740993 = 9007199254740992.0",
           "9007199254740993 > 9007199254740992.0",
           "0.1 + 0.2 = 0.3",
           "1.5 * 2 > 2",
           "'b' > 'a' AND 'B' < 'a'",
           "CAST('12' AS INTEGER) + 1",
           "7 / 2.0",
       }) {
    EXPECT_EQ(as_sqlite(value_of(expression)), sqlite.value(expression)) << expression;
  }
}

// Random trees of one type each, so that SQLite's coercions never matter.
class Trees {
 public:
  explicit Trees(std::uint64_t seed) : random_(seed) {}

  std::string integer(int depth) {
    if (depth == 0) return pick({"0", "1", "2", "-3", "7", "NULL", "1000003", "-1"});
    switch (random_() % 7) {
      case 0: return "(" + integer(depth - 1) + " + " + integer(depth - 1) + ")";
      case 1: return "(" + integer(depth - 1) + " - " + integer(depth - 1) + ")";
      case 2: return "(" + integer(depth - 1) + " / " + integer(depth - 1) + ")";
      case 3: return "(" + integer(depth - 1) + " % " + integer(depth - 1) + ")";
      case 4:
        return "CASE WHEN " + boolean(depth - 1) + " THEN " + integer(depth - 1) + " ELSE " +
               integer(depth - 1) + " END";
      case 5: return "COALESCE(" + integer(depth - 1) + ", " + integer(depth - 1) + ")";
      default: return "length(" + text(depth - 1) + ")";
    }
  }
  std::string text(int depth) {
    if (depth == 0) return pick({"'a'", "'ab'", "''", "'\xc3\xa9'", "NULL", "'b%'", "'_a'"});
    switch (random_() % 4) {
      case 0: return "(" + text(depth - 1) + " || " + text(depth - 1) + ")";
      case 1: return "CASE WHEN " + boolean(depth - 1) + " THEN " + text(depth - 1) + " END";
      case 2: return "replace(" + text(depth - 1) + ", 'a', 'bb')";
      default: return "COALESCE(" + text(depth - 1) + ", " + text(depth - 1) + ")";
    }
  }
  std::string boolean(int depth) {
    if (depth == 0) return pick({"(1 = 1)", "(1 = 2)", "(NULL = 1)"});
    switch (random_() % 9) {
      case 0: return "(" + boolean(depth - 1) + " AND " + boolean(depth - 1) + ")";
      case 1: return "(" + boolean(depth - 1) + " OR " + boolean(depth - 1) + ")";
      case 2: return "(NOT " + boolean(depth - 1) + ")";
      case 3:
        return "(" + integer(depth - 1) + pick({" = ", " <> ", " < ", " <= ", " > ", " >= "}) +
               integer(depth - 1) + ")";
      case 4: return "(" + text(depth - 1) + pick({" = ", " <> ", " < ", " >= "}) + text(depth - 1) + ")";
      case 5: return "(" + integer(depth - 1) + pick({" IS NULL", " IS NOT NULL"}) + ")";
      case 6:
        return "(" + integer(depth - 1) + pick({" IN (", " NOT IN ("}) + integer(depth - 1) + ", " +
               integer(depth - 1) + "))";
      case 7:
        return "(" + integer(depth - 1) + " BETWEEN " + integer(depth - 1) + " AND " + integer(depth - 1) +
               ")";
      default:
        return "(" + text(depth - 1) + pick({" LIKE ", " NOT LIKE "}) +
               pick({"'a%'", "'%b'", "'_'", "'%a%b%'", "'__'"}) + ")";
    }
  }

 private:
  std::string pick(std::initializer_list<const char*> choices) {
    return *(choices.begin() + random_() % choices.size());
  }
  std::mt19937_64 random_;
};

TEST(AgainstSqlite, RandomTrees) {
  const std::uint64_t seed = test::new_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Trees trees(seed);
  Sqlite sqlite;
  for (int i = 0; i < 3'000; ++i) {
    const std::string expression = i % 3 == 0   ? trees.integer(4)
                                   : i % 3 == 1 ? trees.boolean(4)
                                                : trees.text(4);
    ASSERT_EQ(as_sqlite(value_of(expression)), sqlite.value(expression)) << expression;
  }
}

}  // namespace
}  // namespace kappa::processor
