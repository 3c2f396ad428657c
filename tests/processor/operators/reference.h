// What aggregates must give, computed from all live rows at once, simply and slowly.
#pragma once

#include <boost/multiprecision/cpp_bin_float.hpp>
#include <boost/multiprecision/cpp_int.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/sql/plan_properties.h"
#include "processor/state/key_encoding.h"
#include "processor/vector/evaluate.h"
#include "proto/limits.h"
#include "proto/value.h"
#include "tests/processor/operators/change_source.h"

namespace kappa::processor::testing {

__extension__ typedef __float128 Quad;

// An expression over one row.
inline Value evaluate_row(const ExpressionPtr& expression, const Row& row,
                          const std::vector<Column>& columns) {
  if (expression->kind == ExpressionKind::kColumn) return row[expression->column];
  std::vector<Vector> vectors;
  Arena arena;
  ChangeBatch batch;
  batch.count = 1;
  batch.arena = &arena;
  vectors.reserve(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    vectors.emplace_back(columns[i].type).resize(1);
    vectors.back().set(0, row[i], arena);
    batch.columns.push_back(&vectors.back());
  }
  ExpressionEvaluator evaluator(expression);
  return evaluator.evaluate(batch).value(0);
}
inline bool is_true(const Value& value) {
  return !value.is_null() && value.as_bool();
}

struct RowLess {
  bool operator()(const Row& a, const Row& b) const {
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (const auto c = compare(a[i], b[i]); c != 0) return c < 0;
    }
    return a.size() < b.size();
  }
};

// The rows that count, in the order of the aggregate; equal ones by value.
inline std::vector<Value> ordered_values(const Aggregate& a, const std::vector<Row>& rows,
                                         const std::vector<Column>& columns) {
  std::vector<Row> keyed;  // Keys of the order, then the value.
  for (const Row& row : rows) {
    if (a.filter && !is_true(evaluate_row(a.filter, row, columns))) continue;
    Row key;
    for (const SortKey& by : a.order_by) key.push_back(evaluate_row(by.expression, row, columns));
    if (a.function.starts_with("arg_") && key[0].is_null()) continue;
    key.push_back(evaluate_row(a.arguments[0], row, columns));
    keyed.push_back(std::move(key));
  }
  std::ranges::sort(keyed, [&](const Row& x, const Row& y) {
    for (std::size_t i = 0; i < a.order_by.size(); ++i) {
      const bool nulls_first = a.order_by[i].nulls_first;
      if (x[i].is_null() || y[i].is_null()) {
        if (x[i].is_null() != y[i].is_null()) return x[i].is_null() == nulls_first;
        continue;
      }
      const auto c = compare(x[i], y[i]);
      if (c != 0) return a.order_by[i].descending ? c > 0 : c < 0;
    }
    return compare(x.back(), y.back()) < 0;
  });
  std::vector<Value> values;
  for (Row& row : keyed) values.push_back(std::move(row.back()));
  return values;
}

using Exact = boost::multiprecision::cpp_int;
using Precise = boost::multiprecision::number<boost::multiprecision::cpp_bin_float<400>>;

inline Exact exact(Int128 v) {
  const Exact high = static_cast<std::int64_t>(v >> 64);
  return high * (Exact(1) << 64) + static_cast<std::uint64_t>(v);
}
// In units of unit_of().
inline Exact exact(const Value& v) {
  switch (v.type().id) {
    case TypeId::kDouble: return exact(static_cast<Int128>(std::ldexp(v.as_double(), 20)));
    case TypeId::kNumeric: return exact(v.as_int128());
    default: return v.as_int64();
  }
}
// Values are so many units.
inline Exact unit_of(TypeId id) {
  return id == TypeId::kDouble ? 1 << 20 : id == TypeId::kNumeric ? 10'000 : 1;
}
inline double quotient(const Exact& a, const Exact& b, bool root = false) {
  const Precise q = Precise(a) / Precise(b);
  return static_cast<double>(root ? Precise(sqrt(q)) : q);
}

