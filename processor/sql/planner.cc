#include "processor/sql/planner.h"

#include <algorithm>
#include <chrono>

#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/sql/suggest.h"
#include "processor/vector/functions.h"
#include "proto/limits.h"

namespace kappa::processor::sql {
namespace {

// What identifies a row of a relation: the key of a view over it.
enum class Identity { kEvent, kGroup, kSingleRow, kOther };

struct Relation {
  PlanPtr base;
  ExpressionPtr predicate;  // Over the base; null: every row.
  Scope scope;              // What an outer query may name.
  Identity identity = Identity::kOther;
  std::vector<ExpressionPtr> key;  // Over the base.
  std::vector<std::string> key_names;
  std::vector<SortKey> order;  // Over the base, of the query that made it.
  bool ordered = false;        // Its query has ORDER BY, LIMIT or OFFSET.
};

std::shared_ptr<Plan> node(PlanKind kind, PlanPtr input) {
  auto plan = std::make_shared<Plan>();
  plan->kind = kind;
  if (input) plan->output = input->output;
  plan->input = std::move(input);
  return plan;
}

PlanPtr filtered(PlanPtr base, const ExpressionPtr& predicate) {
  if (!predicate) return base;
  auto filter = node(PlanKind::kFilter, std::move(base));
  filter->predicate = predicate;
  return filter;
}

// A NULL without a type is TEXT once it is a column.
ExpressionPtr typed(const ExpressionPtr& e) {
  return e->type.id == TypeId::kNull ? make_constant(Value::null(kTextType)) : e;
}

PlanPtr projected(PlanPtr input, const std::vector<ExpressionPtr>& expressions,
                  const std::vector<std::string>& names) {
  auto project = node(PlanKind::kProject, std::move(input));
  project->output.clear();
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    project->expressions.push_back(typed(expressions[i]));
    project->output.push_back({names[i], project->expressions.back()->type});
  }
  return project;
}

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

class Planner {
 public:
  Planner(const CatalogReader& catalog, bool in_view) : catalog_(catalog) {
    context_.in_view = in_view;
    context_.now_micros = std::chrono::duration_cast<std::chrono::microseconds>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count();
  }

  Expected<Relation> select(const Query& query);
  PlanPtr finish(const Query& query, const Relation& relation);

  std::vector<std::string> streams;
  std::vector<std::string> views;
  std::optional<std::uint64_t> as_of_offset;

 private:
  // The names a query's expressions see, and its select list with * spelled out.
  struct Item {
    NodePtr node;              // Null for a column that * stands for.
    ExpressionPtr expression;  // Of *; else filled when bound.
    std::string name;
    std::size_t size = 1;  // Nodes of the expression as a tree.
  };

  Expected<Relation> from(const Query& query);
  Expected<Relation> stream_relation(const TableRef& table, std::shared_ptr<const StreamDefinition> stream);
  Expected<Relation> view_relation(const TableRef& table, const CatalogReader::View& view);
  Expected<Relation> subquery_relation(const TableRef& table);
  Expected<std::vector<Item>> items_of(const Query& query, const Scope& scope);
  Expected<std::vector<ExpressionPtr>> group_keys(const Query& query, const std::vector<Item>& items,
                                                  const Scope& scope);
  Expected<ExpressionPtr> order_expression(const OrderItem& item, const std::vector<Item>& items,
                                           ExpressionBinder& binder);
  Expected<ExpressionPtr> over_groups(const ExpressionPtr& expression, const std::vector<ExpressionPtr>& keys,
                                      const Relation& input, const Node* place);
  [[nodiscard]] std::unexpected<Error> later(std::string construct, SourcePlace place) const {
    return fail_at(place, ErrorCode::kUnsupported, 2008,
                   std::move(construct) + " is not available in this version");
  }

