// The table of aggregates: name, factory, and what DISTINCT means for it.
#include <array>
#include <string>

#include "processor/operators/aggregates/aggregate.h"

namespace kappa::processor {
namespace {

struct Registration {
  std::string_view name;
  AggregateFactory make;
  bool distinct_matters;  // False: the same with and without DISTINCT.
};

constexpr std::array<Registration, 5> kAggregates{{
    {"count", make_count, true},
    {"sum", make_sum, true},
    {"avg", make_average, true},
    {"min", make_extremum, false},
    {"max", make_extremum, false},
}};

}  // namespace

Status AggregateFunction::merge(EntryValue&, std::string_view) const {
  return fail(ErrorCode::kInvalid, 2005, "the aggregate keeps more than its group's value");
}

Expected<std::unique_ptr<AggregateFunction>> make_aggregate(const AggregateContext& context) {
  for (const Registration& registration : kAggregates) {
    if (registration.name != context.aggregate.function) continue;
    // 200 tables an operator chain are far above any sensible view; the rest is kept for other uses.
    if (context.next_table >= 200) {
      return fail(ErrorCode::kTooLarge, 2009, "too many DISTINCT, min and max aggregates in one view");
    }
    std::unique_ptr<AggregateFunction> function = registration.make(context);
    if (context.aggregate.distinct && registration.distinct_matters)
      function = make_distinct(context, std::move(function));
    return function;
  }
  return fail(ErrorCode::kUnsupported, 2008,
              "aggregate " + context.aggregate.function + " is not in this version");
}

}  // namespace kappa::processor
