// The part of the log that a query over streams has to read, from what its WHERE says of _offset and _append_time.
//
// Conditions joined with AND that compare one of the two with a constant narrow the range; anything else leaves it as
// it is, and the filter is applied all the same. Segments outside of the range are not looked at.
#pragma once

#include "log/log.h"
#include "processor/sql/plan.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

struct StreamRange {
  Offset from;  // Inclusive.
  Offset end;   // Exclusive; below `from`: nothing.
};
// The least range that has every event that some stream scan of `root` needs, within `whole`. Append times are
// looked up in the log's indexes; its errors.
[[nodiscard]] Expected<StreamRange> stream_range(const Plan& root, StreamRange whole, log::Log& log);

}  // namespace kappa::processor
