// Goal: a view equals its query over the live rows after every batch, for every aggregate, type, FILTER
// and DISTINCT, on input that only appends and on input that takes rows back; its state depends on the
// rows and not on how they were cut into batches, committed or reopened.
// Method: a random source (tests/processor/operators/change_source.h) drives the built view; a brute
// force reference (reference.h) computes the same from all live rows. Seeds are printed.
#include <gtest/gtest.h>

#include <random>

#include "processor/operators/build.h"
#include "processor/state/key_encoding.h"
#include "tests/processor/operators/all_aggregates.h"
#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

ViewPlan grouped_view(std::vector<Col> keys) {
  const std::vector<Column> columns = source_columns();
  std::vector<ExpressionPtr> expressions;
  std::vector<std::size_t> key_columns;
  for (const Col key : keys) {
    key_columns.push_back(expressions.size());
    expressions.push_back(col(columns, key));
  }
  const ExpressionPtr where =
      call("or", {call("is null", {col(columns, kKeyInt)}),
                  call("<", {col(columns, kKeyInt), make_constant(Value::bigint(1))})});
  return view_of(aggregate_plan(filter_plan(scan_plan(), where), expressions, all_aggregates()), key_columns);
}

TEST(ViewProperty, EveryAggregateAppendOnly) {
  run_against_reference(grouped_view({kKeyText, kKeyInt}), false, 60, new_seed());
}

TEST(ViewProperty, EveryAggregateTakingRowsBack) {
  run_against_reference(grouped_view({kKeyText, kKeyInt}), true, 150, new_seed());
}

TEST(ViewProperty, GlobalAggregateAlwaysHasOneRow) {
  run_against_reference(grouped_view({}), true, 120, new_seed());
  run_against_reference(grouped_view({}), false, 30, new_seed());
}

TEST(ViewProperty, KeysOfEveryType) {
  const std::vector<Column> columns = source_columns();
  for (const Col key : {kFlag, kInt, kReal, kDec, kTime, kSpan}) {
    const ViewPlan plan =
        view_of(aggregate_plan(scan_plan(), {col(columns, key)}, {aggregate("count", nullptr)}), {0});
    run_against_reference(plan, true, 40, new_seed());
  }
}

TEST(ViewProperty, FilterAndProjectionStoreRows) {
  const std::vector<Column> columns = source_columns();
  const PlanPtr root = project_plan(
      filter_plan(scan_plan(), call(">", {col(columns, kInt), make_constant(Value::bigint(-2))})),
      {{"_offset", col(columns, kId)},
       {"t", col(columns, kText)},
       {"n", col(columns, kDec)},
       {"sum", call("+", {col(columns, kInt), col(columns, kKeyInt)})},
       {"d", col(columns, kReal)},
       {"f", col(columns, kFlag)},
       {"ts", col(columns, kTime)}});
  const ViewPlan plan = view_of(root, {0});
  // The reference keeps arrival order, which is key order only until rows are taken back.
  run_against_reference(plan, false, 60, new_seed(), false);
  run_against_reference(plan, true, 120, new_seed(), false);
}

TEST(ViewProperty, HavingAndProjectionFinishWhenRead) {
  const std::vector<Column> columns = source_columns();
  const PlanPtr groups = aggregate_plan(scan_plan(), {col(columns, kKeyInt)},
                                        {aggregate("count", nullptr), aggregate("sum", col(columns, kInt))});
  const PlanPtr having =
      filter_plan(groups, call(">", {col(groups->output, 1), make_constant(Value::bigint(2))}));
  const PlanPtr root =
      project_plan(having, {{"twice", call("*", {col(groups->output, 1), make_constant(Value::bigint(2))})},
                            {"sum", col(groups->output, 2)},
                            {"key", col(groups->output, 0)}});
  const ViewPlan plan = view_of(root, {2});
  ChangeSource source(new_seed(), true);
  RunningView view(plan, InputKind::kRetracting);
  for (int batch = 0; batch < 100; ++batch) {
    source.set_retract_percent(batch % 30 < 18 ? 30 : 80);
    std::vector<Change> changes;
    for (std::size_t n = 1 + source.random()() % 9; n > 0; --n) changes.push_back(source.next());
    view.push(changes, source.random());
    expect_same(view.rows(), reference_plan(*root, source.live()));
    if (HasFatalFailure()) return;
    // Groups are counted, whether HAVING shows them or not.
    EXPECT_EQ(view.row_count(), reference_plan(*groups, source.live()).size());
    view.disturb(source.random());
  }
}

TEST(ViewProperty, AggregateOfAnAggregateFollowsItsChanges) {
  const std::vector<Column> columns = source_columns();
  const PlanPtr inner = aggregate_plan(scan_plan(), {col(columns, kKeyText), col(columns, kKeyInt)},
                                       {aggregate("count", nullptr), aggregate("max", col(columns, kText)),
                                        aggregate("sum", col(columns, kReal))});
  // A histogram of the groups' sizes, with what a retracting input makes hard.
  const PlanPtr between = project_plan(inner, {{"n", col(inner->output, 2)},
                                               {"m", col(inner->output, 3)},
                                               {"s", col(inner->output, 4)},
                                               {"k", col(inner->output, 1)}});
  const PlanPtr histogram =
      aggregate_plan(between, {col(between->output, 0)},
                     {aggregate("count", nullptr), aggregate("max", col(between->output, 1)),
                      aggregate("min", col(between->output, 2)), aggregate("sum", col(between->output, 2)),
                      aggregate("count", col(between->output, 3), true)});
  run_against_reference(view_of(histogram, {0}), false, 60, new_seed());
  run_against_reference(view_of(histogram, {0}), true, 120, new_seed());
  // And a third on top: how many sizes there are, over everything.
  const PlanPtr total =
      aggregate_plan(histogram, {},
                     {aggregate("count", nullptr), aggregate("max", col(histogram->output, 0)),
                      aggregate("sum", col(histogram->output, 1))});
  run_against_reference(view_of(total, {}), true, 80, new_seed());
}

