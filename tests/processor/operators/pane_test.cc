// Goal: aggregates over hopping windows that are kept by pane give, count and read exactly the windows that the
// definition says, at the end of a view and below other operators, for any slide and size, before 1970, at the ends
// of time, with late rows, NULL keys and restarts; and the state is the panes, whatever the cuts.
// Method: random sources against brute force (running_view.h); keys and ranges of the reader against a filter over
// all rows; the ends of time by hand.
#include <gtest/gtest.h>

#include "processor/operators/plan_builder.h"
#include "tests/processor/operators/all_aggregates.h"
#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

constexpr std::int64_t kSecond = 1'000'000;

// Times of the source are seconds from -10 to 9: sizes that are a multiple of the slide, and not, above and below
// the span of all times.
constexpr std::pair<std::int64_t, std::int64_t> kGrids[] = {
    {2 * kSecond, 8 * kSecond},   {kSecond, 5 * kSecond},      {3 * kSecond, 13 * kSecond},
    {kSecond, 30 * kSecond},      {1'500'000, 7'000'000},      {4 * kSecond, 17 * kSecond + 1},
};

Window hop(std::int64_t slide, std::int64_t size) {
  Window window;
  window.time = col(source_columns(), kTime);
  window.slide_micros = slide;
  window.size_micros = size;
  return window;
}

// The aggregates that need no table of their own over rows that stay.
std::vector<Aggregate> mergeable() {
  std::vector<Aggregate> kept;
  for (Aggregate& one : all_aggregates()) {
    TableId none = 1;
    const auto set = AggregateSet::make(*aggregate_plan(scan_plan(), {}, {one}), InputKind::kAppendOnly, nullptr, none);
    if (set && (*set)->mergeable()) kept.push_back(std::move(one));
  }
  return kept;
}
std::vector<Aggregate> few() {
  const std::vector<Column> columns = source_columns();
  return {aggregate("count", nullptr), aggregate("sum", col(columns, kInt)), aggregate("max", col(columns, kText)),
          aggregate("avg", col(columns, kReal), false, col(columns, kFlag))};
}

enum class Keys { kStartLast, kStartAndEnd, kStartFirst, kOnlyStart };
constexpr Keys kAllKeys[] = {Keys::kStartLast, Keys::kStartAndEnd, Keys::kStartFirst, Keys::kOnlyStart};

PlanPtr grouped(const Window& window, Keys keys, std::vector<Aggregate> aggregates) {
  const PlanPtr windows = window_plan(scan_plan(), window);
  const std::vector<Column>& columns = windows->output;
  const ExpressionPtr start = col(columns, kColumnCount);
  const ExpressionPtr end = call("+", {start, make_constant(Value::interval(window.size_micros))});
  const ExpressionPtr text = col(columns, kKeyText);
  const ExpressionPtr number = col(columns, kKeyInt);
  std::vector<ExpressionPtr> list;
  switch (keys) {
    case Keys::kStartLast: list = {text, number, start}; break;
    case Keys::kStartAndEnd: list = {number, start, end}; break;
    case Keys::kStartFirst: list = {end, text, start, number}; break;
    case Keys::kOnlyStart: list = {start}; break;
  }
  return aggregate_plan(windows, std::move(list), std::move(aggregates));
}
ViewPlan view_over(const PlanPtr& aggregate) {
  std::vector<std::size_t> keys(aggregate->group_keys.size());
  std::iota(keys.begin(), keys.end(), std::size_t{0});
  return view_of(aggregate, std::move(keys));
}
// The windows give their changes on: a filter that keeps all stands between two aggregates.
ViewPlan rows_over(const PlanPtr& aggregate) {
  return view_over(aggregate_plan(aggregate, [&] {
    std::vector<ExpressionPtr> keys;
    for (std::size_t i = 0; i < aggregate->output.size(); ++i) keys.push_back(col(aggregate->output, i));
    return keys;
  }(), {aggregate ? testing::aggregate("count", nullptr) : Aggregate()}));
}