inline Value reference_variance(const Aggregate& a, const std::vector<Value>& values) {
  Exact sum = 0;
  Exact squares = 0;
  for (const Value& v : values) {
    sum += exact(v);
    squares += exact(v) * exact(v);
  }
  const Exact n = values.size();
  const bool sample = a.function.ends_with("_samp");
  if (n < (sample ? 2 : 1)) return Value::null(a.type);
  const Exact unit = unit_of(values[0].type().id);
  const Exact divisor = n * (sample ? n - 1 : n) * unit * unit;
  return Value::real(quotient(n * squares - sum * sum, divisor, a.function.starts_with("stddev")));
}

// `p` has two decimals at the most.
inline Value reference_percentile(const Aggregate& a, std::vector<Value> values) {
  if (values.empty()) return Value::null(a.type);
  if (a.order_by[0].descending) std::ranges::reverse(values);
  const auto hundredths = static_cast<std::size_t>(std::lround(a.parameters[0].as_double() * 100));
  if (a.function == "percentile_disc") {
    const std::size_t place = (hundredths * values.size() + 99) / 100;
    return values[place == 0 ? 0 : place - 1];
  }
  const std::size_t place = hundredths * (values.size() - 1);
  const Exact low = exact(values[place / 100]);
  const Exact high = exact(values[std::min(place / 100 + 1, values.size() - 1)]);
  return Value::real(quotient(low * 100 + (high - low) * (place % 100), 100 * unit_of(values[0].type().id)));
}

// Of all elements: 12 bytes, those of the order and the value, and the delimiter.
inline std::size_t list_cost(const Aggregate& a, const std::vector<Row>& rows,
                             const std::vector<Column>& columns) {
  std::vector<std::string> keys;
  for (const Row& row : rows) {
    if (a.filter && !is_true(evaluate_row(a.filter, row, columns))) continue;
    std::string& key = keys.emplace_back();
    for (const SortKey& by : a.order_by) append_key(evaluate_row(by.expression, row, columns), key);
    const Value value = evaluate_row(a.arguments[0], row, columns);
    append_key(value, key);
    if (value.is_null() && a.function == "string_agg") keys.pop_back();
  }
  std::ranges::sort(keys);
  if (a.distinct) keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::size_t cost = 0;
  for (const std::string& key : keys)
    cost += 12 + key.size() + (a.parameters.empty() ? 0 : a.parameters[0].as_text().size());
  return cost;
}

// NULL where the elements cost more than the bound.
inline Value reference_list(const Aggregate& a, const std::vector<Row>& rows,
                            const std::vector<Column>& columns) {
  std::vector<Value> values = ordered_values(a, rows, columns);
  const bool json = a.function == "array_agg";
  if (!json) std::erase_if(values, [](const Value& v) { return v.is_null(); });
  if (a.distinct) values.erase(std::unique(values.begin(), values.end()), values.end());
  if (values.empty() || list_cost(a, rows, columns) > limits::kAggregateListBytesMax)
    return Value::null(a.type);
  std::string text = json ? "[" : "";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += json ? "," : a.parameters[0].as_text();
    if (json)
      append_json(values[i], text);
    else
      text += values[i].as_text();
  }
  return json ? Value::json(text + "]") : Value::text(text);
}

// The middle of the 64th of a power of two that the true value is in.
inline Value reference_quantile(const Aggregate& a, const std::vector<Value>& values) {
  if (values.empty()) return Value::null(a.type);
  const auto hundredths = static_cast<std::size_t>(std::lround(a.parameters[0].as_double() * 100));
  const Value& v = values[hundredths * (values.size() - 1) / 100];
  const double x = v.type().id == TypeId::kDouble    ? v.as_double()
                   : v.type().id == TypeId::kNumeric ? static_cast<double>(v.as_int128()) / 10'000
                                                     : static_cast<double>(v.as_int64());
  if (x == 0) return Value::real(0);
  int exponent = 0;
  const double part = std::frexp(std::fabs(x), &exponent) * 2 - 1;  // In 0..1.
  const double middle = std::ldexp(1 + (std::floor(part * 64) + 0.5) / 64, exponent - 1);
  return Value::real(x < 0 ? -middle : middle);
}

