// See events.h.
#include "tests/oracle/events.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "proto/value.h"

namespace kappa::oracle {

// One JSON value, and what it is without a JSON reader.
struct EventSource::Json {
  enum class Token : std::uint8_t { kMissing, kNull, kBoolean, kInteger, kReal, kString, kOther };
  Token token = Token::kMissing;
  std::string text;
  std::optional<std::int64_t> integer;  // If it fits.
  double real = 0;
  bool flag = false;
  std::string string;
  std::optional<std::int64_t> micros;  // If the string is a point in time.
};

EventSource::EventSource(Random& random, const Schema& schema) : random_(random), schema_(schema) {
  static const std::vector<std::int64_t> starts{1'700'000'000'000, 0, -20'000, -86'400'000'000,
                                                951'782'400'000};
  clock_ms_ = random.pick(starts);
  step_ms_ = random.pick(std::vector<std::int64_t>{100, 250, 1000, 7000});
  run_ = random.pick(std::vector<std::size_t>{1, 2, 20, 400});
}

EventSource::Json EventSource::time_value() {
  // Coarse, so that times tie and gaps are exact; some go back far, a few are of another age.
  std::int64_t ms = clock_ms_ - random_.between(0, random_.one_in(5) ? 60 : 6) * step_ms_;
  if (random_.one_in(60))
    ms = random_.pick(std::vector<std::int64_t>{-62'135'596'800'000, 253'402'300'799'999, -1, 0, 1});
  Json value;
  if (random_.one_in(3)) {
    std::int64_t micros = ms * 1000 + (random_.one_in(4) ? random_.between(0, 999) : 0);
    value.token = Json::Token::kString;
    value.string = format_timestamp(micros);
    if (micros < -60'000'000'000'000'000) {
      value.string = "0001-01-01T00:00:00Z";
      micros = -62'135'596'800'000'000;
    } else if (random_.one_in(6) && value.string.ends_with("Z")) {
      // The same moment in another zone.
      value.string = format_timestamp(micros + 19'800'000'000);
      value.string.replace(value.string.size() - 1, 1, "+05:30");
      if (value.string.size() > 40 || value.string[0] == '+') value.string = format_timestamp(micros);
    }
    value.micros = micros;
    return value;
  }
  value.token = Json::Token::kInteger;
  value.integer = ms;
  value.real = static_cast<double>(ms);
  value.text = std::to_string(ms);
  return value;
}

std::string EventSource::json_scalar() {
  return random_.pick({"1", "-2.50", "\"x\"", "\"\xc3\xa9\"", "true", "null", "\"12\"", "{}", "[]", "1e3",
                       "\"a\\\"b\"", "9007199254740993", "\"\""});
}

// No spaces: SQLite gives a part of a document without them.
std::string EventSource::json_text() {
  if (random_.one_in(6)) return "[" + json_scalar() + ",{\"a\":" + json_scalar() + "}]";
  std::string text = "{";
  const auto member = [&](const char* name, const std::string& value) {
    if (random_.one_in(4)) return;
    text += (text.size() > 1 ? ",\"" : "\"") + std::string(name) + "\":" + value;
  };
  member("a", json_scalar());
  member("b", "{\"d\":[" + json_scalar() + "," + json_scalar() + "],\"c\":" + json_scalar() + "}");
  member("q r", json_scalar());
  return text + "}";
}

EventSource::Json EventSource::usual_value(Nature nature) {
  static const std::vector<std::string> keys{"a", "b", "cc", "cd", "", "\xc3\xa9", "z z", "\xf0\x9f\x98\x80",
                                             "A"};
  static const std::vector<std::string> texts{"",
                                              "a",
                                              "abc",
                                              "ab%",
                                              "_b",
                                              "O'Neil",
                                              "e\xcc\x81",
                                              "\xc3\xa9",
                                              "\xf0\x9f\x98\x80\xf0\x9f\x98\x81",
                                              "line\nfeed",
                                              "tab\t\"q\"\\",
                                              "\xef\xbf\xbd",
                                              "\xf4\x8f\xbf\xbf",
                                              "ABC",
                                              "a,b,c",
                                              "  pad ",
                                              "12",
                                              "x:y:z",
                                              "\xc2\xa0"};
  static const std::vector<std::int64_t> wide{0,
                                              1,
                                              -1,
                                              9'007'199'254'740'992,
                                              9'007'199'254'740'993,
                                              -9'007'199'254'740'993,
                                              INT64_MAX,
                                              INT64_MIN,
                                              INT64_MAX - 1,
                                              INT64_MIN + 1,
                                              4'294'967'296,
                                              1'000'003};
  static const std::vector<const char*> wild{
      "0.1",           "-0.0", "1e300",  "-1e300", "5e-324", "2.5e-310", "1e-7",
      "123456789.125", "1e16", "0.3",    "-7",     "3",      "1e22",     "1.5",
      "2.5",           "-0.5", "1e-300", "12e100", "1E+2",   "-2.5",     "9007199254740993",
      "1e999"};
  Json value;
  const auto integer = [&](std::int64_t v) {
    value.token = Json::Token::kInteger;
    value.integer = v;
    value.real = static_cast<double>(v);
    value.text = std::to_string(v);
  };
  switch (nature) {
    case Nature::kKey:
      value.token = Json::Token::kString;
      value.string = random_.pick(keys);
      break;
    case Nature::kOp:
      value.token = Json::Token::kString;
      value.string = random_.pick({"I", "U", "U", "D"});
      break;
    case Nature::kText:
      value.token = Json::Token::kString;
      value.string = random_.pick(texts);
      if (random_.one_in(6)) value.string += random_.pick(texts) + random_.pick(texts);
      break;
    case Nature::kGroup: integer(random_.between(0, 5)); break;
    case Nature::kPart: integer(random_.between(1, 3)); break;
    case Nature::kSmall:
      integer(random_.one_in(3) ? random_.between(-50, 1000) : random_.between(-3, 12));
      break;
    case Nature::kWide: integer(random_.one_in(2) ? random_.between(-20, 20) : random_.pick(wide)); break;
    case Nature::kQuarter: {
      const std::int64_t quarters = random_.between(-40, 160);
      value.real = static_cast<double>(quarters) / 4;
      value.text = format_double(value.real);
      value.token = Json::Token::kReal;
      if (quarters % 4 == 0) integer(quarters / 4);
      break;
    }
    case Nature::kWild: {
      value.text = random_.pick(wild);
      value.token =
          value.text.find_first_of(".eE") == std::string::npos ? Json::Token::kInteger : Json::Token::kReal;
      value.real = std::strtod(value.text.c_str(), nullptr);
      if (value.token == Json::Token::kInteger) value.integer = std::strtoll(value.text.c_str(), nullptr, 10);
      break;
    }
    case Nature::kMoney:
      value.text = random_.one_in(2)
                       ? format_numeric(random_.between(-2000, 99'999), 2)
                       : random_.pick({"12.345", "1.005", "-1.005", "0.005", "0.0049999", "1e3", "15e-1", "7",
                                       "9999999999.99", "9999999999.995", "-9999999999.994", "10000000000",
                                       "-0.0", "0.1", "1e-400"});
      value.token =
          value.text.find_first_of(".eE") == std::string::npos ? Json::Token::kInteger : Json::Token::kReal;
      value.real = std::strtod(value.text.c_str(), nullptr);
      if (value.token == Json::Token::kInteger) value.integer = std::strtoll(value.text.c_str(), nullptr, 10);
      break;
    case Nature::kJson:
      value.token = Json::Token::kOther;
      value.text = json_text();
      break;
    case Nature::kFlag:
      value.token = Json::Token::kBoolean;
      value.flag = random_.one_in(2);
      value.text = value.flag ? "true" : "false";
      break;
    case Nature::kTime: return time_value();
  }
  return value;
}

EventSource::Json EventSource::random_value(Nature nature) {
  Json value;
  switch (random_.below(30)) {
    case 0:
    case 1: return value;
    case 2:
      value.token = Json::Token::kNull;
      value.text = "null";
      return value;
    case 3: {
      // Of another type, or of none.
      if (nature == Nature::kJson || random_.one_in(3)) {
        value.token = Json::Token::kOther;
        value.text = random_.pick({"[]", "{}", "[1,2]", "{\"a\":{}}"});
        return value;
      }
      if (random_.one_in(5)) {
        value.token = Json::Token::kInteger;
        value.text =
            random_.pick({"9223372036854775808", "-9223372036854775809", "123456789012345678901234567890"});
        value.real = std::strtod(value.text.c_str(), nullptr);
        return value;
      }
      static const std::vector<Nature> others{Nature::kKey, Nature::kWide, Nature::kWild, Nature::kFlag,
                                              Nature::kText};
      // Small integers stay small: the grammar relies on it.
      static const std::vector<Nature> small{Nature::kKey, Nature::kQuarter, Nature::kFlag, Nature::kText};
      const bool bounded = nature == Nature::kGroup || nature == Nature::kSmall || nature == Nature::kPart ||
                           nature == Nature::kQuarter;
      return usual_value(random_.pick(bounded ? small : others));
    }
    default: return usual_value(nature);
  }
}

Cell EventSource::read(const Json& value, Kind kind) {
  const bool number = value.token == Json::Token::kInteger || value.token == Json::Token::kReal;
  switch (kind) {
    case Kind::kBoolean:
      if (value.token == Json::Token::kBoolean) return std::int64_t{value.flag};
      break;
    case Kind::kInteger:
      if (value.token == Json::Token::kInteger && value.integer) return *value.integer;
      break;
    case Kind::kDouble:
      // What is too small for any double but zero, and is not zero, does not fit either.
      if (number && std::isfinite(value.real) &&
          (value.real != 0 ||
           value.text.substr(0, value.text.find_first_of("eE")).find_first_of("123456789") ==
               std::string::npos))
        return value.real;
      break;
    case Kind::kNumeric:
      if (number) {
        if (const auto hundredths = parse_numeric(value.text, 12, 2))
          return static_cast<std::int64_t>(*hundredths);
      }
      break;
    case Kind::kText:
      if (value.token == Json::Token::kString) return value.string;
      break;
    case Kind::kJson:
      if (value.token == Json::Token::kOther) return value.text;
      break;
    case Kind::kTime: {
      std::int64_t micros = 0;
      if (value.token == Json::Token::kString && value.micros) return *value.micros;
      if (value.token == Json::Token::kInteger && value.integer &&
          !__builtin_mul_overflow(*value.integer, std::int64_t{1000}, &micros))
        return micros;
      break;
    }
    case Kind::kHuge: break;
  }
  return {};
}

std::string EventSource::string_text(const std::string& text) {
  std::string json;
  append_json_string(text, json);
  if (random_.one_in(8)) {
    // The same characters as escapes, surrogate pairs beyond the first plane.
    if (const std::size_t at = json.find("\xf0\x9f\x98\x80"); at != std::string::npos)
      json.replace(at, 4, "\\ud83d\\ude00");
    if (const std::size_t at = json.find("\xc3\xa9"); at != std::string::npos) json.replace(at, 2, "\\u00e9");
    if (const std::size_t at = json.find('a'); at != std::string::npos) json.replace(at, 1, "\\u0061");
  }
  return json;
}

std::string EventSource::event_text(const Topic& topic, const std::vector<Json>& values) {
  std::vector<std::string> fields;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Member& member = topic.members[i];
    const Json& value = values[i];
    const bool missing = value.token == Json::Token::kMissing;
    const std::string text = value.token == Json::Token::kString ? string_text(value.string) : value.text;
    std::string root = member.name, field = text;
    switch (member.place) {
      case Member::Place::kTop: break;
      case Member::Place::kNested:
        root = "n_" + member.name;
        field = missing ? random_.pick({"null", "{}", "5", "{\"a\":null}", "[]", "\"\""})
                        : "{\"z\":0,\"a\":{\"" + member.name + "\":" + text + "}}";
        break;
      case Member::Place::kQuoted: root = "q " + member.name + ".x"; break;
      case Member::Place::kElement:
        root = "r_" + member.name;
        field = missing ? random_.pick({"null", "[]", "[7]", "{}"})
                        : "[7," + text + (random_.one_in(2) ? ",8]" : "]");
        break;
    }
    if (missing && member.place != Member::Place::kNested && member.place != Member::Place::kElement)
      continue;
    if (missing && random_.one_in(2)) continue;
    field = "\"" + root + "\":" + (random_.one_in(10) ? " " : "") + field;
    // Of duplicate members the last counts.
    if (random_.one_in(40))
      field = "\"" + root + "\":" + random_.pick({"1", "\"no\"", "null", "{\"a\":2}", "[0,0]"}) + "," + field;
    fields.push_back(std::move(field));
  }
  if (random_.one_in(5)) fields.push_back("\"other\":[1,{\"k\":2}]");
  for (std::size_t i = fields.size(); i > 1; --i) std::swap(fields[i - 1], fields[random_.below(i)]);
  std::string json = "{";
  for (const std::string& field : fields) json += (json.size() > 1 ? "," : "") + field;
  return json + "}";
}

Event EventSource::next() {
  Event event;
  if (random_.one_in(run_)) topic_ = random_.below(schema_.topics.size());
  event.topic = topic_;
  event.rows.resize(schema_.streams.size());
  if (!random_.one_in(4)) clock_ms_ += step_ms_ * random_.between(0, random_.one_in(12) ? 40 : 2);
  if (random_.one_in(60)) {
    event.json = random_.pick({"[1,2]", "{\"x\":}", "nope", "{\"k\":\"\xff\"}", "{\"k\":\"\\ud800\"}", "7",
                               "{\"k\":1}}", "{\"g\":01}"});
    return event;
  }
  const Topic& topic = schema_.topics[event.topic];
  std::vector<Json> values;
  for (const Member& member : topic.members) values.push_back(random_value(member.nature));
  event.json = event_text(topic, values);
  for (std::size_t i = 0; i < schema_.streams.size(); ++i) {
    const Stream& stream = schema_.streams[i];
    if (stream.topic != event.topic) continue;
    if (stream.part) {
      const Cell part = read(values.back(), Kind::kInteger);
      if (!std::holds_alternative<std::int64_t>(part) || std::get<std::int64_t>(part) != *stream.part)
        continue;
    }
    Cells row;
    for (const StreamColumn& c : stream.columns) row.push_back(read(values[c.member], c.column.kind));
    event.rows[i] = std::move(row);
  }
  return event;
}

}  // namespace kappa::oracle
