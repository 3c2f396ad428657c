// Goal: every scalar function, operator, literal and spelling of types means what PostgreSQL's (where
// docs/sql.md names another, that one's) documentation says. Method: tables of constant expressions and
// their text; errors by number and message.
#include <gtest/gtest.h>

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

TEST(Scalars, SplitFromOneAndFromZero) {
  expect_all({{"split_index('a,b,c', ',', 0)", "a"},
              {"split_index('a,b,c', ',', 2)", "c"},
              {"split_index('a,b,c', ',', 3)", "NULL"},
              {"split_index('a,b,c', ',', -1)", "NULL"},
              {"split_index('a,,c', ',', 1)", ""},
              {"split_index('', ',', 0)", ""},
              {"split_index('a::b::c', '::', 1)", "b"},
              {"split_index('abc', '', 0)", "abc"},
              {"split_index('abc', '', 1)", "NULL"},
              {"SPLIT_INDEX('https://www.nexmark.com/abc/de/f/item.htm?query=1', '/', 3)", "abc"},
              {"split_index(NULL, '/', 1)", "NULL"},
              {"split_index('a', NULL, 1)", "NULL"},
              {"split_index('a', '/', NULL)", "NULL"},
              {"split_part('a,b,c', ',', 1)", "a"},
              {"split_part('a,b,c', ',', 3)", "c"},
              {"split_part('a,b,c', ',', -3)", "a"},
              {"split_part('a,b,c', ',', -4)", ""},
              {"split_part('aaa', 'aa', -1)", "a"},
              {"split_part('abc~@~def~@~ghi', '~@~', 2)", "def"},
              {"split_part('abc', '', 1)", "abc"},
              {"split_part('abc', '', -1)", "abc"},
              {"split_part('abc', '', 2)", ""},
              {"split_part('a', ',', -9223372036854775808)", ""}});
}

TEST(Scalars, TextPieces) {
  expect_all({{"substr('hello', 2, 3)", "ell"},
              {"substr('hello', 0, 3)", "he"},
              {"substr('hello', -5, 3)", ""},
              {"substr('hello', -9223372036854775808, 9223372036854775807)", ""},
              {"substr('hello', 2, 9223372036854775807)", "ello"},
              {"substr('hello', 6, 1)", ""},
              {"substr('hello', 2, 0)", ""},
              {"substring('hello' FROM 2 FOR 3)", "ell"},
              {"substring('hello' FROM 4)", "lo"},
              {"substring('hello', 4)", "lo"},
              {"substr('\xf0\x9f\x98\x80\xc3\xa9x', 2, 1)", "\xc3\xa9"},
              {"left('abcde', 2)", "ab"},
              {"left('abcde', -2)", "abc"},
              {"left('abcde', -9)", ""},
              {"left('abcde', 9)", "abcde"},
              {"left('\xc3\xa9x', 1)", "\xc3\xa9"},
              {"right('abcde', 2)", "de"},
              {"right('abcde', -2)", "cde"},
              {"right('abcde', -9223372036854775808)", ""},
              {"right('abcde', 9223372036854775807)", "abcde"},
              {"right('x\xc3\xa9', 1)", "\xc3\xa9"},
              {"trim('  a ')", "a"},
              {"trim(BOTH FROM '  a ')", "a"},
              {"trim(LEADING FROM '  a ')", "a "},
              {"trim(TRAILING 'xy' FROM 'axyx')", "a"},
              {"trim('yxTomxx', 'xyz')", "Tom"},
              {"btrim('xxaxx', 'x')", "a"},
              {"ltrim('zzzytest', 'xyz')", "test"},
              {"rtrim('testxxzx', 'xyz')", "test"},
              {"trim('\xc3\xa9' FROM '\xc3\xa9\xc3\xa8\xc3\xa9')", "\xc3\xa8"},
              {"trim('\xc3\xa8' FROM '\xc3\xa9')", "\xc3\xa9"},
              {"strpos('high', 'ig')", "2"},
              {"strpos('h\xc3\xa9llo', 'l')", "3"},
              {"strpos('abc', '')", "1"},
              {"strpos('abc', 'x')", "0"},
              {"instr('abc', 'c')", "3"},
              {"position('om' IN 'Thomas')", "3"},
              {"position('o' || 'm' IN 'Tho' || 'mas') + 1", "4"},
              {"length('\xf0\x9f\x98\x80')", "1"},
              {"length(repeat('\xc3\xa9', 1000))", "1000"},
              {"octet_length('\xf0\x9f\x98\x80')", "4"},
              {"char_length('abc') + character_length('d')", "4"},
              {"starts_with('abc', '') AND ends_with('abc', 'c')", "true"},
              {"lower('\xc3\x84"
               "BCDEFGHIJKLMNOPQRSTUVWXYZ[@`{')",
               "\xc3\x84"
               "bcdefghijklmnopqrstuvwxyz[@`{"},
              {"upper('abcdefghijklmnopqrstuvwxyz{`@[')", "ABCDEFGHIJKLMNOPQRSTUVWXYZ{`@["}});
}

