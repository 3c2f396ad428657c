// Aggregates inside expressions: each becomes a column after the input's, replaced by the aggregate
// operator's output once GROUP BY is known (bind_select.cc).
#include <array>

#include "processor/sql/binder.h"
#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {
namespace {

bool is_number(TypeId id) {
  return id == TypeId::kBigint || id == TypeId::kDouble || id == TypeId::kNumeric;
}

// The type of function(argument); nullopt if there is none.
std::optional<Type> result_type(std::string_view function, Type argument) {
  if (function == "count") return kBigintType;
  if (function == "min" || function == "max") {
    if (argument.id == TypeId::kJson) return std::nullopt;
    return argument;
  }
  if (!is_number(argument.id)) return std::nullopt;
  if (function == "avg" || argument.id == TypeId::kDouble) return kDoubleType;
  return Type{TypeId::kNumeric, 38, argument.scale};
}

}  // namespace

bool is_aggregate_name(std::string_view function) {
  for (const std::string_view name : {"count", "sum", "min", "max", "avg"}) {
    if (function == name) return true;
  }
  return false;
}

std::optional<std::string> later_function(std::string_view function) {
  if (function == "tumble") return "TUMBLE windows";
  if (function == "hop") return "HOP windows";
  if (function == "session") return "SESSION windows";
  static constexpr std::array<std::string_view, 23> kLater = {"stddev_samp",
                                                              "stddev_pop",
                                                              "var_samp",
                                                              "var_pop",
                                                              "stddev",
                                                              "variance",
                                                              "first",
                                                              "last",
                                                              "arg_min",
                                                              "arg_max",
                                                              "percentile_disc",
                                                              "percentile_cont",
                                                              "approx_count_distinct",
                                                              "approx_quantile",
                                                              "bool_and",
                                                              "bool_or",
                                                              "string_agg",
                                                              "array_agg",
                                                              "latest_by_offset",
                                                              "earliest_by_offset",
                                                              "row_number",
                                                              "rank",
                                                              "dense_rank"};
  for (const std::string_view name : kLater) {
    if (function == name) return "calls of " + std::string(name);
  }
  return std::nullopt;
}

Expected<ExpressionPtr> ExpressionBinder::bind_aggregate(const Node& node) {
  if (options_.aggregates == nullptr) {
    return fail_at(node.place, ErrorCode::kInvalid, 2005,
                   "the aggregate " + node.function + " is not allowed in " + options_.clause,
                   options_.clause == "WHERE" ? "use HAVING" : "");
  }
  Aggregate aggregate;
  aggregate.function = node.function;
  aggregate.distinct = node.distinct;
  ExpressionBinder inner(scope_, context_, {"an aggregate", nullptr, options_.aliases});
  if (node.star) {
    if (node.function != "count") {
      return fail_at(node.place, ErrorCode::kInvalid, 2002, node.function + "(*) does not exist",
                     "only count takes *");
    }
    aggregate.type = kBigintType;
  } else {
    if (node.arguments.size() != 1) {
      return fail_at(node.place, ErrorCode::kInvalid, 2002,
                     node.function + " takes one argument, found " + std::to_string(node.arguments.size()),
                     node.function == "count" ? "count(*) counts rows" : "");
    }
    KAPPA_TRY(ExpressionPtr argument, inner.bind(node.arguments[0]));
    if (argument->type.id == TypeId::kNull) {
      KAPPA_TRY(argument, coerce(std::move(argument),
                                 node.function == "sum" || node.function == "avg" ? kBigintType : kTextType));
    }
    const auto type = result_type(node.function, argument->type);
    if (!type) {
      return fail_at(node.arguments[0]->place, ErrorCode::kInvalid, 2002,
                     node.function + " does not take " + to_string(argument->type),
                     argument->type.id == TypeId::kJson ? "->> opens JSON as TEXT" : "");
    }
    aggregate.type = *type;
    aggregate.arguments.push_back(std::move(argument));
  }
  if (aggregate.distinct && (node.function == "min" || node.function == "max")) aggregate.distinct = false;
  if (aggregate.distinct && node.function != "count") {
    return fail_at(node.place, ErrorCode::kUnsupported, 2008,
                   node.function + "(DISTINCT ...) is not available in this version");
  }
  if (node.filter) {
    ExpressionBinder filter(scope_, context_, {"FILTER", nullptr, options_.aliases});
    KAPPA_TRY(aggregate.filter, filter.bind_condition(node.filter));
  }
  AggregateList& list = *options_.aggregates;
  std::size_t index = 0;
  while (index < list.aggregates.size() && !equal(list.aggregates[index], aggregate)) ++index;
  const Type type = aggregate.type;
  if (index == list.aggregates.size()) list.aggregates.push_back(std::move(aggregate));
  return make_column(list.base + index, type);
}

}  // namespace kappa::processor::sql
