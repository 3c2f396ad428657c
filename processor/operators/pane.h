// Panes of hopping windows (processor/sql/panes.h): each row once, with its pane where its window would be. Rows
// without a time, and those in no window that TIMESTAMP can hold, leave.
//
// No state; the columns of the input are passed on without a copy.
#pragma once

#include "processor/operators/operator.h"
#include "processor/sql/panes.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

class PaneOperator final : public Operator {
 public:
  explicit PaneOperator(const Panes& panes)
      : time_(panes.window->window.time), grid_(panes.grid), pane_(kTimestampType) {}
  [[nodiscard]] Status push(const ChangeBatch& batch) override;

 private:
  ExpressionEvaluator time_;
  const PaneGrid grid_;
  Vector pane_;
  Selection rows_;
  ChangeBatch out_;
};

}  // namespace kappa::processor
