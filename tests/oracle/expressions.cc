// See expressions.h. Scalar functions are in scalar_functions.cc.
#include "tests/oracle/expressions.h"

#include <algorithm>
#include <cmath>

#include "proto/value.h"

namespace kappa::oracle {
namespace {

constexpr double kNumericSafe = 1e17;  // Hundredths that NUMERIC(18,2) holds, and their products 64 bits.
constexpr double kSafe = 4e18;         // Native 64-bit operators below; doubles up to 2^62 or so.

// kappa, sqlite: "prefix a infix b suffix".
Dual binary(const Dual& a, const std::string& operation, const Dual& b) {
  return {"(" + a.kappa + " " + operation + " " + b.kappa + ")",
          "(" + a.sqlite + " " + operation + " " + b.sqlite + ")"};
}
Dual wrap(const std::string& before, const Dual& a, const std::string& after) {
  return {before + a.kappa + after, before + a.sqlite + after};
}

}  // namespace

std::string quoted(const std::string& text) {
  std::string literal = "'";
  for (const char c : text) literal += c == '\'' ? std::string("''") : std::string(1, c);
  return literal + "'";
}

std::string regular_expression(Random& random) {
  return quoted(random.pick({"^a", "b+", "([a-z])([a-z]*)", "[0-9]+", "a|ab", "(a)|(b)", "[,:]", "^([A-Z])",
                             "c$", "(l|L)ine", "\\w+", "(\xc3\xa9)b?"}));
}

std::string type_name(Kind kind) {
  switch (kind) {
    case Kind::kBoolean: return "BOOLEAN";
    case Kind::kInteger: return "BIGINT";
    case Kind::kDouble: return "DOUBLE";
    case Kind::kNumeric: return "NUMERIC(12,2)";
    case Kind::kText: return "TEXT";
    case Kind::kTime: return "TIMESTAMP";
    case Kind::kJson: return "JSON";
    case Kind::kHuge: break;
  }
  return "NUMERIC(38,0)";
}

const Term* Expressions::column(Kind kind) {
  std::vector<const Term*> found;
  for (const Term& term : scope_) {
    if (term.kind == kind && term.exact) found.push_back(&term);
  }
  return found.empty() ? nullptr : found[random_.below(found.size())];
}

const Term* Expressions::any_column() {
  std::vector<const Term*> found;
  for (const Term& term : scope_) {
    if (term.exact && term.kind != Kind::kHuge && term.kind != Kind::kJson) found.push_back(&term);
  }
  return found.empty() ? nullptr : found[random_.below(found.size())];
}

Kind Expressions::some_kind() {
  const Term* found = any_column();
  return found == nullptr ? Kind::kInteger : found->kind;
}

Term Expressions::leaf(Kind kind) {
  if (!random_.one_in(5)) {
    if (const Term* found = column(kind)) return *found;
  }
  if (random_.one_in(12)) return {{"CAST(NULL AS " + type_name(kind) + ")", "NULL"}, kind, 0, true};
  switch (kind) {
    case Kind::kBoolean: {
      const std::string text = random_.pick({"TRUE", "FALSE"});
      return {same(text), kind, 1, true};
    }
    case Kind::kDouble: {
      const std::string text = random_.pick({"0.0", "1.5", "-0.25", "2.5", "100.0", "1e3", "0.5"});
      return {same(text), kind, 1000, true};
    }
    case Kind::kNumeric: {
      const std::int64_t v = random_.pick(std::vector<std::int64_t>{0, 1, 50, 99, 100, 12'345, -1, -250});
      return {{"CAST('" + format_numeric(v, 2) + "' AS NUMERIC(12,2))",
               v < 0 ? "(" + std::to_string(v) + ")" : std::to_string(v)},
              kind,
              std::fabs(static_cast<double>(v)),
              true};
    }
    case Kind::kText:
      return {
          same(quoted(random_.pick({"a", "cc", "", "\xc3\xa9", "\xf0\x9f\x98\x80", "ab", "O'Neil", "b"}))),
          kind, 0, true};
    case Kind::kTime: {
      const std::int64_t micros =
          random_.pick(std::vector<std::int64_t>{0, 1'700'000'000'000'000, -20'000'000, 951'782'400'000'000});
      const char* text = micros == 0                     ? "1970-01-01 00:00:00"
                         : micros == -20'000'000         ? "1969-12-31T23:59:40Z"
                         : micros == 951'782'400'000'000 ? "2000-02-29 00:00:00"
                                                         : "2023-11-14T22:13:20Z";
      return {{"TIMESTAMP '" + std::string(text) + "'", std::to_string(micros)}, kind, 0, true};
    }
    case Kind::kInteger:
    case Kind::kJson:
    case Kind::kHuge: break;
  }
  if (random_.one_in(25)) {
    const std::string text =
        random_.pick({"9007199254740993", "9223372036854775807", "-9223372036854775807"});
    return {same("(" + text + ")"), kind, 1e19, true};
  }
  const std::int64_t v = random_.pick(std::vector<std::int64_t>{0, 1, 2, 3, 5, 7, 10, 100, -1, -3});
  return {same(v < 0 ? "(" + std::to_string(v) + ")" : std::to_string(v)), kind,
          std::fabs(static_cast<double>(v)), true};
}

Term Expressions::conditional(Kind kind, int depth) {
  const Term a = term(kind, depth - 1);
  const Term b = term(kind, depth - 1);
  const double bound = std::max(a.bound, b.bound);
  switch (random_.below(kind == Kind::kBoolean ? 3 : 5)) {
    case 0: {
      note("expr.case");
      const Term c = boolean(depth - 1);
      if (random_.one_in(3)) {
        return {{"CASE WHEN " + c.text.kappa + " THEN " + a.text.kappa + " END",
                 "CASE WHEN " + c.text.sqlite + " THEN " + a.text.sqlite + " END"},
                kind,
                bound,
                true};
      }
      return {{"CASE WHEN " + c.text.kappa + " THEN " + a.text.kappa + " ELSE " + b.text.kappa + " END",
               "CASE WHEN " + c.text.sqlite + " THEN " + a.text.sqlite + " ELSE " + b.text.sqlite + " END"},
              kind,
              bound,
              true};
    }
    case 1: {
      note("expr.case_simple");
      const Kind over = some_kind() == Kind::kText ? Kind::kText : Kind::kInteger;
      const Term x = term(over, depth - 1), y = leaf(over);
      return {{"CASE " + x.text.kappa + " WHEN " + y.text.kappa + " THEN " + a.text.kappa + " ELSE " +
                   b.text.kappa + " END",
               "CASE " + x.text.sqlite + " WHEN " + y.text.sqlite + " THEN " + a.text.sqlite + " ELSE " +
                   b.text.sqlite + " END"},
              kind,
              bound,
              true};
    }
    case 2:
      note("expr.coalesce");
      return {{"COALESCE(" + a.text.kappa + ", " + b.text.kappa + ")",
               "coalesce(" + a.text.sqlite + ", " + b.text.sqlite + ")"},
              kind,
              bound,
              true};
    case 3:
      note("expr.nullif");
      return {{"NULLIF(" + a.text.kappa + ", " + b.text.kappa + ")",
               "nullif(" + a.text.sqlite + ", " + b.text.sqlite + ")"},
              kind,
              bound,
              true};
    default: {
      note("expr.greatest_least");
      const bool up = random_.one_in(2);
      return {{std::string(up ? "greatest(" : "least(") + a.text.kappa + ", " + b.text.kappa + ")",
               std::string(up ? "k_greatest(" : "k_least(") + a.text.sqlite + ", " + b.text.sqlite + ")"},
              kind,
              bound,
              true};
    }
  }
}

Term Expressions::term(Kind kind, int depth) {
  switch (kind) {
    case Kind::kBoolean: return boolean(depth);
    case Kind::kDouble: return real(depth);
    case Kind::kText: return text(depth);
    case Kind::kTime: return time(depth);
    case Kind::kNumeric: return numeric(depth);
    case Kind::kInteger:
    case Kind::kJson:
    case Kind::kHuge: break;
  }
  return integer(depth);
}

Term Expressions::integer_operation(int depth) {
  const Term a = integer(depth - 1), b = integer(depth - 1);
  const std::string operation = random_.pick({"+", "-", "*", "/", "%"});
  note(operation == "/" || operation == "%" ? "expr.integer_division" : "expr.integer_arithmetic");
  const char op = operation[0];
  const double bound = op == '+' || op == '-' ? a.bound + b.bound
                       : op == '*'            ? a.bound * b.bound
                                              : std::max(a.bound, b.bound);
  Dual text = binary(a.text, operation, b.text);
  if (a.bound > kSafe || b.bound > kSafe || bound > kSafe) {
    const std::string function = op == '+'   ? "iadd"
                                 : op == '-' ? "isub"
                                 : op == '*' ? "imul"
                                 : op == '/' ? "idiv"
                                             : "imod";
    text.sqlite = function + "(" + a.text.sqlite + ", " + b.text.sqlite + ")";
  }
  return {text, Kind::kInteger, bound, true};
}

// In hundredths. Products and quotients have more digits; a cast takes them back to two.
Term Expressions::numeric_operation(int depth) {
  const Term a = numeric(depth - 1);
  const std::string operation = random_.pick({"+", "-", "*", "/", "%"});
  const char op = operation[0];
  if (random_.one_in(2)) {
    const Term b = integer(depth - 1);
    const double bound = op == '*' ? a.bound * b.bound : op == '/' ? a.bound * 1e4 : a.bound + b.bound * 100;
    if (bound > kNumericSafe || b.bound > kNumericSafe / 100) return a;
    note(op == '/' || op == '%' ? "expr.numeric_division" : "expr.numeric_arithmetic");
    const std::string hundredths = "(" + b.text.sqlite + " * 100)";
    Dual text = binary(a.text, operation, b.text);
    if (op == '/') {
      text.kappa = "CAST(" + text.kappa + " AS NUMERIC(18,2))";
      text.sqlite = "k_num_div(" + a.text.sqlite + ", " + hundredths + ")";
    } else if (op == '%') {
      text.sqlite = "imod(" + a.text.sqlite + ", " + hundredths + ")";
    } else if (op != '*') {
      text.sqlite = "(" + a.text.sqlite + " " + operation + " " + hundredths + ")";
    }
    return {text, Kind::kNumeric, bound, true};
  }
  const Term b = numeric(depth - 1);
  const double bound = op == '*' ? a.bound * b.bound : op == '/' ? a.bound * 1e2 : a.bound + b.bound;
  if (bound > kNumericSafe) return a;
  note(op == '/' || op == '%' ? "expr.numeric_division" : "expr.numeric_arithmetic");
  Dual text = binary(a.text, operation, b.text);
  if (op == '*') {
    text = {"CAST(" + text.kappa + " AS NUMERIC(18,2))", "k_num_round(" + text.sqlite + ", 100)"};
  } else if (op == '/') {
    text = {"CAST(" + text.kappa + " AS NUMERIC(18,2))",
            "k_num_div(" + a.text.sqlite + ", " + b.text.sqlite + ")"};
  } else if (op == '%') {
    text.sqlite = "imod(" + a.text.sqlite + ", " + b.text.sqlite + ")";
  }
  return {text, Kind::kNumeric, bound, true};
}

Term Expressions::real_operation(int depth) {
  const Term a = real(depth - 1);
  const Term b = random_.one_in(4) ? integer(depth - 1) : real(depth - 1);
  const std::string operation = random_.pick({"+", "-", "*", "/"});
  note("expr.real_arithmetic");
  Dual text = binary(a.text, operation, b.text);
  text.sqlite = "finite" + text.sqlite;
  return {text, Kind::kDouble, 1e300, true};
}

Term Expressions::comparison(int depth) {
  Kind kind = some_kind();
  const Term a = term(kind, depth - 1);
  if (kind == Kind::kNumeric && random_.one_in(3)) {
    const Term whole = integer(depth - 1);
    if (whole.bound < kSafe / 100) {
      note("expr.numeric_comparison");
      return {binary(a.text, random_.pick({"=", "<>", "<", "<=", ">", ">="}),
                     {whole.text.kappa, "(" + whole.text.sqlite + " * 100)"}),
              Kind::kBoolean, 1, true};
    }
  }
  if (kind == Kind::kInteger && random_.one_in(4)) kind = Kind::kDouble;  // Across types, by value.
  const Term b = term(kind, depth - 1);
  switch (random_.below(8)) {
    case 0: {
      note("expr.distinct_from");
      const std::string word = random_.pick({"IS DISTINCT FROM", "IS NOT DISTINCT FROM"});
      return {binary(a.text, word, b.text), Kind::kBoolean, 1, true};
    }
    case 1: {
      note("expr.between");
      const Term c = term(kind, depth - 1);
      const std::string word = random_.pick({" BETWEEN ", " NOT BETWEEN "});
      return {{"(" + a.text.kappa + word + b.text.kappa + " AND " + c.text.kappa + ")",
               "(" + a.text.sqlite + word + b.text.sqlite + " AND " + c.text.sqlite + ")"},
              Kind::kBoolean,
              1,
              true};
    }
    case 2: {
      note("expr.in");
      const Term c = leaf(kind), d = leaf(kind);
      const std::string word = random_.pick({" IN (", " NOT IN ("});
      return {
          {"(" + a.text.kappa + word + b.text.kappa + ", " + c.text.kappa + ", " + d.text.kappa + "))",
           "(" + a.text.sqlite + word + b.text.sqlite + ", " + c.text.sqlite + ", " + d.text.sqlite + "))"},
          Kind::kBoolean,
          1,
          true};
    }
    default: break;
  }
  note("expr.comparison");
  return {binary(a.text, random_.pick({"=", "<>", "<", "<=", ">", ">="}), b.text), Kind::kBoolean, 1, true};
}

Term Expressions::like(int depth) {
  note("expr.like");
  const Term a = text(depth - 1);
  const std::string pattern =
      random_.pick({"a%", "%b%", "_", "__", "%\xc3\xa9", "", "%", "_b%", "A%", "%a_"});
  if (random_.one_in(4)) {
    note("expr.like_escape");
    return {wrap("(", a.text, " LIKE '%!%%' ESCAPE '!')"), Kind::kBoolean, 1, true};
  }
  if (random_.one_in(5)) {
    note("expr.ilike");
    const std::string ilike = quoted(pattern);
    return {{"(" + a.text.kappa + " ILIKE " + ilike + ")",
             "(lower(" + a.text.sqlite + ") LIKE lower(" + ilike + "))"},
            Kind::kBoolean,
            1,
            true};
  }
  if (random_.one_in(4)) {
    note("fn.regexp_like");
    const std::string expression = regular_expression(random_), flags = random_.one_in(3) ? ", 'i'" : "";
    if (flags.empty() && random_.one_in(3))
      return {{"(" + a.text.kappa + " ~ " + expression + ")",
               "k_re_like(" + a.text.sqlite + ", " + expression + ", '')"},
              Kind::kBoolean,
              1,
              true};
    return {{"regexp_like(" + a.text.kappa + ", " + expression + flags + ")",
             "k_re_like(" + a.text.sqlite + ", " + expression + (flags.empty() ? ", ''" : flags) + ")"},
            Kind::kBoolean,
            1,
            true};
  }
  if (random_.one_in(5)) {
    note("fn.starts_with");
    const std::string prefix = quoted(random_.pick({"a", "", "\xc3\xa9", "ab"}));
    return {{"starts_with(" + a.text.kappa + ", " + prefix + ")",
             "(substr(" + a.text.sqlite + ", 1, length(" + prefix + ")) = " + prefix + ")"},
            Kind::kBoolean,
            1,
            true};
  }
  return {wrap("(", a.text, random_.pick({" LIKE ", " NOT LIKE "}) + quoted(pattern) + ")"), Kind::kBoolean,
          1, true};
}

Term Expressions::boolean(int depth) {
  if (depth <= 0) return leaf(Kind::kBoolean);
  switch (random_.below(10)) {
    case 0: {
      note("expr.and_or");
      return {binary(boolean(depth - 1).text, random_.pick({"AND", "OR"}), boolean(depth - 1).text),
              Kind::kBoolean, 1, true};
    }
    case 1: {
      note("expr.not");
      return {wrap("(NOT ", boolean(depth - 1).text, ")"), Kind::kBoolean, 1, true};
    }
    case 2: {
      note("expr.is_null");
      return {wrap("(", term(some_kind(), depth - 1).text, random_.pick({" IS NULL)", " IS NOT NULL)"})),
              Kind::kBoolean, 1, true};
    }
    case 3: return like(depth);
    case 4: return random_.one_in(3) ? conditional(Kind::kBoolean, depth) : comparison(depth);
    case 5: {
      note("expr.is_true");
      return {wrap("(", boolean(depth - 1).text,
                   random_.pick({" IS TRUE)", " IS NOT TRUE)", " IS FALSE)", " IS NOT FALSE)"})),
              Kind::kBoolean, 1, true};
    }
    default: return comparison(depth);
  }
}

Term Expressions::predicate() {
  Term p = boolean(1 + static_cast<int>(random_.below(2)));
  // AND of chance alone would leave nothing; the negation of a rare thing is common.
  if (random_.one_in(3)) {
    note("expr.and_or");
    p.text = binary(p.text, "OR", boolean(1).text);
  }
  return p;
}

}  // namespace kappa::oracle
