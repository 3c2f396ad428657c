// The difference between two states of a view, or of two versions of it, as rows that readers see.
#pragma once

#include <functional>
#include <string>

#include "processor/operators/build.h"
#include "processor/sql/plan.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

// One side: rows of `range` as `reader` makes them of `snapshot`. Borrows.
struct RowsOf {
  StateSnapshot& snapshot;
  const ViewReader& reader;
  const ViewPlan& plan;
  KeyRange range;
};

// False stops.
using EmitChange = std::function<bool(bool added, const Row& row)>;

// Whether rows of the two are comparable: the same columns and the same key.
[[nodiscard]] bool same_shape(const ViewPlan& a, const ViewPlan& b);

// Every row of `old_rows` that is not in `new_rows` as taken, and the other way round as added, in key order, what is
// taken before what is added. The two must have the same shape. False in the value: it was stopped. One pass over both.
[[nodiscard]] Expected<bool> give_difference(const RowsOf& old_rows, const RowsOf& new_rows, const EmitChange& emit);
// All of them.
[[nodiscard]] Expected<bool> give_rows(const RowsOf& rows, bool added, const EmitChange& emit);

// The same for one key whose row may have changed. `old_row` and `new_row` are of the same shape.
[[nodiscard]] bool give_change(const std::optional<ViewReader::StoredRow>& old_row,
                               const std::optional<ViewReader::StoredRow>& new_row, const EmitChange& emit);

}  // namespace kappa::processor
