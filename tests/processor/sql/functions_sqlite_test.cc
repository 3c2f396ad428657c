// Goal: functions give what SQLite's give where it has them, for random arguments with NULLs, extreme
// integers and text of every width of UTF-8. Method: pairs of templates, one for each engine, are filled with
// the same random literals; constant expressions are evaluated by both. Seeds are printed.
#include <random>

#include "tests/processor/sql/sqlite_values.h"
#include "tests/support/seed.h"

namespace kappa::processor {
namespace {

class Arguments {
 public:
  explicit Arguments(std::uint64_t seed) : random_(seed) {}

  // i: any integer; n: a small one; p: 1..6; d: a double; r: a smaller one (SQLite adds up to 3e-16 of it
  // before it rounds); t: text; l: a LIKE pattern with the escape '!'; c: one character; s: seconds of the
  // years 0 to 9999; w: a width in seconds.
  std::string literal(char kind) {
    if (std::string_view("spwc").find(kind) == std::string_view::npos && random_() % 8 == 0) {
      return kind == 't' || kind == 'l' ? "NULL"
             : kind == 'd'              ? "CAST(NULL AS DOUBLE)"
                                        : "CAST(NULL AS BIGINT)";
    }
    switch (kind) {
      case 'i': {
        static constexpr std::int64_t kEnds[] = {
            INT64_MAX, INT64_MAX - 1, INT64_MIN + 1, 0, 1, -1, (std::int64_t{1} << 53) + 1, 1'000'003};
        if (random_() % 3 == 0) return number(kEnds[random_() % std::size(kEnds)]);
        return number(static_cast<std::int64_t>(random_()) >> (random_() % 64));
      }
      case 'n': return number(static_cast<std::int64_t>(random_() % 13) - 6);
      case 'p': return number(static_cast<std::int64_t>(random_() % 6) + 1);
      case 'r':
      case 'd': {
        const std::uint64_t shift = kind == 'r' ? 35 + random_() % 28 : 20 + random_() % 43;
        const auto whole = static_cast<std::int64_t>(random_()) >> shift;
        const std::string digits =
            format_double(static_cast<double>(whole) / (random_() % 2 == 0 ? 8.0 : 1000.0));
        return "(" + digits + (digits.find_first_of(".e") == std::string::npos ? "e0)" : ")");
      }
      case 't': return quoted(text(random_() % 7, kCharacters));
      case 'c': return quoted(text(1, kCharacters));
      case 'l': {
        std::string pattern;
        for (std::size_t i = random_() % 5; i > 0; --i) {
          if (random_() % 4 == 0)
            pattern += "!" + text(1, kCharacters);
          else
            pattern += text(1, kCharacters);
        }
        return quoted(pattern);
      }
      case 's': return number(static_cast<std::int64_t>(random_() % 315'569'520'000) - 62'167'219'200);
      default: return std::to_string(1 + random_() % 100'000);
    }
  }

 private:
  static constexpr std::string_view kCharacters[] = {
      "a", "b", "A", "B", "%", "_", " ", "z", "0", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "a", "b"};
  static std::string number(std::int64_t value) { return "(" + std::to_string(value) + ")"; }
  static std::string quoted(const std::string& text) { return "'" + text + "'"; }
  std::string text(std::size_t size, std::span<const std::string_view> from) {
    std::string text;
    for (; size > 0; --size) text += from[random_() % from.size()];
    return text;
  }
  std::mt19937_64 random_;
};

// {i}, {t}...: literals in order of appearance; {0}, {1}...: the same again.
std::string filled(std::string_view pattern, Arguments& arguments, std::vector<std::string>& literals) {
  std::string sql;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] != '{') {
      sql += pattern[at];
      continue;
    }
    const char kind = pattern[at + 1];
    at += 2;
    if (kind >= '0' && kind <= '9') {
      sql += literals.at(static_cast<std::size_t>(kind - '0'));
    } else {
      literals.push_back(arguments.literal(kind));
      sql += literals.back();
    }
  }
  return sql;
}

struct Pair {
  const char* ours;
  const char* theirs;  // nullptr: the same text.
};

void compare(std::initializer_list<Pair> pairs, int rounds) {
  const std::uint64_t seed = test::new_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Arguments arguments(seed);
  Sqlite sqlite;
  for (const Pair& pair : pairs) {
    for (int round = 0; round < rounds; ++round) {
      std::vector<std::string> literals;
      const std::string ours = filled(pair.ours, arguments, literals);
      const std::string theirs = pair.theirs == nullptr ? ours : filled(pair.theirs, arguments, literals);
      const std::string difference = sqlite.difference(value_of(ours), theirs);
      EXPECT_EQ(difference, "") << ours << "\n" << theirs;
      if (!difference.empty()) break;
    }
  }
}

TEST(AgainstSqlite, Integers) {
  // SQLite goes on with a REAL where an integer overflows.
  compare({{"{i} + {i}", "CASE typeof({0} + {1}) WHEN 'integer' THEN {0} + {1} END"},
           {"{i} - {i}", "CASE typeof({0} - {1}) WHEN 'integer' THEN {0} - {1} END"},
           {"{i} * {i}", "CASE typeof({0} * {1}) WHEN 'integer' THEN {0} * {1} END"},
           {"{i} / {i}", "CASE typeof({0} / {1}) WHEN 'integer' THEN {0} / {1} END"},
           {"{i} / {n}", "CASE typeof({0} / {1}) WHEN 'integer' THEN {0} / {1} END"},
           {"mod({i}, {i})", "{0} % {1}"},
           {"{i} % {n}", nullptr},
           {"- {i}", "CASE typeof(- {0}) WHEN 'integer' THEN - {0} END"},
           {"abs({i})", nullptr},
           {"sign({i})", nullptr},
           {"{i} < {i}", nullptr},
           {"{i} = {d}", nullptr},
           {"{i} >= {d}", nullptr},
           {"{d} < {i}", nullptr},
           {"{d} <> {i}", nullptr},
           {"{n} IN ({n}, {n}, {n})", nullptr},
           {"{n} NOT IN ({n}, {n})", nullptr},
           {"{n} NOT IN ({n}, {d}, {n})", nullptr},
           {"{n} BETWEEN {n} AND {n}", nullptr},
           {"{n} NOT BETWEEN {n} AND {d}", nullptr},
           {"{n} IS DISTINCT FROM {n}", nullptr},
           {"{n} IS NOT DISTINCT FROM {d}", nullptr},
           {"NULLIF({n}, {n})", nullptr},
           {"CASE {n} WHEN {n} THEN 1 WHEN {n} THEN 2 END", nullptr},
           {"CASE WHEN {n} > {n} THEN {i} WHEN {n} = {n} THEN {n} END", nullptr},
           {"({n} = {n}) IS NOT TRUE", nullptr},
           {"({n} < {n}) IS FALSE", nullptr},
           {"COALESCE({n}, {n}, {n})", nullptr},
           {"greatest({i}, {i})", "COALESCE(max({0}, {1}), {0}, {1})"},
           {"least({i}, {i})", "COALESCE(min({0}, {1}), {0}, {1})"},
           {"CAST({i} AS TEXT)", nullptr},
           {"CAST(CAST({i} AS TEXT) AS BIGINT)", "{0}"}},
          400);
}

TEST(AgainstSqlite, Doubles) {
  compare({{"{d} + {d}", nullptr},
           {"{d} - {d}", nullptr},
           {"{d} * {d}", nullptr},
           {"{d} / {d}", nullptr},
           {"{d} / {n}", nullptr},
           {"- {d}", nullptr},
           {"abs({d})", nullptr},
           {"sign({d})", nullptr},
           {"floor({d})", nullptr},
           {"ceil({d})", nullptr},
           {"trunc({d})", nullptr},
           {"round({d})", nullptr},
           {"round({r}, {p})", nullptr},
           {"sqrt(abs({d}))", nullptr},
           {"ln(abs({d}) + 1)", nullptr},
           {"exp({d} / 1e18)", nullptr},
           {"power(abs({d}), 0.25)", nullptr},
           {"sin({d}) + cos({d}) - atan2({d}, {d})", nullptr},
           {"CAST({d} AS DOUBLE) = {n}", "{0} = {1}"}},
          400);
}

TEST(AgainstSqlite, Text) {
  compare({{"length({t})", nullptr},
           {"octet_length({t})", "length(CAST({0} AS BLOB))"},
           {"upper({t}) || lower({t})", nullptr},
           {"{t} || {t} || {t}", nullptr},
           {"substr({t}, {p})", nullptr},
           {"substr({t}, {p}, abs({n}))", nullptr},
           {"substr({t}, 1 - {p}, {p})", "substr({0}, 1, max({2} - {1}, 0))"},
           {"left({t}, {p})", "substr({0}, 1, {1})"},
           {"left({t}, - {p})", "substr({0}, 1, max(length({0}) - {1}, 0))"},
           {"right({t}, {p})", "substr({0}, max(length({0}) - {1}, 0) + 1)"},
           {"right({t}, - {p})", "substr({0}, {1} + 1)"},
           {"replace({t}, {t}, {t})", "CASE WHEN {2} IS NOT NULL THEN replace({0}, {1}, {2}) END"},
           {"replace({t}, {c}, {t})", nullptr},
           {"trim({t})", nullptr},
           {"trim({t}, {t})", nullptr},
           {"ltrim({t}, {t})", nullptr},
           {"rtrim({t}, {t})", nullptr},
           {"trim(LEADING {t} FROM {t})", "ltrim({1}, {0})"},
           {"trim({t} FROM {t})", "trim({1}, {0})"},
           {"strpos({t}, {t})", "instr({0}, {1})"},
           {"position({c} IN {t})", "instr({1}, {0})"},
           {"starts_with({t}, {c})", "substr({0}, 1, 1) = {1}"},
           {"ascii({c})", "unicode({0})"},
           {"chr(ascii({c}))", "{0}"},
           {"{t} LIKE {t}", nullptr},
           {"{t} LIKE {l} ESCAPE '!'", nullptr},
           {"{t} NOT LIKE '%' || {c} || '%'", nullptr},
           {"{t} LIKE '_' || {t} || '%'", nullptr},
           {"{t} LIKE '%' || {t} || '_'", nullptr},
           {"{t} LIKE '%' || {l} || '%' || {l} ESCAPE '!'", nullptr},
           {"{t} ILIKE {t}", "lower({0}) LIKE lower({1})"},
           {"{t} < {t}", nullptr},
           {"{t} BETWEEN {t} AND {t}", nullptr},
           {"{c} IN ({c}, {t}, {t})", nullptr},
           {"{t} IS DISTINCT FROM {t}", nullptr},
           {"NULLIF({c}, {c})", nullptr},
           {"repeat({c}, {p})", "replace(substr('xxxxxxx', 1, {1}), 'x', {0})"},
           {"lpad({t}, {p}, '*')", "substr('******', 1, {1} - length({0})) || substr({0}, 1, {1})"},
           {"translate({t}, 'ab', 'xy')", "replace(replace({0}, 'a', 'x'), 'b', 'y')"},
           {"regexp_like({t}, 'a.*b')", "{0} LIKE '%a%b%'"},
           {"regexp_replace({t}, '[ab]', '-', 'g')", "replace(replace({0}, 'a', '-'), 'b', '-')"},
           {"regexp_count({t}, '.')", "length({0})"},
           {"split_index({t}, {c}, 0)",
            "CASE WHEN instr({0}, {1}) > 0 THEN substr({0}, 1, instr({0}, {1}) - 1) ELSE {0} END"},
           {"split_index({t}, {c}, 1) IS NULL", "instr({0}, {1}) = 0 OR {0} IS NULL"}},
          400);
}

// Positions of LIKE's wildcards decide; long texts over two letters reach every branch.
TEST(AgainstSqlite, LikeOverTwoLetters) {
  const std::uint64_t seed = test::new_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Sqlite sqlite;
  const auto text = [&](std::span<const std::string_view> from, std::size_t size) {
    std::string made = "'";
    for (std::size_t i = random() % (size + 1); i > 0; --i) made += from[random() % from.size()];
    return made + "'";
  };
  constexpr std::string_view kLetters[] = {"a", "b", "\xc3\xa9"};
  constexpr std::string_view kPattern[] = {"a", "b", "\xc3\xa9", "%", "_", "%"};
  for (int i = 0; i < 6'000; ++i) {
    const std::string expression = text(kLetters, 9) + " LIKE " + text(kPattern, 7);
    ASSERT_EQ(sqlite.difference(value_of(expression), expression), "") << expression;
    const std::string any = text(kLetters, 9) + " ILIKE " + text(kPattern, 7);
    const std::string plain = std::string(any).replace(any.find(" ILIKE"), 6, " LIKE");
    ASSERT_EQ(sqlite.difference(value_of(any), plain), "") << any;
  }
}

TEST(AgainstSqlite, Time) {
  const auto field = [](const char* call, const char* pattern) {
    static std::vector<std::string> kept;
    kept.reserve(64);
    kept.push_back(
        std::string(call).replace(std::string(call).find("TS"), 2, "CAST({s} * 1000 AS TIMESTAMP)"));
    const char* const ours = kept.back().c_str();
    kept.push_back("CAST(strftime('" + std::string(pattern) + "', {0}, 'unixepoch') AS INTEGER)");
    return Pair{ours, kept.back().c_str()};
  };
  compare(
      {field("year(TS)", "%Y"),
       field("month(TS)", "%m"),
       field("day(TS)", "%d"),
       field("hour(TS)", "%H"),
       field("minute(TS)", "%M"),
       field("second(TS)", "%S"),
       field("dayofyear(TS)", "%j"),
       field("extract(dow FROM TS)", "%w"),
       field("extract(doy FROM TS)", "%j"),
       {"date_format(CAST({s} * 1000 AS TIMESTAMP), 'yyyy-MM-dd HH:mm:ss')", "datetime({0}, 'unixepoch')"},
       {"to_char(CAST({s} * 1000 AS TIMESTAMP), 'YYYY-MM-DD HH24:MI:SS')", "datetime({0}, 'unixepoch')"},
       {"to_char(CAST({s} * 1000 AS TIMESTAMP), 'DDD D')",
        "strftime('%j ', {0}, 'unixepoch') || (strftime('%w', {0}, 'unixepoch') + 1)"},
       {"epoch_ms(date_trunc('day', CAST({s} * 1000 AS TIMESTAMP)))",
        "strftime('%s', date({0}, 'unixepoch')) * 1000"},
       {"epoch_ms(date_trunc('month', CAST({s} * 1000 AS TIMESTAMP)))",
        "strftime('%s', {0}, 'unixepoch', 'start of month') * 1000"},
       {"epoch_ms(date_trunc('year', CAST({s} * 1000 AS TIMESTAMP)))",
        "strftime('%s', {0}, 'unixepoch', 'start of year') * 1000"},
       {"epoch_ms(date_trunc('week', CAST({s} * 1000 AS TIMESTAMP)))",
        "strftime('%s', date({0}, 'unixepoch', '-6 days', 'weekday 1')) * 1000"},
       {"epoch_ms(CAST({s} * 1000 AS TIMESTAMP) + INTERVAL '1 second' * {w})", "({0} + {1}) * 1000"},
       {"epoch_ms(date_bin(INTERVAL '1 second' * {w}, CAST({s} * 1000 AS TIMESTAMP)))",
        "({1} - (({1} % {0}) + {0}) % {0}) * 1000"}},
      400);
}

}  // namespace
}  // namespace kappa::processor
