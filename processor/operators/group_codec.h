// From the stored entry of a group to its row: the group keys, then the aggregates' values.
//
// Immutable and thread-safe once made.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/operators/aggregates/aggregate.h"
#include "processor/operators/aggregates/multiset.h"
#include "processor/sql/plan.h"
#include "proto/error.h"
#include "proto/value.h"

namespace kappa::processor {

// The aggregates of a plan node with the layout of their state. Side tables are numbered from
// `next_table`, in the order of the aggregates, so that every instance numbers them alike.
class AggregateSet {
 public:
  // `store` is null for reading only. Errors: see make_aggregate.
  [[nodiscard]] static Expected<std::unique_ptr<AggregateSet>> make(const Plan& aggregate, InputKind input,
                                                                    StateStore* store, TableId& next_table);
  [[nodiscard]] const GroupLayout& layout() const { return layout_; }
  [[nodiscard]] std::size_t size() const { return functions_.size(); }
  [[nodiscard]] AggregateFunction& operator[](std::size_t i) const { return *functions_[i]; }
  [[nodiscard]] const std::vector<Type>& key_types() const { return key_types_; }
  // A global aggregate has one row even over nothing.
  [[nodiscard]] bool global() const { return key_types_.empty(); }

  // Whether there is a row for a group in this state.
  [[nodiscard]] bool has_row(std::string_view value) const {
    return global() || GroupLayout::weight(value) > 0;
  }
  // The row; kCorrupt 3301 for bytes that are not a group's.
  [[nodiscard]] Expected<Row> row(std::string_view key, std::string_view value) const;

  // The columns that row() gives under these numbers, in the wire form of a row; false, and nothing, where there is
  // no row.
  [[nodiscard]] Expected<bool> append_wire_row(std::string_view key, std::string_view value,
                                               std::span<const std::size_t> columns, std::string& out) const;

  // Whether groups may be merged: no aggregate keeps side tables in this input mode.
  [[nodiscard]] bool mergeable() const;
  // Makes the group value `into` that of both groups' rows, which are disjoint: the same bytes as if all
  // rows had come to one group, in any order. layout().fixed_bytes() zeros are a group without rows.
  // Thread-safe. kCorrupt 3301 for bytes that are not a group's.
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const;

 private:
  GroupLayout layout_;
  MultisetPool multisets_;
  std::vector<std::unique_ptr<AggregateFunction>> functions_;
  std::vector<Type> key_types_;
};

}  // namespace kappa::processor
