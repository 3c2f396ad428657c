// Goal: with `retain` a view has exactly the groups whose window ended less than that before the watermark, whole,
// whatever the cuts; its side tables shrink with it. With EMIT ON WINDOW CLOSE each group comes out once, when the
// watermark reaches its end, and later rows are counted.
// Method: random sources with a moving time against brute force; the watermark is the greatest time so far.
#include <gtest/gtest.h>

#include "tests/processor/operators/all_aggregates.h"
#include "tests/processor/operators/running_view.h"

namespace kappa::processor {
namespace {

using namespace testing;

constexpr std::int64_t kSecond = 1'000'000;

// Hopping windows of 4 seconds, every 2; groups by a text and the start.
PlanPtr grouped(std::vector<Aggregate> aggregates, std::optional<std::int64_t> retain) {
  Window window;
  window.time = col(source_columns(), kTime);
  window.slide_micros = 2 * kSecond;
  window.size_micros = 4 * kSecond;
  const PlanPtr windows = window_plan(scan_plan(), window);
  auto plan = std::make_shared<Plan>(*aggregate_plan(
      windows, {col(windows->output, kKeyText), col(windows->output, kColumnCount)}, std::move(aggregates)));
  plan->window_key = WindowKey{1, std::nullopt, 4 * kSecond, 2 * kSecond};
  plan->retain_micros = retain;
  plan->emit_on_close = !retain;
  return plan;
}

// Time goes on by about 200 ms a row, with late rows.
class MovingSource {
 public:
  MovingSource(std::uint64_t seed, bool retracting) : source_(seed, retracting) {}
  Change next() {
    Change change = source_.next();
    if (change.weight > 0) {
      now_ += 200'000;
      const std::int64_t late = source_.random()() % 5 == 0 ? static_cast<std::int64_t>(source_.random()() % 12) * kSecond : 0;
      if (!change.row[kTime].is_null()) change.row[kTime] = Value::timestamp(now_ - late);
      times_[change.row[kId].as_int64()] = change.row[kTime];
    } else {
      change.row[kTime] = times_[change.row[kId].as_int64()];
    }
    if (!change.row[kTime].is_null()) watermark_ = std::max(watermark_, change.row[kTime].as_int64());
    return change;
  }
  [[nodiscard]] std::vector<Row> live() const {
    std::vector<Row> rows = source_.live();
    for (Row& row : rows) row[kTime] = times_.at(row[kId].as_int64());
    return rows;
  }
  [[nodiscard]] std::int64_t watermark() const { return watermark_; }
  std::mt19937_64& random() { return source_.random(); }