TEST(Scalars, TextMade) {
  expect_all({{"replace('abcabc', 'b', '')", "acac"},
              {"replace('abcabc', 'bc', 'xyz')", "axyzaxyz"},
              {"replace('aaa', 'aa', 'b')", "ba"},
              {"replace('abc', '', 'x')", "abc"},
              {"replace('', 'a', 'x')", ""},
              {"length(replace(repeat('a', 1024), 'a', repeat('b', 1024)))", "1048576"},
              {"replace(repeat('a', 1025), 'a', repeat('b', 1024))", "NULL"},
              {"translate('12345', '143', 'ax')", "a2x5"},
              {"translate('\xc3\xa9x', '\xc3\xa9', 'e')", "ex"},
              {"lpad('hi', 5, 'xy')", "xyxhi"},
              {"lpad('hi', 5)", "   hi"},
              {"lpad('hello', 2)", "he"},
              {"lpad('hi', -1)", ""},
              {"lpad('hi', 5, '')", "hi"},
              {"lpad('\xc3\xa9', 3, '\xc3\xa8')", "\xc3\xa8\xc3\xa8\xc3\xa9"},
              {"rpad('hi', 5, 'xy')", "hixyx"},
              {"lpad('', 9223372036854775807)", "NULL"},
              {"lpad('', 1048577)", "NULL"},
              {"length(rpad('', 1048576))", "1048576"},
              {"repeat('Pg', 3)", "PgPgPg"},
              {"repeat('x', 0)", ""},
              {"repeat('x', -1)", ""},
              {"repeat('', 9223372036854775807)", ""},
              {"repeat('x', 9223372036854775807)", "NULL"},
              {"repeat('x', 1048576) || 'x'", "NULL"},
              {"concat(repeat('x', 1048576), NULL, 'x')", "NULL"},
              {"concat_ws(' ', repeat('x', 1048576), 'x')", "NULL"},
              {"reverse('ab\xc3\xa9')",
               "\xc3\xa9"
               "ba"},
              {"initcap('hi THOMAS-and 2nd')", "Hi Thomas-And 2nd"},
              {"concat('a', NULL, 1, TRUE, 2.5)", "a1true2.5"},
              {"concat(NULL)", ""},
              {"concat_ws(',', 'a', NULL, 3, '')", "a,3,"},
              {"concat_ws(NULL, 'a', 'b')", "NULL"},
              {"'n=' || 1", "n=1"},
              {"1.5 || 'x'", "1.5x"},
              {"NULL || 'x'", "NULL"},
              {"ascii('x')", "120"},
              {"ascii('')", "0"},
              {"ascii('\xf0\x9f\x98\x80')", "128512"},
              {"chr(128512) || chr(233) || chr(8364) || chr(65)",
               "\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac"
               "A"},
              {"chr(0)", "NULL"},
              {"chr(55296)", "NULL"},
              {"chr(1114112)", "NULL"}});
}

