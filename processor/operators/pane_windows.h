// The windows over groups that are kept by pane (processor/sql/panes.h): what a batch that changed some panes did to
// them. Panes are in one table, by the other keys and then their start; they come and stay.
//
// Either counts the windows that have a row, for a view that merges panes when it is read; or gives each window that
// a changed pane is in once, its old row (-1) and its new one (+1). Every pane of those windows is read about once a
// batch, and merged about three times (sliding_merge.h).
//
// No state beside the table of panes, which the aggregate writes. One thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/operators/group_codec.h"
#include "processor/operators/operator.h"
#include "processor/operators/sliding_merge.h"
#include "processor/sql/panes.h"
#include "processor/sql/plan_properties.h"
#include "processor/state/state_store.h"

namespace kappa::processor {

// What the start of a pane takes in a key: it is the last of it.
inline constexpr std::size_t kPaneBytes = 9;
void append_pane(std::string& key, std::int64_t start);
// kCorrupt 3301 for a key that does not end in one.
[[nodiscard]] Expected<std::int64_t> read_pane(std::string_view key);

// The panes of an aggregate where it is kept so: they fit, rows stay, all aggregates can be merged.
[[nodiscard]] std::optional<Panes> panes_in_use(const Plan& aggregate, PlanSetting setting);

class PaneWindows {
 public:
  // `aggregates` are those of `panes`, over windows: mergeable, for rows that stay. Makes `table` ordered.
  PaneWindows(Panes panes, std::unique_ptr<AggregateSet> aggregates, StateStore& store, TableId table);

  // After a batch: `groups` are the panes that it changed, `was_there` says which of them were there before.
  // Gives how many windows have a row now that had none.
  [[nodiscard]] Expected<std::uint64_t> count_new(std::span<StateEntry* const> groups, std::span<const std::uint8_t> was_there);
  // After a batch: gives the windows of `groups`, of which `old_values` are the values before, nullopt for those
  // that were not there. `out` has the columns of the aggregate over windows.
  [[nodiscard]] Status give_changes(std::span<StateEntry* const> groups,
                                    std::span<const std::optional<std::string>> old_values, BatchBuilder& out,
                                    Operator* next);

 private:
  struct Touched {
    std::string_view others;  // The key without the start.
    std::int64_t start;
    std::size_t group;
  };
  struct Pane {
    std::int64_t start;
    std::string value;
    const std::optional<std::string>* old_value;  // Null: the same. Nothing: it was not there.
  };
  [[nodiscard]] Status collect(std::span<StateEntry* const> groups);
  // Windows that have the pane but not the one before it.
  [[nodiscard]] std::uint64_t windows_between(std::optional<std::int64_t> before, std::int64_t pane) const;
  // The windows from start `first` to `last` of one combination of the other keys; `touched` are its panes.
  [[nodiscard]] Status give_windows(Int128 first, Int128 last, std::span<const Touched> touched,
                                    std::span<const std::optional<std::string>> old_values, BatchBuilder& out,
                                    Operator* next);
  // The panes that begin in [from, to).
  [[nodiscard]] Status load(std::int64_t from, std::int64_t to, std::span<const Touched> touched,
                            std::span<const std::optional<std::string>> old_values);
  // The row of a window, its start and other keys being in key_row_.
  [[nodiscard]] Expected<Row> row_of(const SlidingMerge& panes);
  [[nodiscard]] Status read_others(std::string_view others);

  const Panes panes_;
  const std::unique_ptr<AggregateSet> aggregates_;
  StateStore& store_;
  const TableId table_;
  SlidingMerge old_;
  SlidingMerge new_;

  std::vector<Touched> touched_;  // Of the batch at hand, in the order of their keys.
  std::vector<Pane> loaded_;
  Row key_row_;
  EntryValue merged_;
};

}  // namespace kappa::processor
