// Bound expressions: what the binder makes of SQL text and what the kernels evaluate. Types are
// resolved, casts are explicit, columns are numbers. Immutable once bound; shared freely by threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proto/value.h"

namespace kappa::processor {

enum class ExpressionKind : std::uint8_t {
  kColumn,    // column: index into the input's columns.
  kConstant,  // constant.
  kCall,      // function(arguments): operators, scalar functions, casts, CASE, IN, LIKE...
};

// Every scalar function and operator the kernels know. The binder resolves names and overloads to
// one of these; EXPLAIN prints name_of(). Append only: catalogs store SQL text, not these numbers.
struct ScalarFunction;  // processor/vector/functions.h: name, argument check, kernel.

struct Expression;
using ExpressionPtr = std::shared_ptr<const Expression>;

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  Type type;
  std::size_t column = 0;
  Value constant;
  const ScalarFunction* function = nullptr;  // Static storage.
  std::vector<ExpressionPtr> arguments;
};

// "sum(x + 1)"-like text for EXPLAIN and for the default names of output columns.
[[nodiscard]] std::string to_string(const Expression& expression, const std::vector<std::string>& columns);

}  // namespace kappa::processor