TEST(Scalars, NumbersAtTheEnds) {
  expect_all({{"abs(-9223372036854775808)", "NULL"},
              {"abs(-2.5)", "2.5"},
              {"abs(INTERVAL '-1 hour')", "01:00:00"},
              {"-(-9223372036854775808)", "NULL"},
              {"-9223372036854775808 / -1", "NULL"},
              {"-9223372036854775808 * -1", "NULL"},
              {"mod(-9223372036854775808, -1)", "0"},
              {"mod(-7, 3)", "-1"},
              {"mod(7.5::NUMERIC(3,1), 2)", "1.5"},
              {"round(2.5)", "3"},
              {"round(-2.5)", "-3"},
              {"round(25::NUMERIC(4,1) / 10)", "3"},
              {"round(1234.567, 2)", "1234.57"},
              {"round(1234.567, -2)", "1200"},
              {"round(1.005, 2)", "1.01"},
              {"round(-2.675, 2)", "-2.68"},
              {"round(1.115, 2)", "1.12"},
              {"round(547556468.073, 6)", "547556468.073"},
              {"round(2172158091.7725, 3)", "2172158091.773"},
              {"round(0.049999999999999996, 1)", "0"},
              {"round(0.05, 1)", "0.1"},
              {"round(0.5, 0)", "1"},
              {"round(0.49999999999999994, 0)", "0"},
              {"round(25.0, -1)", "30"},
              {"round(5.0, -1)", "10"},
              {"round(4.9999999999999, -1)", "0"},
              {"round(0.001, -3)", "0"},
              {"round(500.0, -3)", "1000"},
              {"round(1e-300, 2)", "0"},
              {"round(1.5, 9223372036854775807)", "1.5"},
              {"round(1.5, -9223372036854775808)", "0"},
              {"round(9223372036854775807, -1)", "NULL"},
              {"round(9223372036854775804, -1)", "9223372036854775800"},
              {"round(5, -1)", "10"},
              {"round(-5, -1)", "-10"},
              {"round(5000000000000000000, -19)", "NULL"},
              {"round(4, -9223372036854775808)", "0"},
              {"round(7, 9223372036854775807)", "7"},
              {"round(1e300, 300)", "1e+300"},
              {"trunc(2.9)", "2"},
              {"trunc(-2.9)", "-2"},
              {"trunc(0.29, 2)", "0.29"},
              {"trunc(-1234.5678, 3)", "-1234.567"},
              {"trunc(1299.99, -2)", "1200"},
              {"trunc(12.999::NUMERIC(6,3), 1)", "12.900"},
              {"trunc(19, -1)", "10"},
              {"floor(-2.5)", "-3"},
              {"ceil(-2.5)", "-2"},
              {"ceiling(2.1)", "3"},
              {"floor(-2.5::NUMERIC(3,1))", "-3"},
              {"floor(9223372036854775807)", "9223372036854775807"},
              {"power(2, 10)", "1024"},
              {"2 ^ 10", "1024"},
              {"2 ^ 3 ^ 2", "64"},
              {"-2 ^ 2", "4"},
              {"2 * 3 ^ 2", "18"},
              {"power(0, -1)", "NULL"},
              {"power(-8, 0.5)", "NULL"},
              {"power(10, 400)", "NULL"},
              {"sqrt(2.25)", "1.5"},
              {"sqrt(-1)", "NULL"},
              {"cbrt(27)", "3"},
              {"ln(0)", "NULL"},
              {"ln(-1)", "NULL"},
              {"ln(1)", "0"},
              {"log(100)", "2"},
              {"log10(1000)", "3"},
              {"log(2, 8)", "3"},
              {"log(1, 8)", "NULL"},
              {"exp(0)", "1"},
              {"exp(1000)", "NULL"},
              {"sign(-3)", "-1"},
              {"round(pi(), 5)", "3.14159"},
              {"round(degrees(pi()))", "180"},
              {"round(sin(radians(30)), 10)", "0.5"},
              {"asin(2)", "NULL"},
              {"atan2(0, -1) = pi()", "true"},
              {"greatest(1, 2.5, NULL)", "2.5"},
              {"least('b', 'a', NULL)", "a"},
              {"greatest(NULL, NULL)", "NULL"},
              {"greatest(9007199254740993, 9007199254740992::NUMERIC(20,1))", "9007199254740993.0"}});
}

TEST(Scalars, ThreeValuedLists) {
  expect_all({{"1 NOT IN (2, NULL)", "NULL"},
              {"1 NOT IN (1, NULL)", "false"},
              {"1 IN (1, NULL)", "true"},
              {"NULL NOT IN (1, 2)", "NULL"},
              {"NULL IN (NULL)", "NULL"},
              {"1 NOT IN (2.5, NULL)", "NULL"},
              {"1 NOT IN (2.5)", "true"},
              {"CAST(NULL AS BIGINT) NOT IN (2.5)", "NULL"},
              {"1 IN (0.5::NUMERIC(38,38))", "false"},
              {"1 IN (NULL::DOUBLE)", "NULL"},
              {"2 IN (1.5, 2.0)", "true"},
              {"9007199254740993 IN (9007199254740992.0)", "false"},
              {"9007199254740993 IN (9007199254740993::NUMERIC(20,1), 1e300)", "true"},
              {"9007199254740992.0 IN (9007199254740993)", "false"},
              {"0.1 IN (0.1::NUMERIC(3,1))", "true"},
              {"0.5 IN (0.5::NUMERIC(3,1), 7)", "true"},
              {"0.1::NUMERIC(3,1) IN (0.1)", "true"},
              {"0.5::NUMERIC(3,1) IN (0.25::NUMERIC(3,2), 0.50::NUMERIC(3,2))", "true"},
              {"0.5::NUMERIC(3,1) IN (99999999999999999999999999999999999999)", "false"},
              {"-9223372036854775808 IN (-9223372036854775808.0)", "true"},
              {"9223372036854775807 IN (9223372036854775808.0, 9223372036854775808)", "false"},
              {"2 BETWEEN NULL AND 3", "NULL"},
              {"4 BETWEEN NULL AND 3", "false"},
              {"4 NOT BETWEEN NULL AND 3", "true"},
              {"0 BETWEEN 1 AND NULL", "false"},
              {"CASE WHEN NULL THEN 1 END", "NULL"},
              {"CASE WHEN FALSE THEN 1 END", "NULL"},
              {"CASE NULL WHEN NULL THEN 1 ELSE 2 END", "2"},
              {"CASE 1 WHEN 1.0 THEN 'same' END", "same"},
              {"CASE WHEN TRUE THEN 1 ELSE 2.5 END", "1"},
              {"NULLIF(1, 1.0)", "NULL"},
              {"NULLIF(2, 1.0)", "2"},
              {"NULLIF(NULL, 1)", "NULL"},
              {"NULLIF(1, NULL)", "1"},
              {"NULLIF('a', 'a')", "NULL"},
              {"ifnull(NULL, 7)", "7"},
              {"NULL IS DISTINCT FROM NULL", "false"},
              {"NULL IS DISTINCT FROM 1", "true"},
              {"1 IS NOT DISTINCT FROM 1.0", "true"},
              {"(NULL = 1) IS UNKNOWN", "true"},
              {"NOT NULL IS NULL", "false"},
              {"1 = 1 IS NOT FALSE", "true"},
              {"NULL AND FALSE", "false"},
              {"NULL OR TRUE", "true"}});
}

