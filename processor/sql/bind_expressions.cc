// Expressions: columns, calls, CASE, CAST, IN. Aggregates are in bind_aggregates.cc.
#include <algorithm>

#include "processor/sql/binder.h"
#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/sql/suggest.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {
namespace {

// Nodes of one statement as trees. Expressions share parts (the operand of CASE, columns of
// subqueries), so a short text can mean an enormous tree; everything that walks trees rests on this.
constexpr std::size_t kNodesMax = 400'000;

// The error of a call, at the node.
template <class T>
Expected<T> placed(Expected<T> result, SourcePlace place) {
  if (result || result.error().place) return result;
  result.error().place = place;
  return result;
}

// The same for a node with arguments: a literal that is not of the type asked for is named itself.
Expected<ExpressionPtr> placed_call(Expected<ExpressionPtr> result, const Node& node) {
  if (!result && !result.error().place) {
    for (const NodePtr& argument : node.arguments) {
      const bool text = argument->kind == NodeKind::kLiteral && !argument->literal.is_null() &&
                        argument->literal.type().id == TypeId::kText;
      if (text && result.error().message.starts_with("'" + argument->literal.as_text() + "' is not")) {
        result.error().place = argument->place;
      }
    }
  }
  return placed(std::move(result), node.place);
}

}  // namespace

const ScopeColumn* find_column(const Scope& scope, const Name& name, std::string_view qualifier) {
  const ScopeColumn* exact = nullptr;
  const ScopeColumn* similar = nullptr;
  std::size_t exacts = 0;
  std::size_t similars = 0;
  for (const ScopeColumn& column : scope.columns) {
    if (!qualifier.empty() && column.qualifier != qualifier) continue;
    if (column.name == name.text) {
      if (column.first && qualifier.empty()) return &column;
      if (exact == nullptr || exact->qualifier != column.qualifier) ++exacts;
      if (exact == nullptr) exact = &column;
    } else if (!name.quoted && fold(column.name) == name.text) {
      similar = &column;
      ++similars;
    }
  }
  if (exacts > 0) return exacts == 1 ? exact : nullptr;
  return similars == 1 ? similar : nullptr;
}

Expected<const ScopeColumn*> resolve_column(const Scope& scope, const Node& node) {
  const Name& name = node.names.back();
  if (node.names.size() > 2) {
    return fail_at(node.place, ErrorCode::kNotFound, 2006, "there are no schemas: write column or alias.column",
                   "members of a JSON column open with ->>");
  }
  if (node.names.size() == 2) {
    const Name& table = node.names.front();
    std::vector<std::string> tables;
    for (const ScopeColumn& column : scope.columns) {
      if (!column.qualifier.empty() && std::ranges::find(tables, column.qualifier) == tables.end())
        tables.push_back(column.qualifier);
    }
    if (std::ranges::find(tables, table.text) == tables.end()) {
      return fail_at(table.place, ErrorCode::kNotFound, 2006, "\"" + table.text + "\" is not in FROM",
                     did_you_mean(table.text, tables));
    }
    if (const ScopeColumn* column = find_column(scope, name, table.text)) return column;
    return unknown_column(scope, name, node.place);
  }
  if (const ScopeColumn* column = find_column(scope, name)) return column;
  std::string owners;
  for (const ScopeColumn& column : scope.columns) {
    if (column.name == name.text && !column.qualifier.empty())
      owners += (owners.empty() ? "" : ", ") + column.qualifier + "." + name.text;
  }
  if (!owners.empty()) {
    return fail_at(node.place, ErrorCode::kNotFound, 2006, "\"" + name.text + "\" is in more than one table",
                   "write one of " + owners);
  }
  return unknown_column(scope, name, node.place);
}

std::unexpected<Error> unknown_column(const Scope& scope, const Name& name, SourcePlace place) {
  std::vector<std::string> known;
  for (const ScopeColumn& column : scope.columns) known.push_back(column.name);
  std::string hint = did_you_mean(name.text, known);
  if (hint.empty() && !known.empty()) {
    hint = "columns:";
    for (std::size_t i = 0; i < known.size() && i < 12; ++i) hint += (i == 0 ? " " : ", ") + known[i];
    if (known.size() > 12) hint += ", ...";
  }
  const std::string where = scope.what.empty() ? "there is no FROM" : scope.what + " has no column";
  return fail_at(
      place, ErrorCode::kNotFound, 2006,
      scope.what.empty() ? "no column \"" + name.text + "\": " + where : where + " \"" + name.text + "\"",
      std::move(hint));
}

