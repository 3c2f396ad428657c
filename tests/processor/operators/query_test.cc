// Goal: a bounded query gives the rows of its plan, in order, within its memory.
// Method: random rows through build_query, compared with the brute force reference and std::sort.
#include <gtest/gtest.h>

#include <random>

#include "processor/operators/build.h"
#include "tests/processor/operators/change_source.h"
#include "tests/processor/operators/reference.h"

namespace kappa::processor {
namespace {

using namespace testing;

struct Ran {
  Status status;
  std::vector<Row> rows;
  std::size_t pushes = 0;
};
Ran run(const PlanPtr& plan, const std::vector<Change>& changes, std::size_t memory = std::size_t{64} << 20,
        std::size_t batch_rows = 100) {
  Ran ran;
  auto query = build_query(plan, InputKind::kAppendOnly, memory, [&](std::vector<Row> rows) {
    ran.rows.insert(ran.rows.end(), rows.begin(), rows.end());
    return true;
  });
  EXPECT_TRUE(query) << to_string(query.error());
  std::mt19937_64 random(1);
  // QueryRun is fed like an operator.
  struct Feed final : Operator {
    QueryRun* run = nullptr;
    bool more = true;
    Status push(const ChangeBatch& batch) override {
      KAPPA_TRY(more, run->push(0, batch));
      return {};
    }
  } feed;
  feed.run = query->get();
  for (std::size_t at = 0; at < changes.size() && feed.more; at += batch_rows) {
    const auto begin = changes.begin() + static_cast<std::ptrdiff_t>(at);
    ran.status = push_changes(
        feed, {begin, begin + static_cast<std::ptrdiff_t>(std::min(batch_rows, changes.size() - at))},
        random);
    ++ran.pushes;
    if (!ran.status) return ran;
  }
  ran.status = (*query)->finish();
  return ran;
}

std::vector<Change> some_changes(std::size_t count, std::vector<Row>& rows) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  ChangeSource source(seed, false);
  std::vector<Change> changes;
  for (std::size_t i = 0; i < count; ++i) changes.push_back(source.next());
  rows = source.live();
  return changes;
}

TEST(Query, GroupsComeOutInKeyOrder) {
  std::vector<Row> rows;
  const std::vector<Change> changes = some_changes(3000, rows);
  const std::vector<Column> columns = source_columns();
  const PlanPtr groups =
      aggregate_plan(scan_plan(), {col(columns, kKeyText)},
                     {aggregate("count", nullptr), aggregate("sum", col(columns, kReal)),
                      aggregate("min", col(columns, kText)), aggregate("count", col(columns, kInt), true)});
  const PlanPtr over = aggregate_plan(groups, {}, {aggregate("max", col(groups->output, 1))});
  for (const PlanPtr& plan : {groups, over}) {
    const Ran ran = run(plan, changes);
    ASSERT_TRUE(ran.status);
    EXPECT_EQ(ran.rows, reference_plan(*plan, rows));
  }
  EXPECT_EQ(run(over, {}).rows, reference_plan(*over, std::vector<Row>{}));
}

TEST(Query, OrderByWithAndWithoutLimit) {
  std::vector<Row> rows;
  const std::vector<Change> changes = some_changes(4000, rows);
  const std::vector<Column> columns = source_columns();
  const PlanPtr project = project_plan(
      scan_plan(), {{"t", col(columns, kText)}, {"i", col(columns, kInt)}, {"id", col(columns, kId)}});
  const std::vector<SortKey> keys = {{col(project->output, 0), true, true},
                                     {col(project->output, 1), false, false}};
  std::vector<Row> expected = reference_plan(*project, rows);
  std::ranges::stable_sort(expected, [](const Row& a, const Row& b) {
    // text descending, NULL first; number ascending, NULL last
    if (a[0].is_null() != b[0].is_null()) return a[0].is_null();
    if (!a[0].is_null() && a[0] != b[0]) return compare(a[0], b[0]) > 0;
    if (a[1].is_null() != b[1].is_null()) return b[1].is_null();
    return !a[1].is_null() && compare(a[1], b[1]) < 0;
  });
  EXPECT_EQ(run(sort_plan(project, keys, std::nullopt), changes).rows, expected);
  for (const std::uint64_t limit : {0, 1, 17, 3999, 5000}) {
    for (const std::uint64_t offset : {0, 5, 4000}) {
      std::vector<Row> part(
          expected.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(offset, expected.size())),
          expected.end());
      part.resize(std::min<std::size_t>(part.size(), limit));
      EXPECT_EQ(run(sort_plan(project, keys, limit, offset), changes).rows, part) << limit << " " << offset;
    }
  }
  std::vector<Row> skipped(expected.begin() + 9, expected.end());
  EXPECT_EQ(run(sort_plan(project, keys, std::nullopt, 9), changes).rows, skipped);
}

TEST(Query, LimitWithoutOrderStopsReading) {
  std::vector<Row> rows;
  const std::vector<Change> changes = some_changes(4000, rows);
  const Ran ran = run(sort_plan(scan_plan(), {}, 150, 20), changes);
  EXPECT_EQ(ran.rows, std::vector<Row>(rows.begin() + 20, rows.begin() + 170));
  EXPECT_EQ(ran.pushes, 2U);
}

TEST(Query, MemoryIsBounded) {
  std::vector<Row> rows;
  const std::vector<Change> changes = some_changes(20'000, rows);
  const std::vector<Column> columns = source_columns();
  const PlanPtr sorted = sort_plan(scan_plan(), {{col(columns, kInt), false, false}}, std::nullopt);
  EXPECT_EQ(run(sorted, changes, 1 << 20).status.error().number, 4010);
  const PlanPtr groups = aggregate_plan(scan_plan(), {col(columns, kId)}, {aggregate("count", nullptr)});
  EXPECT_EQ(run(groups, changes, 1 << 20).status.error().number, 4010);
  // The first rows only need their own memory.
  const PlanPtr top = sort_plan(scan_plan(), {{col(columns, kInt), false, false}}, 10);
  EXPECT_EQ(run(top, changes, 1 << 20).rows.size(), 10U);
}

TEST(Query, TheReceiverMayStopIt) {
  std::vector<Row> rows;
  const std::vector<Change> changes = some_changes(3000, rows);
  std::size_t calls = 0;
  auto query = build_query(scan_plan(), InputKind::kAppendOnly, 1 << 20,
                           [&](std::vector<Row>) { return ++calls < 1; });
  ASSERT_TRUE(query);
  struct Feed final : Operator {
    QueryRun* run = nullptr;
    bool more = true;
    Status push(const ChangeBatch& batch) override {
      KAPPA_TRY(more, run->push(0, batch));
      return {};
    }
  } feed;
  feed.run = query->get();
  std::mt19937_64 random(1);
  std::size_t pushes = 0;
  for (std::size_t at = 0; at < changes.size() && feed.more; at += 500, ++pushes) {
    ASSERT_TRUE(push_changes(feed,
                             {changes.begin() + static_cast<std::ptrdiff_t>(at),
                              changes.begin() + static_cast<std::ptrdiff_t>(at) + 500},
                             random));
  }
  EXPECT_EQ(calls, 1U);
  EXPECT_LT(pushes, 6U);
}

}  // namespace
}  // namespace kappa::processor