TEST(Scalars, ComparisonsBetweenTypes) {
  expect_all({{"9007199254740993 = 9007199254740992.0", "false"},
              {"9223372036854775807 < 9223372036854775808.0", "true"},
              {"9223372036854775807 = 9223372036854775808.0", "false"},
              {"-9223372036854775808 = -9223372036854775808.0", "true"},
              {"1.1::NUMERIC(3,1) = 1.1", "true"},
              {"0.5::NUMERIC(3,1) = 0.5", "true"},
              {"1::NUMERIC(3,1) = 1.00::NUMERIC(5,2)", "true"},
              {"'12' = 12", "true"},
              {"TIMESTAMP '2024-01-01' = '2024-01-01T00:00:00Z'", "true"},
              {"TIMESTAMP '2024-01-01' < '2024-01-01 00:00:00.000001'", "true"},
              {"INTERVAL '1 day' = INTERVAL '24 hours'", "true"},
              {"INTERVAL '1 hour' > '59 minutes'", "true"},
              {"TRUE > FALSE", "true"}});
}

TEST(Scalars, LiteralsAndSpellings) {
  expect_all({{"INTERVAL '1' MINUTE", "00:01:00"},
              {"INTERVAL '90' SECOND", "00:01:30"},
              {"INTERVAL '250' MILLISECOND", "00:00:00.25"},
              {"INTERVAL '250' milliseconds", "00:00:00.25"},
              {"INTERVAL '5' MICROSECONDS", "00:00:00.000005"},
              {"INTERVAL '2' HOURS", "02:00:00"},
              {"INTERVAL '1' DAY", "1 day 00:00:00"},
              {"INTERVAL '2' WEEKS", "14 days 00:00:00"},
              {"INTERVAL '-1.5' HOUR", "-01:30:00"},
              {"INTERVAL 10 MINUTES", "00:10:00"},
              {"INTERVAL '1 day 2 hours 3 minutes 4.5 seconds'", "1 day 02:03:04.5"},
              {"INTERVAL '10ms'", "00:00:00.01"},
              {"- INTERVAL '1' DAY", "-1 days 00:00:00"},
              {"DATE '2024-02-29'", "2024-02-29T00:00:00Z"},
              {"TIMESTAMP '2024-02-29T12:00:00+02:00'", "2024-02-29T10:00:00Z"},
              {"TIMESTAMP WITH TIME ZONE '2024-02-29 12:00:00Z'", "2024-02-29T12:00:00Z"},
              {"BIGINT '12' + 1", "13"},
              {"DOUBLE PRECISION '1.5' + 1", "2.5"},
              {"BOOLEAN 'yes'", "true"},
              {"JSON '[1,2]' ->> 1", "2"},
              {"'7'::INT + '8'::INTEGER + '9'::SMALLINT + '1'::INT8", "25"},
              {"CAST('x' AS VARCHAR(10)) || CAST('y' AS CHAR) || CAST('z' AS CHARACTER VARYING(3))", "xyz"},
              {"CAST('2024-01-01' AS TIMESTAMP(3) WITHOUT TIME ZONE)", "2024-01-01T00:00:00Z"},
              {"CAST('2024-01-01' AS TIMESTAMP_LTZ(3))", "2024-01-01T00:00:00Z"},
              {"TRY_CAST('x' AS BIGINT)", "NULL"},
              {"'1.25'::DECIMAL(4,1)", "1.3"},
              {"1.5::REAL + 1.5::FLOAT + 1::DOUBLE PRECISION", "4"},
              {"'a'::text::varchar", "a"},
              {".5 + 1e1", "10.5"},
              {"E'tab\\there'", "tab\there"},
              {"1 <> 2 AND 1 != 2", "true"}});
}

