// Goal: session windows have the bounds that their definition says after every batch, with late rows that grow and
// bridge sessions and rows taken back that shrink and split them, by partitions and without, exactly at the gap and
// next to it; alone and below an aggregate, whatever form its state has.
// Method: random sources against brute force (running_view.h).
#include <gtest/gtest.h>

#include "processor/operators/plan_builder.h"
#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

constexpr std::int64_t kSecond = 1'000'000;

Window session(std::int64_t gap, std::vector<std::size_t> partition) {
  Window window;
  window.kind = Window::Kind::kSession;
  window.time = col(source_columns(), kTime);
  window.gap_micros = gap;
  for (const std::size_t column : partition) window.partition.push_back(col(source_columns(), column));
  return window;
}

TEST(Session, RowsHaveTheBoundsOfTheirSession) {
  for (const bool retracting : {false, true}) {
    for (const std::int64_t gap : {std::int64_t{0}, kSecond, 2 * kSecond - 1, 3 * kSecond}) {
      const PlanPtr windows = window_plan(scan_plan(), session(gap, {kKeyInt, kKeyText}));
      run_against_reference(view_of(windows, {kId}), retracting, 50, new_seed(), false);
      if (HasFatalFailure()) return;
    }
    run_against_reference(view_of(window_plan(scan_plan(), session(kSecond, {})), {kId}), retracting, 40, new_seed(),
                          false);
    if (HasFatalFailure()) return;
  }
}

TEST(Session, CopiesOfARow) {
  const PlanPtr narrow = project_plan(
      scan_plan(), {{"ts", col(source_columns(), kTime)}, {"ki", col(source_columns(), kKeyInt)}});
  Window window;
  window.kind = Window::Kind::kSession;
  window.time = col(narrow->output, 0);
  window.gap_micros = kSecond;
  window.partition = {col(narrow->output, 1)};
  for (const bool retracting : {false, true})
    run_against_reference(bag_of(window_plan(narrow, window)), retracting, 60, new_seed(), false);
}

// Groups by the partition and both bounds; `extra` adds a key that is not the session's.
PlanPtr grouped(std::int64_t gap, std::vector<Aggregate> (*aggregates)(const std::vector<Column>&), bool extra) {
  const PlanPtr windows = window_plan(scan_plan(), session(gap, {kKeyInt}));
  const std::vector<Column>& columns = windows->output;
  std::vector<ExpressionPtr> keys = {col(columns, kColumnCount), col(columns, kKeyInt), col(columns, kColumnCount + 1)};
  if (extra) keys.push_back(col(columns, kFlag));
  return aggregate_plan(windows, keys, aggregates(columns));
}
std::vector<Aggregate> mergeable(const std::vector<Column>& columns) {
  return {aggregate("count", nullptr), aggregate("sum", col(columns, kReal)), aggregate("max", col(columns, kText)),
          aggregate("avg", col(columns, kInt), false, col(columns, kFlag))};
}
std::vector<Aggregate> with_side_tables(const std::vector<Column>& columns) {
  return {aggregate("count", nullptr), aggregate("count", col(columns, kText), true)};
}

TEST(Session, GroupsBySession) {
  for (const bool retracting : {false, true}) {
    for (const std::int64_t gap : {std::int64_t{0}, kSecond, 3 * kSecond}) {
      for (const bool extra : {false, true}) {
        for (const auto aggregates : {mergeable, with_side_tables}) {
          const PlanPtr plan = grouped(gap, aggregates, extra);
          run_against_reference(view_of(plan, extra ? std::vector<std::size_t>{0, 1, 2, 3} : std::vector<std::size_t>{0, 1, 2}),
                                retracting, 40, new_seed());
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// The small form is for rows that stay, groups that are exactly the sessions, and states that merge.
TEST(Session, FoldedWhereItCanBe) {
  const auto store = make_memory_state();
  Dataflow flow;
  const PlanBuilder appends(flow, *store, {});
  const PlanBuilder retracts(flow, *store, {.scans_take_back = true});
  EXPECT_TRUE(appends.folds_sessions(*grouped(kSecond, mergeable, false)));
  EXPECT_FALSE(retracts.folds_sessions(*grouped(kSecond, mergeable, false)));
  EXPECT_FALSE(appends.folds_sessions(*grouped(kSecond, mergeable, true)));
  EXPECT_FALSE(appends.folds_sessions(*grouped(kSecond, with_side_tables, false)));
}

TEST(Session, ChangesOfGroupsGoOn) {
  for (const bool retracting : {false, true}) {
    const PlanPtr sessions = grouped(kSecond, mergeable, false);
    const PlanPtr sizes = aggregate_plan(sessions, {col(sessions->output, 3)},
                                         {aggregate("count", nullptr), aggregate("max", col(sessions->output, 0))});
    run_against_reference(view_of(sizes, {0}), retracting, 60, new_seed());
    if (HasFatalFailure()) return;
  }
}

TEST(Session, StateDoesNotDependOnCuts) {
  for (const bool retracting : {false, true}) {
    expect_same_state_for_any_cut(view_of(grouped(kSecond, mergeable, false), {0, 1, 2}), retracting, new_seed(), 700);
    expect_same_state_for_any_cut(view_of(window_plan(scan_plan(), session(kSecond, {kKeyInt})), {kId}), retracting,
                                  new_seed(), 700);
  }
}

}  // namespace
}  // namespace kappa::processor
