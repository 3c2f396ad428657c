// See expressions.h: functions by the type that they give.
#include <algorithm>
#include <cmath>

#include "tests/oracle/expressions.h"

namespace kappa::oracle {
namespace {

// A call whose names differ.
Term call(Kind kind, double bound, const std::string& kappa, const std::string& sqlite, const Dual& a,
          const std::string& rest = "", bool exact = true) {
  return {{kappa + "(" + a.kappa + rest + ")", sqlite + "(" + a.sqlite + rest + ")"}, kind, bound, exact};
}

// x rounded down to a multiple, also below zero.
std::string floored(const std::string& x, const std::string& unit) {
  return "((" + x + ") - (((" + x + ") % " + unit + ") + " + unit + ") % " + unit + ")";
}

struct Unit {
  const char* name;
  const char* micros;
};
constexpr Unit kUnits[] = {
    {"second", "1000000"}, {"minute", "60000000"}, {"hour", "3600000000"}, {"day", "86400000000"}};

}  // namespace

Term Expressions::integer(int depth) {
  if (depth <= 0) return leaf(Kind::kInteger);
  switch (random_.below(12)) {
    case 0: return leaf(Kind::kInteger);
    case 1: return conditional(Kind::kInteger, depth);
    case 2: {
      if (random_.one_in(4)) {
        note("fn.regexp_count");
        return call(Kind::kInteger, 1000, "regexp_count", "k_re_count", text(depth - 1).text,
                    ", " + regular_expression(random_));
      }
      if (random_.one_in(4)) {
        note("fn.strpos");
        return call(Kind::kInteger, 1000, "strpos", "instr", text(depth - 1).text,
                    ", " + quoted(random_.pick({"a", "b", ",", "\xc3\xa9", "bc"})));
      }
      if (random_.one_in(4)) {
        note("fn.octet_length");
        const Dual a = text(depth - 1).text;
        return {{"octet_length(" + a.kappa + ")", "length(CAST(" + a.sqlite + " AS BLOB))"},
                Kind::kInteger,
                1e4,
                true};
      }
      note("fn.length");
      return call(Kind::kInteger, 1000, "length", "length", text(depth - 1).text);
    }
    case 3: {
      if (random_.one_in(3)) {
        note("fn.sign");
        return call(Kind::kInteger, 1, "sign", "sign", integer(depth - 1).text);
      }
      note("fn.abs");
      const Term a = integer(depth - 1);
      if (a.bound > 1e18) return a;
      return call(Kind::kInteger, a.bound, "abs", "abs", a.text);
    }
    case 4: {
      const Term* ts = column(Kind::kTime);
      if (ts == nullptr) return leaf(Kind::kInteger);
      note("fn.extract");
      const std::size_t at = random_.below(3);
      const Unit unit = kUnits[at];
      const std::string x = ts->text.sqlite;
      const std::string sqlite =
          "((((" + x + ") - " + floored(x, kUnits[at + 1].micros) + ")) / " + unit.micros + ")";
      // EXTRACT(SECOND ...) has a fraction, as in PostgreSQL.
      const std::string kappa = at > 0 && random_.one_in(2)
                                    ? "EXTRACT(" + std::string(unit.name) + " FROM " + ts->text.kappa + ")"
                                    : std::string(unit.name) + "(" + ts->text.kappa + ")";
      return {{kappa, sqlite}, Kind::kInteger, 100, true};
    }
    case 5: {
      const Term* ts = column(Kind::kTime);
      if (ts == nullptr) return leaf(Kind::kInteger);
      note("fn.epoch_ms");
      return {{"epoch_ms(" + ts->text.kappa + ")", "(" + floored(ts->text.sqlite, "1000") + " / 1000)"},
              Kind::kInteger,
              1e16,
              true};
    }
    case 6: {
      note("fn.cast_to_bigint");
      if (random_.one_in(4)) {
        note("fn.cast_numeric");
        const Term a = numeric(depth - 1);
        return {{"CAST(" + a.text.kappa + " AS BIGINT)", "k_num_round(" + a.text.sqlite + ", 100)"},
                Kind::kInteger,
                a.bound,
                true};
      }
      if (random_.one_in(2)) {
        const Dual a = real(depth - 1).text;
        return {
            {"CAST(" + a.kappa + " AS BIGINT)", "k_to_int(" + a.sqlite + ")"}, Kind::kInteger, 1e19, true};
      }
      const Dual a = text(depth - 1).text;
      return {{"CAST(" + a.kappa + " AS BIGINT)", "k_int(" + a.sqlite + ")"}, Kind::kInteger, 1e19, true};
    }
    default: return integer_operation(depth);
  }
}

Term Expressions::real(int depth) {
  if (depth <= 0) return leaf(Kind::kDouble);
  switch (random_.below(9)) {
    case 0: return leaf(Kind::kDouble);
    case 1: return conditional(Kind::kDouble, depth);
    case 2: {
      note("fn.round");
      const std::string name = random_.pick({"round", "floor", "ceil"});
      return call(Kind::kDouble, 1e300, name, "k_" + name, real(depth - 1).text);
    }
    case 3: {
      note("fn.abs");
      return call(Kind::kDouble, 1e300, "abs", "abs", real(depth - 1).text);
    }
    case 4: {
      note("fn.sqrt");
      return call(Kind::kDouble, 1e300, "sqrt", "k_sqrt", real(depth - 1).text);
    }
    case 5: {
      const Term* ts = column(Kind::kTime);
      if (ts != nullptr && random_.one_in(4)) {
        note("fn.extract_second");
        const std::string x = ts->text.sqlite;
        return {{"EXTRACT(SECOND FROM " + ts->text.kappa + ")",
                 "((((" + x + ") % 60000000) + 60000000) % 60000000 / 1000000.0)"},
                Kind::kDouble,
                60,
                true};
      }
      note("fn.cast_to_double");
      if (random_.one_in(3)) {
        const Term a = numeric(depth - 1);
        if (a.bound > 4e15) return leaf(Kind::kDouble);
        note("fn.cast_numeric");
        return {{"CAST(" + a.text.kappa + " AS DOUBLE)", "(" + a.text.sqlite + " / 100.0)"},
                Kind::kDouble,
                1e17,
                true};
      }
      const Dual a = integer(depth - 1).text;
      return {
          {"CAST(" + a.kappa + " AS DOUBLE)", "CAST(" + a.sqlite + " AS REAL)"}, Kind::kDouble, 1e19, true};
    }
    default: return real_operation(depth);
  }
}

Term Expressions::numeric(int depth) {
  if (depth <= 0) return leaf(Kind::kNumeric);
  switch (random_.below(8)) {
    case 0: return conditional(Kind::kNumeric, depth);
    case 1: {
      note("fn.abs");
      const Term a = numeric(depth - 1);
      return call(Kind::kNumeric, a.bound, "abs", "abs", a.text);
    }
    case 2: {
      note("fn.cast_to_numeric");
      const Term a = integer(depth - 1);
      if (a.bound > 1e13) return leaf(Kind::kNumeric);
      return {{"CAST(" + a.text.kappa + " AS NUMERIC(18,2))", "(" + a.text.sqlite + " * 100)"},
              Kind::kNumeric,
              std::max(1.0, a.bound) * 100,
              true};
    }
    case 3: {
      note("fn.round_numeric");
      const Term a = numeric(depth - 1);
      if (a.bound > 1e15) return a;
      return {{"CAST(round(" + a.text.kappa + ", 1) AS NUMERIC(18,2))",
               "(k_num_round(" + a.text.sqlite + ", 10) * 10)"},
              Kind::kNumeric,
              a.bound + 10,
              true};
    }
    default: return numeric_operation(depth);
  }
}

Term Expressions::json_part(bool as_text) {
  const Term* document = column(Kind::kJson);
  if (document == nullptr) return leaf(Kind::kText);
  note(as_text ? "expr.json_text" : "expr.json_part");
  struct Place {
    const char *before, *last, *path;
  };
  static const std::vector<Place> places{
      {"", "'a'", "$.a"},         {" -> 'b'", "'c'", "$.b.c"}, {" -> 'b' -> 'd'", "1", "$.b.d[1]"},
      {"", "'q r'", "$.\"q r\""}, {"", "0", "$[0]"},           {" -> 1", "'a'", "$[1].a"},
      {"", "'b'", "$.b"}};
  const Place& place = random_.pick(places);
  const std::string path = quoted(place.path), x = document->text.sqlite;
  // A JSON null is NULL; a text is what it says, all else its JSON.
  const std::string text = as_text ? " WHEN 'text' THEN json_extract(" + x + ", " + path + ")" : "";
  return {{"(" + document->text.kappa + place.before + (as_text ? " ->> " : " -> ") + place.last + ")",
           "(CASE json_type(" + x + ", " + path + ") WHEN 'null' THEN NULL" + text + " ELSE " + x + " -> " +
               path + " END)"},
          as_text ? Kind::kText : Kind::kJson,
          0,
          true};
}

Term Expressions::text(int depth) {
  if (depth <= 0) return leaf(Kind::kText);
  const auto plain = [&](const char* production, const std::string& name, const std::string& rest) {
    note(production);
    return call(Kind::kText, 0, name, name, text(depth - 1).text, rest);
  };
  switch (random_.below(17)) {
    case 0: return leaf(Kind::kText);
    case 1:
    case 14: return json_part(true);
    case 2: return conditional(Kind::kText, depth);
    case 16: {
      const std::string count = random_.pick({"0", "1", "2", "5"});
      const Dual a = text(depth - 1).text;
      if (random_.one_in(2)) {
        note("fn.left");
        return {{"left(" + a.kappa + ", " + count + ")", "substr(" + a.sqlite + ", 1, " + count + ")"},
                Kind::kText,
                0,
                true};
      }
      if (count == "0") return {a, Kind::kText, 0, true};
      note("fn.right");
      return {{"right(" + a.kappa + ", " + count + ")", "substr(" + a.sqlite + ", -" + count + ")"},
              Kind::kText,
              0,
              true};
    }
    case 3: return plain("fn.upper_lower", random_.pick({"upper", "lower"}), "");
    case 4:
      return plain("fn.substr", "substr",
                   ", " + random_.pick({"1", "2", "3"}) + random_.pick({"", ", 2", ", 1", ", 0"}));
    case 5:
      return plain("fn.trim", random_.pick({"trim", "ltrim", "rtrim"}),
                   random_.pick({"", ", 'a'", ", ' a'"}));
    case 6:
      return plain("fn.replace", "replace", random_.pick({", 'a', 'bb'", ", 'b', ''", ", '\xc3\xa9', 'e'"}));
    case 7: {
      note("expr.concatenation");
      const Dual a = text(depth - 1).text, b = text(depth - 1).text;
      return {{"(" + a.kappa + " || " + b.kappa + ")", "(" + a.sqlite + " || " + b.sqlite + ")"},
              Kind::kText,
              0,
              true};
    }
    case 8: {
      note("fn.concat");
      const Dual a = text(depth - 1).text, b = integer(depth - 1).text;
      return {{"concat(" + a.kappa + ", " + b.kappa + ")",
               "(coalesce(" + a.sqlite + ", '') || coalesce(CAST(" + b.sqlite + " AS TEXT), ''))"},
              Kind::kText,
              0,
              true};
    }
    case 15: {
      const Dual a = text(depth - 1).text;
      const std::string pattern = regular_expression(random_);
      if (random_.one_in(2)) {
        note("fn.regexp_extract");
        const bool grouped = pattern.find("(") != std::string::npos && random_.one_in(2);
        return call(Kind::kText, 0, "regexp_extract", "k_re_extract", a,
                    ", " + pattern + (grouped ? ", 1" : ", 0"));
      }
      note("fn.regexp_replace");
      const std::string flags = random_.pick({", ''", ", 'g'", ", 'gi'"});
      return {{"regexp_replace(" + a.kappa + ", " + pattern + ", '<\\&>'" + flags + ")",
               "k_re_replace(" + a.sqlite + ", " + pattern + flags + ")"},
              Kind::kText,
              0,
              true};
    }
    case 9: {
      note("fn.split_part");
      const std::string rest = random_.pick({", ',', 2", ", ':', 1", ", 'b', 2", ", ',', 3"});
      return call(Kind::kText, 0, "split_part", "k_split", text(depth - 1).text, rest);
    }
    case 10: {
      note("fn.cast_to_text");
      switch (random_.below(5)) {
        case 4: {
          note("fn.cast_numeric");
          const Dual a = numeric(depth - 1).text;
          return {{"CAST(" + a.kappa + " AS TEXT)", "k_num_text(" + a.sqlite + ")"}, Kind::kText, 0, true};
        }
        case 0: {
          const Dual a = integer(depth - 1).text;
          return {{"CAST(" + a.kappa + " AS TEXT)", "CAST(" + a.sqlite + " AS TEXT)"}, Kind::kText, 0, true};
        }
        case 1: {
          const Dual a = time(depth - 1).text;
          return {{"CAST(" + a.kappa + " AS TEXT)", "k_ts_text(" + a.sqlite + ")"}, Kind::kText, 0, true};
        }
        case 2: {
          const Dual a = boolean(depth - 1).text;
          return {{"(" + a.kappa + ")::TEXT", "k_bool_text(" + a.sqlite + ")"}, Kind::kText, 0, true};
        }
        default: {
          const Dual a = real(depth - 1).text;
          // + 0.0: which zero a min() or a group gives is nobody's promise.
          return {{"CAST(" + a.kappa + " + 0.0 AS TEXT)", "k_text(" + a.sqlite + " + 0.0)"},
                  Kind::kText,
                  0,
                  true};
        }
      }
    }
    default: return leaf(Kind::kText);
  }
}

Term Expressions::time(int depth) {
  if (depth <= 0) return leaf(Kind::kTime);
  switch (random_.below(6)) {
    case 0: return conditional(Kind::kTime, depth);
    case 1: {
      note("fn.date_trunc");
      if (random_.one_in(3)) {
        note("fn.date_trunc_calendar");
        const std::string unit = random_.pick({"week", "month", "year"});
        const Dual x = leaf(Kind::kTime).text;
        return {{"date_trunc('" + unit + "', " + x.kappa + ")", "k_trunc('" + unit + "', " + x.sqlite + ")"},
                Kind::kTime,
                0,
                true};
      }
      const Unit unit = kUnits[random_.below(std::size(kUnits))];
      const Dual a = leaf(Kind::kTime).text;
      return {
          {"date_trunc('" + std::string(unit.name) + "', " + a.kappa + ")", floored(a.sqlite, unit.micros)},
          Kind::kTime,
          0,
          true};
    }
    case 2: {
      note("fn.date_bin");
      const Dual a = leaf(Kind::kTime).text;
      return {{"date_bin(INTERVAL '5 seconds', " + a.kappa + ")", floored(a.sqlite, "5000000")},
              Kind::kTime,
              0,
              true};
    }
    case 3: {
      note("expr.time_arithmetic");
      const Dual a = leaf(Kind::kTime).text;
      const bool plus = random_.one_in(2);
      return {{"(" + a.kappa + (plus ? " + " : " - ") + "INTERVAL '90 seconds')",
               "(" + a.sqlite + (plus ? " + " : " - ") + "90000000)"},
              Kind::kTime,
              0,
              true};
    }
    default: return leaf(Kind::kTime);
  }
}

}  // namespace kappa::oracle
