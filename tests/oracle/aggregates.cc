// See aggregates.h.
//
// first, last, percentiles and string_agg have no aggregate in SQLite that takes an order: they are functions
// of the oracle that keep the rows of their group (ordered_functions.cc).
#include "tests/oracle/aggregates.h"

#include <algorithm>

namespace kappa::oracle {
namespace {

constexpr double kRows = 1e5;  // More than a group ever has.

Dual apply(const std::string& kappa, const std::string& sqlite, const Dual& argument, const Dual& filter) {
  return {kappa + argument.kappa + ")" + filter.kappa, sqlite + argument.sqlite + ")" + filter.sqlite};
}

}  // namespace

Term Aggregates::any() {
  Dual filter{"", ""};
  if (random_.one_in(4)) {
    note("agg.filter");
    const Dual condition = expressions_.predicate().text;
    filter = {" FILTER (WHERE " + condition.kappa + ")", " FILTER (WHERE " + condition.sqlite + ")"};
  }
  switch (random_.below(16)) {
    case 14: return array(filter);
    case 15: return approximate(filter);
    case 0:
    case 1:
    case 2: return simple(filter);
    case 3:
    case 4:
    case 5:
    case 6: return sum_or_average(filter);
    case 7:
    case 8:
    case 9: return extreme(filter);
    case 10: return spread(filter);
    case 11: return percentile(filter);
    default: return ordered(filter);
  }
}

Term Aggregates::simple(const Dual& filter) {
  switch (random_.below(5)) {
    case 0:
      note("agg.count_star");
      return {apply("count(", "count(", same("*"), filter), Kind::kInteger, kRows, true};
    case 1: {
      note("agg.count");
      const Dual x = expressions_.term(expressions_.some_kind(), 1).text;
      return {apply("count(", "count(", x, filter), Kind::kInteger, kRows, true};
    }
    case 2:
    case 3: {
      note("agg.count_distinct");
      const Dual x = expressions_.term(expressions_.some_kind(), 1).text;
      return {apply("count(DISTINCT ", "count(DISTINCT ", x, filter), Kind::kInteger, kRows, true};
    }
    default: {
      note("agg.bool");
      const Dual x = expressions_.boolean(1).text;
      const bool all = random_.one_in(2);
      return {apply(all ? "bool_and(" : "bool_or(", all ? "min(" : "max(", x, filter), Kind::kBoolean, 1,
              true};
    }
  }
}

Term Aggregates::sum_or_average(const Dual& filter) {
  const Term* huge = random_.one_in(3) ? expressions_.column(Kind::kHuge) : nullptr;
  if (huge != nullptr) {
    note("agg.sum_of_sums");
    return {apply("sum(", "ksum(", huge->text, filter), Kind::kHuge, 1e30, true};
  }
  if (random_.one_in(5)) {
    const Term x = expressions_.numeric(static_cast<int>(random_.below(2)));
    if (random_.one_in(3)) {
      note("agg.avg_numeric");
      return {{"avg(" + x.text.kappa + ")" + filter.kappa,
               "(kavg(" + x.text.sqlite + ")" + filter.sqlite + " / 100.0)"},
              Kind::kDouble,
              1e19,
              false};
    }
    // Hundredths within 64 bits.
    if (x.bound * kRows < 4e18) {
      note("agg.sum_numeric");
      return {apply("sum(", "ksum(", x.text, filter), Kind::kNumeric, std::max(1.0, x.bound) * kRows, true};
    }
  }
  if (random_.one_in(3)) {
    const Term x = expressions_.column(Kind::kDouble) != nullptr && random_.one_in(2)
                       ? *expressions_.column(Kind::kDouble)
                       : expressions_.real(1);
    if (random_.one_in(3)) {
      note("agg.avg_double");
      return {apply("avg(", "davg(", x.text, filter), Kind::kDouble, 1e300, false};
    }
    note("agg.sum_double");
    // Exact, so that the same bits are asked for.
    return {apply("sum(", "dsum(", x.text, filter), Kind::kDouble, 1e300, true};
  }
  const Term x = expressions_.column(Kind::kInteger) != nullptr && random_.one_in(2)
                     ? *expressions_.column(Kind::kInteger)
                     : expressions_.integer(1);
  if (random_.one_in(3)) {
    note("agg.avg");
    return {apply("avg(", "kavg(", x.text, filter), Kind::kDouble, 1e19, x.bound * kRows < 9e15};
  }
  note("agg.sum");
  return {apply("sum(", "ksum(", x.text, filter), Kind::kHuge, std::max(1.0, x.bound) * kRows, true};
}

Term Aggregates::extreme(const Dual& filter) {
  note("agg.min_max");
  const Kind kind = expressions_.some_kind();
  const Term x = kind == Kind::kBoolean ? expressions_.integer(1)
                                        : expressions_.term(kind, static_cast<int>(random_.below(2)));
  const std::string name = random_.pick({"min(", "max("});
  return {apply(name, name, x.text, filter), x.kind, x.bound, true};
}

Term Aggregates::spread(const Dual& filter) {
  note("agg.variance");
  const bool sample = random_.one_in(2), root = random_.one_in(2);
  const Term* column = expressions_.column(random_.one_in(2) ? Kind::kInteger : Kind::kDouble);
  const Dual x = column != nullptr && column->bound < 1e6 ? column->text : Dual{"1", "1"};
  std::string kappa =
      std::string(root ? "stddev" : "var") + (sample ? "_samp(" : "_pop(") + x.kappa + ")" + filter.kappa;
  std::string sqlite = "kvar(" + x.sqlite + ", " + (sample ? "1)" : "0)") + filter.sqlite;
  if (root) sqlite = "k_sqrt(" + sqlite + ")";
  return {{kappa, sqlite}, Kind::kDouble, 1e300, false};
}

Term Aggregates::percentile(const Dual& filter) {
  const bool discrete = random_.one_in(2);
  note(discrete ? "agg.percentile_disc" : "agg.percentile_cont");
  const std::string p = random_.pick({"0.5", "0.95", "0.25", "0", "1", "0.1"});
  const Kind kind = discrete && random_.one_in(4)   ? Kind::kNumeric
                    : discrete && random_.one_in(3) ? Kind::kText
                    : random_.one_in(2)             ? Kind::kDouble
                                                    : Kind::kInteger;
  const Term* column = expressions_.column(kind);
  if (column == nullptr || (!discrete && column->bound > 1e6)) return simple(filter);
  const std::string name = discrete ? "PERCENTILE_DISC(" : "PERCENTILE_CONT(";
  return {
      {name + p + ") WITHIN GROUP (ORDER BY " + column->text.kappa + ")" + filter.kappa,
       std::string(discrete ? "p_disc(" : "p_cont(") + column->text.sqlite + ", " + p + ")" + filter.sqlite},
      discrete ? kind : Kind::kDouble,
      column->bound,
      discrete};
}

// Rows that tie go by offset, so a stream's rows only.
Term Aggregates::ordered(const Dual& filter) {
  if (from_.stream_alias.empty()) return simple(filter);
  const std::string offset = from_.stream_alias + "._offset";
  const Kind kind = expressions_.some_kind();
  const Term x = expressions_.term(kind, 0);
  switch (random_.below(5)) {
    case 0:
    case 1: {
      note("agg.first_last");
      const bool first = random_.one_in(2);
      const std::string by = random_.one_in(3) || from_.event_time.empty() ? offset : from_.event_time;
      return {
          {std::string(first ? "first(" : "last(") + x.text.kappa + " ORDER BY " + by + ")" + filter.kappa,
           std::string(first ? "k_first(" : "k_last(") + x.text.sqlite + ", " + by + ", " + offset + ")" +
               filter.sqlite},
          kind,
          x.bound,
          true};
    }
    case 2:
    case 3: {
      note("agg.arg_min_max");
      const bool low = random_.one_in(2);
      const Term* by = expressions_.column(random_.one_in(2) ? Kind::kInteger : Kind::kDouble);
      if (by == nullptr) return simple(filter);
      return {{std::string(low ? "arg_min(" : "arg_max(") + x.text.kappa + ", " + by->text.kappa + ")" +
                   filter.kappa,
               std::string(low ? "k_arg_min(" : "k_arg_max(") + x.text.sqlite + ", " + by->text.sqlite +
                   ", " + offset + ")" + filter.sqlite},
              kind,
              x.bound,
              true};
    }
    default: {
      note("agg.string_agg");
      const Dual text = expressions_.text(0).text;
      return {{"string_agg(" + text.kappa + ", ',' ORDER BY " + offset + ")" + filter.kappa,
               "k_string_agg(" + text.sqlite + ", ',', " + offset + ")" + filter.sqlite},
              Kind::kText,
              0,
              true};
    }
  }
}

// In the order of a stream's rows or of its time, else of the values themselves.
Term Aggregates::array(const Dual& filter) {
  const Kind kind = expressions_.some_kind();
  if (kind == Kind::kDouble) return simple(filter);  // Which zero is nobody's promise.
  note("agg.array_agg");
  const Dual x = expressions_.term(kind, 0).text;
  Dual by = x;
  std::string tie = "0";
  if (!from_.stream_alias.empty()) {
    tie = from_.stream_alias + "._offset";
    by = same(random_.one_in(2) ? tie : from_.event_time);
  }
  return {{"array_agg(" + x.kappa + " ORDER BY " + by.kappa + ")" + filter.kappa,
           "k_array_agg(" + x.sqlite + ", '" + type_name(kind) + "', " + by.sqlite + ", " + tie + ")" +
               filter.sqlite},
          Kind::kJson,
          0,
          true};
}

Term Aggregates::approximate(const Dual& filter) {
  if (random_.one_in(2)) {
    if (from_.stream_alias.empty() || from_.sessions) return simple(filter);
    note("agg.approx_count_distinct");
    const Dual x = expressions_.term(expressions_.some_kind(), 0).text;
    // Six times the standard error.
    return {apply("approx_count_distinct(", "count(DISTINCT ", x, filter), Kind::kInteger, kRows, false,
            6 * 0.0081};
  }
  const Term* column = expressions_.column(random_.one_in(2) ? Kind::kInteger : Kind::kDouble);
  if (column == nullptr) return simple(filter);
  note("agg.approx_quantile");
  const std::string p = ", " + random_.pick({"0.5", "0.95", "0.25", "0", "1", "0.1"});
  return {{"approx_quantile(" + column->text.kappa + p + ")" + filter.kappa,
           "k_quantile(" + column->text.sqlite + p + ")" + filter.sqlite},
          Kind::kDouble,
          column->bound,
          false,
          0.0079};
}

Term Aggregates::having() {
  note("having");
  const std::string limit = random_.pick({"1", "2", "3", "5"});
  switch (random_.below(4)) {
    case 0: return {same("count(*) > " + limit), Kind::kBoolean, 1, true};
    case 1: {
      const Term* x = expressions_.column(Kind::kInteger);
      if (x == nullptr || x->bound > 1e6) return {same("count(*) < " + limit), Kind::kBoolean, 1, true};
      return {
          {"sum(" + x->text.kappa + ") > 10", "ksum(" + x->text.sqlite + ") > 10"}, Kind::kBoolean, 1, true};
    }
    case 2: {
      const Term* x = expressions_.any_column();
      if (x == nullptr) return {same("count(*) % 2 = 1"), Kind::kBoolean, 1, true};
      const std::string test = random_.pick({"min(", "max(", "count("});
      if (x->kind == Kind::kBoolean || test == "count(") {
        return {{"count(" + x->text.kappa + ") <> " + limit, "count(" + x->text.sqlite + ") <> " + limit},
                Kind::kBoolean,
                1,
                true};
      }
      return {{test + x->text.kappa + ") IS NOT NULL", test + x->text.sqlite + ") IS NOT NULL"},
              Kind::kBoolean,
              1,
              true};
    }
    default: return {same("NOT (count(*) BETWEEN 2 AND 4)"), Kind::kBoolean, 1, true};
  }
}

}  // namespace kappa::oracle
