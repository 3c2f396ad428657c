// Collects single rows into batches for the next operator.
#pragma once

#include <vector>

#include "processor/operators/operator.h"
#include "processor/sql/plan.h"
#include "proto/value.h"

namespace kappa::processor {

// One thread at a time. Text is copied.
class RowWriter {
 public:
  explicit RowWriter(const std::vector<Column>& columns);
  // Adds a row; true when the batch is full and must be given.
  [[nodiscard]] bool add(const Row& row, std::int64_t weight);
  // Pushes what was added into `next`, if anything, and starts anew.
  [[nodiscard]] Status give_to(Operator& next);

 private:
  std::vector<Type> types_;
  std::vector<Vector> columns_;
  std::vector<std::int64_t> weights_;
  Arena arena_;
  std::size_t count_ = 0;
};

}  // namespace kappa::processor