TEST(Scalars, EverySpellingOfATypeIsAColumn) {
  MemoryCatalog catalog;
  const std::pair<const char*, Type> spellings[] = {{"BOOLEAN", kBooleanType},
                                                    {"BOOL", kBooleanType},
                                                    {"BIGINT", kBigintType},
                                                    {"INT", kBigintType},
                                                    {"integer", kBigintType},
                                                    {"SMALLINT", kBigintType},
                                                    {"DOUBLE", kDoubleType},
                                                    {"DOUBLE PRECISION", kDoubleType},
                                                    {"FLOAT", kDoubleType},
                                                    {"REAL", kDoubleType},
                                                    {"NUMERIC(10,2)", {TypeId::kNumeric, 10, 2}},
                                                    {"DECIMAL(5)", {TypeId::kNumeric, 5, 0}},
                                                    {"NUMERIC", {TypeId::kNumeric, 38, 9}},
                                                    {"TEXT", kTextType},
                                                    {"VARCHAR", kTextType},
                                                    {"VARCHAR(10)", kTextType},
                                                    {"CHAR(3)", kTextType},
                                                    {"CHARACTER VARYING(9)", kTextType},
                                                    {"STRING", kTextType},
                                                    {"TIMESTAMP", kTimestampType},
                                                    {"TIMESTAMP(3)", kTimestampType},
                                                    {"TIMESTAMP(3) WITH LOCAL TIME ZONE", kTimestampType},
                                                    {"TIMESTAMP WITHOUT TIME ZONE", kTimestampType},
                                                    {"TIMESTAMP WITH TIME ZONE", kTimestampType},
                                                    {"TIMESTAMP_LTZ(3)", kTimestampType},
                                                    {"TIMESTAMPTZ", kTimestampType},
                                                    {"JSON", kJsonType},
                                                    {"JSONB", kJsonType}};
  std::string columns;
  for (std::size_t i = 0; i < std::size(spellings); ++i) {
    columns += (i > 0 ? ", c" : "c") + std::to_string(i) + " " + spellings[i].first;
  }
  catalog.run("CREATE STREAM t (" + columns + ")");
  const auto stream = catalog.stream("t");
  ASSERT_NE(stream, nullptr);
  for (std::size_t i = 0; i < std::size(spellings); ++i) {
    EXPECT_EQ(stream->columns.at(i).type, spellings[i].second) << spellings[i].first;
  }
}

TEST(Scalars, TypedLiteralsThatAreNoneAreErrors) {
  const MemoryCatalog catalog;
  for (const char* sql : {"SELECT DATE '2023-02-29'", "SELECT BIGINT 'x'", "SELECT BOOLEAN 'maybe'",
                          "SELECT JSON '{a}'", "SELECT INTERVAL '3 fortnights'", "SELECT INTERVAL '1' MONTH",
                          "SELECT TIMESTAMP '2024-01-01' > 'soon'", "SELECT 1 = 'one'"}) {
    const Error error = error_of(sql, catalog);
    EXPECT_EQ(error.number, 2002) << sql;
    EXPECT_TRUE(error.place.has_value()) << sql;
  }
}

TEST(Scalars, NumericIsExact) {
  expect_all({{"0.1::NUMERIC(3,1) + 0.2::NUMERIC(3,1) = 0.3::NUMERIC(3,1)", "true"},
              {"1.10::NUMERIC(5,2) + 1", "2.10"},
              {"1.10::NUMERIC(5,2) - 1.205::NUMERIC(5,3)", "-0.105"},
              {"1.10::NUMERIC(5,2) * 3", "3.30"},
              {"1::NUMERIC(5,2) / 3", "0.333333"},
              {"1::NUMERIC(20,10) / 3", "0.3333333333"},
              {"2::NUMERIC(5,2) / 3", "0.666667"},
              {"-2::NUMERIC(5,2) / 3", "-0.666667"},
              {"7::NUMERIC(5,2) % -3", "1.00"},
              {"1.5::NUMERIC(5,2) + 1.5", "3"},
              {"99999999999999999999999999999999999999::NUMERIC(38,0) + 0.1::NUMERIC(2,1)", "NULL"},
              {"12345678901234567890 * 10", "123456789012345678900"},
              {"1.005::NUMERIC(5,2)", "1.01"},
              {"CAST(1e20 AS NUMERIC(38,0))", "100000000000000000000"},
              {"CAST('-0.005' AS NUMERIC(5,2))", "-0.01"},
              {"CAST(9.995::NUMERIC(5,3) AS NUMERIC(3,2))", "NULL"},
              {"CAST(2.5::NUMERIC(5,2) AS BIGINT)", "3"},
              {"abs(-1.5::NUMERIC(5,2))", "1.50"}});
}

