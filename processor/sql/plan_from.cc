// FROM: streams, views and tables of the catalog, subqueries, names of WITH, and window tables around them.
#include <algorithm>

#include "processor/sql/lexer.h"
#include "processor/sql/planner_impl.h"
#include "processor/sql/suggest.h"
#include "processor/vector/functions.h"
#include "proto/limits.h"

namespace kappa::processor::sql {

Expected<Relation> Planner::stream_relation(const TableRef& table, std::shared_ptr<const StreamDefinition> stream) {
  if (table.version) {
    return fail_at(table.name.place, ErrorCode::kInvalid, 2005, "a stream has no versions",
                   "versions belong to views");
  }
  if (std::ranges::find(streams, stream->name) == streams.end()) streams.push_back(stream->name);
  Relation relation;
  auto scan = make_node(PlanKind::kStreamScan, nullptr);
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
        {scan->output[i].name, make_column(i, scan->output[i].type), i >= declared, 1, stream->name});
  }
  relation.scope.what = "stream \"" + stream->name + "\"";
  relation.identity = Identity::kEvent;
  relation.key = {make_column(declared, kBigintType)};
  relation.key_names = {"_offset"};
  relation.scope.tie_break = relation.key;
  if (table.as_of_offset) as_of_offset = table.as_of_offset;
  scan->stream = std::move(stream);
  relation.base = std::move(scan);
  return relation;
}

// A view inside a view is planned down to the streams: its plan is a subquery; so is a table whose past is asked
// for. Elsewhere its rows are read.
Expected<Relation> Planner::view_relation(const TableRef& table, const CatalogReader::View& view) {
  if (table.as_of_offset) {
    return fail_at(table.name.place, ErrorCode::kInvalid, 2005,
                   "AS OF OFFSET needs a stream, \"" + view.name + "\" is a view");
  }
  if (table.version && context_.in_view) {
    return fail_at(table.name.place, ErrorCode::kInvalid, 2005, "what is kept reads the current version of a view",
                   "leave @" + std::to_string(*table.version) + " away: it is replaced together with what it reads");
  }
  if (std::ranges::find(views, view.name) == views.end()) views.push_back(view.name);
  Relation relation;
  for (std::size_t i = 0; i < view.plan->visible_columns; ++i) {
    const Column& column = view.plan->root->output[i];
    relation.scope.columns.push_back({column.name, make_column(i, column.type), false, 1, view.name});
  }
  relation.scope.what = std::string(view.table ? "table" : "view") + " \"" + view.name + "\"";
  if (!context_.in_view && !as_it_was_) {
    auto scan = make_node(PlanKind::kViewScan, nullptr);
    scan->view = view.name;
    scan->view_version = view.version;
    scan->output.assign(view.plan->root->output.begin(),
                        view.plan->root->output.begin() + static_cast<std::ptrdiff_t>(view.plan->visible_columns));
    relation.base = std::move(scan);
    return relation;
  }
  relation.base = view.plan->root;
  relation.identity = view.plan->single_row        ? Identity::kSingleRow
                      : view.plan->append_only_key ? Identity::kEvent
                                                   : Identity::kKeyed;
  for (const std::size_t column : view.plan->key_columns) {
    relation.key.push_back(make_column(column, view.plan->root->output[column].type));
    relation.key_names.push_back(view.plan->root->output[column].name);
  }
  if (view.plan->append_only_key) relation.scope.tie_break = relation.key;
  if (view.table) {
    // Its own history, for ASOF joins.
    KAPPA_TRY(Relation history, stream_relation({}, view.table->stream));
    history.scope.columns.resize(relation.scope.columns.size());  // A table has its stream's columns.
    for (ScopeColumn& column : history.scope.columns) column.qualifier = view.name;
    relation.history_deleted = view.table->delete_when;
    relation.history = std::make_shared<const Relation>(std::move(history));
  }
  return relation;
}

