// Goal: values survive the wire bit for bit, hostile bytes are refused without reading outside, order
// is exact across number types, and text forms are the ones documented. Method: tables of cases, and
// random values and random bytes with a printed seed.
#include "proto/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace kappa {
namespace {

std::uint64_t seed() {
  static const std::uint64_t value = std::random_device{}();
  return value;
}

Value random_value(std::mt19937_64& random) {
  const auto word = [&] { return static_cast<std::int64_t>(random()); };
  switch (random() % 9) {
    case 0: return Value();
    case 1: return Value::boolean(random() % 2 == 0);
    case 2: return Value::bigint(word());
    case 3: return Value::real(static_cast<double>(word()) / 1e3);
    case 4:
      return Value::numeric(Int128{word()} * 1'000'000'007, 38, static_cast<std::uint8_t>(random() % 39));
    case 5: return Value::text(std::string(random() % 40, static_cast<char>('a' + random() % 26)));
    case 6: return Value::timestamp(word());
    case 7: return Value::interval(word());
    default: return Value::json("{\"a\":" + std::to_string(word()) + "}");
  }
}

TEST(ValueCodec, RandomRowsComeBack) {
  std::mt19937_64 random(seed());
  SCOPED_TRACE("seed " + std::to_string(seed()));
  for (int round = 0; round < 500; ++round) {
    Row row;
    for (std::uint64_t i = random() % 12; i > 0; --i) row.push_back(random_value(random));
    std::string bytes;
    encode_row(row, bytes);
    ByteReader in(as_bytes(bytes));
    const auto back = decode_row(in);
    ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(in.done());
    EXPECT_EQ(*back, row);
  }
}

TEST(ValueCodec, EveryTruncationIsRefused) {
  const Row row = {Value::bigint(-1),         Value::text("hello"),      Value::numeric(-12345, 10, 2),
                   Value::real(2.5),          Value::boolean(true),      Value(),
                   Value::timestamp(1234567), Value::json("[1,\"two\"]")};
  std::string bytes;
  encode_row(row, bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ByteReader in(as_bytes(std::string_view(bytes).substr(0, size)));
    const auto back = decode_row(in);
    ASSERT_FALSE(back.has_value()) << size;
    EXPECT_EQ(back.error().code, ErrorCode::kInvalid);
  }
}

TEST(ValueCodec, RandomBytesNeverDecodeToInvalidValues) {
  std::mt19937_64 random(seed());
  SCOPED_TRACE("seed " + std::to_string(seed()));
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (std::uint64_t i = random() % 40; i > 0; --i)
      bytes += static_cast<char>(random() % (round % 2 == 0 ? 256 : 12));
    ByteReader in(as_bytes(bytes));
    const auto value = decode_value(in);
    if (!value || value->is_null()) continue;
    if (value->type().id == TypeId::kDouble) {
      EXPECT_TRUE(std::isfinite(value->as_double()));
    }
    if (value->type().id == TypeId::kNumeric) {
      EXPECT_LE(value->type().scale, value->type().precision);
      EXPECT_LT(value->as_int128(), power_of_ten(value->type().precision));
    }
  }
}

TEST(ValueCodec, HostileFieldsAreRefused) {
  const auto refused = [](std::string bytes) {
    ByteReader in(as_bytes(bytes));
    return !decode_value(in).has_value();
  };
  EXPECT_TRUE(refused(std::string("\x09", 1)));                  // No such type.
  EXPECT_TRUE(refused(std::string("\x01\x02", 2)));              // A boolean of 2.
  EXPECT_TRUE(refused(std::string("\x05\xff\xff\xff\xff", 5)));  // 4 GiB of text that is not there.
  std::string nan("\x03", 1);
  ByteWriter(nan).fixed(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(refused(nan));
  EXPECT_TRUE(refused(std::string("\x04\x27\x00", 3) + std::string(16, '\0')));    // 39 digits.
  EXPECT_TRUE(refused(std::string("\x04\x02\x03", 3) + std::string(16, '\0')));    // Scale above precision.
  EXPECT_TRUE(refused(std::string("\x04\x02\x00", 3) + std::string(16, '\x7f')));  // More digits than 2.
}

TEST(ValueOrder, NumbersCompareExactlyAcrossTypes) {
  const std::int64_t big = (std::int64_t{1} << 53) + 1;
  EXPECT_TRUE(compare(Value::bigint(big), Value::real(0x1p53)) > 0);
  EXPECT_TRUE(compare(Value::real(0x1p53), Value::bigint(big)) < 0);
  EXPECT_TRUE(compare(Value::bigint(INT64_MAX), Value::real(0x1p63)) < 0);
  EXPECT_TRUE(compare(Value::bigint(INT64_MIN), Value::real(-0x1p63)) == 0);
  EXPECT_TRUE(compare(Value::bigint(-1), Value::real(-1.5)) > 0);
  EXPECT_TRUE(compare(Value::bigint(0), Value::real(5e-324)) < 0);
  EXPECT_TRUE(compare(Value::numeric(1, 2, 1), Value::real(0.1)) < 0);  // The double is above a tenth.
  EXPECT_TRUE(compare(Value::numeric(5, 2, 1), Value::real(0.5)) == 0);
  EXPECT_TRUE(compare(Value::numeric(-1, 2, 1), Value::real(-0.1)) > 0);
  EXPECT_TRUE(compare(Value::numeric(100, 5, 2), Value::bigint(1)) == 0);
  EXPECT_TRUE(compare(Value::numeric(1001, 5, 3), Value::numeric(10, 5, 1)) > 0);
  EXPECT_TRUE(compare(Value::numeric(-1001, 5, 3), Value::numeric(-10, 5, 1)) < 0);
  EXPECT_TRUE(compare(Value::real(-0.0), Value::real(0.0)) == 0);
}

TEST(ValueOrder, RandomIntegersAgainstNeighbouringDoubles) {
  std::mt19937_64 random(seed());
  SCOPED_TRACE("seed " + std::to_string(seed()));
  for (int i = 0; i < 20'000; ++i) {
    const auto a = static_cast<std::int64_t>(random()) >> (random() % 63);
    const double b = static_cast<double>(a + static_cast<std::int64_t>(random() % 5) - 2);
    // long double has a 64-bit mantissa here: both sides are exact in it.
    const long double difference = static_cast<long double>(a) - static_cast<long double>(b);
    const auto order = compare_numbers(a, b);
    EXPECT_EQ(order < 0, difference < 0) << a << " " << b;
    EXPECT_EQ(order > 0, difference > 0) << a << " " << b;
    EXPECT_EQ(compare_numbers(Int128{a} * 1000, std::uint8_t{3}, b), order) << a << " " << b;
  }
}

TEST(ValueOrder, NullGoesWhereAsked) {
  EXPECT_TRUE(compare(Value(), Value::bigint(0), true) < 0);
  EXPECT_TRUE(compare(Value(), Value::bigint(0), false) > 0);
  EXPECT_TRUE(compare(Value::null(kTextType), Value::null(kBigintType)) == 0);
  EXPECT_TRUE(compare(Value::text("z"), Value::text("\xc3\xa9")) < 0);  // By bytes.
}

TEST(ValueText, TimestampsPrintAsRfc3339) {
  EXPECT_EQ(format_timestamp(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_timestamp(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_timestamp(1'500'000), "1970-01-01T00:00:01.500Z");
  EXPECT_EQ(format_timestamp(-62'167'219'200'000'000 - 1'000'000), "-0001-12-31T23:59:59Z");
  EXPECT_EQ(format_timestamp(253'402'300'800'000'000), "+10000-01-01T00:00:00Z");
  EXPECT_EQ(format_timestamp(INT64_MAX), "+294247-01-10T04:00:54.775807Z");
  EXPECT_EQ(format_timestamp(INT64_MIN), "-290308-12-21T19:59:05.224192Z");
}

TEST(ValueText, TimestampsParseStrictly) {
  struct Case {
    const char* text;
    std::optional<std::int64_t> strict;
    std::optional<std::int64_t> lenient;
  };
  const std::optional<std::int64_t> no;
  const Case cases[] = {
      {"1970-01-01T00:00:00Z", 0, 0},
      {"1969-12-31T23:59:59.5Z", -500'000, -500'000},
      {"1970-01-01t01:00:00+01:00", 0, 0},
      {"1970-01-01 00:00:00Z", 0, 0},
      {"1970-01-01T00:00:00.1234567Z", 123'456, 123'456},
      {"2000-02-29T00:00:00Z", 951'782'400'000'000, 951'782'400'000'000},
      {"2016-12-31T23:59:60Z", 1'483'228'800'000'000, 1'483'228'800'000'000},
      {"1970-01-02", no, 86'400'000'000},
      {"1970-01-01T00:00:00", no, 0},
      {"1970-01-01T00:01", no, 60'000'000},
      {"1900-02-29T00:00:00Z", no, no},
      {"2023-02-29T00:00:00Z", no, no},
      {"2024-13-01T00:00:00Z", no, no},
      {"2024-00-01T00:00:00Z", no, no},
      {"2024-04-31T00:00:00Z", no, no},
      {"2024-01-01T24:00:00Z", no, no},
      {"2024-01-01T00:60:00Z", no, no},
      {"2024-01-01T00:00:61Z", no, no},
      {"2024-01-01T00:00:00.Z", no, no},
      {"2024-01-01T00:00:00+24:00", no, no},
      {"2024-01-01T00:00:00+0100", no, no},
      {"2024-01-01T00:00:00Zx", no, no},
      {"24-01-01T00:00:00Z", no, no},
      {"", no, no},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(parse_timestamp(c.text, true), c.strict) << c.text;
    EXPECT_EQ(parse_timestamp(c.text, false), c.lenient) << c.text;
  }
}

TEST(ValueText, PrintedTimestampsReadBack) {
  std::mt19937_64 random(seed());
  SCOPED_TRACE("seed " + std::to_string(seed()));
  for (int i = 0; i < 10'000; ++i) {
    // Years -9000 to 9999 or so.
    const std::int64_t micros =
        static_cast<std::int64_t>(random() % 500'000'000'000'000'000) - 250'000'000'000'000'000;
    const std::string text = format_timestamp(micros);
    EXPECT_EQ(parse_timestamp(text, false), micros) << text;
  }
}

TEST(ValueText, TimestampsAtTheEndsOfTimeReadAsTheyPrint) {
  for (const std::int64_t micros : {INT64_MIN, INT64_MIN + 1, std::int64_t{-62'167'219'200'000'001}, std::int64_t{253'402'300'800'000'000},
                                    std::int64_t{1'704'139'200'000'000'000}, INT64_MAX}) {
    for (const bool zone_required : {false, true}) EXPECT_EQ(parse_timestamp(format_timestamp(micros), zone_required), micros);
  }
  EXPECT_EQ(parse_timestamp("+294247-01-10T04:00:55Z", true), std::nullopt);  // Past the last one.
  EXPECT_EQ(parse_timestamp("+10000-02-30T00:00:00Z", true), std::nullopt);
}

TEST(ValueText, IntervalsReadAndPrint) {
  EXPECT_EQ(parse_interval("1 minute"), 60'000'000);
  EXPECT_EQ(parse_interval("1 day 02:03:04.5"), 86'400'000'000 + 7'384'500'000);
  EXPECT_EQ(parse_interval("1.5 hours"), 5'400'000'000);
  EXPECT_EQ(parse_interval("-2 days"), -172'800'000'000);
  EXPECT_EQ(parse_interval("250ms"), 250'000);
  // A sign counts for its number alone, as in PostgreSQL.
  EXPECT_EQ(parse_interval("-1 day 04:00:00"), -72'000'000'000);
  EXPECT_EQ(parse_interval("-1 days -04:00:00"), -100'800'000'000);
  EXPECT_EQ(parse_interval("1 hour 30 minutes"), 5'400'000'000);
  for (const char* bad :
       {"", " ", "1", "minute", "1 month", "1 year", "x 1", "1 minute x", "999999999999999999 days"}) {
    EXPECT_EQ(parse_interval(bad), std::nullopt) << bad;
  }
  std::mt19937_64 random(seed());
  SCOPED_TRACE("seed " + std::to_string(seed()));
  for (int i = 0; i < 2'000; ++i) {
    const std::int64_t micros = static_cast<std::int64_t>(random()) >> (random() % 60);
    EXPECT_EQ(parse_interval(format_interval(micros)), micros) << format_interval(micros);
  }
  EXPECT_EQ(format_interval(0), "00:00:00");
  EXPECT_EQ(format_interval(-90'000'000), "-00:01:30");
  EXPECT_EQ(format_interval(-100'800'000'000), "-1 days -04:00:00");
}

TEST(ValueText, NumericKeepsEveryDigit) {
  EXPECT_EQ(format_numeric(-5, 2), "-0.05");
  EXPECT_EQ(format_numeric(12345, 2), "123.45");
  EXPECT_EQ(format_numeric(0, 3), "0.000");
  const Int128 largest = power_of_ten(38) - 1;
  EXPECT_EQ(format_int128(largest), std::string(38, '9'));
  EXPECT_EQ(parse_numeric("-12.5e1", 10, 2), Int128{-12500});
  EXPECT_EQ(parse_numeric("0.005", 10, 2), Int128{1});
  EXPECT_EQ(parse_numeric("0.00499", 10, 2), Int128{0});
  EXPECT_EQ(parse_numeric("-0.005", 10, 2), Int128{-1});
  EXPECT_EQ(parse_numeric(std::string(38, '9'), 38, 0), largest);
  EXPECT_EQ(parse_numeric("1" + std::string(38, '0'), 38, 0), std::nullopt);
  EXPECT_EQ(parse_numeric("9.995", 3, 2), std::nullopt);  // Rounds to 10.00.
  EXPECT_EQ(parse_numeric("1e-999999999999", 10, 2), Int128{0});
  EXPECT_EQ(parse_numeric("1e999999999999", 10, 2), std::nullopt);
  for (const char* bad : {"", "-", ".", "1.2.3", "1e", "1x", " 1", "0x10", "e5"}) {
    EXPECT_EQ(parse_numeric(bad, 38, 10), std::nullopt) << bad;
  }
}

TEST(ValueText, JsonIsEscapedAndExact) {
  std::string out;
  append_json(Value::text("a\"b\\c\n\x01\xc3\xa9"), out);
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\"");
  out.clear();
  append_json(Value::bigint(9007199254740993), out);
  append_json(Value::real(0.1), out);
  append_json(Value(), out);
  append_json(Value::timestamp(0), out);
  EXPECT_EQ(out, "90071992547409930.1null\"1970-01-01T00:00:00Z\"");
}

}  // namespace
}  // namespace kappa
