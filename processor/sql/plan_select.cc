// SELECT: WHERE, GROUP BY with windows, the select list, HAVING, ranks, DISTINCT, UNION, ORDER BY and LIMIT.
#include <algorithm>
#include <functional>

#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/sql/plan_properties.h"
#include "processor/sql/planner_impl.h"
#include "processor/vector/functions.h"
#include "proto/limits.h"

namespace kappa::processor::sql {
namespace {

// The name of a column without an alias: the column's own, else the text of the expression.
std::string default_name(const Node& item) {
  if (item.kind == NodeKind::kColumn) return item.names.back().text;
  std::string name;
  bool space = false;
  for (const char c : item.source) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!blank) {
      if (space && !name.empty()) name += ' ';
      name += c;
    }
    space = blank;
  }
  return name;
}

// The select item that a bare integer stands for; nullopt if the node is not one.
Expected<std::optional<std::size_t>> ordinal(const Node& node, std::size_t count, const char* clause) {
  if (node.kind != NodeKind::kLiteral || node.literal.is_null() ||
      node.literal.type().id != TypeId::kBigint) {
    return std::nullopt;
  }
  const std::int64_t position = node.literal.as_int64();
  if (position < 1 || position > static_cast<std::int64_t>(count)) {
    return fail_at(node.place, ErrorCode::kNotFound, 2006,
                   std::string(clause) + " " + std::to_string(position) + " is not in the select list",
                   "positions go from 1 to " + std::to_string(count));
  }
  return static_cast<std::size_t>(position - 1);
}

const Node* window_of(const Query& query) {
  for (const NodePtr& key : query.group_by) {
    if (key->kind == NodeKind::kCall && key->named_call && is_window_name(key->function)) return key.get();
  }
  return nullptr;
}

bool known(const std::vector<ExpressionPtr>& list, const Expression& e) {
  return std::ranges::any_of(list, [&](const ExpressionPtr& one) { return equal(*one, e); });
}

}  // namespace

Expected<std::vector<Planner::Item>> Planner::items_of(const Query& query, const Scope& scope) {
  std::vector<Item> items;
  for (const SelectItem& item : query.items) {
    const Node& expression = *item.expression;
    if (expression.kind != NodeKind::kStar) {
      items.push_back(
          {item.expression, nullptr, item.alias ? item.alias->text : default_name(expression), 1, {}});
      continue;
    }
    if (!query.from) return fail_at(expression.place, ErrorCode::kInvalid, 2005, "* needs FROM");
    const std::string qualifier = expression.names.empty() ? std::string() : expression.names[0].text;
    const auto of_table = [&](const ScopeColumn& c) { return qualifier.empty() || c.qualifier == qualifier; };
    if (expression.names.size() > 1 || !std::ranges::any_of(scope.columns, of_table)) {
      return fail_at(expression.place, ErrorCode::kNotFound, 2006, "\"" + qualifier + "\" is not in FROM");
    }
    for (const ScopeColumn& column : scope.columns) {
      if (!column.hidden && of_table(column))
        items.push_back({nullptr, column.expression, column.name, column.size, column.qualifier});
    }
  }
  if (items.empty()) return fail_at(query.place, ErrorCode::kInvalid, 2005, "the select list is empty");
  if (items.size() > limits::kColumnsMax) {
    return fail_at(query.place, ErrorCode::kTooLarge, 2009,
                   "more than " + std::to_string(limits::kColumnsMax) + " columns");
  }
  return items;
}