inline Value reference_aggregate(const Aggregate& a, const std::vector<Row>& rows,
                                 const std::vector<Column>& columns) {
  if (a.function == "first" || a.function == "last" || a.function.starts_with("arg_")) {
    const std::vector<Value> chosen = ordered_values(a, rows, columns);
    if (chosen.empty()) return Value::null(a.type);
    return a.function == "last" ? chosen.back() : chosen.front();
  }
  if (a.function == "array_agg" || a.function == "string_agg") return reference_list(a, rows, columns);
  std::vector<Value> values;
  std::int64_t count = 0;
  for (const Row& row : rows) {
    if (a.filter && !is_true(evaluate_row(a.filter, row, columns))) continue;
    if (a.arguments.empty() && a.order_by.empty()) {
      ++count;
      continue;
    }
    Value value = evaluate_row(a.arguments.empty() ? a.order_by[0].expression : a.arguments[0], row, columns);
    if (!value.is_null()) values.push_back(std::move(value));
  }
  if (a.arguments.empty() && a.order_by.empty()) return Value::bigint(count);
  std::ranges::sort(values, [](const Value& x, const Value& y) { return compare(x, y) < 0; });
  if (a.distinct) values.erase(std::unique(values.begin(), values.end()), values.end());
  if (a.function == "count") return Value::bigint(static_cast<std::int64_t>(values.size()));
  if (values.empty()) return Value::null(a.type);
  if (a.function == "min") return values.front();
  if (a.function == "max") return values.back();
  if (a.function.starts_with("percentile")) return reference_percentile(a, values);
  if (a.function.starts_with("var_") || a.function.starts_with("stddev_"))
    return reference_variance(a, values);
  if (a.function == "approx_quantile") return reference_quantile(a, values);
  if (a.function == "bool_and") return values.front();  // FALSE is the least.
  if (a.function == "bool_or") return values.back();
  // Exact in integers: doubles in units of 2^-20.
  Int128 sum = 0;
  const TypeId id = values[0].type().id;
  for (const Value& v : values) {
    if (id == TypeId::kDouble)
      sum += static_cast<Int128>(std::ldexp(v.as_double(), 20));
    else if (id == TypeId::kNumeric)
      sum += v.as_int128();
    else
      sum += v.as_int64();
  }
  Quad scale = 1;
  if (id == TypeId::kDouble) scale = 1 << 20;
  if (id == TypeId::kNumeric) scale = 10'000;
  // Quad division has 113 bits: rounding it once more cannot go wrong for sums of this size.
  if (a.function == "avg")
    return Value::real(
        static_cast<double>(static_cast<Quad>(sum) / (scale * static_cast<Quad>(values.size()))));
  if (id == TypeId::kDouble) return Value::real(static_cast<double>(static_cast<Quad>(sum) / scale));
  if (a.type.id == TypeId::kNumeric) return Value::numeric(sum, a.type.precision, a.type.scale);
  return Value::interval(static_cast<std::int64_t>(sum));
}

// The rows that an aggregate node gives over `rows`, by group.
inline std::vector<Row> reference_groups(const Plan& plan, const std::vector<Row>& rows) {
  const std::vector<Column>& columns = plan.input->output;
  std::map<Row, std::vector<Row>, RowLess> groups;
  if (plan.group_keys.empty()) groups[{}] = {};
  for (const Row& row : rows) {
    Row key;
    for (const ExpressionPtr& e : plan.group_keys) key.push_back(evaluate_row(e, row, columns));
    groups[key].push_back(row);
  }
  std::vector<Row> result;
  for (const auto& [key, members] : groups) {
    Row row = key;
    for (const Aggregate& a : plan.aggregates) row.push_back(reference_aggregate(a, members, columns));
    result.push_back(std::move(row));
  }
  return result;
}

// Rows of each scan of a plan.
using Sources = std::map<const Plan*, std::vector<Row>>;

// The windows that a row's time is in, by trying every start there could be.
inline std::vector<Row> reference_hop(const Plan& plan, const std::vector<Row>& rows) {
  std::vector<Row> result;
  for (const Row& row : rows) {
    const Value time = evaluate_row(plan.window.time, row, plan.input->output);
    if (time.is_null()) continue;
    const std::int64_t at = time.as_int64();
    const std::int64_t slide = plan.window.slide_micros;
    for (std::int64_t n = (at - plan.window.size_micros) / slide - 2; n <= at / slide + 2; ++n) {
      const std::int64_t start = n * slide;
      if (start > at || at >= start + plan.window.size_micros) continue;
      Row& out = result.emplace_back(row);
      out.push_back(Value::timestamp(start));
      out.push_back(Value::timestamp(start + plan.window.size_micros));
    }
  }
  return result;
}

