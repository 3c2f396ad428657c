// Goal: the verdict on an event is that of RFC 8259 (plus our limits), never that of the columns
// asked for, and each value converts as docs/sql.md says.
// Method: a table of small events; a recursive-descent validator written here from the RFC's grammar,
// compared with the decoder over random mutations of valid events (the seed is printed); and every
// line of the shared hostile file, where it is present.
#include "processor/vector/json_decode.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

#include "processor/vector/json_token.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace {

using Step = StreamColumn::Step;

StreamColumn column(std::string name, Type type, std::vector<Step> path = {}) {
  if (path.empty()) path.push_back({name, 0});
  return {std::move(name), type, std::move(path)};
}
Step member(std::string name) {
  return {std::move(name), 0};
}
Step element(std::uint32_t index) {
  return {std::nullopt, index};
}

// One event through a decoder of one column.
struct Decoded {
  bool valid = false;
  Value value;
  std::uint64_t failures = 0;
};
Decoded decode_one(std::string_view event, StreamColumn wanted) {
  JsonDecoder decoder({std::move(wanted)});
  std::vector<Vector> out;
  Arena arena;
  decoder.start(out);
  // A copy of exactly the event's size lets the address sanitizer see any read past it.
  const std::vector<char> exact(event.begin(), event.end());
  Decoded result;
  result.valid = decoder.decode({exact.data(), exact.size()}, 0, out, arena, false);
  result.value = out[0].value(0);
  result.failures = decoder.conversion_failures()[0];
  return result;
}
std::string shown(std::string_view event, Type type) {
  const Decoded decoded = decode_one(event, column("a", type));
  if (!decoded.valid) return "poison";
  return display(decoded.value) + (decoded.failures ? "!" : "");
}

std::uint16_t verdict(std::string_view event) {
  const std::vector<char> exact(event.begin(), event.end());
  const Status status = validate_json_event({exact.data(), exact.size()});
  return status ? 0 : status.error().number;
}

// --- an independent validator, straight from the grammar ---
class Reference {
 public:
  explicit Reference(std::string_view text) : text_(text) {}
  bool valid() {
    if (!utf8()) return false;
    space();
    if (peek() != '{' || !value(1)) return false;
    space();
    return at_ == text_.size();
  }