Status ExpressionBinder::charge(std::size_t nodes, SourcePlace place) {
  context_.nodes += nodes;
  if (context_.nodes <= kNodesMax) return {};
  return fail_at(place, ErrorCode::kTooLarge, 2009,
                 "the statement has more than " + std::to_string(kNodesMax) + " expressions");
}

Expected<ExpressionPtr> ExpressionBinder::bind(const NodePtr& node) {
  KAPPA_CHECK_OK(charge(1, node->place));
  switch (node->kind) {
    case NodeKind::kLiteral: return make_constant(node->literal);
    case NodeKind::kColumn: return bind_column(*node);
    case NodeKind::kStar:
      return fail_at(node->place, ErrorCode::kInvalid, 2001,
                     "* stands only in a select list and in count(*)");
    case NodeKind::kCall: return bind_call(*node);
    case NodeKind::kCase: return bind_case(*node);
    case NodeKind::kCast: return bind_cast(*node);
  }
  return make_constant(Value());
}

Expected<ExpressionPtr> ExpressionBinder::bind_condition(const NodePtr& node) {
  KAPPA_TRY(ExpressionPtr condition, bind(node));
  auto boolean = coerce(std::move(condition), kBooleanType);
  if (!boolean) {
    Error error = boolean.error();
    error.message = options_.clause + " must be BOOLEAN: " + error.message;
    error.place = node->place;
    return std::unexpected(std::move(error));
  }
  return boolean;
}

Expected<std::vector<ExpressionPtr>> ExpressionBinder::bind_all(const std::vector<NodePtr>& nodes) {
  std::vector<ExpressionPtr> bound;
  bound.reserve(nodes.size());
  for (const NodePtr& node : nodes) {
    KAPPA_TRY(ExpressionPtr expression, bind(node));
    bound.push_back(std::move(expression));
  }
  return bound;
}

Expected<ExpressionPtr> ExpressionBinder::bind_column(const Node& node) {
  auto found = resolve_column(scope_, node);
  if (found) {
    KAPPA_CHECK_OK(charge((*found)->size, node.place));
    return (*found)->expression;
  }
  if (options_.aliases != nullptr && node.names.size() == 1) {
    const auto aliased = options_.aliases->find(node.names.back().text);
    if (aliased != options_.aliases->end()) {
      Options inner = options_;
      inner.aliases = nullptr;  // An alias is never defined by an alias.
      return ExpressionBinder(scope_, context_, std::move(inner)).bind(aliased->second);
    }
  }
  return std::unexpected(std::move(found).error());
}

namespace {

bool is_comparison(std::string_view function) {
  for (const std::string_view one : {"=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from"})
    if (function == one) return true;
  return false;
}

// 19.99 or -19.99 as a literal, without an exponent: the NUMERIC that is written; null for anything else.
Expected<ExpressionPtr> decimal_of(const Node& node) {
  const bool negated = node.kind == NodeKind::kCall && node.function == "negate" && node.arguments.size() == 1;
  const Node& literal = negated ? *node.arguments[0] : node;
  if (literal.kind != NodeKind::kLiteral || literal.literal.is_null() || literal.literal.type().id != TypeId::kDouble)
    return ExpressionPtr{};
  const std::string_view text = literal.source;
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos || text.find_first_not_of("0123456789.") != std::string_view::npos || text.size() > 38)
    return ExpressionPtr{};
  const Type type{TypeId::kNumeric, 38, static_cast<std::uint8_t>(text.size() - point - 1)};
  return make_cast(make_constant(Value::text((negated ? "-" : "") + std::string(text))), type);
}

}  // namespace

// A decimal literal is DOUBLE, and 19.99 as a DOUBLE equals no NUMERIC: compared with one, it is what is written.
Status ExpressionBinder::take_decimals_as_written(const std::vector<NodePtr>& nodes, std::vector<ExpressionPtr>& bound) {
  if (std::ranges::none_of(bound, [](const ExpressionPtr& e) { return e->type.id == TypeId::kNumeric; })) return {};
  for (std::size_t i = 0; i < bound.size() && i < nodes.size(); ++i) {
    KAPPA_TRY(ExpressionPtr decimal, decimal_of(*nodes[i]));
    if (decimal && !decimal->constant.is_null()) bound[i] = std::move(decimal);
  }
  return {};
}