// -1, 0, 1 as ORDER BY says.
inline int compare_by(const std::vector<SortKey>& keys, std::size_t count, const Row& a, const Row& b,
                      const std::vector<Column>& columns) {
  for (std::size_t i = 0; i < count; ++i) {
    const Value x = evaluate_row(keys[i].expression, a, columns);
    const Value y = evaluate_row(keys[i].expression, b, columns);
    if (x.is_null() != y.is_null()) return x.is_null() == keys[i].nulls_first ? -1 : 1;
    if (x.is_null()) continue;
    const auto order = compare(x, y);
    if (order != 0) return (order < 0) != keys[i].descending ? -1 : 1;
  }
  return 0;
}

inline std::vector<Row> reference_top_k(const Plan& plan, const std::vector<Row>& rows) {
  const TopK& top_k = plan.top_k;
  const std::vector<Column>& columns = plan.input->output;
  std::map<Row, std::vector<Row>, RowLess> partitions;
  for (const Row& row : rows) {
    Row key;
    for (const ExpressionPtr& e : top_k.partition) key.push_back(evaluate_row(e, row, columns));
    partitions[key].push_back(row);
  }
  std::vector<Row> result;
  for (auto& [key, members] : partitions) {
    std::ranges::stable_sort(members, [&](const Row& a, const Row& b) {
      return compare_by(top_k.order, top_k.order.size(), a, b, columns) < 0;
    });
    std::uint64_t rank = 0;
    std::uint64_t dense = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i == 0 || compare_by(top_k.order, top_k.rank_keys, members[i - 1], members[i], columns) != 0) {
        rank = i + 1;
        ++dense;
      }
      std::uint64_t given = i + 1;
      if (top_k.function == RankFunction::kRank) given = rank;
      if (top_k.function == RankFunction::kDenseRank) given = dense;
      if (given <= top_k.offset || given > top_k.offset + top_k.limit) continue;
      Row& out = result.emplace_back(members[i]);
      if (top_k.gives_rank) out.push_back(Value::bigint(static_cast<std::int64_t>(given)));
    }
  }
  return result;
}

inline bool reference_matches(const Plan& plan, const Row& left, const Row& right) {
  const Join& join = plan.join;
  const std::vector<Column>& left_columns = plan.input->output;
  const std::vector<Column>& right_columns = plan.right->output;
  for (std::size_t i = 0; i < join.left_keys.size(); ++i) {
    const Value x = evaluate_row(join.left_keys[i], left, left_columns);
    const Value y = evaluate_row(join.right_keys[i], right, right_columns);
    if (x.is_null() || y.is_null() || compare(x, y) != 0) return false;
  }
  if (join.left_time && (join.lower || join.upper)) {
    const Value x = evaluate_row(join.left_time, left, left_columns);
    const Value y = evaluate_row(join.right_time, right, right_columns);
    if (x.is_null() || y.is_null()) return false;
    const std::int64_t difference = y.as_int64() - x.as_int64();
    if (join.lower && difference < *join.lower) return false;
    if (join.upper && difference > *join.upper) return false;
  }
  if (!join.residual) return true;
  Row both = left;
  both.insert(both.end(), right.begin(), right.end());
  return is_true(evaluate_row(join.residual, both, plan.output));
}

// The right row that is valid at the left row's time.
inline std::vector<Row> reference_asof(const Plan& plan, const std::vector<Row>& lefts,
                                       const std::vector<Row>& rights) {
  const Join& join = plan.join;
  std::vector<Row> result;
  for (const Row& left : lefts) {
    const Value at = evaluate_row(join.left_time, left, plan.input->output);
    const Row* best = nullptr;
    Row best_place;
    for (const Row& right : rights) {
      Row place = {evaluate_row(join.right_time, right, plan.right->output)};
      if (at.is_null() || place[0].is_null()) continue;
      if (join.strict ? compare(place[0], at) >= 0 : compare(place[0], at) > 0) continue;
      bool equal = true;
      for (std::size_t i = 0; i < join.left_keys.size(); ++i) {
        const Value x = evaluate_row(join.left_keys[i], left, plan.input->output);
        const Value y = evaluate_row(join.right_keys[i], right, plan.right->output);
        equal = equal && !x.is_null() && !y.is_null() && compare(x, y) == 0;
      }
      if (!equal) continue;
      for (const ExpressionPtr& e : join.right_order)
        place.push_back(evaluate_row(e, right, plan.right->output));
      if (best != nullptr && !RowLess{}(best_place, place)) continue;
      best = &right;
      best_place = place;
    }
    if (best != nullptr && join.right_deleted &&
        is_true(evaluate_row(join.right_deleted, *best, plan.right->output)))
      best = nullptr;
    if (best == nullptr && !join.left_outer) continue;
    Row& out = result.emplace_back(left);
    for (std::size_t i = 0; i < plan.right->output.size(); ++i)
      out.push_back(best != nullptr ? (*best)[i] : Value::null(plan.right->output[i].type));
  }
  return result;
}