TEST(ViewProperty, AggregateOfAGlobalAggregateStartsWithItsRow) {
  const std::vector<Column> columns = source_columns();
  const PlanPtr inner =
      aggregate_plan(scan_plan(), {}, {aggregate("count", nullptr), aggregate("max", col(columns, kInt))});
  const PlanPtr outer = aggregate_plan(
      inner, {col(inner->output, 0)}, {aggregate("count", nullptr), aggregate("max", col(inner->output, 1))});
  run_against_reference(view_of(outer, {0}), true, 60, new_seed());
}

TEST(ViewProperty, StateBytesDoNotDependOnBatches) {
  const std::uint64_t seed = new_seed();
  for (const bool retracting : {false, true}) {
    std::vector<Change> changes;
    ChangeSource source(seed, retracting);
    for (int i = 0; i < 1500; ++i) changes.push_back(source.next());
    const ViewPlan plan = grouped_view({kKeyText, kKeyInt});
    std::string first;
    for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, changes.size()}) {
      RunningView view(plan, retracting ? InputKind::kRetracting : InputKind::kAppendOnly);
      std::mt19937_64 random(seed + size);
      for (std::size_t at = 0; at < changes.size(); at += size) {
        const auto begin = changes.begin() + static_cast<std::ptrdiff_t>(at);
        view.push({begin, begin + static_cast<std::ptrdiff_t>(std::min(size, changes.size() - at))}, random);
        if (HasFatalFailure()) return;
        if (random() % 8 == 0) view.disturb(random);
      }
      const std::string bytes = view.state_bytes();
      if (first.empty()) first = bytes;
      EXPECT_TRUE(bytes == first) << "batches of " << size;
    }
  }
}

TEST(ViewProperty, EverythingTakenBackLeavesNothing) {
  ChangeSource source(new_seed(), false);
  std::vector<Change> changes;
  for (int i = 0; i < 500; ++i) changes.push_back(source.next());
  RunningView view(grouped_view({kKeyText, kKeyInt}), InputKind::kRetracting);
  std::mt19937_64 random(3);
  view.push(changes, random);
  std::ranges::shuffle(changes, random);
  for (Change& change : changes) change.weight = -1;
  view.push({changes.begin(), changes.begin() + 250}, random);
  view.disturb(random);
  view.push({changes.begin() + 250, changes.end()}, random);
  EXPECT_EQ(view.state_bytes(), "");
  EXPECT_EQ(view.row_count(), 0U);
}

TEST(ViewReader, KeysAreConvertedAndPrefixesWork) {
  const std::vector<Column> columns = source_columns();
  const ViewPlan plan =
      view_of(aggregate_plan(scan_plan(), {col(columns, kKeyInt), col(columns, kTime), col(columns, kDec)},
                             {aggregate("count", nullptr)}),
              {0, 1, 2});
  RunningView view(plan, InputKind::kAppendOnly);
  ChangeSource source(new_seed(), false);
  std::vector<Change> changes;
  for (int i = 0; i < 200; ++i) changes.push_back(source.next());
  Row& row = changes[0].row;
  row[kKeyInt] = Value::bigint(1);
  row[kTime] = Value::timestamp(1'000'000);
  row[kDec] = Value::numeric(25'000, 20, 4);
  view.push(changes, source.random());
  const ViewReader& reader = view.reader();
  const auto key = reader.encode_key(
      std::vector<Value>{Value::text("1"), Value::text("1970-01-01T00:00:01Z"), Value::text("2.5")});
  ASSERT_TRUE(key);
  const auto read = view.store().read(reader.table(), *key);
  ASSERT_TRUE(read && read->value);
  EXPECT_EQ((*reader.decode(*key, *read->value))->row[2], Value::numeric(25'000, 20, 4));
  EXPECT_EQ(reader.encode_key(std::vector<Value>{Value::bigint(1), Value::text("1000"), Value::real(2.5)}),
            *key);
  const auto prefix = reader.encode_key(std::vector<Value>{Value::bigint(1)});
  EXPECT_TRUE(key->starts_with(*prefix));
  EXPECT_EQ(reader.encode_key({})->size(), 0U);
  EXPECT_EQ(reader.encode_key(std::vector<Value>{Value::text("one")}).error().number, 2011);
  EXPECT_EQ(reader.encode_key(std::vector<Value>(4, Value::bigint(1))).error().number, 2011);
}

TEST(BuildView, RefusesWhatIsNotThere) {
  const std::vector<Column> columns = source_columns();
  const auto store = make_memory_state();
  std::uint64_t rows = 0;
  const ViewPlan sorted = view_of(sort_plan(scan_plan(), {}, 3), {9});
  EXPECT_EQ(build_view(sorted, InputKind::kAppendOnly, *store, rows).error().number, 2008);
  const ViewPlan unknown =
      view_of(aggregate_plan(scan_plan(), {}, {aggregate("median", col(columns, kInt))}), {});
  EXPECT_EQ(build_view(unknown, InputKind::kAppendOnly, *store, rows).error().number, 2008);
}

}  // namespace
}  // namespace kappa::processor
