// Walks over bound expressions that the binder, the planner and EXPLAIN share. Pure functions.
#pragma once

#include <functional>
#include <vector>

#include "processor/sql/expression.h"
#include "processor/sql/plan.h"

namespace kappa::processor::sql {

// Same structure, types, columns and constants.
[[nodiscard]] bool equal(const Expression& a, const Expression& b);
[[nodiscard]] bool equal(const SortKey& a, const SortKey& b);
[[nodiscard]] bool equal(const Aggregate& a, const Aggregate& b);

// Calls visit(column) for every column reference.
void for_each_column(const Expression& expression, const std::function<void(std::size_t)>& visit);

// A copy with nodes replaced, top down: where `replace` gives an expression it stands for the whole
// node; null keeps the node and goes on below. Unchanged parts are shared.
[[nodiscard]] ExpressionPtr rewrite(const ExpressionPtr& expression,
                                    const std::function<ExpressionPtr(const ExpressionPtr&)>& replace);

// "count(DISTINCT x) FILTER (WHERE y > 0)", "first(x ORDER BY ts, _offset)"
[[nodiscard]] std::string to_string(const Aggregate& aggregate, const std::vector<std::string>& columns);
// A name as SQL has to write it: quoted unless it is lower case and plain.
[[nodiscard]] std::string quote_name(const std::string& name);

}  // namespace kappa::processor::sql