 private:
  ChangeSource source_;
  std::map<std::int64_t, Value> times_;
  std::int64_t now_ = -20 * kSecond;
  std::int64_t watermark_ = INT64_MIN;
};

std::vector<Row> retained(const std::vector<Row>& groups, std::int64_t watermark, std::int64_t retain) {
  std::vector<Row> rows;
  for (const Row& row : groups) {
    if (row[1].as_int64() + 4 * kSecond + retain > watermark) rows.push_back(row);
  }
  return rows;
}

TEST(Retain, KeepsWhatEndedLately) {
  for (const bool retracting : {false, true}) {
    const PlanPtr groups = grouped(all_aggregates(), 3 * kSecond);
    MovingSource source(new_seed(), retracting);
    RunningView view(view_of(groups, {0, 1}), retracting ? InputKind::kRetracting : InputKind::kAppendOnly);
    for (int batch = 0; batch < 60; ++batch) {
      std::vector<Change> changes;
      for (std::size_t n = 1 + source.random()() % 12; n > 0; --n) changes.push_back(source.next());
      view.set_watermark(source.watermark());
      view.push(changes, source.random());
      const std::vector<Row> expected = retained(reference_plan(*groups, source.live()), source.watermark(), 3 * kSecond);
      expect_same(view.rows(), expected);
      if (HasFatalFailure()) return;
      EXPECT_EQ(view.row_count(), expected.size());
      view.disturb(source.random());
    }
    // Everything passes, side tables and index included.
    view.set_watermark(source.watermark() + 100 * kSecond);
    view.push({}, source.random());
    EXPECT_EQ(view.rows().size(), 0U);
    EXPECT_EQ(view.state_bytes(), "");
  }
}

TEST(Retain, ChangesGoOn) {
  const PlanPtr groups = grouped({aggregate("count", nullptr)}, kSecond);
  const PlanPtr sizes = aggregate_plan(groups, {col(groups->output, 2)}, {aggregate("count", nullptr)});
  MovingSource source(new_seed(), false);
  RunningView view(view_of(sizes, {0}), InputKind::kAppendOnly);
  for (int batch = 0; batch < 50; ++batch) {
    std::vector<Change> changes;
    for (std::size_t n = 1 + source.random()() % 12; n > 0; --n) changes.push_back(source.next());
    view.set_watermark(source.watermark());
    view.push(changes, source.random());
    const std::vector<Row> left = retained(reference_plan(*groups, source.live()), source.watermark(), kSecond);
    expect_same(view.rows(), reference_groups(*sizes, left));
    if (HasFatalFailure()) return;
    view.disturb(source.random());
  }
}

TEST(Retain, StateDoesNotDependOnCuts) {
  for (const bool retracting : {false, true}) {
    const std::uint64_t seed = new_seed();
    std::string first;
    for (const std::size_t size : {1, 7, 100, 600}) {
      MovingSource source(seed, retracting);
      RunningView view(view_of(grouped(all_aggregates(), 3 * kSecond), {0, 1}),
                       retracting ? InputKind::kRetracting : InputKind::kAppendOnly);
      std::mt19937_64 random(seed);
      for (std::size_t at = 0; at < 600; at += size) {
        std::vector<Change> changes;
        for (std::size_t i = at; i < std::min<std::size_t>(at + size, 600); ++i) changes.push_back(source.next());
        view.set_watermark(source.watermark());
        view.push(changes, random);
        if (HasFatalFailure()) return;
      }
      if (first.empty()) first = view.state_bytes();
      EXPECT_TRUE(first == view.state_bytes()) << size;
    }
    EXPECT_FALSE(first.empty());
  }
}

struct CollectingSink final : Operator {
  std::vector<Row> rows;
  Status push(const ChangeBatch& batch) override {
    for_each_row(batch, [&](std::uint32_t row) {
      EXPECT_EQ(batch.weight(row), 1);
      Row& out = rows.emplace_back();
      for (const Vector* column : batch.columns) out.push_back(column->value(row));
    });
    return {};
  }
};

TEST(EmitOnClose, EachWindowOnceAndLateRowsCounted) {
  const PlanPtr groups = grouped({aggregate("count", nullptr), aggregate("max", col(source_columns(), kText))}, std::nullopt);
  ViewPlan plan = view_of(groups, {0, 1});
  plan.emit = ViewPlan::Emit::kOnWindowClose;
  EXPECT_EQ(watermark_step(*groups), 2 * kSecond);
  const auto store = make_memory_state();
  std::uint64_t row_count = 0;
  CollectingSink sink;
  auto built = build_view(plan, InputKind::kAppendOnly, *store, row_count, &sink);
  ASSERT_TRUE(built);
  MovingSource source(new_seed(), false);
  std::vector<Row> in_time;
  std::vector<Row> expected;
  std::uint64_t late = 0;
  std::int64_t closed = INT64_MIN;
  const auto& scan = built->flow.heads()[0];
  for (int i = 0; i < 500; ++i) {
    const Change change = source.next();
    ASSERT_TRUE(push_changes(*scan.in, {change}, source.random()));
    // The row in each of its windows, unless that was closed.
    for (const Row& row : reference_plan(*groups->input, std::vector<Row>{change.row})) {
      if (row[kColumnCount].as_int64() + 4 * kSecond <= closed)
        ++late;
      else
        in_time.push_back(row);
    }
    ASSERT_TRUE(built->flow.advance(source.watermark()));
    for (const Row& row : reference_groups(*groups, in_time)) {
      const std::int64_t end = row[1].as_int64() + 4 * kSecond;
      if (end > closed && end <= source.watermark()) expected.push_back(row);
    }
    closed = std::max(closed, source.watermark());
    store->begin_publish();
    store->end_publish({});
    ASSERT_EQ(sink.rows.size(), expected.size());
  }
  const auto by_start = [](const Row& a, const Row& b) {
    return compare(a[1], b[1]) != 0 ? compare(a[1], b[1]) < 0 : RowLess{}(a, b);
  };
  std::ranges::stable_sort(expected, by_start);
  std::ranges::stable_sort(sink.rows, by_start);
  expect_same(sink.rows, expected);
  EXPECT_GT(late, 0U);
  EXPECT_EQ(*late_rows(*store), late);
}

// Sessions of a partition as a person would keep them, one event at a time.
TEST(EmitOnClose, SessionsEndOnce) {
  constexpr std::int64_t kGap = 2 * kSecond;
  Window window;
  window.kind = Window::Kind::kSession;
  window.time = col(source_columns(), kTime);
  window.gap_micros = kGap;
  window.partition = {col(source_columns(), kKeyInt)};
  const PlanPtr windows = window_plan(scan_plan(), window);
  auto groups = std::make_shared<Plan>(*aggregate_plan(
      windows,
      {col(windows->output, kKeyInt), col(windows->output, kColumnCount), col(windows->output, kColumnCount + 1)},
      {aggregate("count", nullptr), aggregate("max", col(windows->output, kId))}));
  groups->window_key = WindowKey{1, 2, 0, 0};
  groups->emit_on_close = true;
  ViewPlan plan = view_of(groups, {0, 1, 2});
  plan.emit = ViewPlan::Emit::kOnWindowClose;
  const auto store = make_memory_state();
  std::uint64_t row_count = 0;
  CollectingSink sink;
  auto built = build_view(plan, InputKind::kAppendOnly, *store, row_count, &sink);
  ASSERT_TRUE(built);
  struct Open {
    Value key;
    std::int64_t first, last, count, id;
  };
  std::vector<Open> open;
  std::vector<Row> expected;
  std::uint64_t late = 0;
  std::int64_t closed = INT64_MIN;
  MovingSource source(new_seed(), false);
  for (int i = 0; i < 800; ++i) {
    const Change change = source.next();
    ASSERT_TRUE(push_changes(*built->flow.heads()[0].in, {change}, source.random()));
    if (!change.row[kTime].is_null()) {
      const std::int64_t at = change.row[kTime].as_int64();
      Open merged{change.row[kKeyInt], at, at, 1, change.row[kId].as_int64()};
      std::vector<Open> others;
      for (const Open& one : open) {
        if (one.key != merged.key || one.first - at > kGap || at - one.last > kGap) {
          others.push_back(one);
          continue;
        }
        merged = {one.key, std::min(merged.first, one.first), std::max(merged.last, one.last),
                  merged.count + one.count, std::max(merged.id, one.id)};
      }
      if (merged.last + kGap < closed) {
        ++late;
      } else {
        open = std::move(others);
        open.push_back(merged);
      }
    }
    ASSERT_TRUE(built->flow.advance(source.watermark()));
    closed = source.watermark();
    std::erase_if(open, [&](const Open& one) {
      if (one.last + kGap >= closed) return false;  // An event at its end belongs to it.
      expected.push_back({one.key, Value::timestamp(one.first), Value::timestamp(one.last + kGap),
                          Value::bigint(one.count), Value::bigint(one.id)});
      return true;
    });
    ASSERT_EQ(sink.rows.size(), expected.size());
  }
  std::ranges::sort(expected, RowLess{});
  std::ranges::sort(sink.rows, RowLess{});
  expect_same(sink.rows, expected);
  EXPECT_GT(late, 0U);
  store->begin_publish();
  store->end_publish({});
  EXPECT_EQ(*late_rows(*store), late);
}

}  // namespace
}  // namespace kappa::processor
