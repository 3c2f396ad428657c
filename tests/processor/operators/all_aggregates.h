// The aggregates that property tests go through.
#pragma once

#include <vector>

#include "tests/processor/operators/change_source.h"

namespace kappa::processor::testing {

inline Aggregate ordered(Aggregate aggregate, std::vector<SortKey> order,
                         std::vector<Value> parameters = {}) {
  aggregate.order_by = std::move(order);
  aggregate.parameters = std::move(parameters);
  return aggregate;
}

// One row of a group, by an order with ties, by one without, and by none.
inline void add_choices(std::vector<Aggregate>& all) {
  const std::vector<Column> columns = source_columns();
  const auto key = [&](Col c, bool descending = false) {
    return SortKey{col(columns, c), descending, descending};
  };
  const ExpressionPtr flag = col(columns, kFlag);
  for (const char* function : {"first", "last"}) {
    all.push_back(ordered(aggregate(function, col(columns, kText)), {key(kTime), key(kId)}));
    all.push_back(
        ordered(aggregate(function, col(columns, kInt), false, flag), {key(kText, true), key(kId)}));
    all.push_back(ordered(aggregate(function, col(columns, kReal)), {key(kFlag), key(kDec, true)}));
    all.push_back(
        ordered(aggregate(function, col(columns, kSpan)),
                {SortKey{col(columns, kTime), false, true}, SortKey{col(columns, kReal), true, false}}));
    all.push_back(ordered(aggregate(function, col(columns, kFlag)), {}));
  }
  all.push_back(ordered(aggregate("arg_min", col(columns, kText)), {key(kTime), key(kId)}));
  all.push_back(
      ordered(aggregate("arg_max", col(columns, kText)), {{col(columns, kTime), true, false}, key(kId)}));
  all.push_back(
      ordered(aggregate("arg_max", col(columns, kDec), false, flag), {{col(columns, kText), true, false}}));
  all.push_back(aggregate("bool_and", flag));
  all.push_back(aggregate("bool_or", flag));
  all.push_back(aggregate("bool_or", flag, false, flag));
}

inline void add_percentiles(std::vector<Aggregate>& all) {
  const std::vector<Column> columns = source_columns();
  const auto add = [&](const char* function, Col c, double p, bool descending = false,
                       ExpressionPtr filter = nullptr) {
    Aggregate one;
    one.function = function;
    one.order_by = {{col(columns, c), descending, descending}};
    one.parameters = {Value::real(p)};
    one.filter = std::move(filter);
    one.type = one.function == "percentile_cont" ? kDoubleType : columns[c].type;
    all.push_back(std::move(one));
  };
  for (const Col c : {kInt, kReal, kDec}) {
    for (const double p : {0.0, 0.25, 0.5, 0.93, 1.0}) {
      add("percentile_disc", c, p);
      add("percentile_cont", c, p, p == 0.25);
    }
  }
  add("percentile_disc", kInt, 0.1, true);
  add("percentile_disc", kText, 0.5);
  add("percentile_disc", kTime, 0.7, true, col(columns, kFlag));
  add("percentile_cont", kInt, 0.1, false, col(columns, kFlag));
}

inline void add_lists(std::vector<Aggregate>& all) {
  const std::vector<Column> columns = source_columns();
  const SortKey by_id{col(columns, kId), false, false};
  const SortKey by_time{col(columns, kTime), true, true};
  const Value comma = Value::text(", ");
  all.push_back(ordered(aggregate("string_agg", col(columns, kText)), {by_id}, {comma}));
  all.push_back(ordered(aggregate("string_agg", col(columns, kText), false, col(columns, kFlag)),
                        {by_time, by_id}, {Value::text("")}));
  all.push_back(ordered(aggregate("string_agg", col(columns, kText), true),
                        {SortKey{col(columns, kText), true, true}}, {comma}));
  for (const Col c : {kInt, kReal, kDec, kText, kTime, kFlag})
    all.push_back(ordered(aggregate("array_agg", col(columns, c)), {by_time, by_id}));
  all.push_back(ordered(aggregate("array_agg", col(columns, kKeyInt)), {}));
  all.push_back(
      ordered(aggregate("array_agg", col(columns, kInt), true), {SortKey{col(columns, kInt), false, false}}));
}

// Every aggregate over every type that it takes, plain, with FILTER and with DISTINCT.
inline std::vector<Aggregate> all_aggregates() {
  const std::vector<Column> columns = source_columns();
  const ExpressionPtr flag = col(columns, kFlag);
  std::vector<Aggregate> all = {aggregate("count", nullptr), aggregate("count", nullptr, false, flag)};
  for (const Col c : {kInt, kReal, kDec, kSpan}) {
    for (const char* function : {"sum", "avg"}) {
      if (c == kSpan && function == std::string("avg")) continue;
      all.push_back(aggregate(function, col(columns, c)));
      all.push_back(aggregate(function, col(columns, c), false, flag));
      all.push_back(aggregate(function, col(columns, c), true));
    }
  }
  for (const Col c : {kFlag, kInt, kReal, kDec, kText, kTime}) {
    for (const char* function : {"min", "max", "count"}) {
      all.push_back(aggregate(function, col(columns, c)));
      all.push_back(aggregate(function, col(columns, c), true, c == kText ? flag : nullptr));
    }
  }
  for (const Col c : {kInt, kReal, kDec}) {
    for (const char* function : {"var_samp", "var_pop", "stddev_samp", "stddev_pop"}) {
      all.push_back(aggregate(function, col(columns, c)));
      if (c != kReal)
        all.push_back(aggregate(function, col(columns, c), c == kInt, c == kInt ? nullptr : flag));
    }
  }
  // One table of values under several filters, and several aggregates of one.
  all.push_back(aggregate("count", col(columns, kInt), true, flag));
  all.push_back(aggregate("sum", col(columns, kInt), true, flag));
  all.push_back(aggregate("count", col(columns, kInt), true, call("not", {flag})));
  all.push_back(aggregate("count", col(columns, kInt), true, call("is null", {flag})));
  add_choices(all);
  add_percentiles(all);
  add_lists(all);
  for (const Col c : {kInt, kReal, kDec}) {
    for (const double p : {0.0, 0.5, 0.99})
      all.push_back(ordered(aggregate("approx_quantile", col(columns, c)), {}, {Value::real(p)}));
  }
  return all;
}

}  // namespace kappa::processor::testing
