// Hopping windows: each row once for each window [start, start + size) that its time is in, where starts are the
// multiples of the slide, also before 1970. Rows without a time leave.
//
// No state. A window whose bounds no TIMESTAMP can hold does not exist.
#pragma once

#include "processor/operators/batch_builder.h"
#include "processor/operators/operator.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

class HopOperator final : public Operator {
 public:
  // `plan` is a kWindow of kind kHop: its output ends in window_start, window_end.
  explicit HopOperator(const Plan& plan);
  [[nodiscard]] Status push(const ChangeBatch& batch) override;

 private:
  ExpressionEvaluator time_;
  const std::int64_t size_;
  const std::int64_t slide_;
  BatchBuilder out_;
  const std::size_t start_column_;
};

}  // namespace kappa::processor
