// Evaluates one bound expression over batches: each call of the expression is one kernel run over
// whole vectors, in post-order, equal sub-expressions once.
//
// Invariants: evaluation never fails; what cannot be computed (a failed CAST, overflow, / 0, a result
// that is not finite) is NULL and counted in failures(). CASE, COALESCE, AND and OR evaluate all
// their branches. One thread at a time; the expression itself may be shared.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "processor/sql/expression.h"
#include "processor/vector/vector.h"

namespace kappa::processor {

class ExpressionEvaluator {
 public:
  explicit ExpressionEvaluator(ExpressionPtr expression);
  ~ExpressionEvaluator();
  ExpressionEvaluator(ExpressionEvaluator&&) noexcept;
  ExpressionEvaluator& operator=(ExpressionEvaluator&&) noexcept;

  // The expression's values, one a row of the batch; right at least at the selected positions. For a
  // plain column this is the batch's own vector, nothing is copied. The reference lives until the
  // next call of this evaluator or the end of the batch. Text made here lives in batch.arena, or,
  // without one, until the next call.
  [[nodiscard]] const Vector& evaluate(const ChangeBatch& batch);

  // Replaces `out` by the selected positions at which the (BOOLEAN) expression is true. `out` must
  // not be the batch's own selection.
  void filter(const ChangeBatch& batch, Selection& out);

  [[nodiscard]] const ExpressionPtr& expression() const { return expression_; }
  // Selected positions at which a function failed on arguments that were not NULL, since construction.
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  struct Step;  // One distinct node of the expression.
  struct Seen;
  std::size_t add(const ExpressionPtr& node, Seen& seen);
  void run(const ChangeBatch& batch);

  ExpressionPtr expression_;
  std::vector<Step> steps_;            // Arguments before their calls; the last is the whole expression.
  std::vector<const Vector*> values_;  // Per step, for the batch at hand.
  std::vector<const Vector*> arguments_;
  Arena arena_;
  std::uint64_t failures_ = 0;
};

// The value of an expression without columns.
[[nodiscard]] Value evaluate_constant(const ExpressionPtr& expression);

[[nodiscard]] inline std::uint64_t failures_of(const std::vector<ExpressionEvaluator>& evaluators) {
  std::uint64_t failures = 0;
  for (const ExpressionEvaluator& one : evaluators) failures += one.failures();
  return failures;
}

}  // namespace kappa::processor
