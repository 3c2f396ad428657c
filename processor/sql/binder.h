// Names, types and functions of expressions: syntax trees to bound expressions over one relation.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "processor/sql/ast.h"
#include "processor/sql/plan.h"

namespace kappa::processor {
struct AggregateKind;  // operators/aggregates/registry.h
}

namespace kappa::processor::sql {

// One name an expression may use, and what it stands for.
struct ScopeColumn {
  std::string name;
  ExpressionPtr expression;  // Over the columns of the relation's base plan.
  bool hidden = false;       // Not part of *: _offset and kin.
  std::size_t size = 1;      // Nodes of the expression as a tree.
  std::string qualifier;     // The table's alias or name; empty if it has none.
  bool first = false;        // Of several with its name it is meant where no table is named.
};
struct Scope {
  std::string what;   // For messages: stream "hits".
  std::vector<ScopeColumn> columns;
  // What orders rows that are otherwise equal, over the base: _offset of events; several for joins; empty: the
  // whole row decides.
  std::vector<ExpressionPtr> tie_break;
};

// What holds for a whole statement.
struct BindContext {
  bool in_view = false;         // Functions of the clock and of chance are refused.
  std::int64_t now_micros = 0;  // The value of now() elsewhere.
  std::size_t nodes = 0;        // Bound so far, shared ones counted at every use.
};

// Aggregates of a select, in order of appearance, each distinct one once.
struct AggregateList {
  std::vector<Aggregate> aggregates;
  std::vector<SourcePlace> places;  // Of their calls.
  std::size_t base = 0;  // An aggregate is referred to as column base + its index.
};

// ROW_NUMBER() OVER (...) and its like in a select list, each distinct one once.
struct RankCall {
  RankFunction function = RankFunction::kRowNumber;
  std::vector<ExpressionPtr> partition;
  std::vector<SortKey> order;
  SourcePlace place;
};
// The i-th is referred to as column kRankBase + i until its input is planned.
inline constexpr std::size_t kRankBase = std::size_t{1} << 32;
using RankList = std::vector<RankCall>;

class ExpressionBinder {
 public:
  struct Options {
    std::string clause;                   // "WHERE": for messages.
    AggregateList* aggregates = nullptr;  // Null: aggregates are refused.
    // Output columns by alias, used where no input column has the name.
    const std::map<std::string, NodePtr>* aliases = nullptr;
    RankList* ranks = nullptr;  // Null: ROW_NUMBER and its like are refused.
  };
  ExpressionBinder(const Scope& scope, BindContext& context, Options options)
      : scope_(scope), context_(context), options_(std::move(options)) {}

  // Errors 2002, 2004, 2005, 2006, 2008, 2009, each with the place of the node.
  [[nodiscard]] Expected<ExpressionPtr> bind(const NodePtr& node);
  // The same, and the result is BOOLEAN.
  [[nodiscard]] Expected<ExpressionPtr> bind_condition(const NodePtr& node);
  // ORDER BY items, NULLS placed as in PostgreSQL.
  [[nodiscard]] Expected<std::vector<SortKey>> bind_order(const std::vector<OrderItem>& items);

 private:
  // Counts nodes against the bound of a statement; kTooLarge 2009.
  [[nodiscard]] Status charge(std::size_t nodes, SourcePlace place);
  [[nodiscard]] Expected<ExpressionPtr> bind_column(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_call(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_case(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_cast(const Node& node);
  [[nodiscard]] Status take_decimals_as_written(const std::vector<NodePtr>& nodes, std::vector<ExpressionPtr>& bound);
  [[nodiscard]] Expected<ExpressionPtr> bind_in(const Node& node, std::vector<ExpressionPtr> arguments,
                                                std::size_t size);
  [[nodiscard]] Expected<ExpressionPtr> bind_aggregate(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_rank(const Node& node);
  [[nodiscard]] Status bind_aggregate_arguments(const Node& node, const AggregateKind& kind, Aggregate& aggregate);
  [[nodiscard]] Expected<ExpressionPtr> bind_clock(const Node& node);
  [[nodiscard]] Expected<std::vector<ExpressionPtr>> bind_all(const std::vector<NodePtr>& nodes);

  const Scope& scope_;
  BindContext& context_;
  Options options_;
};

// The column of the scope that a name means: exact, else (unquoted) the only one that is equal but for
// letter case. nullptr if there is none or if several tables have it.
[[nodiscard]] const ScopeColumn* find_column(const Scope& scope, const Name& name, std::string_view qualifier = {});
// The column that a kColumn node names. 2006, with a suggestion; for a name that several tables have, which.
[[nodiscard]] Expected<const ScopeColumn*> resolve_column(const Scope& scope, const Node& node);
[[nodiscard]] std::unexpected<Error> unknown_column(const Scope& scope, const Name& name, SourcePlace place);

[[nodiscard]] bool is_aggregate_name(std::string_view function);
[[nodiscard]] bool is_rank_name(std::string_view function);
// TUMBLE, HOP, SESSION: in GROUP BY and FROM only.
[[nodiscard]] bool is_window_name(std::string_view function);
// Refuses aggregates that cannot take rows back, for an input that does: 2005 with the place of the call.
[[nodiscard]] Status check_takes_back(const AggregateList& list);
// What the language has but this version does not: "TUMBLE windows", ...; nullopt if it is not one.
[[nodiscard]] std::optional<std::string> later_function(std::string_view function);

}  // namespace kappa::processor::sql
