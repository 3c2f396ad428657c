// Goal: an ASOF join gives each left row the right row valid at its time, after every batch: late rows of either side,
// ties, tombstones, strict or not, inner and left outer, also where rows of either side are taken back.
// Method: random sources against brute force (running_view.h).
#include <gtest/gtest.h>

#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

Join asof(const PlanPtr& left, const PlanPtr& right, bool outer, bool strict, bool deletes) {
  Join join;
  join.match = Join::Match::kAsOfTime;
  join.left_outer = outer;
  join.strict = strict;
  join.left_keys = {col(left->output, kKeyInt)};
  join.right_keys = {col(right->output, kKeyInt)};
  join.left_time = col(left->output, kTime);
  join.right_time = col(right->output, kTime);
  join.right_order = {col(right->output, kId)};
  if (deletes) join.right_deleted = col(right->output, kFlag);
  return join;
}

TEST(AsOfJoin, EveryKind) {
  for (const bool retracting : {false, true}) {
    for (int kind = 0; kind < 8; ++kind) {
      SCOPED_TRACE(::testing::Message() << "kind " << kind << " retracting " << retracting);
      const PlanPtr left = scan_plan();
      const PlanPtr right = scan_plan();
      const PlanPtr joined =
          join_plan(left, right, asof(left, right, (kind & 1) != 0, (kind & 2) != 0, (kind & 4) != 0));
      run_against_reference(view_of(joined, {kId}), retracting, 50, new_seed(), false);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(AsOfJoin, ManyLeftRowsFollowALateRightRow) {
  const PlanPtr left = scan_plan();
  const PlanPtr right = scan_plan();
  const ViewPlan plan = view_of(join_plan(left, right, asof(left, right, true, false, false)), {kId});
  RunningView view(plan, InputKind::kAppendOnly);
  ChangeSource source(new_seed(), false);
  std::vector<std::vector<Change>> changes(2);
  Sources live;
  for (int i = 0; i < 1500; ++i) changes[0].push_back(source.next());
  for (Change& change : changes[0]) {
    change.row[kKeyInt] = Value::bigint(0);
    live[left.get()].push_back(change.row);
  }
  live[right.get()] = {};
  view.push_heads(changes, source.random());
  for (int i = 0; i < 6; ++i) {
    changes.assign(2, {});
    changes[1].push_back(source.next());
    changes[1][0].row[kKeyInt] = Value::bigint(0);
    live[right.get()].push_back(changes[1][0].row);
    view.push_heads(changes, source.random());
    std::vector<Row> actual = view.rows();
    std::vector<Row> expected = reference_plan(*plan.root, live);
    std::ranges::sort(actual, RowLess{});
    std::ranges::sort(expected, RowLess{});
    expect_same(actual, expected);
    if (HasFatalFailure()) return;
  }
}

TEST(AsOfJoin, BelowAnAggregateAndOverGroups) {
  for (const bool retracting : {false, true}) {
    const PlanPtr left = scan_plan();
    const PlanPtr scan = scan_plan();
    // One row a key and time, replaced whenever a group changes.
    const PlanPtr right = aggregate_plan(scan, {col(scan->output, kKeyInt), col(scan->output, kTime)},
                                         {aggregate("max", col(scan->output, kText)), aggregate("count", nullptr)});
    Join join;
    join.match = Join::Match::kAsOfTime;
    join.left_outer = true;
    join.left_keys = {col(left->output, kKeyInt)};
    join.right_keys = {col(right->output, 0)};
    join.left_time = col(left->output, kTime);
    join.right_time = col(right->output, 1);
    const PlanPtr joined = join_plan(left, right, join);
    const PlanPtr sums = aggregate_plan(joined, {col(joined->output, kColumnCount + 2)},
                                        {aggregate("count", nullptr), aggregate("sum", col(joined->output, kColumnCount + 3))});
    run_against_reference(view_of(sums, {0}), retracting, 60, new_seed());
    if (HasFatalFailure()) return;
  }
}

TEST(AsOfJoin, StateDoesNotDependOnCuts) {
  for (const bool retracting : {false, true}) {
    const PlanPtr left = scan_plan();
    const PlanPtr right = scan_plan();
    expect_same_state_for_any_cut(view_of(join_plan(left, right, asof(left, right, true, false, true)), {kId}),
                                  retracting, new_seed(), 600);
  }
}

}  // namespace
}  // namespace kappa::processor
