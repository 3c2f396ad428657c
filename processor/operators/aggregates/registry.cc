// See registry.h.
#include "processor/operators/aggregates/registry.h"

#include <array>
#include <string>
#include <utility>

#include "processor/operators/aggregates/multiset.h"

namespace kappa::processor {
namespace {

using Form = AggregateKind::Form;
using Distinct = AggregateKind::Distinct;

bool is_number(Type type) {
  return type.id == TypeId::kBigint || type.id == TypeId::kDouble || type.id == TypeId::kNumeric;
}

// --- result types ---
std::optional<Type> bigint_of_any(Type) {
  return kBigintType;
}
std::optional<Type> same(Type argument) {
  return argument;
}
std::optional<Type> same_if_ordered(Type argument) {
  if (argument.id == TypeId::kJson) return std::nullopt;
  return argument;
}
std::optional<Type> sum_of(Type argument) {
  if (argument.id == TypeId::kBigint) return kHugeintType;
  if (argument.id == TypeId::kNumeric) return Type{TypeId::kNumeric, 38, argument.scale};
  if (argument.id == TypeId::kDouble || argument.id == TypeId::kInterval) return argument;
  return std::nullopt;
}
std::optional<Type> boolean_of_boolean(Type argument) {
  if (argument.id == TypeId::kBoolean) return argument;
  return std::nullopt;
}
std::optional<Type> bigint_if_ordered(Type argument) {
  if (argument.id == TypeId::kJson) return std::nullopt;
  return kBigintType;
}
std::optional<Type> text_of_text(Type argument) {
  if (argument.id == TypeId::kText) return argument;
  return std::nullopt;
}
std::optional<Type> json_of_any(Type) {
  return kJsonType;
}
std::optional<Type> double_of_number(Type argument) {
  if (is_number(argument)) return kDoubleType;
  return std::nullopt;
}

constexpr Keeps kExtremeKeeps{"", "min and max: every value, grows with the number of distinct values"};
constexpr Keeps kChoiceKeeps{"", "first, last, arg_min and arg_max: every row, grows with the rows"};
constexpr Keeps kPercentileKeeps{
    "percentiles: one entry a distinct value and group, grows with the number of distinct values",
    "percentiles: one entry a distinct value and group, grows with the number of distinct values"};
constexpr Keeps kListKeeps{"string_agg and array_agg: up to 64 KiB a group",
                           "string_agg and array_agg: every row, grows with the rows"};

constexpr std::array kAggregates{
    AggregateKind{"count", make_count, bigint_of_any, Form::kValue, Distinct::kAround, "", {}},
    AggregateKind{"sum", make_sum, sum_of, Form::kValue, Distinct::kAround, "", {}},
    AggregateKind{"avg", make_average, double_of_number, Form::kValue, Distinct::kAround, "", {}},
    AggregateKind{"min", make_extremum, same_if_ordered, Form::kValue, Distinct::kSame, "", kExtremeKeeps},
    AggregateKind{"max", make_extremum, same_if_ordered, Form::kValue, Distinct::kSame, "", kExtremeKeeps},
    AggregateKind{"var_samp", make_variance, double_of_number, Form::kValue, Distinct::kAround, "", {}},
    AggregateKind{"var_pop", make_variance, double_of_number, Form::kValue, Distinct::kAround, "", {}},
    AggregateKind{"stddev_samp", make_variance, double_of_number, Form::kValue, Distinct::kAround, "", {}},
    AggregateKind{"stddev_pop", make_variance, double_of_number, Form::kValue, Distinct::kAround, "", {}},
    AggregateKind{"first", make_choice, same, Form::kOrdered, Distinct::kSame, "", kChoiceKeeps},
    AggregateKind{"last", make_choice, same, Form::kOrdered, Distinct::kSame, "", kChoiceKeeps},
    AggregateKind{"arg_min", make_choice, same, Form::kLeastBy, Distinct::kSame, "", kChoiceKeeps},
    AggregateKind{"arg_max", make_choice, same, Form::kGreatestBy, Distinct::kSame, "", kChoiceKeeps},
    AggregateKind{"percentile_disc", make_percentile, same_if_ordered, Form::kWithinGroup, Distinct::kRefused,
                  "", kPercentileKeeps},
    AggregateKind{"percentile_cont", make_percentile, double_of_number, Form::kWithinGroup,
                  Distinct::kRefused, "", kPercentileKeeps},
    AggregateKind{"bool_and", make_boolean, boolean_of_boolean, Form::kValue, Distinct::kSame, "", {}},
    AggregateKind{"bool_or", make_boolean, boolean_of_boolean, Form::kValue, Distinct::kSame, "", {}},
    AggregateKind{"string_agg", make_list, text_of_text, Form::kWithDelimiter, Distinct::kOwn, "",
                  kListKeeps},
    AggregateKind{"array_agg", make_list, json_of_any, Form::kOrdered, Distinct::kOwn, "", kListKeeps},
    AggregateKind{"approx_count_distinct", make_approx_count_distinct, bigint_if_ordered, Form::kValue,
                  Distinct::kSame, "count(DISTINCT x) can", {"approx_count_distinct: at most 12 KiB a group", {}}},
    AggregateKind{"approx_quantile", make_approx_quantile, double_of_number, Form::kWithFraction,
                  Distinct::kRefused, "",
                  {"approx_quantile: 12 bytes for each bucket of values within 1.6 percent",
                   "approx_quantile: 12 bytes for each bucket of values within 1.6 percent"}},
};

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kAliases{{
    {"stddev", "stddev_samp"},
    {"variance", "var_samp"},
    {"latest_by_offset", "last"},
    {"earliest_by_offset", "first"},
}};

}  // namespace

const AggregateKind* find_aggregate(std::string_view name) {
  for (const auto& [alias, meant] : kAliases) {
    if (name == alias) name = meant;
  }
  for (const AggregateKind& kind : kAggregates) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

std::unexpected<Error> cannot_take_back(const AggregateKind& kind) {
  return fail(ErrorCode::kInvalid, 2005,
              std::string(kind.name) + " cannot take rows back, and rows of this input are replaced",
              std::string(kind.instead_of_taking_back));
}

Status AggregateFunction::merge(EntryValue&, std::string_view) const {
  return fail(ErrorCode::kInvalid, 2005, "the aggregate keeps more than its group's value");
}

Expected<std::unique_ptr<AggregateFunction>> make_aggregate(const AggregateContext& context) {
  const AggregateKind* const kind = find_aggregate(context.aggregate.function);
  if (kind == nullptr || context.aggregate.function != kind->name) {
    return fail(ErrorCode::kUnsupported, 2008,
                "aggregate " + context.aggregate.function + " is not in this version");
  }
  if (context.input == InputKind::kRetracting && !kind->instead_of_taking_back.empty()) {
    return cannot_take_back(*kind);
  }
  // 200 tables an operator chain are far above any sensible view; the rest is kept for other uses.
  if (context.next_table >= 200) {
    return fail(ErrorCode::kTooLarge, 2009,
                "too many aggregates in one view that keep every value, such as DISTINCT");
  }
  std::unique_ptr<AggregateFunction> function = kind->make(context);
  if (context.aggregate.distinct && kind->distinct == Distinct::kAround)
    function = make_distinct(context, std::move(function));
  return function;
}

}  // namespace kappa::processor
