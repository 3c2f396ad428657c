// The planner's working parts: what a query is while it is being planned, and who plans which clause.
//
//   plan_from.cc     streams, views, tables, subqueries, window tables
//   plan_join.cc     joins
//   plan_select.cc   WHERE, GROUP BY, select list, HAVING, DISTINCT, UNION, ORDER BY and LIMIT
//   plan_window.cc   TUMBLE, HOP, SESSION, ROW_NUMBER and its like
//   planner.cc       whole statements: SELECT, CREATE VIEW, CREATE TABLE, CREATE STREAM AS
//   optimize.cc      conditions to where they cost least; prune.cc: only the columns that are needed
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "processor/sql/ast.h"
#include "processor/sql/binder.h"
#include "processor/sql/compile.h"
#include "processor/sql/planner.h"

namespace kappa::processor::sql {

// What identifies a row of a relation: the key of a view over it.
enum class Identity {
  kKeyed,      // Relation::key: no two rows are equal there.
  kEvent,      // The same, and it is the event's offset: rows are never replaced.
  kSingleRow,  // There is one row.
  kOther,      // Nothing but the whole row.
};

// The window that rows of a relation are in, over its base.
struct WindowColumns {
  ExpressionPtr start;
  ExpressionPtr end;
  std::int64_t size_micros = 0;  // 0: sessions.
  std::int64_t step_micros = 0;
};

// A base plan, a predicate over it and one expression a column: subqueries that only filter and project dissolve
// into their outer query.
struct Relation {
  PlanPtr base;
  ExpressionPtr predicate;  // Over the base; null: every row.
  Scope scope;              // What an outer query may name.
  Identity identity = Identity::kOther;
  std::vector<ExpressionPtr> key;  // Over the base.
  std::vector<std::string> key_names;
  std::optional<WindowColumns> window;
  // ORDER BY, LIMIT and OFFSET of the query that made it, not planned yet.
  std::vector<SortKey> order;  // Over the base.
  bool ordered = false;
  std::optional<std::uint64_t> limit;
  std::uint64_t offset = 0;
  // The base is a kTopK whose limit only a condition of the outer query can give; the place of its OVER.
  std::optional<SourcePlace> open_rank;
  // ASOF JOIN reads the history of a table: the events it is made of, over the same columns.
  std::shared_ptr<const Relation> history;
  ExpressionPtr history_deleted;  // Over the history's base; null: rows are never deleted.
};

// --- small plan makers ---
[[nodiscard]] std::shared_ptr<Plan> make_node(PlanKind kind, PlanPtr input);
// The base behind a filter, if there is a predicate.
[[nodiscard]] PlanPtr filtered(PlanPtr base, const ExpressionPtr& predicate);
// A NULL without a type is TEXT once it is a column.
[[nodiscard]] ExpressionPtr typed(const ExpressionPtr& e);
[[nodiscard]] PlanPtr projected(PlanPtr input, const std::vector<ExpressionPtr>& expressions,
                                const std::vector<std::string>& names);
// The parts of a condition that must all be true.
void split_conjuncts(const ExpressionPtr& condition, std::vector<ExpressionPtr>& out);
// All of them; null if there are none.
[[nodiscard]] ExpressionPtr conjunction(const std::vector<ExpressionPtr>& conjuncts);
// The expression with every column moved by so many.
[[nodiscard]] ExpressionPtr shifted(const ExpressionPtr& e, std::size_t by);
// Moves the parts of a join's residual into keys, time bounds and filters of its inputs, as its kind allows.
void classify_join(Plan& join);
// optimize.cc: moves filters down. The output columns stay what they are.
[[nodiscard]] PlanPtr optimize(const PlanPtr& plan);

class Planner {
 public:
  Planner(const CatalogReader& catalog, bool in_view);