Expected<std::vector<ExpressionPtr>> Planner::group_keys(const Query& query, const std::vector<Item>& items,
                                                         const Relation& input, const Node* window) {
  std::map<std::string, NodePtr> aliases;
  for (const Item& item : items) {
    if (item.node) aliases.emplace(item.name, item.node);
  }
  ExpressionBinder binder(input.scope, context_, {"GROUP BY", nullptr, &aliases, nullptr});
  std::vector<ExpressionPtr> keys;
  const auto add = [&](const ExpressionPtr& key) {
    if (!known(keys, *key)) keys.push_back(typed(key));
  };
  for (const NodePtr& key : query.group_by) {
    if (key->kind == NodeKind::kCall && key->named_call && is_window_name(key->function)) {
      if (window == nullptr) continue;  // Being asked for what else the rows are grouped by.
      if (key.get() != window) {
        return fail_at(key->place, ErrorCode::kInvalid, 2005, "GROUP BY has two windows",
                       "put one of them into a subquery");
      }
      add(input.window->start);
      if (input.window->size_micros == 0) add(input.window->end);
      continue;
    }
    KAPPA_TRY(const std::optional<std::size_t> position, ordinal(*key, items.size(), "GROUP BY"));
    const Item* item = position ? &items[*position] : nullptr;
    if (item != nullptr && !item->node) {
      add(item->expression);
      continue;
    }
    KAPPA_TRY(ExpressionPtr bound, binder.bind(item != nullptr ? item->node : key));
    add(bound);
  }
  return keys;
}

Expected<ExpressionPtr> Planner::order_expression(const OrderItem& item, const std::vector<Item>& items,
                                                  ExpressionBinder& binder) {
  const Node& node = *item.expression;
  KAPPA_TRY(const std::optional<std::size_t> position, ordinal(node, items.size(), "ORDER BY"));
  if (position) return items[*position].expression;
  // An output column's name goes before an input column's.
  if (node.kind == NodeKind::kColumn && node.names.size() == 1) {
    for (const Item& output : items) {
      if (output.name == node.names[0].text) return output.expression;
    }
  }
  return binder.bind(item.expression);
}

// An expression over the input, aggregates as columns after it, to one over the aggregate's output.
Expected<ExpressionPtr> Planner::over_groups(const ExpressionPtr& expression,
                                             const std::vector<ExpressionPtr>& keys, const Relation& input,
                                             const Node* place) {
  std::optional<std::size_t> loose;  // A column that is neither grouped nor aggregated.
  ExpressionPtr result = rewrite(expression, [&](const ExpressionPtr& part) -> ExpressionPtr {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (equal(*keys[i], *part)) return make_column(i, part->type);
    }
    if (part->kind != ExpressionKind::kColumn || part->column >= kRankBase) return nullptr;
    if (part->column >= group_width_)
      return make_column(keys.size() + part->column - group_width_, part->type);
    loose = part->column;
    return part;
  });
  if (!loose) return result;
  const std::string& name = input.base->output[*loose].name;
  // The place of the column inside the item, found by name.
  std::optional<SourcePlace> found;
  const std::function<void(const Node&)> search = [&](const Node& n) {
    if (n.kind == NodeKind::kColumn && !found) {
      const ScopeColumn* column =
          find_column(input.scope, n.names.back(), n.names.size() == 2 ? n.names[0].text : std::string());
      if (column != nullptr && column->expression->kind == ExpressionKind::kColumn &&
          column->expression->column == *loose) {
        found = n.place;
      }
    }
    if (n.kind == NodeKind::kCall && n.named_call && is_aggregate_name(n.function)) return;
    for (const NodePtr& argument : n.arguments) search(*argument);
    if (n.operand) search(*n.operand);
  };
  if (place != nullptr) search(*place);
  Error error{ErrorCode::kInvalid,
              2005,
              "column \"" + name + "\" is neither in GROUP BY nor inside an aggregate",
              "add it to GROUP BY, or take min(" + name + ") or max(" + name + ")",
              0,
              {}};
  if (found) {
    error.place = found;
  } else if (place != nullptr) {
    error.place = place->place;
  }
  return std::unexpected(std::move(error));
}

