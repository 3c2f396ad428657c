// Builds batches for the next operator row by row, column by column, without single values in between.
//
// One thread at a time. Text is copied, so nothing that rows were made of must outlive the call that added it.
#pragma once

#include <vector>

#include "processor/operators/operator.h"
#include "processor/sql/plan.h"
#include "proto/value.h"

namespace kappa::processor {

class BatchBuilder {
 public:
  explicit BatchBuilder(const std::vector<Column>& columns);

  // --- the row at hand; each column must be given before end_row() ---
  void set_null(std::size_t column) { columns_[column].valid()[count_] = 0; }
  void set_int64(std::size_t column, std::int64_t value) {
    columns_[column].valid()[count_] = 1;
    columns_[column].data<std::int64_t>()[count_] = value;
  }
  void set(std::size_t column, const Value& value) { columns_[column].set(count_, value, arena_); }
  // Position `row` of a vector of the column's type.
  void copy(std::size_t column, const Vector& from, std::size_t row);
  // Position `row` of all columns of a batch, into the columns from `first` on.
  void copy(std::size_t first, const ChangeBatch& batch, std::size_t row);
  // For decoders: write position row() of the column and its validity, text into the arena.
  [[nodiscard]] Vector& column(std::size_t i) { return columns_[i]; }
  [[nodiscard]] std::size_t row() const { return count_; }
  [[nodiscard]] Arena& arena() { return arena_; }

  // Adds the row at hand; pushes the batch when it is full.
  [[nodiscard]] Status end_row(std::int64_t weight, Operator* next) {
    weights_[count_] = weight;
    return ++count_ == kVectorRows ? give_to(next) : Status{};
  }
  // The same for a row of values.
  [[nodiscard]] Status add(const Row& row, std::int64_t weight, Operator* next);
  // Pushes what was added, if anything, and starts anew.
  [[nodiscard]] Status give_to(Operator* next);

  // For who wants to look at the batch before it is given: end_row() without giving, true when it is full.
  [[nodiscard]] bool keep_row(std::int64_t weight) {
    weights_[count_] = weight;
    return ++count_ == kVectorRows;
  }
  [[nodiscard]] ChangeBatch batch();
  void clear() {
    count_ = 0;
    arena_.reset();
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }

 private:
  std::vector<Vector> columns_;
  std::vector<std::int64_t> weights_;
  Arena arena_;
  std::size_t count_ = 0;
};

}  // namespace kappa::processor
