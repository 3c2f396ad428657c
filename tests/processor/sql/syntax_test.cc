// Goal: every syntax error says what was expected and where; nesting, length and hostile text are
// bounded; scripts are cut right. Method: tables of text and the place expected.
#include <string>

#include "processor/vector/functions.h"
#include "proto/limits.h"
#include "tests/processor/sql/sql_fixture.h"

namespace kappa::processor {
namespace {

struct BadText {
  const char* sql;
  std::uint16_t number;
  std::uint32_t line;
  std::uint32_t column;
  const char* message;  // A part of it.
};

TEST(Syntax, ErrorsNameThePlace) {
  const MemoryCatalog catalog;
  const BadText cases[] = {
      {"SELECT 'abc", 2001, 1, 8, "does not end"},
      {"SELECT \"abc", 2001, 1, 8, "does not end"},
      {"SELECT 1 /* x", 2001, 1, 10, "does not end"},
      {"SELECT 1 /* a /* b */", 2001, 1, 10, "does not end"},
      {"SELECT\n  1 +", 2001, 2, 6, "expected an expression"},
      {"SELECT ((1)", 2001, 1, 12, "expected \")\""},
      {"SELECT 1)", 2001, 1, 9, "end of the statement"},
      {"SELECT 1 < 2 < 3", 2001, 1, 14, "end of the statement"},
      {"SELECT 12abc", 2001, 1, 8, "start with a digit"},
      {"SELECT ?", 2001, 1, 8, "unexpected character"},
      {"SELECT CASE END", 2001, 1, 13, "expected an expression"},
      {"SELECT CASE WHEN 1=1 THEN 2", 2001, 1, 28, "END"},
      {"SELECT CAST(1 AS)", 2001, 1, 17, "a type"},
      {"SELECT CAST(1 AS blob)", 2002, 1, 18, "no type"},
      {"SELECT 1::NUMERIC(39,0)", 2002, 1, 11, "NUMERIC"},
      {"SELECT INTERVAL 'soon'", 2002, 1, 17, "INTERVAL"},
      {"SELECT TIMESTAMP '2023-02-29'", 2002, 1, 18, "TIMESTAMP"},
      {"SELECT 1 IN ()", 2001, 1, 14, "expected an expression"},
      {"CREATE STREAM s", 2001, 1, 16, "columns"},
      {"CREATE STREAM s (a)", 2001, 1, 19, "a type"},
      {"CREATE TABLE t AS SELECT 1", 2001, 1, 19, "LATEST"},
      {"DROP hits", 2001, 1, 6, "STREAM"},
      {"SHOW VEWS", 2001, 1, 6, "VIEWS"},
      {"", 2001, 1, 1, "a statement"},
      {"SELECT 1; SELECT 2", 2001, 1, 11, "end of the statement"},
      {"SELECT 99999999999999999999999999999999999999999", 2002, 1, 8, "38 digits"},
      {"SELECT 1e999", 2002, 1, 8, "too large"},
  };
  for (const BadText& bad : cases) {
    const Error error = error_of(bad.sql, catalog);
    EXPECT_EQ(error.number, bad.number) << bad.sql << "\n" << to_string(error);
    ASSERT_TRUE(error.place.has_value()) << bad.sql;
    EXPECT_EQ(error.place->line, bad.line) << bad.sql;
    EXPECT_EQ(error.place->column, bad.column) << bad.sql << "\n" << to_string(error);
    EXPECT_NE(error.message.find(bad.message), std::string::npos) << bad.sql << "\n" << to_string(error);
  }
}

TEST(Syntax, NulByteIsAnErrorWithAPlace) {
  const MemoryCatalog catalog;
  for (const std::string& sql : {std::string("SELECT \0 1", 10), std::string("SELECT 'a\0b'", 12)}) {
    const Error error = error_of(sql, catalog);
    EXPECT_EQ(error.number, 2001);
    ASSERT_TRUE(error.place.has_value());
    EXPECT_EQ(error.place->column, 8U);
  }
}

TEST(Syntax, DeepNestingIsRefusedNotOverflowed) {
  const MemoryCatalog catalog;
  const auto repeat = [](std::string_view piece, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += piece;
    return text;
  };
  const int kMany = 10'000;
  const std::string deep[] = {
      "SELECT " + repeat("(", kMany) + "1" + repeat(")", kMany),
      "SELECT " + repeat("- ", kMany) + "1",
      "SELECT " + repeat("NOT ", kMany) + "TRUE",
      "SELECT " + repeat("CASE WHEN TRUE THEN ", kMany) + "1" + repeat(" END", kMany),
      "SELECT " + repeat("abs(", kMany) + "1" + repeat(")", kMany),
      "SELECT 1 FROM " + repeat("(SELECT 1 FROM ", kMany),
      "SELECT 1" + repeat(" + 1", kMany),
      "SELECT 1" + repeat("::BIGINT", kMany),
      "SELECT 1" + repeat(" IS NULL", kMany),
  };
  for (const std::string& sql : deep) EXPECT_EQ(error_of(sql, catalog).number, 2009) << sql.substr(0, 40);
  EXPECT_EQ(error_of(std::string(limits::kSqlBytesMax + 1, ' '), catalog).number, 2009);
}

TEST(Syntax, LongAndOrChainsAndListsAreFine) {
  std::string any = "SELECT 5 = 0";
  std::string list = "SELECT 7999 IN (0";
  for (int i = 1; i < 8'000; ++i) {
    any += " OR 5 = " + std::to_string(i);
    list += ", " + std::to_string(i);
  }
  EXPECT_EQ(text_of(any.substr(7)), "true");
  EXPECT_EQ(text_of(list.substr(7) + ")"), "true");
}

TEST(Syntax, SharedPartsDoNotMultiplyWithoutEnd) {
  MemoryCatalog catalog;
  catalog.run("CREATE STREAM s (a BIGINT, x DOUBLE)");
  std::string with_case = "a";
  std::string between = "a";
  std::string nullif = "a";
  std::string nested = "s";
  std::string in = "a";
  std::string never = "a";
  for (int i = 0; i < 60; ++i) {
    with_case = "(CASE " + with_case + " WHEN 1 THEN 1 WHEN 2 THEN 2 ELSE 3 END)";
    between = "(" + between + " BETWEEN 0 AND 2)::BIGINT";
    nullif = "nullif(" + nullif + ", 7)";
    nested = "(SELECT a + a AS a FROM " + nested + ") x";
    in = "(" + in + " IN (1, x))::BIGINT";
    never = "(" + never + " IN (2.5))::BIGINT";
  }
  for (const std::string& expression : {with_case, between, nullif, in, never}) {
    EXPECT_EQ(error_of("SELECT " + expression + " FROM s", catalog).number, 2009);
  }
  EXPECT_EQ(error_of("SELECT a FROM " + nested, catalog).number, 2009);
}

TEST(Syntax, AListOfAHundredThousandIsOneSet) {
  MemoryCatalog catalog;
  catalog.run("CREATE STREAM s (a BIGINT)");
  std::string sql = "SELECT a IN (0";
  for (int i = 1; i < 100'000; ++i) sql += "," + std::to_string(i);
  auto statement = compile(sql + ") FROM s", catalog);
  ASSERT_TRUE(statement.has_value()) << to_string(statement.error());
  Vector a(kBigintType);
  Arena arena;
  a.resize(2);
  a.set(0, Value::bigint(99'999), arena);
  a.set(1, Value::bigint(100'000), arena);
  ChangeBatch batch;
  batch.count = 2;
  batch.columns = {&a};
  ExpressionEvaluator evaluator(std::get<Select>(*statement).plan->expressions[0]);
  EXPECT_EQ(evaluator.evaluate(batch).value(0), Value::boolean(true));
  EXPECT_EQ(evaluator.evaluate(batch).value(1), Value::boolean(false));
}

// A list of other types is a set of the value's type, exactly; nothing is compared one by one.
TEST(Syntax, AMixedListOfAHundredThousandIsOneSet) {
  MemoryCatalog catalog;
  catalog.run("CREATE STREAM s (a BIGINT, x DOUBLE, p NUMERIC(10,2))");
  std::string list = "0";
  for (int i = 1; i < 50'000; ++i) list += "," + std::to_string(i) + ".5," + std::to_string(i);
  for (const char* column : {"a", "x", "p"}) {
    auto statement = compile(std::string("SELECT ") + column + " IN (" + list + ") FROM s", catalog);
    ASSERT_TRUE(statement.has_value()) << to_string(statement.error());
    const ExpressionPtr& in = std::get<Select>(*statement).plan->expressions[0];
    ASSERT_EQ(in->kind, ExpressionKind::kCall);
    EXPECT_EQ(name_of(*in->function), "in") << column;
  }
}

TEST(Syntax, CommentsStringsAndNames) {
  EXPECT_EQ(text_of("1 -- one\n + 2 /* /* nested */ */ + 3"), "6");
  EXPECT_EQ(text_of("'it''s'"), "it's");
  EXPECT_EQ(text_of("E'a\\nb'"), "a\nb");
  EXPECT_EQ(text_of("'a\\nb'"), "a\\nb");
  EXPECT_EQ(text_of("'--' || '/*'"), "--/*");
  const MemoryCatalog catalog;
  const auto statement = compile("SELECT 1 AS Foo, 2 AS \"Foo\"\"Bar\", 3 four", catalog);
  ASSERT_TRUE(statement.has_value());
  const auto& output = std::get<Select>(*statement).plan->output;
  EXPECT_EQ(output[0].name, "foo");
  EXPECT_EQ(output[1].name, "Foo\"Bar");
  EXPECT_EQ(output[2].name, "four");
}

TEST(Script, IsCutAtSemicolonsOutsideStringsNamesAndComments) {
  const std::string script =
      "-- head\nSELECT ';' ; /* ; */\n  SELECT \"a;b\" -- ;\n ; ; \n\n  SELECT E'\\';' /* tail */ ;\n-- end "
      ";\n/* ; */";
  const auto pieces = split_script(script);
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_EQ(pieces[0].text, "SELECT ';'");
  EXPECT_EQ(pieces[0].line, 2U);
  EXPECT_EQ(pieces[0].column, 1U);
  EXPECT_EQ(pieces[1].text, "SELECT \"a;b\"");
  EXPECT_EQ(pieces[1].line, 3U);
  EXPECT_EQ(pieces[1].column, 3U);
  EXPECT_EQ(pieces[2].text, "SELECT E'\\';'");
  EXPECT_EQ(pieces[2].line, 6U);
  EXPECT_EQ(pieces[2].column, 3U);
  EXPECT_TRUE(split_script("  -- nothing\n/* at all */ ; ;").empty());
  EXPECT_EQ(split_script("SELECT 'open; SELECT 1").size(), 1U);
}

}  // namespace
}  // namespace kappa::processor