// The aggregate over a relation, without a scope.
Expected<Relation> Planner::grouped(Relation input, std::vector<ExpressionPtr> keys, std::vector<Aggregate> aggregates,
                                    SourcePlace place) {
  for (const ExpressionPtr& key : keys) {
    if (key->type.id == TypeId::kJson) {
      return fail_at(place, ErrorCode::kInvalid, 2002, "JSON cannot be grouped by", "->> opens JSON as TEXT");
    }
  }
  Relation result;
  std::vector<std::string> names;
  for (const Column& column : input.base->output) names.push_back(column.name);
  auto plan = make_node(PlanKind::kAggregate, filtered(input.base, input.predicate));
  plan->output.clear();
  if (input.window) {
    const WindowColumns& window = *input.window;
    WindowKey key;
    key.size_micros = window.size_micros;
    key.step_micros = window.step_micros;
    const auto find = [&](const ExpressionPtr& e) -> std::optional<std::size_t> {
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (equal(*keys[i], *e)) return i;
      }
      return std::nullopt;
    };
    const std::optional<std::size_t> start = find(window.start);
    key.end = find(window.end);
    if (start && (key.end || window.size_micros != 0)) {
      key.start = *start;
      plan->window_key = key;
      result.window = window;
      result.window->start = make_column(*start, kTimestampType);
      if (key.end) {
        result.window->end = make_column(*key.end, kTimestampType);
      } else {
        KAPPA_TRY(result.window->end,
                  make_call("+", {result.window->start, make_constant(Value::interval(window.size_micros))}));
      }
    }
  }
  // A session's start identifies it among those of its partition; its end moves. Elsewhere, and in groups of
  // groups of sessions, two that begin together may end apart.
  const Window& below = input.base->window;
  const bool session = input.base->kind == PlanKind::kWindow && below.kind == Window::Kind::kSession;
  const auto is_key = [&](const ExpressionPtr& part) {
    return std::ranges::any_of(keys, [&](const ExpressionPtr& key) { return equal(*key, *part); });
  };
  const bool start_identifies = session && std::ranges::all_of(below.partition, is_key);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::string name = to_string(*keys[i], names);
    if (plan->window_key && plan->window_key->start == i) name = "window_start";
    if (plan->window_key && plan->window_key->end == i) name = "window_end";
    const bool session_end = plan->window_key && plan->window_key->end == i && start_identifies;
    if (!session_end) {
      result.key.push_back(make_column(i, keys[i]->type));
      result.key_names.push_back(name);
    }
    plan->output.push_back({std::move(name), keys[i]->type});
  }
  for (const Aggregate& one : aggregates) plan->output.push_back({to_string(one, names), one.type});
  plan->group_keys = std::move(keys);
  plan->aggregates = std::move(aggregates);
  result.identity = plan->group_keys.empty() ? Identity::kSingleRow : Identity::kKeyed;
  result.base = std::move(plan);
  return result;
}