Expected<ExpressionPtr> ExpressionBinder::bind_call(const Node& node) {
  if (node.named_call) {
    if (is_rank_name(node.function)) return bind_rank(node);
    if (node.over) {
      return fail_at(node.place, ErrorCode::kInvalid, 2005, node.function + " does not take OVER",
                     "ROW_NUMBER, RANK and DENSE_RANK do; a GROUP BY in a subquery and a join do the rest");
    }
    if (is_aggregate_name(node.function)) return bind_aggregate(node);
    if (is_window_name(node.function)) {
      return fail_at(node.place, ErrorCode::kInvalid, 2005,
                     node.function + " stands only in GROUP BY, and in FROM around a stream",
                     "its window is selected as window_start and window_end");
    }
    if (const auto later = later_function(node.function)) {
      return fail_at(node.place, ErrorCode::kUnsupported, 2008,
                     *later + " are not available in this version");
    }
    for (const std::string_view banned : {"now", "current_timestamp", "current_date", "localtimestamp",
                                          "clock_timestamp", "statement_timestamp", "transaction_timestamp",
                                          "proctime", "random", "rand", "gen_random_uuid", "uuid"}) {
      if (node.function == banned) return bind_clock(node);
    }
    const bool known = find_function(node.function) != nullptr;
    if (known && (node.distinct || node.filter || node.star || !node.order_by.empty())) {
      return fail_at(node.place, ErrorCode::kInvalid, 2005, node.function + " is not an aggregate",
                     "*, DISTINCT and FILTER belong to aggregates");
    }
  }
  // -9223372036854775808 is a BIGINT though 9223372036854775808 is not.
  if (node.function == "negate" && node.arguments[0]->kind == NodeKind::kLiteral) {
    const Value& literal = node.arguments[0]->literal;
    if (!literal.is_null() && literal.type().id == TypeId::kNumeric && -literal.as_int128() == INT64_MIN) {
      return make_constant(Value::bigint(INT64_MIN));
    }
  }
  if (node.function == "nullif") {
    if (node.arguments.size() != 2) {
      return fail_at(node.place, ErrorCode::kInvalid, 2002, "nullif takes 2 arguments",
                     "usage: nullif(value, value)");
    }
    const std::size_t before = context_.nodes;
    KAPPA_TRY(const std::vector<ExpressionPtr> both, bind_all(node.arguments));
    KAPPA_CHECK_OK(charge(context_.nodes - before, node.place));  // The first is used twice.
    KAPPA_TRY(ExpressionPtr same, placed(make_call("=", both), node.place));
    return placed(make_call("case", {same, make_constant(Value()), both[0]}), node.place);
  }
  const ScalarFunction* function = find_function(node.function);
  // A name in double quotes or a keyword's spelling must not reach an operator.
  if (function != nullptr && node.named_call && function->form != ScalarFunction::Form::kCall &&
      node.function != "extract") {
    function = nullptr;
  }
  if (function == nullptr) {
    std::vector<std::string> known = function_names();
    for (const char* name : {"count", "sum", "min", "max", "avg", "nullif"}) known.emplace_back(name);
    return fail_at(node.place, ErrorCode::kInvalid, 2004, "there is no function \"" + node.function + "\"",
                   did_you_mean(node.function, known));
  }
  const std::size_t before = context_.nodes;
  KAPPA_TRY(std::vector<ExpressionPtr> arguments, bind_all(node.arguments));
  if (node.function == "in" || is_comparison(node.function)) {
    KAPPA_CHECK_OK(take_decimals_as_written(node.arguments, arguments));
  }
  if (node.function == "in") return bind_in(node, std::move(arguments), context_.nodes - before);
  // Text made of anything: concat and || take every type, as long as one side of || is text.
  if (function->name == "concat" || function->name == "concat_ws" || function->name == "||") {
    const bool has_text = std::any_of(arguments.begin(), arguments.end(), [](const ExpressionPtr& e) {
      return e->type.id == TypeId::kText || e->type.id == TypeId::kNull;
    });
    if (has_text || function->name != "||") {
      for (ExpressionPtr& argument : arguments) {
        KAPPA_TRY(argument, placed(make_cast(std::move(argument), kTextType), node.place));
      }
    }
  }
  return placed_call(make_call(*function, std::move(arguments)), node);
}