bool by_pane(const PlanPtr& plan, PlanSetting setting = {}) {
  const auto store = make_memory_state();
  Dataflow flow;
  return PlanBuilder(flow, *store, setting).panes(*plan).has_value();
}

TEST(Panes, AtTheEndOfAView) {
  for (const auto& [slide, size] : kGrids) {
    for (const Keys keys : kAllKeys) {
      const PlanPtr plan = grouped(hop(slide, size), keys, few());
      ASSERT_TRUE(by_pane(plan));
      run_against_reference(view_over(plan), false, 25, new_seed());
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Panes, EveryAggregateThatMerges) {
  ASSERT_GT(mergeable().size(), 30U);
  for (const auto& [slide, size] : {kGrids[0], kGrids[2]}) {
    run_against_reference(view_over(grouped(hop(slide, size), Keys::kStartLast, mergeable())), false, 25, new_seed());
    if (HasFatalFailure()) return;
    run_against_reference(rows_over(grouped(hop(slide, size), Keys::kStartFirst, mergeable())), false, 20, new_seed());
    if (HasFatalFailure()) return;
  }
}

TEST(Panes, ChangesGoOn) {
  for (const auto& [slide, size] : kGrids) {
    for (const Keys keys : kAllKeys) {
      const PlanPtr plan = grouped(hop(slide, size), keys, few());
      run_against_reference(rows_over(plan), false, 20, new_seed());
      if (HasFatalFailure()) return;
    }
    // How many groups of each size there are.
    const PlanPtr plan = grouped(hop(slide, size), Keys::kStartLast, few());
    run_against_reference(
        view_of(aggregate_plan(plan, {col(plan->output, 3)}, {aggregate("count", nullptr), aggregate("max", col(plan->output, 2))}), {0}),
        false, 30, new_seed());
    if (HasFatalFailure()) return;
  }
}

// More windows of one key than are looked at together.
TEST(Panes, ManyWindows) {
  const PlanPtr plan = grouped(hop(kSecond / 50, 9 * kSecond), Keys::kStartLast, few());
  run_against_reference(rows_over(plan), false, 6, new_seed());
  run_against_reference(view_over(plan), false, 6, new_seed());
}

TEST(Panes, FiltersAndProjectionsInBetween) {
  const PlanPtr windows = window_plan(scan_plan(), hop(2 * kSecond, 9 * kSecond));
  const std::vector<Column>& columns = windows->output;
  const PlanPtr kept = filter_plan(windows, call("is not null", {col(columns, kFlag)}));
  const PlanPtr narrow = project_plan(
      kept, {{"w", col(columns, kColumnCount)},
             {"e", call("+", {col(columns, kColumnCount), make_constant(Value::interval(9 * kSecond))})},
             {"k", col(columns, kKeyText)},
             {"twice", call("+", {col(columns, kKeyInt), col(columns, kKeyInt)})}});
  const auto over = [&](const PlanPtr& input, std::vector<ExpressionPtr> keys) {
    return aggregate_plan(input, std::move(keys), {aggregate("count", nullptr), aggregate("sum", col(input->output, 3))});
  };
  const PlanPtr plan = over(narrow, {col(narrow->output, 2), col(narrow->output, 0), col(narrow->output, 1)});
  ASSERT_TRUE(by_pane(plan));
  run_against_reference(view_over(plan), false, 60, new_seed());
  run_against_reference(rows_over(plan), false, 60, new_seed());
  // A filter that needs the window of a row.
  const PlanPtr late = filter_plan(narrow, call(">", {col(narrow->output, 0), make_constant(Value::timestamp(0))}));
  EXPECT_FALSE(by_pane(over(late, {col(late->output, 0)})));
  run_against_reference(view_over(over(late, {col(late->output, 0)})), false, 40, new_seed());
}

TEST(Panes, WhereTheyFit) {
  const Window window = hop(2 * kSecond, 9 * kSecond);
  const PlanPtr plan = grouped(window, Keys::kStartLast, few());
  EXPECT_TRUE(by_pane(plan));
  EXPECT_FALSE(by_pane(plan, {.scans_take_back = true}));
  EXPECT_FALSE(by_pane(plan, {.aggregates_at_end = true}));
  EXPECT_FALSE(by_pane(grouped(hop(2 * kSecond, 7 * kSecond), Keys::kStartLast, few())));
  EXPECT_FALSE(by_pane(grouped(window, Keys::kStartLast, {aggregate("count", col(source_columns(), kText), true)})));
  const std::vector<Column>& columns = plan->input->output;
  const ExpressionPtr start = col(columns, kColumnCount);
  const ExpressionPtr end = col(columns, kColumnCount + 1);
  EXPECT_TRUE(by_pane(aggregate_plan(plan->input, {start, end}, few())));
  EXPECT_FALSE(by_pane(aggregate_plan(plan->input, {end}, few())));
  EXPECT_FALSE(by_pane(aggregate_plan(plan->input, {}, few())));
  EXPECT_FALSE(by_pane(aggregate_plan(plan->input, {start, call("-", {end, col(columns, kTime)})}, few())));
  EXPECT_FALSE(by_pane(aggregate_plan(plan->input, {start}, {aggregate("max", end)})));
  EXPECT_FALSE(by_pane(aggregate_plan(plan->input, {start}, {ordered(aggregate("first", col(columns, kInt)), {{end, false, false}})})));
  Plan retained = *plan;
  retained.window_key = WindowKey{2, std::nullopt, 9 * kSecond, 2 * kSecond};
  retained.retain_micros = kSecond;
  EXPECT_FALSE(by_pane(std::make_shared<Plan>(retained)));
}

TEST(Panes, StateIsThePanesWhateverTheCuts) {
  for (const auto& [slide, size] : {kGrids[0], kGrids[2], kGrids[3]}) {
    const PlanPtr plan = grouped(hop(slide, size), Keys::kStartLast, mergeable());
    expect_same_state_for_any_cut(view_over(plan), false, new_seed(), 700);
    expect_same_state_for_any_cut(rows_over(grouped(hop(slide, size), Keys::kStartFirst, few())), false, new_seed(), 500);
    if (HasFailure()) return;
  }
  // An entry a slide in which something happened, not one a window.
  RunningView view(view_over(grouped(hop(kSecond, 60 * kSecond), Keys::kOnlyStart, few())), InputKind::kAppendOnly);
  ChangeSource source(new_seed(), false);
  std::vector<Change> changes;
  for (int i = 0; i < 500; ++i) changes.push_back(source.next());
  view.push(changes, source.random());
  EXPECT_EQ(view.row_count(), 79U);
  std::size_t entries = 0;
  const auto snapshot = *view.store().snapshot();
  const auto cursor = snapshot->scan(view.reader().table(), {}, false);
  while (*cursor->next()) ++entries;
  EXPECT_EQ(entries, 20U);
}

std::string explained(const PlanPtr& plan) {
  for (const Plan* scan : scans_of(*plan)) const_cast<Plan*>(scan)->stream = std::make_shared<StreamDefinition>();
  return explain(*plan);
}

TEST(Panes, ExplainSaysSo) {
  const auto says = [](const PlanPtr& plan, const char* what) { return explained(plan).find(what) != std::string::npos; };
  const Window minute = hop(kSecond, 60 * kSecond);
  EXPECT_TRUE(says(grouped(minute, Keys::kStartLast, few()), "state: per pane, one every"));
  EXPECT_TRUE(says(grouped(hop(kSecond, 9 * kSecond / 2), Keys::kStartLast, few()), "state: per pane, two every"));
  // A view that ends in it is read in the order of its key.
  EXPECT_FALSE(says(grouped(minute, Keys::kStartFirst, few()), "pane"));
  EXPECT_TRUE(says(rows_over(grouped(minute, Keys::kStartFirst, few())).root, "pane"));
}

// Reads of single keys and of ranges, of keys that are there, that are not, and that no window has.
TEST(Panes, KeysAndRanges) {
  for (const auto& [slide, size] : kGrids) {
    for (const Keys keys : {Keys::kStartLast, Keys::kStartAndEnd, Keys::kOnlyStart}) {
      const PlanPtr plan = grouped(hop(slide, size), keys, few());
      RunningView view(view_over(plan), InputKind::kAppendOnly);
      ChangeSource source(new_seed(), false);
      std::mt19937_64& random = source.random();
      for (int batch = 0; batch < 5; ++batch) {
        std::vector<Change> changes;
        for (int i = 0; i < 8; ++i) changes.push_back(source.next());
        view.push(changes, random);
        view.disturb(random);
      }
      const std::vector<Row> rows = view.rows();
      const std::size_t width = plan->group_keys.size();
      const auto key_of = [&](const Row& row) { return *view.reader().encode_key(std::span(row).first(width)); };
      std::vector<std::string> bounds = {""};
      for (const Row& row : rows) {
        const auto read = view.reader().get(view.store(), key_of(row));
        ASSERT_TRUE(read && read->row);
        expect_same({read->row->row}, {row});
        Row other = row;
        for (std::size_t i = 0; i < width; ++i) {
          if (random() % 3 != 0 || other[i].is_null()) continue;
          const auto by = static_cast<std::int64_t>(random() % 3) - 1;
          if (other[i].type().id == TypeId::kTimestamp) other[i] = Value::timestamp(other[i].as_int64() + by * (random() % 2 == 0 ? slide : 1));
          if (other[i].type().id == TypeId::kBigint) other[i] = Value::bigint(other[i].as_int64() + by);
        }
        const std::string key = key_of(other);
        const auto known = std::ranges::find(rows, key, key_of);
        const auto found = view.reader().get(view.store(), key);
        ASSERT_TRUE(found);
        EXPECT_EQ(found->row.has_value(), known != rows.end());
        EXPECT_EQ(found->applied, view.store().progress().applied);
        bounds.push_back(key.substr(0, random() % (key.size() + 1)));
        bounds.push_back(key);
      }
      const auto snapshot = *view.store().snapshot();
      for (int i = 0; i < 60; ++i) {
        KeyRange range{bounds[random() % bounds.size()], std::nullopt};
        if (random() % 4 != 0) range.to = key_after_prefix(bounds[random() % bounds.size()]);
        std::vector<Row> expected;
        for (const Row& row : rows) {
          if (key_of(row) >= range.from && (!range.to || key_of(row) < *range.to)) expected.push_back(row);
        }
        std::vector<Row> actual;
        const auto cursor = view.reader().scan(*snapshot, range);
        for (auto more = cursor->next(); more && *more; more = cursor->next()) actual.push_back(cursor->row()->row);
        expect_same(actual, expected);
        if (HasFailure()) return;
      }
    }
  }
}

TEST(Panes, TheEndsOfTime) {
  for (const std::int64_t size : {4 * kSecond, 4 * kSecond + 5}) {
    const PlanPtr plan = grouped(hop(kSecond, size), Keys::kOnlyStart, {aggregate("count", nullptr)});
    for (const ViewPlan& whole : {view_over(plan), rows_over(plan)}) {
      RunningView view(whole, InputKind::kAppendOnly);
      ChangeSource source(1, false);
      // The least multiple of the slide, and the last one behind which a window has room.
      const std::int64_t least = INT64_MIN / kSecond * kSecond;
      const std::int64_t last = (INT64_MAX - size) / kSecond * kSecond;
      for (const std::int64_t time : {INT64_MIN, INT64_MAX, least - 1, least, least + kSecond, last, last + size, last + size - 1}) {
        std::vector<Change> changes = {source.next()};
        changes[0].row[kTime] = Value::timestamp(time);
        view.push(changes, source.random());
      }
      std::map<std::int64_t, std::int64_t> expected;
      for (const std::int64_t start : {least, least + kSecond}) ++expected[start];
      ++expected[least];
      for (std::int64_t start = last; start > last - size; start -= kSecond) ++expected[start];
      ++expected[last];
      std::map<std::int64_t, std::int64_t> actual;
      for (const Row& row : view.rows()) actual[row[0].as_int64()] = row[1].as_int64();
      EXPECT_EQ(actual, expected);
      EXPECT_EQ(view.row_count(), expected.size());
    }
  }
}

}  // namespace
}  // namespace kappa::processor
