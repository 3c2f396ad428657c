// Goal: rows, events, errors and statements look exactly as the command line promises.
// Method: golden text for each output format; the CSV rules cell by cell.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "tools/command.h"
#include "tools/event_format.h"
#include "tools/histogram.h"
#include "tools/row_writer.h"
#include "tools/sql_split.h"
#include "tools/status_text.h"

namespace kappa::tools {
namespace {

const std::vector<ClientColumn> kColumns = {
    {"name", kTextType}, {"n", kBigintType}, {"mean", kDoubleType}, {"at", kTimestampType}, {"ok", kBooleanType}};

std::vector<Row> sample() {
  return {{Value::text("a\"b"), Value::bigint(9007199254740993), Value::real(0.1),
           Value::timestamp(1'700'000'000'000'000), Value::boolean(true)},
          {Value::text(""), Value(), Value(), Value(), Value()}};
}

std::string written(Format format, const std::vector<ClientColumn>& columns, const std::vector<Row>& rows) {
  std::FILE* file = std::tmpfile();
  {
    Output out(fileno(file));
    const auto writer = make_row_writer(format, out);
    writer->columns(columns);
    writer->rows(rows);
    writer->finish();
  }
  std::string text(static_cast<std::size_t>(::lseek(fileno(file), 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(fileno(file), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  std::fclose(file);
  return text;
}

TEST(RowWriter, CsvQuotesTextAndLeavesNullEmpty) {
  EXPECT_EQ(written(Format::kCsv, kColumns, sample()),
            "name,n,mean,at,ok\n"
            "\"a\"\"b\",9007199254740993,0.1,2023-11-14T22:13:20Z,true\n"
            "\"\",,,,\n");
}

TEST(RowWriter, NdjsonKeepsIntegersExact) {
  EXPECT_EQ(written(Format::kNdjson, kColumns, sample()),
            "{\"name\":\"a\\\"b\",\"n\":9007199254740993,\"mean\":0.1,\"at\":\"2023-11-14T22:13:20Z\",\"ok\":true}\n"
            "{\"name\":\"\",\"n\":null,\"mean\":null,\"at\":null,\"ok\":null}\n");
}

TEST(RowWriter, JsonIsOneArrayAlsoWhenEmpty) {
  EXPECT_EQ(written(Format::kJson, {{"n", kBigintType}}, {{Value::bigint(1)}, {Value::bigint(2)}}),
            "[\n{\"n\":1},\n{\"n\":2}\n]\n");
  EXPECT_EQ(written(Format::kJson, {{"n", kBigintType}}, {}), "[]\n");
}

TEST(RowWriter, TableAlignsNumbersRightAndText) {
  EXPECT_EQ(written(Format::kTable, {{"k", kTextType}, {"n", kBigintType}},
                    {{Value::text("é"), Value::bigint(5)}, {Value::text("abc"), Value::bigint(1234)}}),
            "k       n\n"
            "---  ----\n"
            "é       5\n"
            "abc  1234\n");
}

TEST(RowWriter, TableCannotBeBrokenByControlCharacters) {
  const std::string text = written(Format::kTable, {{"k", kTextType}}, {{Value::text("a\n\x1b[31mb")}});
  EXPECT_NE(text.find("a\\n\\x1b[31mb"), std::string::npos) << text;
}

TEST(RowWriter, MarkdownEscapesBars) {
  EXPECT_EQ(written(Format::kMarkdown, {{"k", kTextType}, {"n", kBigintType}}, {{Value::text("a|b"), Value::bigint(1)}}),
            "| k    |   n |\n"
            "| ---- | --: |\n"
            "| a\\|b |   1 |\n");
}

TEST(RowWriter, RawIsTabsWithoutAHeader) {
  EXPECT_EQ(written(Format::kRaw, kColumns, sample()), "a\"b\t9007199254740993\t0.1\t2023-11-14T22:13:20Z\ttrue\n\t\t\t\t\n");
}

ClientEvent event(std::string_view value) { return {Offset(7), Timestamp(0), Timestamp(1'500'000), "k1", value}; }

TEST(EventFormat, FillsInTheFields) {
  std::string out;
  EventFormat("%o %t %a %k %v%%\\n").append(event("{}"), out);
  EXPECT_EQ(out, "7 1970-01-01T00:00:00Z 1970-01-01T00:00:01.500Z k1 {}%\n");
}

TEST(EventFormat, JsonKeepsObjectsAndQuotesTheRest) {
  std::string out;
  append_event_json(event("{\"a\":1}"), out);
  EXPECT_EQ(out,
            "{\"offset\":7,\"time\":\"1970-01-01T00:00:00Z\",\"append_time\":\"1970-01-01T00:00:01.500Z\",\"key\":\"k1\","
            "\"value\":{\"a\":1}}");
  out.clear();
  append_event_json(event("\xff!"), out);
  EXPECT_NE(out.find("\"value\":\"\xef\xbf\xbd!\""), std::string::npos) << out;
}

TEST(FormatError, PutsACaretUnderThePlace) {
  Error error{ErrorCode::kNotFound, 2003, "no view \"by_usr\"", "did you mean \"by_user\"?", 0, SourcePlace{2, 6, 6}};
  EXPECT_EQ(format_error(error, "SELECT *\nFROM by_usr", false),
            "error K2003: no view \"by_usr\"\n"
            "2 | FROM by_usr\n"
            "         ^~~~~~\n"
            "  did you mean \"by_user\"?\n");
}

TEST(FormatError, AWrongPlaceDoesNoHarm) {
  Error error{ErrorCode::kInvalid, 2001, "bad", "", 0, SourcePlace{9, 900, 4}};
  EXPECT_EQ(format_error(error, "x", false), "error K2001: bad\n9 | \n    ^\n");
}

TEST(Flags, SizesArePowersOf1024) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("65536"), 65'536U);
  EXPECT_EQ(parse_size("64k"), 65'536U);
  EXPECT_EQ(parse_size("64KiB"), 65'536U);
  EXPECT_EQ(parse_size("3MiB"), 3U << 20);
  EXPECT_EQ(parse_size("10G"), std::uint64_t{10} << 30);
  EXPECT_EQ(parse_size("1048576T"), std::uint64_t{1} << 60);
  for (const char* wrong : {"", "x", "-1", "1.5G", "1GB", "1 G", "10Gi", "kiB", "iB", "1X", "1048577T",
                            "99999999999999999999"}) {
    EXPECT_EQ(parse_size(wrong), std::nullopt) << wrong;
  }
}

TEST(ParseDuration, KnowsItsUnits) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("30d"), std::chrono::hours(24 * 30));
  EXPECT_EQ(parse_duration("1000001d"), std::nullopt);
  EXPECT_EQ(parse_duration("2s"), milliseconds(2'000));
  EXPECT_EQ(parse_duration("3"), milliseconds(3'000));
  EXPECT_EQ(parse_duration("1m"), milliseconds(60'000));
  for (const char* bad : {"", "s", "1x", "-1s", "1.5s", "99999999999999999999s"}) EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(SplitSql, CutsAtSemicolonsOutsideTextNamesAndComments) {
  const SqlPieces pieces = split_sql("SELECT ';', \"a;b\" -- c;\n; /* ; /* ; */ */ SELECT 'it''s;';  -- end");
  ASSERT_EQ(pieces.statements.size(), 2U);
  EXPECT_EQ(pieces.statements[0], "SELECT ';', \"a;b\" -- c;");
  EXPECT_EQ(pieces.statements[1], "/* ; /* ; */ */ SELECT 'it''s;'");
  EXPECT_TRUE(is_blank_sql(pieces.rest));
  EXPECT_FALSE(pieces.open);
}

TEST(SplitSql, KnowsWhatIsOpen) {
  EXPECT_TRUE(split_sql("SELECT 'abc").open);
  EXPECT_TRUE(split_sql("SELECT /* abc").open);
  EXPECT_FALSE(split_sql("SELECT 1").open);
  EXPECT_TRUE(split_sql(";; ;").statements.empty());
}

TEST(StatusText, ShowsEveryMemberWhateverItIs) {
  const auto text = status_text(R"({"version":"1","log":{"end":12,"full":false},"views":[{"name":"v","lag_events":3}]})");
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(*text,
            "kappa\n  version  1\n"
            "log\n  end   12\n  full  false\n"
            "views\n  name  lag events\n  v              3\n");
  EXPECT_FALSE(status_text("[]").has_value());
}

TEST(Histogram, PercentilesAreWithinTheirBucket) {
  Histogram histogram;
  for (std::uint64_t i = 1; i <= 100'000; ++i) histogram.record(i);
  for (const double share : {0.5, 0.9, 0.99, 0.999}) {
    const double exact = share * 100'000;
    EXPECT_NEAR(static_cast<double>(histogram.percentile(share)), exact, exact * 0.017) << share;
  }
  EXPECT_EQ(histogram.percentile(1.0), 100'000U);
  EXPECT_EQ(Histogram().percentile(0.5), 0U);
}

}  // namespace
}  // namespace kappa::tools
