// Filter and projection: operators without state, one batch in, one batch out.
//
// One thread at a time. Expressions never fail: what cannot be computed is NULL, and NULL is not true.
#pragma once

#include <vector>

#include "processor/operators/operator.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

// Passes the rows for which the predicate is true, weights unchanged.
class FilterOperator final : public Operator {
 public:
  explicit FilterOperator(ExpressionPtr predicate) : predicate_(std::move(predicate)) {}
  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  [[nodiscard]] std::uint64_t failures() const override { return predicate_.failures(); }

 private:
  ExpressionEvaluator predicate_;
  Selection selection_;
};

// Gives one column per expression; plain columns are passed on without a copy.
class ProjectOperator final : public Operator {
 public:
  explicit ProjectOperator(const std::vector<ExpressionPtr>& expressions);
  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  [[nodiscard]] std::uint64_t failures() const override { return failures_of(expressions_); }

 private:
  std::vector<ExpressionEvaluator> expressions_;
  ChangeBatch out_;
};

}  // namespace kappa::processor