// Numbers of several types compare exactly, as with =. Constants take the value's type, or leave the list
// where nothing of that type equals them: a long list stays one set. The rest is compared one by one.
Expected<ExpressionPtr> ExpressionBinder::bind_in(const Node& node, std::vector<ExpressionPtr> arguments,
                                                  std::size_t size) {
  const ExpressionPtr value = arguments[0];
  const Type type = value->type;
  const auto is_number = [](TypeId id) {
    return id == TypeId::kBigint || id == TypeId::kDouble || id == TypeId::kNumeric;
  };
  if (!is_number(type.id)) return placed_call(make_call("in", std::move(arguments)), node);
  const Type wide = type.id == TypeId::kNumeric ? Type{TypeId::kNumeric, 38, type.scale} : type;
  std::vector<ExpressionPtr> list{value};
  std::vector<ExpressionPtr> tests;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    ExpressionPtr& element = arguments[i];
    const bool same = element->type.id == type.id && element->type.scale == type.scale;
    if (same || !is_number(element->type.id)) {
      list.push_back(std::move(element));
    } else if (element->kind != ExpressionKind::kConstant) {
      KAPPA_TRY(ExpressionPtr test, placed(make_call("=", {value, element}), node.arguments[i]->place));
      tests.push_back(std::move(test));
    } else if (element->constant.is_null()) {
      list.push_back(make_constant(Value()));
    } else {
      KAPPA_TRY(ExpressionPtr exact, make_cast(element, wide));
      KAPPA_TRY(const ExpressionPtr equal, make_call("=", {element, exact}));
      if (equal->constant == Value::boolean(true)) list.push_back(std::move(exact));
    }
  }
  // The value stands in every comparison; unless it is a mere column, that has to stay small.
  const std::size_t uses = tests.size() + (list.size() > 1 || !tests.empty() ? 1 : 2);
  if (!value->arguments.empty()) KAPPA_CHECK_OK(charge(size * (uses - 1), node.place));
  if (list.size() > 1) {
    KAPPA_TRY(ExpressionPtr in, placed_call(make_call("in", std::move(list)), node));
    tests.push_back(std::move(in));
  } else if (tests.empty()) {
    return placed(make_call("<>", {value, value}), node.place);  // False, or NULL.
  }
  while (tests.size() > 1) {
    std::vector<ExpressionPtr> half;
    for (std::size_t i = 0; i + 1 < tests.size(); i += 2) {
      KAPPA_TRY(ExpressionPtr either, placed(make_call("or", {tests[i], tests[i + 1]}), node.place));
      half.push_back(std::move(either));
    }
    if (tests.size() % 2 == 1) half.push_back(tests.back());
    tests = std::move(half);
  }
  return tests.front();
}

Expected<ExpressionPtr> ExpressionBinder::bind_case(const Node& node) {
  ExpressionPtr operand;
  const std::size_t branches = node.arguments.size() / 2;
  if (node.operand) {
    const std::size_t before = context_.nodes;
    KAPPA_TRY(operand, bind(node.operand));
    KAPPA_CHECK_OK(charge((context_.nodes - before) * branches, node.place));  // Compared in every branch.
  }
  std::vector<ExpressionPtr> arguments;
  for (std::size_t i = 0; i < branches; ++i) {
    const NodePtr& when = node.arguments[2 * i];
    ExpressionPtr condition;
    if (operand) {
      KAPPA_TRY(ExpressionPtr value, bind(when));
      std::vector<ExpressionPtr> both{operand, std::move(value)};
      KAPPA_CHECK_OK(take_decimals_as_written({node.operand, when}, both));
      KAPPA_TRY(condition, placed(make_call("=", std::move(both)), when->place));
    } else {
      KAPPA_TRY(condition, bind(when));
      auto boolean = coerce(std::move(condition), kBooleanType);
      if (!boolean) {
        return fail_at(when->place, ErrorCode::kInvalid, 2002,
                       "WHEN must be BOOLEAN: " + boolean.error().message);
      }
      condition = std::move(*boolean);
    }
    KAPPA_TRY(ExpressionPtr value, bind(node.arguments[2 * i + 1]));
    arguments.push_back(std::move(condition));
    arguments.push_back(std::move(value));
  }
  ExpressionPtr otherwise = make_constant(Value());
  if (node.has_else) {
    KAPPA_TRY(otherwise, bind(node.arguments.back()));
  }
  arguments.push_back(std::move(otherwise));
  return placed(make_call("case", std::move(arguments)), node.place);
}

