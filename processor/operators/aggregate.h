// GROUP BY: one entry of state per group, changed in place, a batch at a time.
//
// A batch goes through in two phases. First, while readers may still read: keys, filters and
// arguments are evaluated over whole vectors, each row finds its group, side tables are loaded. Then,
// with readers shut out: each aggregate runs over the rows in one tight loop.
//
// Groups exist while their row weight is above zero; a global aggregate always exists. With a next
// operator, each group that a batch touched gives its old row (-1) and its new row (+1), once.
//
// Groups of hopping windows may be kept by pane: then a group here is a pane, and the rows are those of the windows
// that are merged of them (pane_windows.h).
//
// Groups of windows may leave by the watermark (window_expiry.h): with their row taken back (retain), or by giving
// it for the first and only time (emit on close). Rows that come for them afterwards are left out.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/operators/batch_keys.h"
#include "processor/operators/group_codec.h"
#include "processor/operators/operator.h"
#include "processor/operators/pane_windows.h"
#include "processor/operators/window_expiry.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

class AggregateOperator final : public Operator {
 public:
  struct Options {
    TableId table = 0;                   // Of the groups.
    std::uint64_t* row_count = nullptr;  // Borrowed: groups that exist. May be null.
    bool gives_changes = false;          // To next(); otherwise give_groups() is how rows leave.
    std::optional<TableId> expiry_table;  // If groups leave by the watermark.
    TableId side_tables_begin = 0;        // Of the aggregates, with the group key in front of their keys; of groups
    TableId side_tables_end = 0;          // that leave they are cleared.
  };
  // With `windows` the plan's keys are those of panes, and its output is that of windows.
  AggregateOperator(const Plan& plan, std::unique_ptr<AggregateSet> aggregates, StateStore& store,
                    Options options, std::unique_ptr<PaneWindows> windows = nullptr);

  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  [[nodiscard]] Status start() override;
  [[nodiscard]] Status advance(std::int64_t watermark) override;
  // Pushes the rows of all groups downstream, in key order.
  [[nodiscard]] Status give_groups();
  [[nodiscard]] std::uint64_t failures() const override;

 private:
  struct Input {
    std::vector<ExpressionEvaluator> arguments;
    std::vector<ExpressionEvaluator> order;
    std::optional<ExpressionEvaluator> filter;
    std::vector<const Vector*> values;  // Of the batch at hand.
    std::vector<const Vector*> keys;    // The same of `order`.
    Selection rows;
    AggregateRows view;
  };
  [[nodiscard]] Status take(const ChangeBatch& batch);
  // The rows that are not late, into in_time_.
  [[nodiscard]] Status leave_out_late(const ChangeBatch& batch);
  [[nodiscard]] Status drop(std::string_view group);
  [[nodiscard]] Status assign_groups(const ChangeBatch& batch);
  void add_weights(const ChangeBatch& batch);
  // Settles which groups came and went.
  void settle();
  [[nodiscard]] Status give_changes();

  std::unique_ptr<AggregateSet> aggregates_;
  StateStore& store_;
  const Options options_;
  std::vector<ExpressionEvaluator> keys_;
  std::vector<Input> inputs_;  // Per aggregate.
  const bool emits_on_close_;
  std::optional<WindowExpiry> expiry_;
  const std::unique_ptr<PaneWindows> windows_;

  // Of the batch at hand.
  Selection all_rows_;
  const Selection* rows_ = nullptr;
  std::vector<const Vector*> key_columns_;
  BatchKeys row_keys_;
  std::vector<StateEntry*> key_entries_;
  std::vector<std::uint32_t> group_of_key_;
  std::vector<std::uint32_t> group_of_;
  std::vector<StateEntry*> groups_;
  std::vector<std::int64_t> weight_of_;                 // Per group: of its rows.
  std::vector<std::optional<std::string>> old_values_;  // Per group, when changes are given.
  std::vector<std::uint8_t> was_there_;                 // Per group: 1 if it had a row.
  std::vector<bool> existed_;                           // Per group: had an entry.
  std::vector<std::optional<std::int64_t>> ends_;       // Per group, where they leave by the watermark.
  Selection in_time_;

  BatchBuilder out_;
};

}  // namespace kappa::processor
