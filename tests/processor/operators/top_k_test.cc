// Goal: a top-k gives the rows whose rank is within the limit, after every batch, for every function, direction, place
// of NULLs, limit and offset, with and without the rank, on bags with copies, also where rows are taken back; it
// gives net changes only; its state does not depend on how the input was cut.
// Method: random sources against brute force (running_view.h); counting the changes that it gives.
#include <gtest/gtest.h>

#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

// Partitions by a text; orders by a number and a double, ties by the id.
TopK ranking(RankFunction function, std::uint64_t limit, std::uint64_t offset, bool gives_rank, bool partitioned,
             bool descending) {
  const std::vector<Column> columns = source_columns();
  TopK top_k;
  if (partitioned) top_k.partition = {col(columns, kKeyText)};
  top_k.order = {{col(columns, kKeyInt), descending, !descending},
                 {col(columns, kText), !descending, descending},
                 {col(columns, kId), descending, false}};
  top_k.rank_keys = 1;
  top_k.function = function;
  top_k.limit = limit;
  top_k.offset = offset;
  top_k.gives_rank = gives_rank;
  return top_k;
}

TEST(TopK, EveryFunctionAndLimit) {
  const std::uint64_t seed = new_seed();
  std::mt19937_64 random(seed);
  for (const bool retracting : {false, true}) {
    for (const RankFunction function : {RankFunction::kRowNumber, RankFunction::kRank, RankFunction::kDenseRank}) {
      for (const std::uint64_t limit : {1, 2, 5, 300}) {
        const std::uint64_t offset = function == RankFunction::kRowNumber ? random() % 3 * (random() % 2) : 0;
        const TopK top_k = ranking(function, limit, offset, random() % 2 == 0, random() % 4 != 0, random() % 2 == 0);
        SCOPED_TRACE(::testing::Message() << "function " << static_cast<int>(function) << " limit " << limit
                                          << " offset " << offset << " rank " << top_k.gives_rank);
        run_against_reference(bag_of(top_k_plan(scan_plan(), top_k)), retracting, 60, random(), false);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(TopK, CopiesOfARowAreRowsOfTheirOwn) {
  const PlanPtr narrow = project_plan(
      scan_plan(), {{"ki", col(source_columns(), kKeyInt)}, {"f", col(source_columns(), kFlag)}});
  for (const bool retracting : {false, true}) {
    for (const RankFunction function : {RankFunction::kRowNumber, RankFunction::kRank, RankFunction::kDenseRank}) {
      for (const bool gives_rank : {false, true}) {
        TopK top_k;
        top_k.partition = {col(narrow->output, 1)};
        top_k.order = {{col(narrow->output, 0), true, false}};
        top_k.rank_keys = 1;
        top_k.function = function;
        top_k.limit = 7;
        top_k.offset = function == RankFunction::kRowNumber ? 2 : 0;
        top_k.gives_rank = gives_rank;
        run_against_reference(bag_of(top_k_plan(narrow, top_k)), retracting, 60, new_seed(), false);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(TopK, StateDoesNotDependOnCuts) {
  for (const bool retracting : {false, true}) {
    for (const RankFunction function : {RankFunction::kRowNumber, RankFunction::kRank, RankFunction::kDenseRank}) {
      expect_same_state_for_any_cut(
          bag_of(top_k_plan(scan_plan(), ranking(function, 3, 0, true, true, true))), retracting, new_seed());
    }
  }
}

// -0 and 0 are equal, so which of them came first must not show: batches may be cut between two sides of a union.
TEST(TopK, ZerosOfEitherSignLeaveTheSameState) {
  const PlanPtr narrow = project_plan(scan_plan(), {{"d", col(source_columns(), kReal)}});
  TopK top_k;
  top_k.order = {{col(narrow->output, 0), false, false}};
  top_k.rank_keys = 1;
  top_k.limit = 1;
  std::string bytes[2];
  for (int negative_first = 0; negative_first < 2; ++negative_first) {
    RunningView view(bag_of(top_k_plan(narrow, top_k)), InputKind::kAppendOnly);
    ChangeSource source(new_seed(), false);
    for (int i = 0; i < 2; ++i) {
      Change change = source.next();
      change.row[kReal] = Value::real(i == negative_first ? 0.0 : -0.0);
      view.push({change}, source.random());
    }
    bytes[negative_first] = view.state_bytes();
  }
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST(TopK, OverAggregatesAndUnderThem) {
  const PlanPtr groups = aggregate_plan(scan_plan(), {col(source_columns(), kKeyText), col(source_columns(), kKeyInt)},
                                        {aggregate("count", nullptr)});
  TopK top_k;
  top_k.partition = {col(groups->output, 1)};
  top_k.order = {{col(groups->output, 2), true, true}, {col(groups->output, 0), false, false}};
  top_k.rank_keys = 2;
  top_k.limit = 2;
  top_k.gives_rank = true;
  const PlanPtr best = top_k_plan(groups, top_k);
  run_against_reference(view_of(best, {1, 3}), false, 80, new_seed(), false);
  run_against_reference(view_of(best, {1, 3}), true, 80, new_seed(), false);
  const PlanPtr sums = aggregate_plan(best, {col(best->output, 3)}, {aggregate("sum", col(best->output, 2))});
  run_against_reference(view_of(sums, {0}), true, 80, new_seed());
}

// A sink that counts what comes.
struct CountingSink final : Operator {
  std::size_t rows = 0;
  Status push(const ChangeBatch& batch) override {
    rows += batch.selected();
    return {};
  }
};

TEST(TopK, GivesNetChangesOnly) {
  for (const InputKind kind : {InputKind::kAppendOnly, InputKind::kRetracting}) {
    const ViewPlan plan = bag_of(top_k_plan(scan_plan(), ranking(RankFunction::kRowNumber, 1, 0, false, false, true)));
    const auto store = make_memory_state();
    std::uint64_t rows = 0;
    CountingSink sink;
    const auto built = build_view(plan, kind, *store, rows, &sink);
    ASSERT_TRUE(built);
    EXPECT_EQ(built->reader, nullptr);
    ChangeSource source(new_seed(), false);
    std::vector<Change> changes;
    for (int i = 0; i < 500; ++i) changes.push_back(source.next());
    ASSERT_TRUE(push_changes(*built->flow.heads()[0].in, changes, source.random()));
    EXPECT_EQ(sink.rows, 1U);  // Of the whole batch only the best.
    changes = {changes.back()};
    changes[0].row[kKeyInt] = Value::bigint(-100);
    ASSERT_TRUE(push_changes(*built->flow.heads()[0].in, changes, source.random()));
    EXPECT_EQ(sink.rows, 1U);
  }
}

}  // namespace
}  // namespace kappa::processor
