// See pane.h.
#include "processor/operators/pane.h"

namespace kappa::processor {

Status PaneOperator::push(const ChangeBatch& batch) {
  const Vector& times = time_.evaluate(batch);
  pane_.reset(kTimestampType, batch.count);
  rows_.clear();
  for_each_row(batch, [&](std::uint32_t row) {
    if (times.valid()[row] == 0) return;
    const auto pane = grid_.pane_of(times.data<std::int64_t>()[row]);
    if (!pane) return;
    pane_.valid()[row] = 1;
    pane_.data<std::int64_t>()[row] = *pane;
    rows_.push_back(row);
  });
  if (rows_.empty()) return {};
  out_ = batch;
  out_.selection = &rows_;
  // In the place of both bounds: nobody looks at the end.
  out_.columns.push_back(&pane_);
  out_.columns.push_back(&pane_);
  return give(out_);
}

}  // namespace kappa::processor
