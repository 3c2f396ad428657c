// Which part of a view's key order a SELECT must read: the WHERE's equalities on the first key
// columns, then one inequality, LIKE 'prefix%' or starts_with on the next. The range may be too wide,
// never too narrow: the whole filter is applied to what is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "processor/operators/build.h"
#include "processor/sql/plan.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

// The smallest bytes that follow everything that begins with `prefix`; nullopt: nothing does.
[[nodiscard]] std::optional<std::string> after_prefix(std::string_view prefix);

// Per output column of a kViewScan: index into the view's root columns.
[[nodiscard]] std::vector<std::size_t> view_scan_columns(const Plan& scan);

// `columns` is view_scan_columns() of the scan. The filters directly above it count, wherever in the plan it is.
struct KeyPart {
  KeyRange range;
  std::optional<std::string> point;  // Every key column is given: this key or nothing.
};
[[nodiscard]] Expected<KeyPart> derive_key_part(const Plan& plan, const Plan& scan, const ViewPlan& view,
                                                const std::vector<std::size_t>& columns, const ViewReader& reader);

}  // namespace kappa::processor