TEST(Scalars, TimeArithmetic) {
  expect_all(
      {{"TIMESTAMP '2024-02-28 23:00:00' + INTERVAL '90' MINUTE", "2024-02-29T00:30:00Z"},
       {"INTERVAL '1 day' + TIMESTAMP '2024-02-28'", "2024-02-29T00:00:00Z"},
       {"TIMESTAMP '2024-02-28' - '1 day'", "2024-02-27T00:00:00Z"},
       {"TIMESTAMP '2024-01-02' - TIMESTAMP '2024-01-01 12:00:00'", "12:00:00"},
       {"INTERVAL '1 hour' - INTERVAL '90 minutes'", "-00:30:00"},
       {"INTERVAL '1 hour' * 1.5", "01:30:00"},
       {"2 * INTERVAL '1 hour'", "02:00:00"},
       {"INTERVAL '1 hour' / 2", "00:30:00"},
       {"INTERVAL '1 hour' / 0", "NULL"},
       {"CAST(9223372036854775 AS TIMESTAMP) + INTERVAL '1 day'", "NULL"},
       {"CAST(9223372036854776 AS TIMESTAMP)", "NULL"},
       {"epoch_ms(TIMESTAMP '1970-01-01 00:00:01.5')", "1500"},
       {"epoch_ms(TIMESTAMP '1969-12-31 23:59:59.9999')", "-1"},
       {"to_timestamp(1.5)", "1970-01-01T00:00:01.500Z"},
       {"to_timestamp(1e300)", "NULL"},
       {"extract(epoch FROM TIMESTAMP '1970-01-02') - 1", "86399"},
       {"extract(epoch FROM INTERVAL '90 minutes')", "5400"},
       {"extract(hour FROM INTERVAL '1 day 2 hours')", "2"},
       {"extract(day FROM INTERVAL '-49 hours')", "-2"},
       {"extract(minute FROM INTERVAL '-49 hours 30 minutes')", "-30"},
       {"extract(second FROM INTERVAL '61.5 seconds')", "1.5"},
       {"extract(milliseconds FROM TIMESTAMP '2024-01-01 00:00:28.5')", "28500"},
       {"extract(microseconds FROM TIMESTAMP '2024-01-01 00:00:28.5')", "28500000"},
       {"date_part('year', TIMESTAMP '2024-01-01')", "2024"},
       {"extract(century FROM TIMESTAMP '2000-12-16')", "20"},
       {"extract(century FROM TIMESTAMP '2001-02-16')", "21"},
       {"extract(millennium FROM TIMESTAMP '2001-02-16')", "3"},
       {"extract(decade FROM TIMESTAMP '2001-02-16')", "200"},
       {"extract(isoyear FROM TIMESTAMP '2006-01-01')", "2005"},
       {"extract(isodow FROM TIMESTAMP '2001-02-18')", "7"},
       {"extract(quarter FROM TIMESTAMP '2001-02-16')", "1"},
       {"dayofweek(TIMESTAMP '2001-02-18')", "1"},
       {"dayofyear(TIMESTAMP '2001-02-16')", "47"},
       {"dayofmonth(TIMESTAMP '2001-02-16')", "16"},
       {"HOUR(TIMESTAMP '2001-02-16 20:38:40')", "20"},
       {"minute(TIMESTAMP '2001-02-16 20:38:40') * 100 + second(TIMESTAMP '2001-02-16 20:38:40')", "3840"},
       {"date_trunc('decade', TIMESTAMP '2019-02-16')", "2010-01-01T00:00:00Z"},
       {"date_trunc('century', TIMESTAMP '2000-02-16')", "1901-01-01T00:00:00Z"},
       {"date_trunc('millennium', TIMESTAMP '2001-02-16')", "2001-01-01T00:00:00Z"},
       {"date_trunc('MINUTE', TIMESTAMP '1969-12-31 23:59:59')", "1969-12-31T23:59:00Z"}});
}