Expected<Relation> Planner::select(const Query& query) {
  KAPPA_TRY(Relation input, from(query));
  if (query.where) {
    ExpressionBinder binder(input.scope, context_, {"WHERE", nullptr, nullptr, nullptr});
    KAPPA_TRY(ExpressionPtr condition, binder.bind_condition(query.where));
    close_rank(input, condition);
    std::vector<ExpressionPtr> conjuncts;
    split_conjuncts(input.predicate, conjuncts);
    split_conjuncts(condition, conjuncts);
    input.predicate = conjunction(conjuncts);
  }
  KAPPA_TRY(std::vector<Item> items, items_of(query, input.scope));
  const Node* const window = window_of(query);
  const bool groups = window != nullptr || !query.group_by.empty() || query.having;
  if (groups) KAPPA_CHECK_OK(check_rank(input));
  if (window != nullptr) {
    std::vector<ExpressionPtr> partition;
    if (window->function == "session") {
      KAPPA_TRY(partition, group_keys(query, items, input, nullptr));
    }
    // Where the input has windows of its own, theirs are meant by table.name, and this one's by the bare name.
    std::vector<ScopeColumn> inner;
    for (const ScopeColumn& column : input.scope.columns) {
      const bool window_column = column.name == "window_start" || column.name == "window_end";
      if (window_column && !column.qualifier.empty()) inner.push_back(column);
    }
    KAPPA_TRY(input,
              windowed(std::move(input), window->function, window->arguments, window->place, std::move(partition)));
    for (ScopeColumn& column : input.scope.columns) {
      if (inner.empty() || (column.name != "window_start" && column.name != "window_end")) continue;
      column.qualifier.clear();
      column.first = true;
    }
    input.scope.columns.insert(input.scope.columns.end(), inner.begin(), inner.end());
  }
  KAPPA_TRY(std::vector<ExpressionPtr> keys, group_keys(query, items, input, window));

  AggregateList aggregates;
  aggregates.base = group_width_ = input.base->output.size();
  RankList ranks;
  ExpressionBinder binder(input.scope, context_, {"SELECT", &aggregates, nullptr, &ranks});
  std::map<std::string, NodePtr> aliases;
  for (Item& item : items) {
    if (!item.node) continue;
    const std::size_t before = context_.nodes;
    KAPPA_TRY(item.expression, binder.bind(item.node));
    item.size = context_.nodes - before;
    aliases.emplace(item.name, item.node);
  }
  ExpressionPtr having;
  if (query.having) {
    ExpressionBinder having_binder(input.scope, context_, {"HAVING", &aggregates, &aliases, nullptr});
    KAPPA_TRY(having, having_binder.bind_condition(query.having));
  }
  // ORDER BY of a UNION is the union's.
  std::vector<SortKey> order;
  if (query.unions.empty()) {
    ExpressionBinder order_binder(input.scope, context_, {"ORDER BY", &aggregates, &aliases, &ranks});
    for (const OrderItem& item : query.order_by) {
      SortKey key;
      KAPPA_TRY(key.expression, order_expression(item, items, order_binder));
      key.descending = item.descending;
      key.nulls_first = item.nulls_first.value_or(item.descending);
      if (key.expression->type.id == TypeId::kJson) {
        return fail_at(item.expression->place, ErrorCode::kInvalid, 2002, "JSON has no order",
                       "->> opens JSON as TEXT");
      }
      order.push_back(std::move(key));
    }
  }

  Relation result;
  if (groups || !aggregates.aggregates.empty()) {
    KAPPA_CHECK_OK(check_rank(input));
    for (Item& item : items) {
      KAPPA_TRY(item.expression, over_groups(item.expression, keys, input, item.node.get()));
    }
    if (having) {
      KAPPA_TRY(having, over_groups(having, keys, input, query.having.get()));
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      KAPPA_TRY(order[i].expression,
                over_groups(order[i].expression, keys, input, query.order_by[i].expression.get()));
    }
    for (RankCall& rank : ranks) {
      for (ExpressionPtr& key : rank.partition) {
        KAPPA_TRY(key, over_groups(key, keys, input, nullptr));
      }
      for (SortKey& key : rank.order) {
        KAPPA_TRY(key.expression, over_groups(key.expression, keys, input, nullptr));
      }
    }
    if (context_.in_view && !properties_of(*input.base).append_only) KAPPA_CHECK_OK(check_takes_back(aggregates));
    KAPPA_TRY(result, grouped(std::move(input), std::move(keys), std::move(aggregates.aggregates), query.place));
    result.predicate = std::move(having);
  } else {
    result = std::move(input);
    result.history.reset();
  }
  if (!ranks.empty()) {
    if (ranks.size() > 1) {
      return fail_at(ranks[1].place, ErrorCode::kInvalid, 2005, "one SELECT has one rank",
                     "put the other one into a subquery");
    }
    KAPPA_CHECK_OK(check_rank(result));
    const auto is_rank = [](const Expression& e) {
      bool found = false;
      for_each_column(e, [&](std::size_t column) { found = found || column >= kRankBase; });
      return found;
    };
    std::vector<ExpressionPtr> row;
    for (const Item& item : items) {
      if (!is_rank(*item.expression)) row.push_back(item.expression);
    }
    const ExpressionPtr rank = make_column(result.base->output.size(), kBigintType);
    result = ranked(std::move(result), ranks.front(), row);
    const auto place = [&](ExpressionPtr& e) {
      e = rewrite(e, [&](const ExpressionPtr& part) -> ExpressionPtr {
        return part->kind == ExpressionKind::kColumn && part->column >= kRankBase ? rank : nullptr;
      });
    };
    for (Item& item : items) place(item.expression);
    for (SortKey& key : order) place(key.expression);
  }
  result.scope.what = "the subquery";
  result.scope.columns.clear();
  for (const Item& item : items) result.scope.columns.push_back({item.name, typed(item.expression), false, item.size, {}});
  if (query.distinct) {
    for (const SortKey& key : order) {
      const bool selected = std::ranges::any_of(items, [&](const Item& i) { return equal(*i.expression, *key.expression); });
      if (selected) continue;
      return fail_at(query.place, ErrorCode::kInvalid, 2005,
                     "ORDER BY of a SELECT DISTINCT takes what is in the select list");
    }
    KAPPA_CHECK_OK(check_rank(result));
    std::vector<ExpressionPtr> selected;
    for (const Item& item : items) selected.push_back(item.expression);
    KAPPA_TRY(result, distinct(std::move(result), query.place));
    for (SortKey& key : order) {
      for (std::size_t i = 0; i < selected.size(); ++i) {
        if (!equal(*selected[i], *key.expression)) continue;
        key.expression = result.scope.columns[i].expression;
        break;
      }
    }
  }
  if (query.unions.empty()) {
    result.order = std::move(order);
    result.ordered = !query.order_by.empty() || query.limit || query.offset != 0;
    result.limit = query.limit;
    result.offset = query.offset;
  }
  return result;
}