  const CatalogReader& catalog_;
  BindContext context_;
  std::size_t group_width_ = 0;  // Columns of the input under the aggregate being planned.
};

Expected<Relation> Planner::stream_relation(const TableRef& table,
                                            std::shared_ptr<const StreamDefinition> stream) {
  if (table.version) {
    return fail_at(table.name.place, ErrorCode::kInvalid, 2005, "a stream has no versions",
                   "versions belong to views");
  }
  streams.push_back(stream->name);
  Relation relation;
  auto scan = node(PlanKind::kStreamScan, nullptr);
  const std::size_t declared = stream->columns.size();
  const std::size_t pseudo = declared + stream->hidden.size();
  for (std::size_t i = 0; i < declared; ++i) {
    scan->stream_columns.push_back(i);
    scan->output.push_back({stream->columns[i].name, stream->columns[i].type});
  }
  const Column pseudos[] = {
      {"_offset", kBigintType}, {"_seq", kBigintType}, {"_key", kTextType}, {"_append_time", kTimestampType}};
  for (std::size_t i = 0; i < std::size(pseudos); ++i) {
    scan->stream_columns.push_back(pseudo + i);
    scan->output.push_back(pseudos[i]);
  }
  for (std::size_t i = 0; i < scan->output.size(); ++i) {
    relation.scope.columns.push_back(
        {scan->output[i].name, make_column(i, scan->output[i].type), i >= declared, 1});
  }
  relation.scope.what = "stream \"" + stream->name + "\"";
  relation.identity = Identity::kEvent;
  relation.key = {make_column(declared, kBigintType)};
  relation.key_names = {"_offset"};
  if (table.as_of_offset) as_of_offset = table.as_of_offset;
  scan->stream = std::move(stream);
  relation.base = std::move(scan);
  return relation;
}

Expected<Relation> Planner::view_relation(const TableRef& table, const CatalogReader::View& view) {
  if (context_.in_view) return later("a view that reads a view", table.name.place);
  if (table.as_of_offset) {
    return fail_at(table.name.place, ErrorCode::kInvalid, 2005,
                   "AS OF OFFSET needs a stream, \"" + view.name + "\" is a view");
  }
  if (table.version && *table.version != view.version) {
    return fail_at(table.name.place, ErrorCode::kNotFound, 2003,
                   "view \"" + view.name + "\" has no version " + std::to_string(*table.version),
                   "the current version is " + std::to_string(view.version));
  }
  views.push_back(view.name);
  Relation relation;
  auto scan = node(PlanKind::kViewScan, nullptr);
  scan->view = view.name;
  scan->view_version = table.version.value_or(0);
  for (std::size_t i = 0; i < view.plan->visible_columns; ++i) {
    const Column& column = view.plan->root->output[i];
    scan->output.push_back(column);
    relation.scope.columns.push_back({column.name, make_column(i, column.type), false, 1});
  }
  relation.scope.what = "view \"" + view.name + "\"";
  relation.base = std::move(scan);
  return relation;
}

Expected<Relation> Planner::subquery_relation(const TableRef& table) {
  KAPPA_TRY(Relation inner, select(*table.subquery));
  if (table.subquery->limit || table.subquery->offset != 0) {
    return later("LIMIT in a subquery", table.subquery->limit_place);
  }
  return inner;  // An order without a limit is nobody's: rows of a subquery have none.
}

Expected<Relation> Planner::from(const Query& query) {
  if (!query.from) {
    if (context_.in_view) {
      return fail_at(query.place, ErrorCode::kInvalid, 2005, "a view needs FROM", "name the stream it reads");
    }
    Relation relation;
    relation.base = node(PlanKind::kValues, nullptr);
    return relation;
  }
  const TableRef& table = *query.from;
  Relation relation;
  if (table.subquery) {
    KAPPA_TRY(relation, subquery_relation(table));
    relation.scope.what = "the subquery";
    relation.scope.alias.clear();
    relation.ordered = false;
    relation.order.clear();
  } else if (auto stream = catalog_.stream(table.name.text)) {
    KAPPA_TRY(relation, stream_relation(table, std::move(stream)));
    relation.scope.alias = table.name.text;
  } else if (const auto view = catalog_.view(table.name.text)) {
    KAPPA_TRY(relation, view_relation(table, *view));
    relation.scope.alias = table.name.text;
  } else {
    return unknown_relation(table.name, catalog_);
  }
  if (table.alias) relation.scope.alias = table.alias->text;
  return relation;
}

Expected<std::vector<Planner::Item>> Planner::items_of(const Query& query, const Scope& scope) {
  std::vector<Item> items;
  for (const SelectItem& item : query.items) {
    const Node& expression = *item.expression;
    if (expression.kind != NodeKind::kStar) {
      items.push_back(
          {item.expression, nullptr, item.alias ? item.alias->text : default_name(expression), 1});
      continue;
    }
    if (!query.from) return fail_at(expression.place, ErrorCode::kInvalid, 2005, "* needs FROM");
    if (!expression.names.empty() &&
        (expression.names.size() > 1 || expression.names[0].text != scope.alias)) {
      return fail_at(expression.place, ErrorCode::kNotFound, 2006,
                     "\"" + expression.names[0].text + "\" is not in FROM");
    }
    for (const ScopeColumn& column : scope.columns) {
      if (!column.hidden) items.push_back({nullptr, column.expression, column.name, column.size});
    }
  }
  if (items.empty()) return fail_at(query.place, ErrorCode::kInvalid, 2005, "the select list is empty");
  if (items.size() > limits::kColumnsMax) {
    return fail_at(query.place, ErrorCode::kTooLarge, 2009,
                   "more than " + std::to_string(limits::kColumnsMax) + " columns");
  }
  return items;
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

Expected<std::vector<ExpressionPtr>> Planner::group_keys(const Query& query, const std::vector<Item>& items,
                                                         const Scope& scope) {
  std::map<std::string, NodePtr> aliases;
  for (const Item& item : items) {
    if (item.node) aliases.emplace(item.name, item.node);
  }
  ExpressionBinder binder(scope, context_, {"GROUP BY", nullptr, &aliases});
  std::vector<ExpressionPtr> keys;
  const auto add = [&](const ExpressionPtr& key) {
    const bool known =
        std::any_of(keys.begin(), keys.end(), [&](const ExpressionPtr& k) { return equal(*k, *key); });
    if (!known) keys.push_back(typed(key));
  };
  for (const NodePtr& key : query.group_by) {
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
    if (part->kind != ExpressionKind::kColumn) return nullptr;
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
      const ScopeColumn* column = find_column(input.scope, n.names.back());
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

Expected<Relation> Planner::select(const Query& query) {
  KAPPA_TRY(Relation input, from(query));
  if (query.where) {
    ExpressionBinder binder(input.scope, context_, {"WHERE", nullptr, nullptr});
    KAPPA_TRY(ExpressionPtr condition, binder.bind_condition(query.where));
    if (input.predicate) {
      KAPPA_TRY(condition, make_call("and", {input.predicate, std::move(condition)}));
    }
    input.predicate = std::move(condition);
  }
  KAPPA_TRY(std::vector<Item> items, items_of(query, input.scope));
  KAPPA_TRY(std::vector<ExpressionPtr> keys, group_keys(query, items, input.scope));

  AggregateList aggregates;
  aggregates.base = group_width_ = input.base->output.size();
  ExpressionBinder binder(input.scope, context_, {"SELECT", &aggregates, nullptr});
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
    ExpressionBinder having_binder(input.scope, context_, {"HAVING", &aggregates, &aliases});
    KAPPA_TRY(having, having_binder.bind_condition(query.having));
  }
  std::vector<SortKey> order;
  ExpressionBinder order_binder(input.scope, context_, {"ORDER BY", &aggregates, &aliases});
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

  bool grouped = !query.group_by.empty() || !aggregates.aggregates.empty() || having;
  if (query.distinct) {
    if (grouped) return later("SELECT DISTINCT over an aggregate", query.place);
    grouped = true;
    for (const Item& item : items) {
      const bool known =
          std::any_of(keys.begin(), keys.end(), [&](const auto& k) { return equal(*k, *item.expression); });
      if (!known) keys.push_back(typed(item.expression));
    }
  }

  Relation result;
  result.scope.what = "the subquery";
  result.ordered = !query.order_by.empty() || query.limit || query.offset != 0;
  if (!grouped) {
    for (const Item& item : items)
      result.scope.columns.push_back({item.name, typed(item.expression), false, item.size});
    result.base = std::move(input.base);
    result.predicate = std::move(input.predicate);
    result.identity = input.identity;
    result.key = std::move(input.key);
    result.key_names = std::move(input.key_names);
    result.order = std::move(order);
    return result;
  }
  for (const ExpressionPtr& key : keys) {
    if (key->type.id == TypeId::kJson) {
      return fail_at(query.place, ErrorCode::kInvalid, 2002, "JSON cannot be grouped by",
                     "->> opens JSON as TEXT");
    }
  }
  for (const Item& item : items) {
    KAPPA_TRY(ExpressionPtr over, over_groups(item.expression, keys, input, item.node.get()));
    result.scope.columns.push_back({item.name, typed(over), false, item.size});
  }
  if (having) {
    KAPPA_TRY(result.predicate, over_groups(having, keys, input, query.having.get()));
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    KAPPA_TRY(order[i].expression,
              over_groups(order[i].expression, keys, input, query.order_by[i].expression.get()));
  }
  result.order = std::move(order);

  std::vector<std::string> names;
  for (const Column& column : input.base->output) names.push_back(column.name);
  auto aggregate = node(PlanKind::kAggregate, filtered(input.base, input.predicate));
  aggregate->output.clear();
  for (const ExpressionPtr& key : keys) {
    std::string name = to_string(*key, names);
    result.key.push_back(make_column(aggregate->output.size(), key->type));
    result.key_names.push_back(name);
    aggregate->output.push_back({std::move(name), key->type});
  }
  for (const Aggregate& one : aggregates.aggregates)
    aggregate->output.push_back({to_string(one, names), one.type});
  aggregate->group_keys = std::move(keys);
  aggregate->aggregates = std::move(aggregates.aggregates);
  result.identity = aggregate->group_keys.empty() ? Identity::kSingleRow : Identity::kGroup;
  result.base = std::move(aggregate);
  return result;
}

// The relation as a plan: filter, project, sort and limit.
PlanPtr Planner::finish(const Query& query, const Relation& relation) {
  std::vector<ExpressionPtr> expressions;
  std::vector<std::string> names;
  for (const ScopeColumn& column : relation.scope.columns) {
    expressions.push_back(column.expression);
    names.push_back(column.name);
  }
  const std::size_t visible = expressions.size();
  std::vector<SortKey> keys = relation.order;
  for (SortKey& key : keys) {
    std::size_t at = 0;
    while (at < expressions.size() && !equal(*expressions[at], *typed(key.expression))) ++at;
    if (at == expressions.size()) {
      expressions.push_back(typed(key.expression));
      names.push_back("order by " + std::to_string(at - visible + 1));
    }
    key.expression = make_column(at, expressions[at]->type);
  }
  PlanPtr plan = projected(filtered(relation.base, relation.predicate), expressions, names);
  if (!relation.ordered) return plan;
  auto sort = node(PlanKind::kSort, plan);
  sort->sort_keys = std::move(keys);
  sort->limit = query.limit;
  sort->offset = query.offset;
  sort->output.resize(visible);  // Columns that only ORDER BY needed leave again.
  return sort;
}

}  // namespace

std::unexpected<Error> unknown_relation(const Name& name, const CatalogReader& catalog) {
  return fail_at(name.place, ErrorCode::kNotFound, 2003, "no view or stream \"" + name.text + "\"",
                 did_you_mean(name.text, catalog.names()));
}

Status check_new_name(const Name& name, bool may_exist, const CatalogReader& catalog) {
  if (name.text.size() > limits::kTopicNameBytesMax) {
    return fail_at(name.place, ErrorCode::kTooLarge, 2009,
                   "a name has at most " + std::to_string(limits::kTopicNameBytesMax) + " bytes");
  }
  if (may_exist) return {};
  const bool stream = catalog.stream(name.text) != nullptr;
  if (!stream && !catalog.view(name.text)) return {};
  return fail_at(name.place, ErrorCode::kExists, 2007,
                 std::string("a ") + (stream ? "stream" : "view") + " \"" + name.text + "\" exists already",
                 "IF NOT EXISTS leaves it as it is");
}

Expected<Select> plan_select(const Query& query, const CatalogReader& catalog) {
  Planner planner(catalog, false);
  KAPPA_TRY(const Relation relation, planner.select(query));
  Select select;
  select.plan = prune(planner.finish(query, relation));
  select.views = std::move(planner.views);
  select.streams = std::move(planner.streams);
  select.as_of_offset = planner.as_of_offset;
  return select;
}

Expected<CreateView> plan_view(const CreateViewSyntax& syntax, const CatalogReader& catalog) {
  KAPPA_CHECK_OK(check_new_name(syntax.name, syntax.if_not_exists || syntax.or_replace, catalog));
  const Query& query = *syntax.query;
  CreateView view;
  view.name = syntax.name.text;
  view.if_not_exists = syntax.if_not_exists;
  view.or_replace = syntax.or_replace;
  static const std::vector<std::string> kOptions = {"retain", "cutover", "keep_old"};
  for (const Option& option : syntax.options) {
    if (std::find(kOptions.begin(), kOptions.end(), option.name.text) == kOptions.end()) {
      return fail_at(option.name.place, ErrorCode::kInvalid, 2005,
                     "a view has no option \"" + option.name.text + "\"",
                     did_you_mean(option.name.text, kOptions));
    }
    return fail_at(option.name.place, ErrorCode::kUnsupported, 2008,
                   "the option " + option.name.text + " is not available in this version");
  }
  Planner planner(catalog, true);
  KAPPA_TRY(const Relation relation, planner.select(query));
  const auto later = [](const std::string& construct, SourcePlace place) {
    return fail_at(place, ErrorCode::kUnsupported, 2008, construct + " is not available in this version");
  };
  if (!query.order_by.empty()) {
    return later("ORDER BY in a view", query.order_by.front().expression->place);
  }
  if (relation.ordered) return later("LIMIT in a view", query.limit_place);
  if (planner.as_of_offset) {
    return fail_at(query.place, ErrorCode::kInvalid, 2005, "AS OF OFFSET is not allowed in a view",
                   "a view follows the log; WHERE _offset < N cuts it");
  }
  for (const Plan* below = relation.base->input.get(); below != nullptr; below = below->input.get()) {
    if (below->kind == PlanKind::kAggregate)
      return later("an aggregate of an aggregate in a view", query.place);
  }
  std::vector<ExpressionPtr> expressions;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < relation.scope.columns.size(); ++i) {
    const ScopeColumn& column = relation.scope.columns[i];
    if (std::find(names.begin(), names.end(), column.name) != names.end()) {
      return fail_at(query.place, ErrorCode::kExists, 2007, "two columns are named \"" + column.name + "\"",
                     "name one of them with AS");
    }
    expressions.push_back(column.expression);
    names.push_back(column.name);
  }
  view.plan.visible_columns = expressions.size();
  for (std::size_t i = 0; i < relation.key.size(); ++i) {
    std::size_t at = 0;
    while (at < expressions.size() && !equal(*expressions[at], *relation.key[i])) ++at;
    if (at == expressions.size()) {
      expressions.push_back(relation.key[i]);
      names.push_back(relation.key_names[i]);
    }
    view.plan.key_columns.push_back(at);
  }
  view.plan.single_row = relation.identity == Identity::kSingleRow;
  view.plan.append_only_key = relation.identity == Identity::kEvent;
  view.plan.root = prune(projected(filtered(relation.base, relation.predicate), expressions, names));
  view.reads = std::move(planner.streams);
  return view;
}

}  // namespace kappa::processor::sql
