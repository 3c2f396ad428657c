// See filter.h.
#include "processor/operators/filter.h"

namespace kappa::processor {

Status FilterOperator::push(const ChangeBatch& batch) {
  predicate_.filter(batch, selection_);
  if (selection_.empty()) return {};
  ChangeBatch out = batch;
  out.selection = &selection_;
  return give(out);
}

ProjectOperator::ProjectOperator(const std::vector<ExpressionPtr>& expressions) {
  for (const ExpressionPtr& expression : expressions) expressions_.emplace_back(expression);
}

Status ProjectOperator::push(const ChangeBatch& batch) {
  out_.count = batch.count;
  out_.weights = batch.weights;
  out_.selection = batch.selection;
  out_.arena = batch.arena;
  out_.columns.clear();
  for (ExpressionEvaluator& expression : expressions_) {
    // A batch's columns are never written by who receives them.
    out_.columns.push_back(const_cast<Vector*>(&expression.evaluate(batch)));
  }
  return give(out_);
}

}  // namespace kappa::processor