// Each row of the scope's columns once.
Expected<Relation> Planner::distinct(Relation relation, SourcePlace place) {
  std::vector<ExpressionPtr> keys;
  std::vector<std::size_t> key_of;
  for (const ScopeColumn& column : relation.scope.columns) {
    std::size_t at = 0;
    while (at < keys.size() && !equal(*keys[at], *column.expression)) ++at;
    if (at == keys.size()) keys.push_back(column.expression);
    key_of.push_back(at);
  }
  Scope scope = relation.scope;
  scope.tie_break.clear();
  KAPPA_TRY(Relation result, grouped(std::move(relation), std::move(keys), {}, place));
  for (std::size_t i = 0; i < scope.columns.size(); ++i) {
    scope.columns[i].expression = make_column(key_of[i], scope.columns[i].expression->type);
    scope.columns[i].size = 1;
  }
  result.scope = std::move(scope);
  return result;
}

Expected<Relation> Planner::united(Relation first, const Query& query) {
  KAPPA_CHECK_OK(check_rank(first));
  Relation result = std::move(first);
  std::vector<std::string> names;
  for (const ScopeColumn& column : result.scope.columns) names.push_back(column.name);
  const auto is_null = [](const Expression& e) {
    return e.kind == ExpressionKind::kConstant && e.constant.is_null();
  };
  // Per column: no member so far gave anything but NULL, so the type is still open.
  std::vector<bool> only_null;
  for (const ScopeColumn& column : result.scope.columns) only_null.push_back(is_null(*column.expression));
  for (const Query::Union& member : query.unions) {
    KAPPA_TRY(Relation other, select(*member.query));
    KAPPA_CHECK_OK(check_rank(other));
    if (other.scope.columns.size() != names.size()) {
      return fail_at(member.place, ErrorCode::kInvalid, 2002,
                     "the SELECTs of a UNION have " + std::to_string(names.size()) + " and " +
                         std::to_string(other.scope.columns.size()) + " columns");
    }
    std::vector<ExpressionPtr> left;
    std::vector<ExpressionPtr> right;
    for (std::size_t i = 0; i < names.size(); ++i) {
      // A NULL takes the type of the other side, and of two the one that has a type.
      ExpressionPtr pair[] = {result.scope.columns[i].expression, other.scope.columns[i].expression};
      const bool null[] = {only_null[i], is_null(*pair[1])};
      only_null[i] = null[0] && null[1];
      for (std::size_t side = 0; side < 2; ++side) {
        if (null[side] && (!only_null[i] || !common_type(pair))) pair[side] = make_constant(Value());
      }
      auto type = common_type(pair);
      if (!type) {
        return fail_at(member.place, ErrorCode::kInvalid, 2002,
                       "column \"" + names[i] + "\" of the UNION is " + to_string(pair[0]->type) + " and " +
                           to_string(pair[1]->type),
                       "CAST one of them");
      }
      KAPPA_TRY(ExpressionPtr one, coerce(pair[0], *type));
      KAPPA_TRY(ExpressionPtr two, coerce(pair[1], *type));
      left.push_back(typed(one));
      right.push_back(typed(two));
    }
    auto plan = make_node(PlanKind::kUnion, projected(filtered(result.base, result.predicate), left, names));
    plan->right = projected(filtered(other.base, other.predicate), right, names);
    Relation both;
    both.scope.what = "the UNION";
    for (std::size_t i = 0; i < names.size(); ++i) {
      both.scope.columns.push_back({names[i], make_column(i, plan->output[i].type), false, 1, {}});
    }
    both.base = std::move(plan);
    result = std::move(both);
    if (!member.all) {
      KAPPA_TRY(result, distinct(std::move(result), member.place));
    }
  }
  std::vector<Item> items;
  for (const ScopeColumn& column : result.scope.columns) items.push_back({nullptr, column.expression, column.name, 1, {}});
  ExpressionBinder binder(result.scope, context_, {"ORDER BY", nullptr, nullptr, nullptr});
  for (const OrderItem& item : query.order_by) {
    SortKey key;
    KAPPA_TRY(key.expression, order_expression(item, items, binder));
    key.descending = item.descending;
    key.nulls_first = item.nulls_first.value_or(item.descending);
    result.order.push_back(std::move(key));
  }
  result.ordered = !query.order_by.empty() || query.limit || query.offset != 0;
  result.limit = query.limit;
  result.offset = query.offset;
  return result;
}

