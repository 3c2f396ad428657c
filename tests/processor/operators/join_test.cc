// Goal: joins give what their definition says after every batch: inner and left outer, by keys, with residuals and time
// bounds, over streams, over groups and over joins, with NULL keys, with copies, also where rows are taken back on
// either side; FOR SYSTEM_TIME joins see the right rows as of each left event; state does not depend on cuts.
// Method: random sources against brute force (running_view.h).
#include <gtest/gtest.h>

#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

constexpr std::int64_t kSecond = 1'000'000;

// Few columns, so that rows have copies.
PlanPtr narrow(bool with_id) {
  const std::vector<Column> columns = source_columns();
  std::vector<std::pair<std::string, ExpressionPtr>> some = {{"ki", col(columns, kKeyInt)},
                                                             {"kt", col(columns, kKeyText)},
                                                             {"f", col(columns, kFlag)},
                                                             {"ts", col(columns, kTime)}};
  if (with_id) some.emplace_back("id", col(columns, kId));
  return project_plan(scan_plan(), some);
}

struct Shape {
  bool outer = false;
  bool residual = false;
  bool timed = false;
};
const std::vector<Shape> kShapes = {{false, false, false}, {true, false, false}, {false, true, false},
                                    {true, true, false},   {false, false, true}, {true, false, true},
                                    {true, true, true}};

Join join_on(const PlanPtr& left, const PlanPtr& right, std::vector<std::pair<std::size_t, std::size_t>> keys,
             Shape shape) {
  Join join;
  join.left_outer = shape.outer;
  for (const auto& [l, r] : keys) {
    join.left_keys.push_back(col(left->output, l));
    join.right_keys.push_back(col(right->output, r));
  }
  std::vector<Column> both = left->output;
  both.insert(both.end(), right->output.begin(), right->output.end());
  if (shape.residual) join.residual = call("<", {col(both, 1), col(both, left->output.size() + 1)});
  if (shape.timed) {
    join.left_time = col(left->output, 3);
    join.right_time = col(right->output, 3);
    join.lower = -kSecond;
    join.upper = 3 * kSecond;
  }
  return join;
}

std::string to_text(Shape shape) {
  return std::string(shape.outer ? "left " : "inner ") + (shape.residual ? "residual " : "") +
         (shape.timed ? "timed" : "");
}

