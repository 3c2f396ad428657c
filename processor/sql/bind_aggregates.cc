// Aggregates inside expressions: each becomes a column after the input's, replaced by the aggregate
// operator's output once GROUP BY is known (bind_select.cc).
#include <array>

#include "processor/operators/aggregates/registry.h"
#include "processor/sql/binder.h"
#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/vector/evaluate.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {
namespace {

using Form = AggregateKind::Form;

std::string form_text(const AggregateKind& kind) {
  const std::string name(kind.name);
  switch (kind.form) {
    case Form::kValue: return name + "(x)";
    case Form::kOrdered: return name + "(x [ORDER BY ...])";
    case Form::kLeastBy:
    case Form::kGreatestBy: return name + "(x, y)";
    case Form::kWithinGroup: return name + "(p) WITHIN GROUP (ORDER BY x)";
    case Form::kWithFraction: return name + "(x, p)";
    case Form::kWithDelimiter: return name + "(x, delimiter [ORDER BY ...])";
  }
  return name;
}

std::size_t arguments_of(Form form) {
  return form == Form::kValue || form == Form::kOrdered || form == Form::kWithinGroup ? 1 : 2;
}

// A NULL without a type becomes one that the aggregate takes.
Expected<ExpressionPtr> typed_argument(ExpressionPtr argument, const AggregateKind& kind) {
  if (argument->type.id != TypeId::kNull) return argument;
  for (const Type type : {kTextType, kBigintType}) {
    if (kind.result(type)) return coerce(std::move(argument), type);
  }
  return coerce(std::move(argument), kBooleanType);
}

Expected<Value> constant(const ExpressionPtr& bound, Type type, const Node& node, const char* what) {
  if (bound->kind != ExpressionKind::kConstant) {
    return fail_at(node.place, ErrorCode::kInvalid, 2005, std::string(what) + " must be a constant");
  }
  if (bound->constant.is_null()) {
    return fail_at(node.place, ErrorCode::kInvalid, 2002, std::string(what) + " must not be NULL");
  }
  auto typed = coerce(bound, type);
  if (!typed || (*typed)->kind != ExpressionKind::kConstant || (*typed)->constant.is_null()) {
    return fail_at(node.place, ErrorCode::kInvalid, 2002,
                   std::string(what) + " must be " + to_string(type) + ", found " + to_string(bound->type));
  }
  return (*typed)->constant;
}

Expected<Value> fraction(const ExpressionPtr& bound, const Node& node) {
  KAPPA_TRY(Value p, constant(bound, kDoubleType, node, "the fraction"));
  if (p.as_double() >= 0 && p.as_double() <= 1) return p;
  return fail_at(node.place, ErrorCode::kInvalid, 2002, "the fraction must be from 0 to 1",
                 "0.95 is the 95th percentile");
}

}  // namespace

bool is_aggregate_name(std::string_view function) {
  return find_aggregate(function) != nullptr;
}

std::optional<std::string> later_function(std::string_view function) {
  if (function == "tumble") return "TUMBLE windows";
  if (function == "hop") return "HOP windows";
  if (function == "session") return "SESSION windows";
  static constexpr std::array<std::string_view, 3> kLater = {"row_number", "rank", "dense_rank"};
  for (const std::string_view name : kLater) {
    if (function == name) return "calls of " + std::string(name);
  }
  return std::nullopt;
}