Expected<Relation> Planner::named_table(const TableRef& table) {
  for (auto with = with_.rbegin(); with != with_.rend(); ++with) {
    if (with->first != table.name.text) continue;
    // What stands behind it in WITH is not seen inside.
    std::vector<std::pair<std::string, QueryPtr>> outer(
        with_.begin(), with_.begin() + (with_.rend() - with - 1));
    std::swap(outer, with_);
    const QueryPtr body = outer[static_cast<std::size_t>(with_.size())].second;
    auto relation = query(*body);
    std::swap(outer, with_);
    if (!relation) return relation;
    Relation inner = limited(std::move(*relation));
    for (ScopeColumn& column : inner.scope.columns) column.qualifier = table.name.text;
    inner.scope.what = "\"" + table.name.text + "\"";
    return inner;
  }
  if (auto stream = catalog_.stream(table.name.text)) return stream_relation(table, std::move(stream));
  if (const auto current = catalog_.view(table.name.text)) {
    if (!table.version) return view_relation(table, *current);
    if (const auto wanted = catalog_.view(table.name.text, *table.version)) return view_relation(table, *wanted);
    return fail_at(table.name.place, ErrorCode::kNotFound, 2003,
                   "view \"" + current->name + "\" has no version " + std::to_string(*table.version),
                   "the current version is " + std::to_string(current->version) + "; SHOW VIEWS lists all");
  }
  return unknown_relation(table.name, catalog_);
}

Expected<Relation> Planner::table(const TableRef& table) {
  Relation relation;
  if (table.subquery) {
    KAPPA_TRY(Relation inner, query(*table.subquery));
    relation = limited(std::move(inner));
    relation.scope.what = "the subquery";
    for (ScopeColumn& column : relation.scope.columns) column.qualifier.clear();
  } else {
    KAPPA_TRY(relation, named_table(table));
  }
  if (table.window) {
    const WindowCall& window = *table.window;
    KAPPA_CHECK_OK(check_rank(relation));
    std::vector<ExpressionPtr> partition;
    ExpressionBinder binder(relation.scope, context_, {"PARTITION BY", nullptr, nullptr, nullptr});
    for (const NodePtr& key : window.partition_by) {
      KAPPA_TRY(ExpressionPtr bound, binder.bind(key));
      partition.push_back(std::move(bound));
    }
    KAPPA_TRY(relation,
              windowed(std::move(relation), window.function, window.arguments, window.place, std::move(partition)));
  }
  if (table.alias) {
    for (ScopeColumn& column : relation.scope.columns) column.qualifier = table.alias->text;
    if (relation.history) {
      auto history = std::make_shared<Relation>(*relation.history);
      for (ScopeColumn& column : history->scope.columns) column.qualifier = table.alias->text;
      relation.history = std::move(history);
    }
  }
  return relation;
}

namespace {

// Two tables of one name: a column of it would be that of whichever comes first.
Status check_names_differ(const Relation& left, const Relation& right, const TableRef& table) {
  for (const ScopeColumn& column : right.scope.columns) {
    if (column.qualifier.empty()) continue;
    const bool taken = std::ranges::find(left.scope.columns, column.qualifier, &ScopeColumn::qualifier) !=
                       left.scope.columns.end();
    if (!taken) continue;
    return fail_at(table.alias ? table.alias->place : table.name.place, ErrorCode::kExists, 2007,
                   "\"" + column.qualifier + "\" is in FROM twice", "give one of them another name with AS");
  }
  return {};
}

}  // namespace

Expected<Relation> Planner::from(const Query& query) {
  if (!query.from) {
    if (context_.in_view) {
      return fail_at(query.place, ErrorCode::kInvalid, 2005, "a view needs FROM", "name the stream it reads");
    }
    Relation relation;
    relation.base = make_node(PlanKind::kValues, nullptr);
    return relation;
  }
  KAPPA_TRY(Relation left, table(query.from->first));
  if (query.from->first.system_time) {
    return fail_at(query.from->first.name.place, ErrorCode::kInvalid, 2005,
                   "FOR SYSTEM_TIME belongs to the right side of a JOIN");
  }
  for (const JoinSyntax& join : query.from->joins) {
    // What a table was is not in its rows: the log is replayed.
    const bool outside = as_it_was_;
    as_it_was_ = outside || join.asof || join.table.system_time;
    auto looked_up = table(join.table);
    as_it_was_ = outside;
    KAPPA_TRY(Relation right, std::move(looked_up));
    KAPPA_CHECK_OK(check_names_differ(left, right, join.table));
    KAPPA_TRY(left, joined(std::move(left), std::move(right), join));
  }
  return left;
}

}  // namespace kappa::processor::sql