 private:
  int peek() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : -1; }
  bool take(char c) {
    if (peek() != static_cast<unsigned char>(c)) return false;
    ++at_;
    return true;
  }
  void space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }
  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }
  bool digits() {
    if (peek() < '0' || peek() > '9') return false;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return true;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (!take('+')) take('-');
      if (!digits()) return false;
    }
    return true;
  }
  int hex() {
    int v = 0;
    for (int i = 0; i < 4; ++i) {
      const int c = peek();
      ++at_;
      if (c >= '0' && c <= '9')
        v = v * 16 + c - '0';
      else if (c >= 'a' && c <= 'f')
        v = v * 16 + c - 'a' + 10;
      else if (c >= 'A' && c <= 'F')
        v = v * 16 + c - 'A' + 10;
      else
        return -1;
    }
    return v;
  }
  bool string() {
    if (!take('"')) return false;
    for (;;) {
      const int c = peek();
      if (c < 0x20) return false;
      ++at_;
      if (c == '"') return true;
      if (c != '\\') continue;
      const int e = peek();
      ++at_;
      if (e == 'u') {
        const int h = hex();
        if (h < 0 || (h >= 0xdc00 && h <= 0xdfff)) return false;
        if (h >= 0xd800 && h <= 0xdbff) {
          if (!take('\\') || !take('u')) return false;
          const int l = hex();
          if (l < 0xdc00 || l > 0xdfff) return false;
        }
      } else if (e < 0 ||
                 std::string_view("\"\\/bfnrt").find(static_cast<char>(e)) == std::string_view::npos) {
        return false;
      }
    }
  }
  bool value(std::size_t depth) {
    space();
    switch (peek()) {
      case '{':
      case '[': {
        if (depth > limits::kJsonDepthMax) return false;
        const bool object = peek() == '{';
        ++at_;
        space();
        if (take(object ? '}' : ']')) return true;
        for (;;) {
          if (object) {
            space();
            if (!string()) return false;
            space();
            if (!take(':')) return false;
          }
          if (!value(depth + 1)) return false;
          space();
          if (take(',')) continue;
          return take(object ? '}' : ']');
        }
      }
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }
  bool utf8() const {
    for (std::size_t i = 0; i < text_.size();) {
      const auto byte = [&](std::size_t k) -> unsigned {
        return k < text_.size() ? static_cast<unsigned char>(text_[k]) : 0U;
      };
      const unsigned b = byte(i);
      std::size_t n = 1;
      unsigned point = b;
      if (b >= 0x80) {
        if ((b & 0xe0) == 0xc0)
          n = 2, point = b & 0x1f;
        else if ((b & 0xf0) == 0xe0)
          n = 3, point = b & 0x0f;
        else if ((b & 0xf8) == 0xf0)
          n = 4, point = b & 0x07;
        else
          return false;
        for (std::size_t k = 1; k < n; ++k) {
          if ((byte(i + k) & 0xc0) != 0x80) return false;
          point = point << 6 | (byte(i + k) & 0x3f);
        }
        static constexpr unsigned kLeast[5] = {0, 0, 0x80, 0x800, 0x10000};
        if (point < kLeast[n] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
      }
      i += n;
    }
    return true;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

TEST(JsonVerdict, GrammarIsThatOfTheRfc) {
  for (const char* good :
       {"{}", " \t\r\n{ \"a\" : [ ] , \"b\":{}}\r", R"({"":1,"a b":2,"a.b":3})",
        R"({"a":1.5e-7,"b":-0,"c":0.0,"d":1E+2})", R"({"k":"日本😀é"})", "{\"a\":\"\x7f\"}",
        R"({"a":"\u0000\ud83d\ude00\/"})", R"({"a":[1,[2,[null,true,false]]]})",
        R"({"a":9223372036854775808,"b":1e400,"c":1e-400,"d":0e99999})"}) {
    EXPECT_EQ(verdict(good), 0) << good;
    EXPECT_TRUE(Reference(good).valid()) << good;
  }
  for (const char* poison : {"",
                             " ",
                             "{",
                             "}",
                             "{\"a\"",
                             "{\"a\":",
                             "{\"a\":1",
                             "{\"a\":1,",
                             "{\"a\":1,}",
                             "{\"a\":1}x",
                             "{\"a\":1}{}",
                             "{\"a\":[1,]}",
                             "{\"a\":[,1]}",
                             "{\"a\"::1}",
                             "{a:1}",
                             "{'a':1}",
                             "{1:2}",
                             "{\"a\" 1}",
                             "{\"a\":1 \"b\":2}",
                             "{\"a\":01}",
                             "{\"a\":.5}",
                             "{\"a\":1.}",
                             "{\"a\":1e}",
                             "{\"a\":-}",
                             "{\"a\":+1}",
                             "{\"a\":1 2}",
                             "{\"a\":NaN}",
                             "{\"a\":tru}",
                             "{\"a\":truex}",
                             "{\"a\":nullnull}",
                             "{\"a\":\"x}",
                             "{\"a\":\"\\x\"}",
                             "{\"a\":\"\\u12\"}",
                             R"({"a":"\ud800"})",
                             R"({"a":"\ud800\ud800"})",
                             R"({"a":"\udc00"})",
                             R"({"a":"\udc00\ud800"})",
                             R"({"\ud800":1})",
                             "{\"a\":1}\x0b",
                             "{\"a\":1}\x1a",
                             "{\"a\":\"\x01\"}",
                             "{\"a\":1]",
                             "{\"a\":[1}",
                             "{\"a\":[1\"b\"]}",
                             "{\"a\":[\"b\"1]}",
                             "{\"a\":\"b\"\"c\"}",
                             "{{}}",
                             "{\"a\":\f1}",
                             "{\"a\"\x1a 1}"}) {
    EXPECT_NE(verdict(poison), 0) << poison;
    EXPECT_FALSE(Reference(poison).valid()) << poison;
  }
}

TEST(JsonVerdict, EachReasonHasItsNumber) {
  EXPECT_EQ(verdict("{\"a\":}"), 5001);
  EXPECT_EQ(verdict("[]"), 5002);
  EXPECT_EQ(verdict(" \"x\""), 5002);
  EXPECT_EQ(verdict("null"), 5002);
  EXPECT_EQ(verdict("12"), 5002);
  EXPECT_EQ(verdict("hello"), 5001);
  EXPECT_EQ(verdict("{\"a\":\"\xff\"}"), 5004);
  std::string deep;
  for (int i = 0; i < 600; ++i) deep += "{\"a\":";
  EXPECT_EQ(verdict(deep), 5003);
}

TEST(JsonVerdict, DepthEndsAt512) {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_EQ(verdict(nested(limits::kJsonDepthMax)), 0);
  EXPECT_EQ(verdict(nested(limits::kJsonDepthMax + 1)), 5003);
  EXPECT_EQ(verdict(nested(200'000)), 5003);
}

TEST(JsonVerdict, EqualsTheReferenceOnRandomMutations) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  const std::vector<std::string> bases = {
      R"({"ts":1700000000000,"user":"u1","page":"/a/b?c=d","ms":12,"geo":{"city":"Zürich","at":[47.3,-8.5e1]},"ok":true})",
      R"({"a":"\u00e9\ud83d\ude00\n","b":[null,false,{"c":[]}],"d":"","e":-0.0e-0})",
      R"({"key":"日本語のテキストが六十四バイトを超えるように長くしておく必要があります","n":[[[[1]]]]})"};
  const std::string alphabet =
      "{}[]:,\"\\ \t\n0123456789-+.eEtrufalsn/bxud\x01\x0b\x1a\x7f\x80\xbf\xc3\xe2\xf0\xff";
  std::size_t valid_count = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text = bases[random() % bases.size()];
    for (std::size_t edits = random() % 4; edits-- > 0 && !text.empty();) {
      const std::size_t at = random() % text.size();
      switch (random() % 5) {
        case 0: text[at] = alphabet[random() % alphabet.size()]; break;
        case 1: text.insert(at, 1, alphabet[random() % alphabet.size()]); break;
        case 2: text.erase(at, 1 + random() % 3); break;
        case 3: text.resize(at); break;
        default: text.insert(at, text.substr(random() % text.size(), random() % 12)); break;
      }
    }
    const bool expected = Reference(text).valid();
    valid_count += expected;
    ASSERT_EQ(verdict(text) == 0, expected) << text;
    // Asking for columns never changes the verdict.
    ASSERT_EQ(decode_one(text, column("city", kTextType, {member("geo"), member("city")})).valid, expected)
        << text;
  }
  EXPECT_GT(valid_count, 2'500U);
}

TEST(JsonDecode, ValuesConvertByType) {
  EXPECT_EQ(shown(R"({"a":42})", kBigintType), "42");
  EXPECT_EQ(shown(R"({"a":-9223372036854775808})", kBigintType), "-9223372036854775808");
  EXPECT_EQ(shown(R"({"a":9223372036854775808})", kBigintType), "NULL!");
  EXPECT_EQ(shown(R"({"a":3.0})", kBigintType), "NULL!");
  EXPECT_EQ(shown(R"({"a":3e0})", kBigintType), "NULL!");
  EXPECT_EQ(shown(R"({"a":"3"})", kBigintType), "NULL!");
  EXPECT_EQ(shown(R"({"a":true})", kBigintType), "NULL!");
  EXPECT_EQ(shown(R"({"a":null})", kBigintType), "NULL");
  EXPECT_EQ(shown(R"({"b":1})", kBigintType), "NULL");
  EXPECT_EQ(shown(R"({"a":-0})", kBigintType), "0");
  EXPECT_EQ(shown(R"({"a":0.1})", kDoubleType), "0.1");
  EXPECT_EQ(shown(R"({"a":5})", kDoubleType), "5");
  EXPECT_EQ(shown(R"({"a":1e400})", kDoubleType), "NULL!");
  EXPECT_EQ(shown(R"({"a":1e-400})", kDoubleType), "NULL!");
  EXPECT_EQ(shown(R"({"a":0e99999})", kDoubleType), "0");
  EXPECT_EQ(shown("{\"a\":1." + std::string(100'000, '3') + "}", kDoubleType), "1.3333333333333333");
  EXPECT_EQ(shown(R"({"a":true})", kBooleanType), "true");
  EXPECT_EQ(shown(R"({"a":1})", kBooleanType), "NULL!");
  EXPECT_EQ(shown(R"({"a":"x\ty\u00e9"})", kTextType), "x\ty\u00e9");
  EXPECT_EQ(shown(R"({"a":7})", kTextType), "NULL!");
  EXPECT_EQ(shown(R"({"a":[1, 2]})", kTextType), "NULL!");
  const Decoded nul = decode_one(R"({"a":"x\u0000y"})", column("a", kTextType));
  EXPECT_EQ(nul.value, Value::text(std::string("x\0y", 3)));
}

TEST(JsonDecode, ShortNumbersEqualTheGeneralParser) {
  std::mt19937_64 random(17);
  for (int round = 0; round < 200'000; ++round) {
    std::string token = random() % 3 == 0 ? "-" : "";
    std::string digits = std::to_string(random() >> (random() % 64));
    digits.resize(std::min<std::size_t>(digits.size(), 1 + random() % 20));
    token += digits;
    if (random() % 4 == 0) {
      std::int64_t expected = 0;
      const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), expected);
      const auto found = number_to_int64(token);
      ASSERT_EQ(found.has_value(), error == std::errc{}) << token;
      if (found) {
        ASSERT_EQ(*found, expected) << token;
      }
      continue;
    }
    if (random() % 8 != 0) {
      token += '.';
      for (std::size_t n = 1 + random() % 18; n > 0; --n) token += static_cast<char>('0' + random() % 10);
    }
    if (random() % 8 == 0) token += "e-" + std::to_string(random() % 30);
    const auto found = number_to_double(token);
    ASSERT_TRUE(found) << token;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(*found), std::bit_cast<std::uint64_t>(std::strtod(token.c_str(), nullptr)))
        << token;
  }
}

TEST(JsonDecode, NumericRoundsHalfAwayFromZero) {
  const Type numeric{TypeId::kNumeric, 6, 2};
  EXPECT_EQ(shown(R"({"a":12.345})", numeric), "12.35");
  EXPECT_EQ(shown(R"({"a":-12.345})", numeric), "-12.35");
  EXPECT_EQ(shown(R"({"a":12.344999})", numeric), "12.34");
  EXPECT_EQ(shown(R"({"a":1.2e3})", numeric), "1200.00");
  EXPECT_EQ(shown(R"({"a":123456e-3})", numeric), "123.46");
  EXPECT_EQ(shown(R"({"a":9999.994})", numeric), "9999.99");
  EXPECT_EQ(shown(R"({"a":9999.995})", numeric), "NULL!");
  EXPECT_EQ(shown(R"({"a":1e99999999999999999999})", numeric), "NULL!");
  EXPECT_EQ(shown(R"({"a":1e-99999999999999999999})", numeric), "0.00");
  EXPECT_EQ(shown(R"({"a":0e99999999999999999999})", numeric), "0.00");
  EXPECT_EQ(shown(R"({"a":0.005})", numeric), "0.01");
  EXPECT_EQ(shown(R"({"a":0.0049})", numeric), "0.00");
  EXPECT_EQ(shown(R"({"a":"1"})", numeric), "NULL!");
}

TEST(JsonDecode, TimestampsAndIntervals) {
  EXPECT_EQ(shown(R"({"a":1700000000123})", kTimestampType), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(shown(R"({"a":"2024-02-29T23:59:59.5Z"})", kTimestampType), "2024-02-29T23:59:59.500Z");
  EXPECT_EQ(shown(R"({"a":"2024-02-29T23:59:59+01:00"})", kTimestampType), "2024-02-29T22:59:59Z");
  for (const char* bad :
       {R"({"a":"2023-02-29T00:00:00Z"})", R"({"a":"0000-01-01T00:00:00Z"})",
        R"({"a":"2024-01-01T24:00:00Z"})", R"({"a":"2024-01-01T00:00:00"})", R"({"a":"soon"})",
        R"({"a":1.5})", R"({"a":9223372036854775807})", R"({"a":{}})", R"({"a":""})"}) {
    EXPECT_EQ(shown(bad, kTimestampType), "NULL!") << bad;
  }
  EXPECT_EQ(decode_one(R"({"a":"5 minutes"})", column("a", kIntervalType)).value,
            Value::interval(300'000'000));
  EXPECT_EQ(decode_one(R"({"a":"1 day -2 hours"})", column("a", kIntervalType)).value,
            Value::interval(std::int64_t{22} * 3'600'000'000));
  EXPECT_EQ(decode_one(R"({"a":"01:02:03.5"})", column("a", kIntervalType)).value,
            Value::interval(3'723'500'000));
  EXPECT_EQ(decode_one(R"({"a":1500})", column("a", kIntervalType)).value, Value::interval(1'500'000));
  EXPECT_EQ(shown(R"({"a":"5 fortnights"})", kIntervalType), "NULL!");
  EXPECT_EQ(shown(R"({"a":"300000 years"})", kIntervalType), "NULL!");
}

TEST(JsonDecode, FastTimestampsEqualTheGeneralParser) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", static_cast<int>(random() % 3000),
                  static_cast<int>(random() % 14), static_cast<int>(random() % 33),
                  static_cast<int>(random() % 25), static_cast<int>(random() % 61),
                  static_cast<int>(random() % 61));
    std::string full = text;
    if (const std::size_t places = random() % 8; places > 0) {
      full += '.';
      for (std::size_t i = 0; i < places; ++i) full += static_cast<char>('0' + random() % 10);
    }
    full += 'Z';
    const std::optional<std::int64_t> expected =
        full.starts_with("0000") ? std::nullopt : parse_timestamp(full, true);
    const Decoded decoded = decode_one("{\"a\":\"" + full + "\"}", column("a", kTimestampType));
    ASSERT_EQ(decoded.value, expected ? Value::timestamp(*expected) : Value::null(kTimestampType)) << full;
  }
}

TEST(JsonDecode, JsonColumnsKeepTheRawText) {
  EXPECT_EQ(shown(R"({"a": {"b" : [1, "x\n"]} })", kJsonType), R"({"b" : [1, "x\n"]})");
  EXPECT_EQ(shown(R"({"a":"x\n"})", kJsonType), R"("x\n")");
  EXPECT_EQ(shown(R"({"a": 1e400 })", kJsonType), "1e400");
  EXPECT_EQ(shown(R"({"a": null })", kJsonType), "NULL");
}

TEST(JsonDecode, PathsGoThroughMembersAndElements) {
  const char* event = R"({"x":{"y":[10,{"z":"deep"},[1,2,3]]},"q.r":5,"":6,"é":7,"tab\t":8})";
  const auto at = [&](Type type, std::vector<Step> path) {
    return display(decode_one(event, column("c", type, std::move(path))).value);
  };
  EXPECT_EQ(at(kBigintType, {member("x"), member("y"), element(0)}), "10");
  EXPECT_EQ(at(kTextType, {member("x"), member("y"), element(1), member("z")}), "deep");
  EXPECT_EQ(at(kBigintType, {member("x"), member("y"), element(2), element(2)}), "3");
  EXPECT_EQ(at(kBigintType, {member("x"), member("y"), element(3)}), "NULL");
  EXPECT_EQ(at(kBigintType, {member("q.r")}), "5");
  EXPECT_EQ(at(kBigintType, {member("")}), "6");
  EXPECT_EQ(at(kBigintType, {member("é")}), "7");
  EXPECT_EQ(at(kBigintType, {member("tab\t")}), "8");
  EXPECT_EQ(at(kBigintType, {member("x"), element(0)}), "NULL");
}

TEST(JsonDecode, LastOfDuplicateMembersWinsAtEveryLevel) {
  const std::vector<Step> inner = {member("a"), member("b")};
  const auto at = [&](const char* event) {
    const Decoded decoded = decode_one(event, column("c", kBigintType, inner));
    return display(decoded.value) + (decoded.failures ? "!" : "");
  };
  EXPECT_EQ(shown(R"({"a":1,"a":2})", kBigintType), "2");
  EXPECT_EQ(shown(R"({"a":1,"a":null})", kBigintType), "NULL");
  EXPECT_EQ(shown(R"({"a":"x","a":2})", kBigintType), "2");
  EXPECT_EQ(shown(R"({"a":2,"a":"x"})", kBigintType), "NULL!");
  EXPECT_EQ(shown(R"({"a":2,"\u0061":3})", kBigintType), "3");
  EXPECT_EQ(at(R"({"a":{"b":1},"a":2})"), "NULL");
  EXPECT_EQ(at(R"({"a":{"b":1},"a":{"c":2}})"), "NULL");
  EXPECT_EQ(at(R"({"a":{"b":1},"a":null})"), "NULL");
  EXPECT_EQ(at(R"({"a":{"b":"bad"},"a":{"b":2}})"), "2");
  EXPECT_EQ(at(R"({"a":{"b":"bad"},"a":{}})"), "NULL");
  EXPECT_EQ(at(R"({"a":2,"a":{"b":1,"b":4}})"), "4");
}

TEST(JsonDecode, PoisonLeavesEveryColumnNullAndCountsNothing) {
  JsonDecoder decoder({column("a", kBigintType), column("b", kBigintType), column("b", kTextType)});
  std::vector<Vector> out;
  Arena arena;
  decoder.start(out);
  EXPECT_TRUE(decoder.decode(R"({"a":1,"b":2})", 0, out, arena, false));
  EXPECT_FALSE(decoder.decode(R"({"a":1,"b":"x",})", 1, out, arena, false));
  EXPECT_TRUE(decoder.decode(R"({"b":"x"})", 2, out, arena, false));
  EXPECT_EQ(out[0].value(0), Value::bigint(1));
  EXPECT_TRUE(out[0].value(1).is_null());
  EXPECT_TRUE(out[1].value(1).is_null());
  EXPECT_TRUE(out[2].value(1).is_null());
  EXPECT_EQ(out[2].value(2), Value::text("x"));
  EXPECT_EQ(decoder.conversion_failures(), (std::vector<std::uint64_t>{0, 1, 1}));
}

TEST(JsonDecode, ManyColumnsAndGrowingEvents) {
  std::vector<StreamColumn> columns;
  std::string event = "{";
  for (int i = 0; i < 300; ++i) {
    columns.push_back(column("m" + std::to_string(i), kBigintType));
    event += (i ? ",\"m" : "\"m") + std::to_string(i) + "\":" + std::to_string(i * 7);
  }
  JsonDecoder decoder(columns);
  std::vector<Vector> out;
  Arena arena;
  decoder.start(out);
  ASSERT_TRUE(decoder.decode("{}", 0, out, arena, false));
  ASSERT_TRUE(
      decoder.decode(event + ",\"pad\":\"" + std::string(100'000, 'x') + "\"}", 1, out, arena, false));
  for (std::size_t i = 0; i < 300; ++i)
    EXPECT_EQ(out[i].value(1), Value::bigint(static_cast<std::int64_t>(i) * 7));
}

// Where the hostile lines are: KAPPA_SHARED or ../shared beside the checkout.
std::string shared_file(const std::string& name) {
  std::vector<std::string> roots;
  if (const char* root = std::getenv("KAPPA_SHARED")) roots.emplace_back(root);
  for (const char* root : {"../shared", "../../shared", "../../../shared", "../../../../shared"})
    roots.emplace_back(root);
  for (const std::string& root : roots) {
    if (std::ifstream(root + "/" + name).good()) return root + "/" + name;
  }
  return {};
}

TEST(JsonVerdict, HostileLinesGetTheirTreatment) {
  const std::string path = shared_file("bad-input/lines.bin");
  if (path.empty()) {
    std::printf("no hostile lines here; the tables above cover their kinds\n");
    return;
  }
  std::ifstream lines(path, std::ios::binary);
  std::ifstream manifest(shared_file("bad-input/lines.ndjson"));
  std::string line;
  std::string row;
  std::size_t count = 0;
  while (std::getline(manifest, row) && std::getline(lines, line)) {
    ++count;
    const auto has = [&](std::string_view text) { return row.find(text) != std::string::npos; };
    if (has("\"expect\": \"skip\"")) continue;
    bool accept = has("\"expect\": \"accept\"");
    if (has("\"expect\": \"either\"")) {
      accept = has("\"huge-number\"") || has("\"duplicate\"") || has("\"size\"") || has("object depth 500\"");
    }
    EXPECT_EQ(verdict(line) == 0, accept) << row.substr(0, 160);
    EXPECT_EQ(verdict(line) == 0, Reference(line).valid()) << row.substr(0, 160);
  }
  EXPECT_GE(count, 140U);
}

}  // namespace
}  // namespace kappa::processor
