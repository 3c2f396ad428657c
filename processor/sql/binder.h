// Names, types and functions of expressions: syntax trees to bound expressions over one relation.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "processor/sql/ast.h"
#include "processor/sql/plan.h"

namespace kappa::processor::sql {

// One name an expression may use, and what it stands for.
struct ScopeColumn {
  std::string name;
  ExpressionPtr expression;  // Over the columns of the relation's base plan.
  bool hidden = false;       // Not part of *: _offset and kin.
  std::size_t size = 1;      // Nodes of the expression as a tree.
};
struct Scope {
  std::string alias;  // Qualifier; empty if there is none.
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
  std::size_t base = 0;  // An aggregate is referred to as column base + its index.
};

class ExpressionBinder {
 public:
  struct Options {
    std::string clause;                   // "WHERE": for messages.
    AggregateList* aggregates = nullptr;  // Null: aggregates are refused.
    // Output columns by alias, used where no input column has the name.
    const std::map<std::string, NodePtr>* aliases = nullptr;
  };
  ExpressionBinder(const Scope& scope, BindContext& context, Options options)
      : scope_(scope), context_(context), options_(std::move(options)) {}

  // Errors 2002, 2004, 2005, 2006, 2008, 2009, each with the place of the node.
  [[nodiscard]] Expected<ExpressionPtr> bind(const NodePtr& node);
  // The same, and the result is BOOLEAN.
  [[nodiscard]] Expected<ExpressionPtr> bind_condition(const NodePtr& node);

 private:
  // Counts nodes against the bound of a statement; kTooLarge 2009.
  [[nodiscard]] Status charge(std::size_t nodes, SourcePlace place);
  [[nodiscard]] Expected<ExpressionPtr> bind_column(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_call(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_case(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_cast(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_in(const Node& node, std::vector<ExpressionPtr> arguments,
                                                std::size_t size);
  [[nodiscard]] Expected<ExpressionPtr> bind_aggregate(const Node& node);
  [[nodiscard]] Expected<ExpressionPtr> bind_clock(const Node& node);
  [[nodiscard]] Expected<std::vector<ExpressionPtr>> bind_all(const std::vector<NodePtr>& nodes);

  const Scope& scope_;
  BindContext& context_;
  Options options_;
};

// The column of the scope that a name means: exact, else (unquoted) the only one that is equal but for
// letter case. nullptr if there is none.
[[nodiscard]] const ScopeColumn* find_column(const Scope& scope, const Name& name);
[[nodiscard]] std::unexpected<Error> unknown_column(const Scope& scope, const Name& name, SourcePlace place);

[[nodiscard]] bool is_aggregate_name(std::string_view function);
// What the language has but this version does not: "TUMBLE windows", ...; nullopt if it is not one.
[[nodiscard]] std::optional<std::string> later_function(std::string_view function);

}  // namespace kappa::processor::sql
