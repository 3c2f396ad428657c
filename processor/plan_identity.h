// Which plan a view's state was made by, beside the state.
//
// A later release may plan the same statement in another way and lay its state out otherwise; then the log makes the
// view anew, instead of the operators reading what they did not write. Table kPlanTable, key "": u64, the hash of what
// EXPLAIN says of the plan.
#pragma once

#include <string>

#include "processor/sql/plan.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

inline constexpr TableId kPlanTable = 253;  // Operators number their tables from 1 upwards.

// Between begin_publish() and end_publish() of a state that is new.
void store_plan(StateStore& store, const ViewPlan& plan);
// Why the state is not one of this plan; empty: it is. Of states from before there was such an entry only those with
// hopping windows or sessions are taken for another plan's: these forms have changed. kCorrupt 3301.
[[nodiscard]] Expected<std::string> other_plan(StateStore& store, const ViewPlan& plan);

}  // namespace kappa::processor
