// The aggregates that property tests go through.
#pragma once

#include <vector>

#include "tests/processor/operators/change_source.h"

namespace kappa::processor::testing {

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
  return all;
}

}  // namespace kappa::processor::testing
