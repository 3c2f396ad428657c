// See hop.h.
#include "processor/operators/hop.h"

namespace kappa::processor {

HopOperator::HopOperator(const Plan& plan)
    : time_(plan.window.time),
      size_(plan.window.size_micros),
      slide_(plan.window.slide_micros),
      out_(plan.output),
      start_column_(plan.output.size() - 2) {}

Status HopOperator::push(const ChangeBatch& batch) {
  const Vector& times = time_.evaluate(batch);
  Status status;
  for_each_row(batch, [&](std::uint32_t row) {
    if (!status || times.valid()[row] == 0) return;
    const std::int64_t time = times.data<std::int64_t>()[row];
    // The last start at or before the time; 128 bits, so that the ends of time need no care.
    Int128 start = Int128{time} - time % slide_ - (time % slide_ < 0 ? slide_ : 0);
    for (; start > Int128{time} - size_ && status; start -= slide_) {
      if (start < INT64_MIN) return;
      if (start + size_ > INT64_MAX) continue;
      out_.copy(0, batch, row);
      out_.set_int64(start_column_, static_cast<std::int64_t>(start));
      out_.set_int64(start_column_ + 1, static_cast<std::int64_t>(start + size_));
      status = out_.end_row(batch.weight(row), next());
    }
  });
  KAPPA_CHECK_OK(status);
  return out_.give_to(next());
}

}  // namespace kappa::processor
