// See batch_builder.h.
#include "processor/operators/batch_builder.h"

namespace kappa::processor {

BatchBuilder::BatchBuilder(const std::vector<Column>& columns) : weights_(kVectorRows) {
  for (const Column& column : columns) columns_.emplace_back(column.type).resize(kVectorRows);
}

void BatchBuilder::copy(std::size_t column, const Vector& from, std::size_t row) {
  Vector& to = columns_[column];
  const std::uint8_t valid = from.valid()[row];
  to.valid()[count_] = valid;
  if (valid == 0) return;
  switch (physical_of(to.type().id)) {
    case Physical::kBool: to.data<std::uint8_t>()[count_] = from.data<std::uint8_t>()[row]; return;
    case Physical::kInt64: to.data<std::int64_t>()[count_] = from.data<std::int64_t>()[row]; return;
    case Physical::kDouble: to.data<double>()[count_] = from.data<double>()[row]; return;
    case Physical::kInt128: to.data<Int128>()[count_] = from.data<Int128>()[row]; return;
    case Physical::kText:
      to.data<std::string_view>()[count_] = arena_.copy(from.data<std::string_view>()[row]);
      return;
  }
}

void BatchBuilder::copy(std::size_t first, const ChangeBatch& batch, std::size_t row) {
  for (std::size_t i = 0; i < batch.columns.size(); ++i) copy(first + i, *batch.columns[i], row);
}

Status BatchBuilder::add(const Row& row, std::int64_t weight, Operator* next) {
  for (std::size_t i = 0; i < columns_.size(); ++i) set(i, row[i]);
  return end_row(weight, next);
}

ChangeBatch BatchBuilder::batch() {
  ChangeBatch batch;
  batch.count = count_;
  for (Vector& column : columns_) batch.columns.push_back(&column);
  batch.weights = {weights_.data(), count_};
  batch.arena = &arena_;
  return batch;
}

Status BatchBuilder::give_to(Operator* next) {
  if (count_ == 0) return {};
  Status status;
  if (next != nullptr) status = next->push(batch());
  clear();
  return status;
}

}  // namespace kappa::processor