Expected<Relation> Planner::query(const Query& query) {
  const std::size_t names = with_.size();
  for (const auto& [name, body] : query.with) with_.emplace_back(name.text, body);
  auto result = select(query);
  if (result && !query.unions.empty()) result = united(std::move(*result), query);
  with_.resize(names);
  return result;
}

Relation Planner::limited(Relation relation) {
  if (relation.limit || relation.offset != 0) {
    std::vector<ExpressionPtr> row;
    for (const ScopeColumn& column : relation.scope.columns) row.push_back(column.expression);
    // LIMIT 0 keeps no row; a rank begins with 1.
    const bool none = relation.limit == 0U;
    auto plan = make_node(PlanKind::kTopK,
                          filtered(relation.base, none ? make_constant(Value::boolean(false)) : relation.predicate));
    plan->top_k.rank_keys = relation.order.size();
    plan->top_k.order = complete_order(relation.order, relation, row);
    plan->top_k.limit = none ? 1 : relation.limit.value_or(UINT64_MAX);
    plan->top_k.offset = relation.offset;
    relation.base = std::move(plan);
    relation.predicate = nullptr;
    if (relation.identity == Identity::kEvent) relation.identity = Identity::kKeyed;
    if (relation.identity == Identity::kSingleRow) relation.identity = Identity::kOther;
  }
  relation.order.clear();
  relation.ordered = false;
  relation.limit.reset();
  relation.offset = 0;
  return relation;
}

}  // namespace kappa::processor::sql