inline std::vector<Row> reference_join(const Plan& plan, const std::vector<Row>& lefts,
                                       const std::vector<Row>& rights) {
  if (plan.join.match == Join::Match::kAsOfTime) return reference_asof(plan, lefts, rights);
  std::vector<Row> result;
  for (const Row& left : lefts) {
    bool found = false;
    for (const Row& right : rights) {
      if (!reference_matches(plan, left, right)) continue;
      found = true;
      Row& out = result.emplace_back(left);
      out.insert(out.end(), right.begin(), right.end());
    }
    if (found || !plan.join.left_outer) continue;
    Row& out = result.emplace_back(left);
    for (const Column& column : plan.right->output) out.push_back(Value::null(column.type));
  }
  return result;
}

inline std::vector<Row> reference_session(const Plan& plan, const std::vector<Row>& rows) {
  const std::vector<Column>& columns = plan.input->output;
  std::map<Row, std::vector<std::pair<std::int64_t, Row>>, RowLess> partitions;
  for (const Row& row : rows) {
    const Value time = evaluate_row(plan.window.time, row, columns);
    if (time.is_null()) continue;
    Row key;
    for (const ExpressionPtr& e : plan.window.partition) key.push_back(evaluate_row(e, row, columns));
    partitions[key].emplace_back(time.as_int64(), row);
  }
  std::vector<Row> result;
  for (auto& [key, members] : partitions) {
    std::ranges::stable_sort(members, [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < members.size();) {
      std::size_t end = i + 1;
      while (end < members.size() && members[end].first - members[end - 1].first <= plan.window.gap_micros)
        ++end;
      const std::int64_t start = members[i].first;
      for (; i < end; ++i) {
        Row& out = result.emplace_back(members[i].second);
        out.push_back(Value::timestamp(start));
        out.push_back(Value::timestamp(members[end - 1].first + plan.window.gap_micros));
      }
    }
  }
  return result;
}

// The rows that a whole plan gives over the rows of its scans; no order but that of groups.
inline std::vector<Row> reference_plan(const Plan& plan, const Sources& sources) {
  if (!plan.input) return sources.at(&plan);
  std::vector<Row> rows = reference_plan(*plan.input, sources);
  const std::vector<Column>& columns = plan.input->output;
  std::vector<Row> result;
  switch (plan.kind) {
    case PlanKind::kFilter:
      for (Row& row : rows) {
        if (is_true(evaluate_row(plan.predicate, row, columns))) result.push_back(std::move(row));
      }
      return result;
    case PlanKind::kProject:
      for (const Row& row : rows) {
        Row& out = result.emplace_back();
        for (const ExpressionPtr& e : plan.expressions) out.push_back(evaluate_row(e, row, columns));
      }
      return result;
    case PlanKind::kAggregate: return reference_groups(plan, rows);
    case PlanKind::kWindow:
      return plan.window.kind == Window::Kind::kHop ? reference_hop(plan, rows)
                                                    : reference_session(plan, rows);
    case PlanKind::kJoin: return reference_join(plan, rows, reference_plan(*plan.right, sources));
    case PlanKind::kTopK: return reference_top_k(plan, rows);
    case PlanKind::kUnion: {
      const std::vector<Row> right = reference_plan(*plan.right, sources);
      rows.insert(rows.end(), right.begin(), right.end());
      return rows;
    }
    default: return rows;
  }
}
// For a plan with one scan.
inline std::vector<Row> reference_plan(const Plan& plan, const std::vector<Row>& source) {
  return reference_plan(plan, Sources{{scans_of(plan).front(), source}});
}

}  // namespace kappa::processor::testing
