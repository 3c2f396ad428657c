// See sliding_merge.h.
#include "processor/operators/sliding_merge.h"

namespace kappa::processor {

void SlidingMerge::clear() {
  front_.clear();
  back_.clear();
}

Status SlidingMerge::add(std::int64_t time, std::string_view value) {
  if (back_.empty()) back_merged_.assign(aggregates_.layout().fixed_bytes(), '\0');
  KAPPA_CHECK_OK(aggregates_.merge(back_merged_, value));
  back_.push_back({time, std::string(value)});
  return {};
}

Status SlidingMerge::drop_before(Int128 time) {
  while (!front_.empty() && front_.back().time < time) front_.pop_back();
  if (!front_.empty() || back_.empty() || back_.front().time >= time) return {};
  // What came behind becomes the front: the newest first, each with what is newer.
  EntryValue merged;
  merged.assign(aggregates_.layout().fixed_bytes(), '\0');
  while (!back_.empty() && back_.back().time >= time) {
    Part part = std::move(back_.back());
    back_.pop_back();
    KAPPA_CHECK_OK(aggregates_.merge(merged, part.value));
    part.value.assign(merged.view());
    front_.push_back(std::move(part));
  }
  back_.clear();
  return {};
}

Status SlidingMerge::merge_into(EntryValue& merged) const {
  if (front_.empty()) {
    merged.assign(back_merged_.view());
    return {};
  }
  merged.assign(front_.back().value);
  return back_.empty() ? Status{} : aggregates_.merge(merged, back_merged_);
}

}  // namespace kappa::processor