// date_bin is the start of a tumbling window: the exact floor for every 64-bit microsecond.
TEST(Scalars, BinsFloorOverTheWholeRange) {
  expect_all(
      {{"date_bin('15 minutes', TIMESTAMP '2020-02-11 15:44:17')", "2020-02-11T15:30:00Z"},
       {"date_bin('15 minutes', TIMESTAMP '2020-02-11 15:44:17', TIMESTAMP '2001-01-01 00:02:30')",
        "2020-02-11T15:32:30Z"},
       {"date_bin('1 hour', TIMESTAMP '1969-12-31 23:59:59.999999')", "1969-12-31T23:00:00Z"},
       {"date_bin('1 hour', TIMESTAMP '1969-12-31 23:00:00')", "1969-12-31T23:00:00Z"},
       {"date_bin('-1 hour', TIMESTAMP '2020-01-01')", "NULL"},
       {"date_bin(NULL, TIMESTAMP '2020-01-01')", "NULL"},
       // The least and the greatest microsecond, and the origin at the other end.
       {"date_bin('1 day', CAST(-9223372036854775 AS TIMESTAMP) - INTERVAL '808 microseconds')", "NULL"},
       {"date_bin('1 microsecond', CAST(-9223372036854775 AS TIMESTAMP) - INTERVAL '808 microseconds')"
        " IS NULL",
        "false"},
       {"date_bin('1 day', CAST(9223372036854775 AS TIMESTAMP), CAST(-9223372036854775 AS TIMESTAMP))"
        " > TIMESTAMP '9999-01-01'",
        "true"},
       {"date_bin('1 day', CAST(-9223372036854775 AS TIMESTAMP), CAST(9223372036854775 AS TIMESTAMP))",
        "NULL"}});
  const auto statement = compile("SELECT date_bin('1 hour', TIMESTAMP '2020-01-01')", MemoryCatalog());
  ASSERT_TRUE(statement.has_value());
  EXPECT_EQ(std::get<Select>(*statement).plan->output[0].type, kTimestampType);
}

TEST(Scalars, JavaTimePatterns) {
  expect_all(
      {{"DATE_FORMAT(TIMESTAMP '2024-02-09 13:05:09.123', 'yyyy-MM-dd HH:mm')", "2024-02-09 13:05"},
       {"DATE_FORMAT(TIMESTAMP '2024-02-09 13:05:09.123', 'yyyy-MM-dd HH:mm:ss.SSS')",
        "2024-02-09 13:05:09.123"},
       {"date_format(TIMESTAMP '2024-02-09 13:05:09.123456', 'S SSSSSS SSSSSSSSS')", "1 123456 123456000"},
       {"date_format(TIMESTAMP '2024-02-09 13:05:09', 'yy-M-d h:m:s a')", "24-2-9 1:5:9 PM"},
       {"date_format(TIMESTAMP '2024-02-09 00:05:09', 'hh KK kk HH a')", "12 00 24 00 AM"},
       {"date_format(TIMESTAMP '2024-02-09', 'EEE, d MMM yyyy')", "Fri, 9 Feb 2024"},
       {"date_format(TIMESTAMP '2024-02-09', 'EEEE MMMM DDD Q')", "Friday February 040 1"},
       {"date_format(TIMESTAMP '2024-02-09', 'yyyy-MM-dd''T''HH:mm:ssXXX')", "2024-02-09T00:00:00Z"},
       {"date_format(TIMESTAMP '2024-02-09', '''o''''clock'' ''''HH')", "o'clock '00"},
       {"date_format(TIMESTAMP '2005-01-01', 'YYYY-ww e')", "2004-53 6"},
       {"date_format(TIMESTAMP '1969-12-31 23:59:59.999999', 'yyyy-MM-dd HH:mm:ss.SSSSSS')",
        "1969-12-31 23:59:59.999999"},
       {"date_format(TIMESTAMP '2024-02-09', '')", ""},
       {"date_format(NULL, 'yyyy')", "NULL"},
       {"date_format(CAST(NULL AS TIMESTAMP), 'yyyy')", "NULL"}});
  MemoryCatalog catalog;
  catalog.run(kHits);
  for (const char* pattern : {"yyyy-bb", "''T", "SSSSSSSSSS", "yyyyyyyyyyyyyyyyyyyyyyyyy"}) {
    const Error error = error_of(std::string("SELECT date_format(ts, '") + pattern + "') FROM hits", catalog);
    EXPECT_EQ(error.number, 2002) << pattern << "\n" << to_string(error);
  }
}

TEST(Scalars, PostgresTimePatterns) {
  expect_all({{"to_char(TIMESTAMP '2024-02-09 13:05:09.123', 'YYYY-MM-DD HH24:MI:SS.MS')",
               "2024-02-09 13:05:09.123"},
              {"to_char(TIMESTAMP '2024-02-09 13:05:09.123456', 'US')", "123456"},
              {"to_char(TIMESTAMP '2024-02-09 13:05:09', 'HH12:MI AM')", "01:05 PM"},
              {"to_char(TIMESTAMP '2024-02-09 01:05:09', 'hh:mi a.m.')", "01:05 a.m."},
              {"to_char(TIMESTAMP '2024-02-09', 'Day, DD Month YYYY')", "Friday   , 09 February  2024"},
              {"to_char(TIMESTAMP '2024-02-09', 'FMDay, FMDD FMMonth FMYYYY')", "Friday, 9 February 2024"},
              {"to_char(TIMESTAMP '2024-02-09', 'DY Dy dy MON Mon mon')", "FRI Fri fri FEB Feb feb"},
              {"to_char(TIMESTAMP '2024-02-09', 'YY Y Q DDD D ID WW IW IYYY')", "24 4 1 040 6 5 06 06 2024"},
              {"to_char(TIMESTAMP '2024-02-09 01:00:01', 'SSSS TZ OF')", "3601 UTC +00"},
              {"to_char(TIMESTAMP '2024-02-09', 'J')", "2460350"},
              {"to_char(TIMESTAMP '2024-02-09', '\"year\" YYYY \"YYYY')", "year 2024 YYYY"},
              {"to_char(TIMESTAMP '2024-02-09', '')", ""}});
}