Expected<ExpressionPtr> ExpressionBinder::bind_cast(const Node& node) {
  KAPPA_TRY(ExpressionPtr argument, bind(node.arguments[0]));
  if (node.strict) return placed(coerce(std::move(argument), node.target), node.place);
  return placed(make_cast(std::move(argument), node.target), node.place);
}

Expected<std::vector<SortKey>> ExpressionBinder::bind_order(const std::vector<OrderItem>& items) {
  std::vector<SortKey> order;
  for (const OrderItem& item : items) {
    SortKey key;
    KAPPA_TRY(key.expression, bind(item.expression));
    key.descending = item.descending;
    key.nulls_first = item.nulls_first.value_or(item.descending);
    if (key.expression->type.id == TypeId::kJson) {
      return fail_at(item.expression->place, ErrorCode::kInvalid, 2002, "JSON has no order", "->> opens JSON as TEXT");
    }
    order.push_back(std::move(key));
  }
  return order;
}

bool is_rank_name(std::string_view function) {
  return function == "row_number" || function == "rank" || function == "dense_rank";
}

bool is_window_name(std::string_view function) {
  return function == "tumble" || function == "hop" || function == "session";
}

Expected<ExpressionPtr> ExpressionBinder::bind_rank(const Node& node) {
  if (!node.over) {
    return fail_at(node.place, ErrorCode::kInvalid, 2005, node.function + " needs OVER (PARTITION BY ... ORDER BY ...)");
  }
  if (options_.ranks == nullptr) {
    return fail_at(node.place, ErrorCode::kInvalid, 2005, node.function + " is not allowed in " + options_.clause,
                   "put it into the select list of a subquery, and its condition into the WHERE around it");
  }
  if (!node.arguments.empty() || node.star || node.distinct || node.filter) {
    return fail_at(node.place, ErrorCode::kInvalid, 2002, node.function + " takes no arguments");
  }
  RankCall call;
  call.place = node.place;
  call.function = node.function == "rank"         ? RankFunction::kRank
                  : node.function == "dense_rank" ? RankFunction::kDenseRank
                                                  : RankFunction::kRowNumber;
  Options inside = options_;
  inside.ranks = nullptr;
  ExpressionBinder inner(scope_, context_, std::move(inside));
  for (const NodePtr& key : node.over->partition_by) {
    KAPPA_TRY(ExpressionPtr bound, inner.bind(key));
    call.partition.push_back(std::move(bound));
  }
  KAPPA_TRY(call.order, inner.bind_order(node.over->order_by));
  RankList& list = *options_.ranks;
  const auto same = [&](const RankCall& other) {
    const auto equal_keys = [](const SortKey& a, const SortKey& b) {
      return a.descending == b.descending && a.nulls_first == b.nulls_first && equal(*a.expression, *b.expression);
    };
    return call.function == other.function && std::ranges::equal(call.order, other.order, equal_keys) &&
           std::ranges::equal(call.partition, other.partition,
                              [](const ExpressionPtr& a, const ExpressionPtr& b) { return equal(*a, *b); });
  };
  std::size_t index = 0;
  while (index < list.size() && !same(list[index])) ++index;
  if (index == list.size()) list.push_back(std::move(call));
  return make_column(kRankBase + index, kBigintType);
}

// The clock and chance: a view must give the same answer whenever it is computed.
Expected<ExpressionPtr> ExpressionBinder::bind_clock(const Node& node) {
  const bool chance = node.function == "random" || node.function == "rand" ||
                      node.function == "gen_random_uuid" || node.function == "uuid";
  if (context_.in_view) {
    return fail_at(
        node.place, ErrorCode::kInvalid, 2005,
        node.function + " is not allowed in a view: the view would not be a function of the log",
        chance ? "_offset is unique for every event" : "_append_time is the time the event was appended");
  }
  if (chance) {
    return fail_at(node.place, ErrorCode::kUnsupported, 2008,
                   node.function + " is not available in this version");
  }
  if (node.function == "current_date") {
    return placed(make_call("date_trunc", {make_constant(Value::text("day")),
                                           make_constant(Value::timestamp(context_.now_micros))}),
                  node.place);
  }
  return make_constant(Value::timestamp(context_.now_micros));
}

}  // namespace kappa::processor::sql
