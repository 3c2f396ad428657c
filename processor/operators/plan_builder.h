// From plan nodes to connected operators: what views and bounded queries share.
//
// Tables are numbered from 1 in the order in which the nodes are met from the root down, so that one plan has the
// same tables every time. One thread; used once.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "processor/operators/aggregate.h"
#include "processor/operators/build.h"
#include "processor/operators/dataflow.h"
#include "processor/sql/panes.h"
#include "processor/sql/plan_properties.h"

namespace kappa::processor {

class PlanBuilder {
 public:
  // Operators are added to `flow` and keep their state in `store`; both are borrowed.
  PlanBuilder(Dataflow& flow, StateStore& store, PlanSetting setting)
      : flow_(flow), store_(store), setting_(setting) {}

  // Builds `plan` so that its rows go into `out`, and adds its scans as heads, left to right.
  // kUnsupported 2008, kTooLarge 2009.
  [[nodiscard]] Status build(const Plan& plan, Operator& out);
  // An aggregate that ends a view: its groups are read from `table`, it gives nothing.
  [[nodiscard]] Status build_last_aggregate(const Plan& plan, TableId table, std::uint64_t& row_count);

  // An aggregate over hopping windows whose groups are kept by pane, where it may be.
  [[nodiscard]] std::optional<Panes> panes(const Plan& plan) const { return panes_in_use(plan, setting_); }
  // Such a one at the end of a view; the panes go into `table`.
  [[nodiscard]] Status build_last_panes(const Plan& plan, Panes panes, TableId table, std::uint64_t& row_count);

  // Whether an aggregate over sessions keeps sessions instead of rows, and ends in rows then.
  [[nodiscard]] bool folds_sessions(const Plan& plan) const;

  [[nodiscard]] PlanProperties properties(const Plan& plan) const { return properties_of(plan, setting_); }
  [[nodiscard]] InputKind kind(const Plan& plan) const {
    return properties(plan).append_only ? InputKind::kAppendOnly : InputKind::kRetracting;
  }
  // The number that the next table gets.
  [[nodiscard]] TableId next_table() const { return next_table_; }
  // setting.aggregates_at_end: what must give its groups, inputs before what they feed.
  [[nodiscard]] const std::vector<AggregateOperator*>& gathering() const { return gathering_; }

 private:
  template <class T>
  [[nodiscard]] Status add_join(std::unique_ptr<T> made, const Plan& plan, Operator& out);
  template <class T>
  [[nodiscard]] Status add(std::unique_ptr<T> made, const Plan& input, Operator& out);
  [[nodiscard]] Status build_aggregate(const Plan& plan, Operator* out, AggregateOperator::Options options);
  [[nodiscard]] Status build_session_aggregate(const Plan& plan, Operator& out);
  [[nodiscard]] Status build_panes(const Plan& plan, Panes panes, Operator* out, AggregateOperator::Options options);
  [[nodiscard]] Status build_join(const Plan& plan, Operator& out);
  [[nodiscard]] Expected<TableId> new_table();

  Dataflow& flow_;
  StateStore& store_;
  const PlanSetting setting_;
  TableId next_table_ = 1;
  std::vector<AggregateOperator*> gathering_;
};

}  // namespace kappa::processor
