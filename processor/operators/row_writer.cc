// See row_writer.h.
#include "processor/operators/row_writer.h"

namespace kappa::processor {

RowWriter::RowWriter(const std::vector<Column>& columns) {
  for (const Column& column : columns) types_.push_back(column.type);
  columns_.resize(types_.size());
}

bool RowWriter::add(const Row& row, std::int64_t weight) {
  if (count_ == 0) {
    for (std::size_t i = 0; i < columns_.size(); ++i) columns_[i].reset(types_[i], kVectorRows);
    weights_.resize(kVectorRows);
  }
  for (std::size_t i = 0; i < columns_.size(); ++i) columns_[i].set(count_, row[i], arena_);
  weights_[count_] = weight;
  return ++count_ == kVectorRows;
}

Status RowWriter::give_to(Operator& next) {
  if (count_ == 0) return {};
  ChangeBatch batch;
  batch.count = count_;
  for (Vector& column : columns_) batch.columns.push_back(&column);
  batch.weights = {weights_.data(), count_};
  batch.arena = &arena_;
  const Status status = next.push(batch);
  count_ = 0;
  arena_.reset();
  return status;
}

}  // namespace kappa::processor