TEST(Scalars, JsonTakesNull) {
  expect_all({{"'{\"a\":1}' -> NULL", "NULL"},
              {"'{\"a\":1}' ->> NULL", "NULL"},
              {"CAST(NULL AS JSON) -> 'a'", "NULL"},
              {"'{\"a\":{\"b\":[10,20]}}' -> 'a' -> 'b' ->> 1", "20"},
              {"('{\"a\":\"2\"}' ->> 'a')::BIGINT + 1", "3"}});
}

TEST(Scalars, ErrorsNameTheArgument) {
  MemoryCatalog catalog;
  catalog.run(kHits);
  struct Bad {
    const char* expression;
    int number;
    const char* message;
  };
  for (const Bad& bad :
       {Bad{"split_index(page, ',', 'x')", 2002, "'x' is not a valid BIGINT"},
        Bad{"split_index(page, ',')", 2002, "2 arguments"},
        Bad{"lower(ms)", 2002, "argument 1 must be TEXT, found BIGINT"},
        Bad{"hour(ms)", 2002, "argument 1 must be TIMESTAMP"},
        Bad{"sqrt(page)", 2002, "argument 1 must be a number"},
        Bad{"date_trunc('fortnight', ts)", 2002, "not a unit"},
        Bad{"date_trunc('dow', ts)", 2002, "cannot cut"},
        Bad{"extract(month FROM INTERVAL '1 day')", 2002, "INTERVAL has no month"},
        Bad{"date_bin(ms, ts)", 2002, "argument 1 must be INTERVAL"}, Bad{"ts + ts", 2002, "does not take"},
        Bad{"page + 1", 2002, "does not take"}, Bad{"position('a', page)", 2001, "IN"},
        Bad{"splitindex(page, ',', 1)", 2004, "no function"}, Bad{"\"~\"(page, 'a')", 2004, "no function"}}) {
    const Error error = error_of(std::string("SELECT ") + bad.expression + " FROM hits", catalog);
    EXPECT_EQ(error.number, bad.number) << bad.expression << "\n" << to_string(error);
    EXPECT_NE(to_string(error).find(bad.message), std::string::npos) << bad.expression << "\n"
                                                                     << to_string(error);
  }
}

// The clock and chance are refused in views, each with what to use in its place.
TEST(Scalars, ClockAndChanceAreRefusedInViews) {
  MemoryCatalog catalog;
  catalog.run(kHits);
  struct Banned {
    const char* call;
    const char* replacement;
  };
  for (const Banned& banned :
       {Banned{"now()", "_append_time"}, Banned{"current_timestamp", "_append_time"},
        Banned{"CURRENT_DATE", "_append_time"}, Banned{"localtimestamp", "_append_time"},
        Banned{"clock_timestamp()", "_append_time"}, Banned{"statement_timestamp()", "_append_time"},
        Banned{"transaction_timestamp()", "_append_time"}, Banned{"proctime()", "_append_time"},
        Banned{"random()", "_offset"}, Banned{"rand()", "_offset"}, Banned{"gen_random_uuid()", "_offset"},
        Banned{"uuid()", "_offset"}}) {
    const std::string call = banned.call;
    for (const std::string& sql :
         {"CREATE MATERIALIZED VIEW v AS SELECT page, " + call + " AS x FROM hits",
          "CREATE VIEW v AS SELECT page FROM hits WHERE " + call + " IS NOT NULL",
          "CREATE VIEW v AS SELECT page, max(" + call + ") AS m FROM hits GROUP BY page",
          "CREATE VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page HAVING max(" + call +
              ") IS NULL"}) {
      const Error error = error_of(sql, catalog);
      EXPECT_EQ(error.number, 2005) << sql << "\n" << to_string(error);
      EXPECT_NE(error.message.find("not allowed in a view"), std::string::npos) << to_string(error);
      EXPECT_NE(error.hint.find(banned.replacement), std::string::npos) << to_string(error);
      ASSERT_TRUE(error.place.has_value());
      EXPECT_EQ(error.place->column, sql.find(call) + 1) << sql;
    }
  }
}

}  // namespace
}  // namespace kappa::processor
