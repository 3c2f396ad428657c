// The aggregates that property tests go through.
#pragma once

#include <vector>

#include "tests/processor/operators/change_source.h"

namespace kappa::processor::testing {

inline Aggregate ordered(Aggregate aggregate, std::vector<SortKey> order, std::vector<Value> parameters = {}) {
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
    all.push_back(ordered(aggregate(function, col(columns, kInt), false, flag), {key(kText, true), key(kId)}));
    all.push_back(ordered(aggregate(function, col(columns, kReal)), {key(kFlag), key(kDec, true)}));
    all.push_back(ordered(aggregate(function, col(columns, kSpan)),
                          {SortKey{col(columns, kTime), false, true}, SortKey{col(columns, kReal), true, false}}));
    all.push_back(ordered(aggregate(function, col(columns, kFlag)), {}));
  }
  all.push_back(ordered(aggregate("arg_min", col(columns, kText)), {key(kTime), key(kId)}));
  all.push_back(ordered(aggregate("arg_max", col(columns, kText)), {{col(columns, kTime), true, false}, key(kId)}));
  all.push_back(ordered(aggregate("arg_max", col(columns, kDec), false, flag), {{col(columns, kText), true, false}}));
  all.push_back(aggregate("bool_and", flag));
  all.push_back(aggregate("bool_or", flag));
  all.push_back(aggregate("bool_or", flag, false, flag));
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
  add_choices(all);
  return all;
}

}  // namespace kappa::processor::testing
