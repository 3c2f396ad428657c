// Goal: UNION ALL and hopping windows give what their definitions say after every batch, alone and below aggregates,
// also where rows are taken back.
// Method: random sources against brute force (running_view.h); the ends of time by hand.
#include <gtest/gtest.h>

#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

constexpr std::int64_t kSecond = 1'000'000;

Window hop(std::int64_t slide, std::int64_t size) {
  Window window;
  window.kind = Window::Kind::kHop;
  window.time = col(source_columns(), kTime);
  window.slide_micros = slide;
  window.size_micros = size;
  return window;
}

TEST(UnionAll, KeepsEveryCopy) {
  const PlanPtr left = scan_plan();
  const PlanPtr both = union_plan(left, filter_plan(scan_plan(), col(source_columns(), kFlag)));
  // The same row from both sides is there twice.
  const PlanPtr narrow = project_plan(both, {{"ki", col(both->output, kKeyInt)}, {"f", col(both->output, kFlag)}});
  for (const bool retracting : {false, true}) {
    run_against_reference(bag_of(narrow), retracting, 80, new_seed(), false);
    run_against_reference(view_of(aggregate_plan(narrow, {col(narrow->output, 0)},
                                                 {aggregate("count", nullptr), aggregate("count", col(narrow->output, 1))}),
                                  {0}),
                          retracting, 60, new_seed());
    expect_same_state_for_any_cut(bag_of(narrow), retracting, new_seed());
  }
}

TEST(Hop, EachRowOnceAWindow) {
  // Sizes that are a multiple of the slide, equal to it, and neither.
  for (const auto& [slide, size] : {std::pair{2 * kSecond, 10 * kSecond}, {kSecond, kSecond}, {3 * kSecond, 7 * kSecond}}) {
    const PlanPtr windows = window_plan(scan_plan(), hop(slide, size));
    for (const bool retracting : {false, true}) {
      run_against_reference(view_of(windows, {kId, kColumnCount}), retracting, 50, new_seed(), false);
      run_against_reference(
          view_of(aggregate_plan(windows, {col(windows->output, kColumnCount), col(windows->output, kKeyInt)},
                                 {aggregate("count", nullptr), aggregate("max", col(windows->output, kInt))}),
                  {0, 1}),
          retracting, 50, new_seed());
    }
  }
}

TEST(Hop, TheEndsOfTime) {
  const PlanPtr windows = window_plan(scan_plan(), hop(kSecond, 3 * kSecond));
  RunningView view(view_of(windows, {kId, kColumnCount}), InputKind::kAppendOnly);
  ChangeSource source(1, false);
  std::vector<Change> changes = {source.next(), source.next(), source.next()};
  changes[0].row[kTime] = Value::timestamp(INT64_MIN);
  changes[1].row[kTime] = Value::timestamp(INT64_MAX);
  changes[2].row[kTime] = Value::timestamp(-1);
  view.push(changes, source.random());
  std::vector<std::int64_t> starts;
  for (const Row& row : view.rows()) starts.push_back(row[kColumnCount].as_int64());
  // No window holds the first row whose start is a TIMESTAMP; none the second whose end is one.
  EXPECT_EQ(starts, (std::vector<std::int64_t>{-3 * kSecond, -2 * kSecond, -kSecond}));
}

}  // namespace
}  // namespace kappa::processor