  [[nodiscard]] Expected<Relation> query(const Query& query);
  // ORDER BY ... LIMIT of a relation becomes a top-k; an order without a limit is nobody's.
  [[nodiscard]] Relation limited(Relation relation);
  [[nodiscard]] Expected<Relation> stream_relation(const TableRef& table,
                                                   std::shared_ptr<const StreamDefinition> stream);
  // What CREATE TABLE AS LATEST gives: the newest row of each key.
  [[nodiscard]] Expected<Relation> latest_relation(const CreateTableSyntax& syntax);
  // Fails for a ROW_NUMBER without a condition on it, where rows are kept (views) or joined.
  [[nodiscard]] Status check_rank(const Relation& relation) const;

  std::vector<std::string> streams;
  std::vector<std::string> views;
  std::optional<std::uint64_t> as_of_offset;

 private:
  // A column of the select list, * spelled out.
  struct Item {
    NodePtr node;              // Null for a column that * stands for.
    ExpressionPtr expression;  // Of *; else filled when bound.
    std::string name;
    std::size_t size = 1;  // Nodes of the expression as a tree.
    std::string qualifier;
  };

  // plan_from.cc
  [[nodiscard]] Expected<Relation> from(const Query& query);
  [[nodiscard]] Expected<Relation> table(const TableRef& table);
  [[nodiscard]] Expected<Relation> named_table(const TableRef& table);
  [[nodiscard]] Expected<Relation> view_relation(const TableRef& table, const CatalogReader::View& view);
  // plan_join.cc
  [[nodiscard]] Expected<Relation> joined(Relation left, Relation right, const JoinSyntax& syntax);
  [[nodiscard]] Expected<ExpressionPtr> join_condition(const JoinSyntax& syntax, const Scope& both,
                                                       const Relation& left, const Relation& right,
                                                       std::size_t left_width);
  [[nodiscard]] Status make_asof(Plan& join, const Relation& right, const JoinSyntax& syntax);
  // plan_window.cc
  [[nodiscard]] Expected<Relation> windowed(Relation input, const std::string& function,
                                            const std::vector<NodePtr>& arguments, SourcePlace place,
                                            std::vector<ExpressionPtr> partition);
  [[nodiscard]] Expected<std::int64_t> window_interval(const NodePtr& node, const char* what);
  // Puts the rank into the relation's base as a last column, with an open limit.
  [[nodiscard]] Relation ranked(Relation relation, const RankCall& call, const std::vector<ExpressionPtr>& row);
  // Takes what a condition says of an open rank as its limit.
  void close_rank(Relation& relation, ExpressionPtr& condition) const;
  [[nodiscard]] std::vector<SortKey> complete_order(std::vector<SortKey> order, const Relation& relation,
                                                    const std::vector<ExpressionPtr>& row) const;
  // plan_select.cc
  [[nodiscard]] Expected<Relation> select(const Query& query);
  [[nodiscard]] Expected<Relation> united(Relation first, const Query& query);
  [[nodiscard]] Expected<std::vector<Item>> items_of(const Query& query, const Scope& scope);
  [[nodiscard]] Expected<std::vector<ExpressionPtr>> group_keys(const Query& query, const std::vector<Item>& items,
                                                                const Relation& input, const Node* window);
  [[nodiscard]] Expected<ExpressionPtr> order_expression(const OrderItem& item, const std::vector<Item>& items,
                                                         ExpressionBinder& binder);
  [[nodiscard]] Expected<ExpressionPtr> over_groups(const ExpressionPtr& expression,
                                                    const std::vector<ExpressionPtr>& keys, const Relation& input,
                                                    const Node* place);
  [[nodiscard]] Expected<Relation> grouped(Relation input, std::vector<ExpressionPtr> keys,
                                           std::vector<Aggregate> aggregates, SourcePlace place);
  [[nodiscard]] Expected<Relation> distinct(Relation relation, SourcePlace place);

  const CatalogReader& catalog_;
  BindContext context_;
  std::size_t group_width_ = 0;  // Columns of the input under the aggregate being planned.
  std::size_t depth_ = 0;        // Of queries inside queries.
  bool as_it_was_ = false;       // Of the table at hand more is asked than its rows of now.
  // Names that WITH gives, innermost last.
  std::vector<std::pair<std::string, QueryPtr>> with_;
};

}  // namespace kappa::processor::sql