TEST(Join, EveryShapeOverStreams) {
  for (const bool retracting : {false, true}) {
    for (const bool with_id : {false, true}) {
      for (const Shape shape : kShapes) {
        SCOPED_TRACE(to_text(shape));
        const PlanPtr left = narrow(with_id);
        const PlanPtr right = narrow(with_id);
        const PlanPtr both = join_plan(left, right, join_on(left, right, {{0, 0}}, shape));
        run_against_reference(bag_of(both), retracting, 22, new_seed(), false);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Join, OneSidedTimeBounds) {
  for (const bool lower : {false, true}) {
    const PlanPtr left = narrow(true);
    const PlanPtr right = narrow(true);
    Join join = join_on(left, right, {{0, 0}}, {true, false, true});
    (lower ? join.upper : join.lower).reset();
    run_against_reference(bag_of(join_plan(left, right, join)), true, 40, new_seed(), false);
    if (HasFatalFailure()) return;
  }
}

TEST(Join, SeveralKeysAndNone) {
  for (const bool retracting : {false, true}) {
    for (const auto& keys : {std::vector<std::pair<std::size_t, std::size_t>>{{0, 0}, {1, 1}}, {}}) {
      const PlanPtr left = narrow(true);
      const PlanPtr right = filter_plan(narrow(true), col(narrow(true)->output, 2));
      const PlanPtr both = join_plan(left, right, join_on(left, right, keys, {true, false, false}));
      const PlanPtr counts = aggregate_plan(both, {col(both->output, 0)},
                                            {aggregate("count", nullptr), aggregate("count", col(both->output, 9)),
                                             aggregate("max", col(both->output, 9))});
      run_against_reference(view_of(counts, {0}), retracting, 40, new_seed());
      if (HasFatalFailure()) return;
    }
  }
}

// A right side with one row a key: groups, and the latest row of each key.
TEST(Join, AgainstGroupsAndLatestRows) {
  for (const bool retracting : {false, true}) {
    for (const bool outer : {false, true}) {
      const PlanPtr left = narrow(true);
      const PlanPtr scan = narrow(true);
      const PlanPtr groups = aggregate_plan(
          scan, {col(scan->output, 0)}, {aggregate("max", col(scan->output, 1)), aggregate("count", nullptr)});
      const PlanPtr by_group = join_plan(left, groups, join_on(left, groups, {{0, 0}}, {outer, false, false}));
      EXPECT_TRUE(is_unique_on(*groups, by_group->join.right_keys));
      run_against_reference(bag_of(by_group), retracting, 50, new_seed(), false);
      if (HasFatalFailure()) return;
      TopK latest;
      latest.partition = {col(scan->output, 0)};
      latest.order = {{col(scan->output, 4), true, false}};
      latest.rank_keys = 1;
      latest.limit = 1;
      const PlanPtr table = top_k_plan(scan, latest);
      const PlanPtr by_row = join_plan(left, table, join_on(left, table, {{0, 0}}, {outer, true, false}));
      EXPECT_TRUE(is_unique_on(*table, by_row->join.right_keys));
      EXPECT_FALSE(is_unique_on(*scan, by_row->join.right_keys));
      run_against_reference(bag_of(by_row), retracting, 50, new_seed(), false);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Join, OfJoins) {
  for (const bool retracting : {false, true}) {
    const PlanPtr a = narrow(false);
    const PlanPtr b = narrow(false);
    const PlanPtr ab = join_plan(a, b, join_on(a, b, {{0, 0}, {1, 1}}, {true, false, false}));
    const PlanPtr c = narrow(false);
    const PlanPtr abc = join_plan(ab, c, join_on(ab, c, {{5, 1}, {4, 0}}, {true, false, false}));
    const PlanPtr counts = aggregate_plan(abc, {col(abc->output, 8), col(abc->output, 0)}, {aggregate("count", nullptr)});
    run_against_reference(view_of(counts, {0, 1}), retracting, 40, new_seed());
    if (HasFatalFailure()) return;
  }
}

TEST(Join, StateDoesNotDependOnCuts) {
  for (const bool retracting : {false, true}) {
    for (const Shape shape : kShapes) {
      SCOPED_TRACE(to_text(shape));
      const PlanPtr left = narrow(true);
      const PlanPtr right = narrow(true);
      expect_same_state_for_any_cut(
          bag_of(join_plan(left, right, join_on(left, right, {{0, 0}, {1, 1}}, shape))), retracting, new_seed(), 500);
      if (HasFatalFailure()) return;
    }
  }
}

// A hot key fills many chunks.
TEST(Join, ManyRowsOfOneKey) {
  const PlanPtr left = narrow(true);
  const PlanPtr right = narrow(true);
  const PlanPtr both = join_plan(left, right, join_on(left, right, {{0, 0}}, {}));
  const PlanPtr counts = aggregate_plan(both, {}, {aggregate("count", nullptr), aggregate("sum", col(both->output, 9))});
  RunningView view(view_of(counts, {}), InputKind::kAppendOnly);
  ChangeSource source(new_seed(), false);
  std::vector<std::vector<Change>> changes(2);
  for (int i = 0; i < 1500; ++i) changes[1].push_back(source.next());
  for (Change& change : changes[1]) change.row[kKeyInt] = Value::bigint(1);
  changes[0] = {changes[1].begin(), changes[1].begin() + 3};
  view.push_heads(changes, source.random());
  view.push_heads({changes[0], {}}, source.random());
  Int128 sum = 0;
  for (const Change& change : changes[1]) sum += change.row[kId].as_int64();
  const std::vector<Row> rows = view.rows();
  EXPECT_EQ(rows[0][0], Value::bigint(6 * 1500));
  EXPECT_EQ(rows[0][1].as_int128(), 6 * sum);
}

// The left rows see the right side as of their own event: cut so that right events of a run go before its left ones.
TEST(Join, AsOfOffset) {
  for (const bool outer : {false, true}) {
    for (const std::size_t most : {1, 5, 100}) {
      const PlanPtr left = narrow(true);
      const PlanPtr scan = narrow(true);
      TopK latest;
      latest.partition = {col(scan->output, 0)};
      latest.order = {{col(scan->output, 4), true, false}};
      latest.rank_keys = 1;
      latest.limit = 1;
      const PlanPtr table = top_k_plan(scan, latest);
      Join join = join_on(left, table, {{0, 0}}, {outer, true, false});
      join.match = Join::Match::kAsOfOffset;
      const ViewPlan plan = bag_of(join_plan(left, table, join));
      EXPECT_EQ(head_turns(*plan.root), (std::vector<unsigned>{1, 0}));
      EXPECT_EQ(granularity_of(plan), Granularity::kRun);
      RunningView view(plan, InputKind::kAppendOnly);
      ChangeSource source(new_seed(), false);
      std::vector<Row> expected;
      Sources so_far{{scans_of(*plan.root)[0], {}}, {scans_of(*plan.root)[1], {}}};
      std::vector<std::vector<Change>> run(2);
      const auto push = [&] {
        view.push_heads(run, source.random(), true);
        run.assign(2, {});
        std::vector<Row> actual = view.rows();
        std::vector<Row> wanted = expected;
        std::ranges::sort(actual, RowLess{});
        std::ranges::sort(wanted, RowLess{});
        expect_same(actual, wanted);
      };
      for (int i = 0; i < 300; ++i) {
        const Change change = source.next();
        const std::size_t head = source.random()() % 2;
        if (head == 1 && !run[0].empty()) push();
        if (HasFatalFailure()) return;
        run[head].push_back(change);
        Sources now = so_far;
        if (head == 0) {
          now[scans_of(*plan.root)[0]] = {change.row};
          for (Row& row : reference_plan(*plan.root, now)) expected.push_back(std::move(row));
        } else {
          so_far[scans_of(*plan.root)[1]].push_back(change.row);
        }
        if (run[0].size() + run[1].size() >= most) push();
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace kappa::processor
