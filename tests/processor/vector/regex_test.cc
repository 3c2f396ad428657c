// Goal: regular expressions mean what RE2 says, no match is NULL and no failure, patterns are checked when
// they are bound, and no piece of a text is ever broken UTF-8. Method: tables of constant expressions,
// errors of bad patterns with their reason, and columns whose patterns differ by row.
#include <gtest/gtest.h>

#include "processor/vector/functions.h"
#include "tests/processor/sql/sql_fixture.h"

namespace kappa::processor {
namespace {

struct Case {
  const char* expression;
  const char* expected;
};
void expect_all(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(text_of(c.expression), c.expected) << c.expression;
}

TEST(Regex, LikeFindsAnywhere) {
  expect_all({{"regexp_like('abc', 'b')", "true"},
              {"regexp_like('abc', '^b')", "false"},
              {"regexp_like('', '^$')", "true"},
              {"regexp_like('ABC', 'b')", "false"},
              {"regexp_like('ABC', 'b', 'i')", "true"},
              {"regexp_like('ABC', '(?i)b')", "true"},
              {"regexp_like('a' || chr(10) || 'b', 'a.b')", "false"},
              {"regexp_like('a' || chr(10) || 'b', 'a.b', 's')", "true"},
              {"regexp_like('a' || chr(10) || 'b', '^b')", "false"},
              {"regexp_like('a' || chr(10) || 'b', '^b', 'm')", "true"},
              {"regexp_like('h\xc3\xa9', '^h.$')", "true"},
              {"regexp_like('\xf0\x9f\x98\x80', '^.$')", "true"},
              {"regexp_like('x', '\\p{Greek}|x')", "true"},
              {"regexp_like(NULL, 'a')", "NULL"},
              {"regexp_like('a', NULL)", "NULL"},
              {"'abc' ~ 'b' AND 'abc' !~ 'x'", "true"},
              {"'ABC' ~ 'b'", "false"},
              {"'ABC' ~* 'b'", "true"},
              {"'ABC' !~* 'b'", "false"},
              {"'a' || 'b' ~ '^ab$'", "true"}});
}

TEST(Regex, ExtractGivesAGroupOrNull) {
  expect_all(
      {{"regexp_extract('https://x/?a=1&channel_id=apple&b=2', '(&|^)channel_id=([^&]*)', 2)", "apple"},
       {"regexp_extract('channel_id=', '(&|^)channel_id=([^&]*)', 2)", ""},
       {"regexp_extract('nothing', '(&|^)channel_id=([^&]*)', 2)", "NULL"},
       {"regexp_extract('abc123', '[0-9]+')", "123"},
       {"regexp_extract('abc123', '[a-z]+([0-9]+)', 0)", "abc123"},
       {"regexp_extract('b', '(a)|b', 1)", "NULL"},
       {"regexp_extract('', '.*')", ""},
       {"regexp_extract('', '(x?)', 1)", ""},
       {"regexp_extract('aaa', 'a*?')", ""},
       {"regexp_extract('\xc3\xa9\xc3\xa8', '.$')", "\xc3\xa8"},
       {"regexp_extract(NULL, 'a', 0)", "NULL"},
       {"regexp_extract('a', 'a', NULL)", "NULL"}});
}

TEST(Regex, ReplaceAsPostgres) {
  expect_all({{"regexp_replace('foobarbaz', 'b..', 'X')", "fooXbaz"},
              {"regexp_replace('foobarbaz', 'b..', 'X', 'g')", "fooXX"},
              {"regexp_replace('foobarbaz', 'b(..)', 'X\\1Y', 'g')", "fooXarYXazY"},
              {"regexp_replace('abc', 'B', '[\\&]', 'i')", "a[b]c"},
              {"regexp_replace('abc', 'b', '\\\\')", "a\\c"},
              {"regexp_replace('abc', 'b', '\\9x\\')", "ax\\c"},
              {"regexp_replace('abc', 'x', 'y')", "abc"},
              {"regexp_replace('abc', '', '-', 'g')", "-a-b-c-"},
              {"regexp_replace('aab', 'a*', 'x', 'g')", "xbx"},
              {"regexp_replace('', '^', 'x', 'g')", "x"},
              {"regexp_replace('\xc3\xa9\xc3\xa8', '', '-', 'g')", "-\xc3\xa9-\xc3\xa8-"},
              {"regexp_replace('a\xc3\xa9', '\\B', '|', 'g')", "a\xc3\xa9|"},
              {"regexp_replace('a', '(b)|a', '<\\1>')", "<>"},
              {"length(regexp_replace(repeat('a', 1000), 'a', repeat('b', 1000), 'g'))", "1000000"},
              {"regexp_replace(repeat('a', 1100), 'a', repeat('b', 1000), 'g')", "NULL"},
              {"regexp_count('abababa', 'aba')", "2"},
              {"regexp_count('abc', '')", "4"},
              {"regexp_count('', 'a')", "0"}});
}

TEST(Regex, BadPatternsAreErrorsWithTheReason) {
  MemoryCatalog catalog;
  catalog.run(kHits);
  struct Bad {
    const char* expression;
    const char* message;
  };
  for (const Bad& bad :
       {Bad{"regexp_like(page, '(')", "missing )"}, Bad{"regexp_like(page, 'a**')", "repetition"},
        Bad{"page ~ '['", "missing ]"}, Bad{"regexp_like(page, '(?<=a)b')", "invalid"},
        Bad{"regexp_extract(page, '(a)\\1', 1)", "invalid escape"},
        Bad{"regexp_like(page, 'a{1001}')", "repetition"},
        Bad{"regexp_like(page, '((a{1000}){1000}){1000}')", "repetition"},
        Bad{"regexp_like(page, '\\C')", "single byte"}, Bad{"regexp_like(page, 'a', 'q')", "flag"},
        Bad{"regexp_extract(page, '(a)', 2)", "no group 2"},
        Bad{"regexp_extract(page, 'a', -1)", "no group -1"},
        Bad{"regexp_replace(page, '+', '')", "repetition"},
        Bad{"regexp_like(ms, 'a')", "argument 1 must be TEXT"}}) {
    const Error error = error_of(std::string("SELECT ") + bad.expression + " FROM hits", catalog);
    EXPECT_EQ(error.number, 2002) << bad.expression << "\n" << to_string(error);
    EXPECT_TRUE(error.place.has_value()) << bad.expression;
    EXPECT_NE(error.message.find(bad.message), std::string::npos) << bad.expression << "\n"
                                                                  << to_string(error);
  }
}

// Patterns of rows: bad ones fail and are counted, others match though more than are kept take turns.
TEST(Regex, PatternsMayComeFromRows) {
  constexpr std::size_t kRows = 100;
  Arena arena;
  Vector text(kTextType);
  Vector pattern(kTextType);
  Vector group(kBigintType);
  for (Vector* column : {&text, &pattern, &group}) column->resize(kRows);
  for (std::size_t row = 0; row < kRows; ++row) {
    text.set(row, Value::text("<" + std::to_string(row % 20) + ">"), arena);
    pattern.set(row, Value::text(row % 10 == 0 ? "(" : "<(" + std::to_string(row % 20) + ")>"), arena);
    group.set(row, Value::bigint(row % 10 == 1 ? 2 : 1), arena);
  }
  ChangeBatch batch;
  batch.count = kRows;
  batch.columns = {&text, &pattern, &group};
  const auto column = [](std::size_t i, Type type) { return make_column(i, type); };
  auto call =
      make_call("regexp_extract", {column(0, kTextType), column(1, kTextType), column(2, kBigintType)});
  ASSERT_TRUE(call.has_value());
  ExpressionEvaluator evaluator(*call);
  for (std::uint64_t round = 1; round <= 2; ++round) {
    const Vector& result = evaluator.evaluate(batch);
    for (std::size_t row = 0; row < kRows; ++row) {
      EXPECT_EQ(display(result.value(row)), row % 10 <= 1 ? "NULL" : std::to_string(row % 20)) << row;
    }
    EXPECT_EQ(evaluator.failures(), 20 * round);
  }
}

TEST(Regex, NoMatchIsNoFailure) {
  Arena arena;
  Vector text(kTextType);
  text.resize(2);
  text.set(0, Value::text("a"), arena);
  ChangeBatch batch;
  batch.count = 2;
  batch.columns = {&text};
  for (const char* name : {"regexp_extract", "split_index"}) {
    std::vector<ExpressionPtr> arguments{make_column(0, kTextType), make_constant(Value::text("x")),
                                         make_constant(Value::bigint(name[0] == 's' ? 3 : 0))};
    auto call = make_call(name, std::move(arguments));
    ASSERT_TRUE(call.has_value());
    ExpressionEvaluator evaluator(*call);
    EXPECT_TRUE(evaluator.evaluate(batch).value(0).is_null());
    EXPECT_EQ(evaluator.failures(), 0U) << name;
  }
}

// A time that is not linear in the text would not end here.
TEST(Regex, HostilePatternsEnd) {
  EXPECT_EQ(text_of("regexp_like(repeat('a', 100000), '(a*)*(a|aa)*b$')"), "false");
  EXPECT_EQ(text_of("regexp_like(repeat('a', 100000), '((a{0,30}){0,30})b')"), "false");
}

}  // namespace
}  // namespace kappa::processor