// The arguments, order and parameters of a call that is not count(*).
Status ExpressionBinder::bind_aggregate_arguments(const Node& node, const AggregateKind& kind,
                                                  Aggregate& aggregate) {
  ExpressionBinder inner(scope_, context_, {"an aggregate", nullptr, options_.aliases});
  const bool within = kind.form == Form::kWithinGroup;
  if (node.arguments.size() != arguments_of(kind.form) || node.within_group != within ||
      (within && node.order_by.size() != 1)) {
    return fail_at(node.place, ErrorCode::kInvalid, 2002,
                   node.arguments.size() == arguments_of(kind.form)
                       ? "the call of " + node.function + " is not complete"
                       : node.function + " takes " + std::to_string(arguments_of(kind.form)) +
                             (arguments_of(kind.form) == 1 ? " argument" : " arguments") + ", found " +
                             std::to_string(node.arguments.size()),
                   node.function == "count" ? "count(*) counts rows" : "write " + form_text(kind));
  }
  const auto add_key = [&](ExpressionPtr expression, const OrderItem& item) -> Status {
    if (expression->type.id == TypeId::kJson) {
      return fail_at(item.expression->place, ErrorCode::kInvalid, 2002, "JSON has no order",
                     "->> opens JSON as TEXT");
    }
    if (expression->type.id == TypeId::kNull) {
      KAPPA_TRY(expression, coerce(std::move(expression), kTextType));
    }
    aggregate.order_by.push_back(
        {std::move(expression), item.descending, item.nulls_first.value_or(item.descending)});
    return {};
  };
  // What it is over: its type decides.
  const NodePtr& value_node = within ? node.order_by[0].expression : node.arguments[0];
  KAPPA_TRY(ExpressionPtr value, inner.bind(value_node));
  KAPPA_TRY(value, typed_argument(std::move(value), kind));
  const auto type = kind.result(value->type);
  if (!type) {
    return fail_at(value_node->place, ErrorCode::kInvalid, 2002,
                   node.function + " does not take " + to_string(value->type),
                   value->type.id == TypeId::kJson ? "->> opens JSON as TEXT" : "");
  }
  aggregate.type = *type;
  if (within) {
    KAPPA_CHECK_OK(add_key(std::move(value), node.order_by[0]));
    KAPPA_TRY(const ExpressionPtr p, inner.bind(node.arguments[0]));
    KAPPA_TRY(Value bound, fraction(p, *node.arguments[0]));
    aggregate.parameters.push_back(std::move(bound));
    return {};
  }
  aggregate.arguments.push_back(std::move(value));
  std::vector<OrderItem> order = node.order_by;
  switch (kind.form) {
    case Form::kValue: return {};  // Any order gives the same.
    case Form::kWithFraction: {
      KAPPA_TRY(const ExpressionPtr p, inner.bind(node.arguments[1]));
      KAPPA_TRY(Value bound, fraction(p, *node.arguments[1]));
      aggregate.parameters.push_back(std::move(bound));
      return {};
    }
    case Form::kWithDelimiter: {
      KAPPA_TRY(const ExpressionPtr delimiter, inner.bind(node.arguments[1]));
      KAPPA_TRY(Value bound, constant(delimiter, kTextType, *node.arguments[1], "the delimiter"));
      aggregate.parameters.push_back(std::move(bound));
      break;
    }
    case Form::kLeastBy:
    case Form::kGreatestBy: order = {{node.arguments[1], kind.form == Form::kGreatestBy, false}}; break;
    case Form::kOrdered:
    case Form::kWithinGroup: break;
  }
  const bool by_offset = node.function == "latest_by_offset" || node.function == "earliest_by_offset";
  if (by_offset && !order.empty()) {
    return fail_at(node.place, ErrorCode::kInvalid, 2005, node.function + " has an order of its own",
                   "write " + form_text(kind));
  }
  for (const OrderItem& item : order) {
    KAPPA_TRY(ExpressionPtr key, inner.bind(item.expression));
    KAPPA_CHECK_OK(add_key(std::move(key), item));
  }
  // Each value once has no place in the log: it goes by itself.
  if (aggregate.distinct && kind.distinct == AggregateKind::Distinct::kOwn) {
    const ExpressionPtr& argument = aggregate.arguments[0];
    if (aggregate.order_by.size() > 1 ||
        (aggregate.order_by.size() == 1 && !equal(*aggregate.order_by[0].expression, *argument))) {
      return fail_at(node.place, ErrorCode::kInvalid, 2005,
                     node.function + "(DISTINCT x ORDER BY ...) orders by x or not at all");
    }
    if (aggregate.order_by.empty() && argument->type.id != TypeId::kJson) {
      aggregate.order_by.push_back({argument, false, false});
    }
    return {};
  }
  for (const ExpressionPtr& tie : scope_.tie_break) aggregate.order_by.push_back({tie, false, false});
  return {};
}

Expected<ExpressionPtr> ExpressionBinder::bind_aggregate(const Node& node) {
  if (options_.aggregates == nullptr) {
    return fail_at(node.place, ErrorCode::kInvalid, 2005,
                   "the aggregate " + node.function + " is not allowed in " + options_.clause,
                   options_.clause == "WHERE" ? "use HAVING" : "");
  }
  const AggregateKind& kind = *find_aggregate(node.function);
  Aggregate aggregate;
  aggregate.function = kind.name;
  aggregate.distinct = node.distinct && kind.distinct != AggregateKind::Distinct::kSame;
  if (aggregate.distinct && kind.distinct == AggregateKind::Distinct::kRefused) {
    return fail_at(node.place, ErrorCode::kInvalid, 2005, node.function + " does not take DISTINCT",
                   "write " + form_text(kind));
  }
  if (node.star) {
    if (node.function != "count") {
      return fail_at(node.place, ErrorCode::kInvalid, 2002, node.function + "(*) does not exist",
                     "only count takes *");
    }
    aggregate.type = kBigintType;
  } else {
    KAPPA_CHECK_OK(bind_aggregate_arguments(node, kind, aggregate));
  }
  if (node.filter) {
    ExpressionBinder filter(scope_, context_, {"FILTER", nullptr, options_.aliases});
    KAPPA_TRY(aggregate.filter, filter.bind_condition(node.filter));
  }
  AggregateList& list = *options_.aggregates;
  std::size_t index = 0;
  while (index < list.aggregates.size() && !equal(list.aggregates[index], aggregate)) ++index;
  const Type type = aggregate.type;
  if (index == list.aggregates.size()) {
    list.aggregates.push_back(std::move(aggregate));
    list.places.push_back(node.place);
  }
  return make_column(list.base + index, type);
}

Status check_takes_back(const AggregateList& list) {
  for (std::size_t i = 0; i < list.aggregates.size(); ++i) {
    const AggregateKind& kind = *find_aggregate(list.aggregates[i].function);
    if (kind.instead_of_taking_back.empty()) continue;
    Error error = cannot_take_back(kind).error();
    error.place = list.places[i];
    return std::unexpected(std::move(error));
  }
  return {};
}

}  // namespace kappa::processor::sql
