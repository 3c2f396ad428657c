// The registry of scalar functions: operators, casts, CASE and named functions alike are one row each
// (name, type rule, kernel). Adding a function is adding a row to the table of its family.
//
// Rows are static and immutable: thread-safe. Families live in kernels_*.cc.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/sql/expression.h"
#include "processor/vector/vector.h"
#include "proto/error.h"

namespace kappa::processor {

// One run of a kernel over a batch.
struct KernelCall {
  const Expression& expression;              // The call: its type and its constant arguments.
  std::span<const Vector* const> arguments;  // Each has at least batch.count values.
  const ChangeBatch& batch;
  Vector& result;     // Of the call's type, batch.count values with stale contents: the kernel sets
                      // validity and data at every selected position.
  Arena& arena;       // For text of the result.
  const void* state;  // What prepare() returned.
  // Positions that failed, counted by kernels that are not `fallible` because NULL may also be their answer.
  std::uint64_t failures = 0;
};

// What a call takes and gives, once its arguments are known.
struct Signature {
  std::vector<Type> arguments;  // The binder casts each argument to its type here.
  Type result;
};

struct ScalarFunction {
  enum class Form : std::uint8_t { kCall, kInfix, kPrefix, kPostfix, kSpecial };

  std::string_view name;    // Lower case; operators by their symbol.
  std::string_view usage;   // For error messages: "substr(TEXT, BIGINT[, BIGINT])".
  Form form = Form::kCall;  // How to_string prints it.
  std::size_t arguments_min = 0;
  std::size_t arguments_max = 0;
  // Types for these arguments; kInvalid 2002 when there are none. Constants may matter (units, scales).
  Expected<Signature> (*types)(std::span<const ExpressionPtr> arguments) = nullptr;
  void (*kernel)(KernelCall& call) = nullptr;
  // Work that is done once a bound call, from its constant arguments: patterns, sets. May be null.
  std::shared_ptr<const void> (*prepare)(const Expression& call) = nullptr;
  // True if the result can be NULL though no argument is: such positions are counted as failures.
  bool fallible = false;
  // Leading arguments that the kernel reads when prepare() gave a state; the others are constants that
  // the state holds, and get no vectors.
  std::size_t arguments_with_state = SIZE_MAX;
};

// The function of that (lower-case) name, aliases included; null if there is none.
[[nodiscard]] const ScalarFunction* find_function(std::string_view name);
// Every name that find_function knows and that a person may write as name(...).
[[nodiscard]] std::vector<std::string> function_names();

// "EXPLAIN name" of a function.
[[nodiscard]] inline std::string_view name_of(const ScalarFunction& function) {
  return function.name;
}

[[nodiscard]] ExpressionPtr make_constant(Value value);
[[nodiscard]] ExpressionPtr make_column(std::size_t column, Type type);
// Binds a call: resolves its types, casts the arguments, and folds it when all of them are constants.
// kInvalid 2002 when the types do not fit (no place: the binder knows it).
[[nodiscard]] Expected<ExpressionPtr> make_call(const ScalarFunction& function,
                                                std::vector<ExpressionPtr> arguments);
// The same by name, which must exist.
[[nodiscard]] Expected<ExpressionPtr> make_call(std::string_view name, std::vector<ExpressionPtr> arguments);
// An explicit CAST: kInvalid 2002 if there is no conversion between the types.
[[nodiscard]] Expected<ExpressionPtr> make_cast(ExpressionPtr argument, Type target);
// The cast that SQL leaves unsaid: NULL to anything, BIGINT to NUMERIC and DOUBLE, NUMERIC to wider
// NUMERIC and DOUBLE, and a TEXT constant to any type (which must then parse). kInvalid 2002 otherwise.
[[nodiscard]] Expected<ExpressionPtr> coerce(ExpressionPtr argument, Type target);

// The type both can be coerced to, for comparisons, CASE, COALESCE, IN, greatest. TEXT constants take
// the other's type. kInvalid 2002 if there is none.
[[nodiscard]] Expected<Type> common_type(std::span<const ExpressionPtr> expressions);

}  // namespace kappa::processor
