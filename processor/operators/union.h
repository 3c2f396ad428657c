// UNION ALL: two inputs, one output. Weights make it exact without any state.
#pragma once

#include "processor/operators/operator.h"

namespace kappa::processor {

// Both inputs push into the one operator behind it.
class UnionOperator final : public Operator {
 public:
  [[nodiscard]] Status push(const ChangeBatch& batch) override { return give(batch); }
};

}  // namespace kappa::processor
