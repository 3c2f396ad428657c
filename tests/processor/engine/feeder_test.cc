// Goal: a dataflow is fed in cuts that follow from the log and the plan alone, each granularity as it is
// promised, with the watermark of the prefix after each. Method: random events of three streams in two topics
// are read in chunks that end at random; a receiver that records what it gets is compared with a walk over the
// events one by one.
#include "processor/feeder.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "processor/sql/compile.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

constexpr std::int64_t kStep = 5'000'000;  // Of windows, microseconds.

// One event as the oracle knows it; by its offset.
struct Event {
  std::size_t stream = 0;  // 0: left, 1: right, 2: side; 3: of none.
  std::optional<std::int64_t> time;
  std::string line;
};

struct Cut {
  std::uint64_t source = 0;
  // Head, offset, row; in the order of arrival.
  std::vector<std::tuple<std::size_t, std::uint64_t, std::string>> rows;
  std::vector<std::size_t> pushes;  // Heads.
  std::vector<std::int64_t> advanced;
};

class Recorder final : public Feeder::Receiver {
 public:
  Status begin_cut(Offset source) override {
    cuts.push_back({source.value(), {}, {}, {}});
    return {};
  }
  Status push(std::size_t head, const ChangeBatch& batch) override {
    EXPECT_FALSE(cuts.empty());
    EXPECT_GT(batch.selected(), 0U);
    cuts.back().pushes.push_back(head);
    for_each_row(batch, [&](std::uint32_t row) {
      Row values;
      for (const Vector* column : batch.columns) values.push_back(column->value(row));
      const auto offset = static_cast<std::uint64_t>(values[0].as_int64());
      cuts.back().rows.emplace_back(head, offset, text_of(values));
    });
    return {};
  }
  Status advance(std::int64_t watermark) override {
    cuts.back().advanced.push_back(watermark);
    return {};
  }
  std::vector<Cut> cuts;
};

class FeederTest : public EngineFixture {
 protected:
  void SetUp() override {
    open_log();
    class Empty final : public CatalogReader {
      std::shared_ptr<const StreamDefinition> stream(std::string_view) const override { return nullptr; }
      std::optional<View> view(std::string_view) const override { return std::nullopt; }
      std::vector<std::string> names() const override { return {}; }
    };
    for (const char* sql :
         {"CREATE STREAM l (ts TIMESTAMP, n BIGINT, t TEXT, d DOUBLE, b BOOLEAN, p NUMERIC(12,2)) WITH (topic = 'x', "
          "event_time = 'ts', delay = '2 seconds') WHERE kind = 0",
          "CREATE STREAM r (ts TIMESTAMP, n BIGINT, t TEXT) WITH (topic = 'x', event_time = 'ts') WHERE kind = 1",
          "CREATE STREAM s (n BIGINT) WITH (topic = 'y')"}) {
      auto statement = compile(sql, Empty());
      ASSERT_TRUE(statement) << to_string(statement.error());
      streams_.push_back(std::get<CreateStream>(*statement).definition);
    }
  }

  // A scan of _offset and every column.
  PlanPtr scan(std::size_t stream) const {
    auto plan = std::make_shared<Plan>();
    plan->kind = PlanKind::kStreamScan;
    plan->stream = streams_[stream];
    const std::size_t columns = plan->stream->columns.size();
    plan->stream_columns.push_back(columns + plan->stream->hidden.size());
    for (std::size_t i = 0; i < columns; ++i) plan->stream_columns.push_back(i);
    return plan;
  }
  static PlanPtr join(PlanPtr left, PlanPtr right, Join::Match match) {
    auto plan = std::make_shared<Plan>();
    plan->kind = PlanKind::kJoin;
    plan->input = std::move(left);
    plan->right = std::move(right);
    plan->join.match = match;
    return plan;
  }
  static PlanPtr closing(PlanPtr input) {
    auto plan = std::make_shared<Plan>();
    plan->kind = PlanKind::kAggregate;
    plan->input = std::move(input);
    plan->window_key = WindowKey{0, std::nullopt, 3 * kStep, 2 * kStep};
    plan->emit_on_close = true;
    return plan;
  }

  void append_events(std::mt19937_64& random) {
    const auto below = [&](std::size_t n) { return random() % n; };
    std::int64_t now = 1'700'000'000'000;
    for (int batch = 0; batch < 60; ++batch) {
      const bool side = below(3) == 0;
      std::vector<std::string> values;
      std::vector<Event> events;
      const std::size_t count = 1 + below(below(10) == 0 ? 900 : 6);
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t offset = log_->durable_end().value() + 1'000'000 + values.size();  // Set below.
        Event event;
        event.stream = side ? 2 : below(3);
        if (!side && event.stream == 2) event.stream = 3;
        now += static_cast<std::int64_t>(below(300));
        const std::int64_t time = below(5) == 0 ? now - static_cast<std::int64_t>(below(40'000)) : now;
        std::string json = "{\"n\":" + std::to_string(i) + ",\"kind\":" + std::to_string(event.stream);
        if (!side && below(6) > 0) {
          json += ",\"ts\":" + std::to_string(time);
          event.time = time * 1000;
        }
        if (!side) json += R"(,"t":"text \u00e9)" + std::to_string(offset) + R"(","d":0.25,"b":true,"p":1.25)";
        values.push_back(json + "}");
        events.push_back(event);
      }
      append(side ? "y" : "x", values, 1 + below(700));
      const std::uint64_t base = log_->durable_end().value() - count;
      for (std::size_t i = 0; i < count; ++i) events_[base + i] = events[i];
    }
  }

  // Reads everything in chunks of at most `reach` offsets.
  std::vector<Cut> feed(const ViewPlan& plan, std::size_t reach, std::mt19937_64& random) {
    Feeder feeder(plan);
    Recorder recorder;
    EventSource source(*log_, log_->start(), feeder.scans());
    while (source.position() < log_->durable_end()) {
      const auto moved = source.next(source.position() + 1 + random() % reach);
      EXPECT_TRUE(moved) << to_string(moved.error());
      if (!moved) break;
      const Status fed = feeder.feed(source, 0, recorder);
      EXPECT_TRUE(fed);
    }
    EXPECT_EQ(feeder.watermark(), watermark(log_->durable_end().value(), plan));
    return std::move(recorder.cuts);
  }

  std::size_t stream_of(const Plan& scan) const {
    return static_cast<std::size_t>(std::ranges::find(streams_, scan.stream) - streams_.begin());
  }

  // By looking at every event below `end`.
  std::int64_t watermark(std::uint64_t end, const ViewPlan& plan) const {
    std::int64_t least = INT64_MAX;
    for (const Plan* scan : scans_of(*plan.root)) {
      if (!scan->stream->event_time) continue;
      std::int64_t latest = INT64_MIN;
      for (const auto& [offset, event] : events_) {
        if (offset < end && event.stream == stream_of(*scan) && event.time) latest = std::max(latest, *event.time);
      }
      if (latest == INT64_MIN) return INT64_MIN;
      least = std::min(least, latest - scan->stream->delay_micros);
    }
    return least == INT64_MAX ? INT64_MIN : least;
  }
  // The same for every prefix, in one walk: [i] is that of the first i events that any scan takes.
  struct Step {
    std::uint64_t offset = 0;
    std::vector<std::size_t> heads;
    std::int64_t before = INT64_MIN, after = INT64_MIN;
  };
  std::vector<Step> walk(const ViewPlan& plan) const {
    const auto scans = scans_of(*plan.root);
    std::map<std::size_t, std::int64_t> latest;
    for (const Plan* scan : scans) {
      if (scan->stream->event_time) latest[stream_of(*scan)] = INT64_MIN;
    }
    const auto mark = [&] {
      std::int64_t least = INT64_MAX;
      for (const auto& [stream, time] : latest) {
        least = std::min(least, time == INT64_MIN ? INT64_MIN : time - streams_[stream]->delay_micros);
      }
      return least == INT64_MAX ? INT64_MIN : least;
    };
    std::vector<Step> steps;
    for (const auto& [offset, event] : events_) {
      Step step{offset, {}, mark(), 0};
      for (std::size_t head = 0; head < scans.size(); ++head) {
        if (stream_of(*scans[head]) == event.stream) step.heads.push_back(head);
      }
      if (step.heads.empty()) continue;
      if (event.time) latest[event.stream] = std::max(latest[event.stream], *event.time);
      step.after = mark();
      steps.push_back(std::move(step));
    }
    return steps;
  }

  // Every head got every event of its stream once, in order, with the same values; each cut ends with its
  // source.
  void expect_complete(const std::vector<Cut>& cuts, const ViewPlan& plan, bool exact_sources = true) const {
    const auto scans = scans_of(*plan.root);
    std::vector<std::vector<std::uint64_t>> got(scans.size()), wanted(scans.size());
    std::uint64_t before = 0;
    for (const Cut& cut : cuts) {
      std::uint64_t last = 0;
      for (const auto& [head, offset, line] : cut.rows) {
        got[head].push_back(offset);
        EXPECT_GE(offset, before);
        last = std::max(last, offset);
      }
      if (exact_sources) {
        EXPECT_EQ(cut.source, last);
      }
      before = cut.source + 1;
    }
    for (const auto& [offset, event] : events_) {
      for (std::size_t head = 0; head < scans.size(); ++head) {
        if (stream_of(*scans[head]) == event.stream) wanted[head].push_back(offset);
      }
    }
    EXPECT_EQ(got, wanted);
  }
  // What every row reads as, by head and offset.
  static std::map<std::pair<std::size_t, std::uint64_t>, std::string> values(const std::vector<Cut>& cuts) {
    std::map<std::pair<std::size_t, std::uint64_t>, std::string> all;
    for (const Cut& cut : cuts) {
      for (const auto& [head, offset, line] : cut.rows) all[{head, offset}] = line;
    }
    return all;
  }

  std::vector<std::shared_ptr<const StreamDefinition>> streams_;
  std::map<std::uint64_t, Event> events_;
};

TEST_F(FeederTest, ChunksGoWholeWithTheWatermarkOfTheirPrefix) {
  std::mt19937_64 random(1);
  append_events(random);
  ViewPlan plan;
  plan.root = join(join(scan(0), scan(2), Join::Match::kCurrent), scan(1), Join::Match::kCurrent);
  ASSERT_EQ(granularity_of(plan), Granularity::kChunk);
  for (const std::size_t reach : {1U, 30U, 100'000U}) {
    const auto cuts = feed(plan, reach, random);
    expect_complete(cuts, plan, false);
    for (const Cut& cut : cuts) {
      const std::int64_t mark = watermark(cut.source + 1, plan);
      EXPECT_EQ(cut.advanced, mark == INT64_MIN ? std::vector<std::int64_t>{} : std::vector{mark});
      EXPECT_TRUE(std::ranges::is_sorted(cut.pushes));
    }
  }
}

TEST_F(FeederTest, RunsGoInTurns) {
  std::mt19937_64 random(2);
  append_events(random);
  ViewPlan plan;
  // l is joined with r as it was, and that with s as it was: s, then r, then l; and a self join's other side.
  plan.root = join(join(scan(0), scan(1), Join::Match::kAsOfOffset), scan(2), Join::Match::kAsOfOffset);
  ASSERT_EQ(granularity_of(plan), Granularity::kRun);
  const std::vector<unsigned> turns = head_turns(*plan.root);
  ASSERT_EQ(turns, (std::vector<unsigned>{2, 1, 0}));
  const auto whole = values(feed(plan, 100'000, random));
  for (const std::size_t reach : {1U, 7U, 300U, 100'000U}) {
    const auto cuts = feed(plan, reach, random);
    expect_complete(cuts, plan);
    EXPECT_EQ(values(cuts), whole);
    std::size_t large = 0;
    for (const Cut& cut : cuts) {
      for (std::size_t i = 1; i < cut.pushes.size(); ++i) {
        EXPECT_LT(turns[cut.pushes[i - 1]], turns[cut.pushes[i]]);
      }
      for (const auto& [low, early, a] : cut.rows) {
        if (cut.rows.size() > 64) break;  // Quadratic; the small ones have all there is to see.
        for (const auto& [high, late, b] : cut.rows) {
          if (turns[low] < turns[high]) {
            EXPECT_LE(early, late);
          }
        }
      }
      large += cut.rows.size() > 3 ? 1 : 0;
    }
    if (reach > 1000) {
      EXPECT_GT(large, 10U) << "runs are as long as they can be";
    }
  }
}

TEST_F(FeederTest, AnEventOfBothSidesGoesRightThenLeftWithoutACut) {
  append("x", {R"({"kind":0,"n":1})", R"({"kind":1,"n":2})", R"({"kind":0,"n":3})"});
  events_.clear();
  ViewPlan plan;
  plan.root = join(scan(0), scan(0), Join::Match::kAsOfOffset);
  Feeder feeder(plan);
  Recorder recorder;
  EventSource source(*log_, log_->start(), feeder.scans());
  ASSERT_TRUE(source.next(log_->durable_end()));
  ASSERT_TRUE(feeder.feed(source, 0, recorder));
  // The second event of the right side must not be there yet when the first of the left side is joined.
  ASSERT_EQ(recorder.cuts.size(), 2U);
  for (const Cut& cut : recorder.cuts) EXPECT_EQ(cut.pushes, (std::vector<std::size_t>{1, 0}));
}

TEST_F(FeederTest, WindowsCloseAtTheEventThatMovesTheWatermarkOverThem) {
  std::mt19937_64 random(3);
  append_events(random);
  ViewPlan plan;
  plan.root = closing(join(scan(0), scan(1), Join::Match::kCurrent));
  plan.emit = ViewPlan::Emit::kOnWindowClose;
  ASSERT_EQ(granularity_of(plan), Granularity::kWindowClose);
  const std::int64_t step = watermark_step(*plan.root);
  ASSERT_EQ(step, kStep);
  const auto steps = walk(plan);
  const auto number = [&](std::int64_t mark) { return mark == INT64_MIN ? INT64_MIN : mark / step; };
  std::map<std::uint64_t, const Step*> at;
  std::vector<std::pair<std::uint64_t, std::int64_t>> closings;
  for (const Step& one : steps) {
    at[one.offset] = &one;
    if (number(one.before) != number(one.after)) closings.emplace_back(one.offset, one.after);
  }
  ASSERT_GT(closings.size(), 3U);
  for (const std::size_t reach : {1U, 9U, 500U, 100'000U}) {
    const auto cuts = feed(plan, reach, random);
    expect_complete(cuts, plan);
    std::int64_t seen = INT64_MIN;
    std::vector<std::pair<std::uint64_t, std::int64_t>> got;
    for (const Cut& cut : cuts) {
      for (const auto& [head, offset, line] : cut.rows) {
        ASSERT_EQ(number(seen), number(at.at(offset)->before)) << offset;
      }
      ASSERT_LE(cut.advanced.size(), 1U);
      if (cut.advanced.empty()) continue;
      if (number(seen) != number(cut.advanced[0])) got.emplace_back(cut.source, cut.advanced[0]);
      seen = cut.advanced[0];
    }
    EXPECT_EQ(got, closings);
    if (reach > 1000) {
      EXPECT_LT(cuts.size(), closings.size() + 30) << "and nowhere else but at ends of chunks";
    }
  }
}

TEST_F(FeederTest, EventsGoOneByOne) {
  std::mt19937_64 random(4);
  append_events(random);
  ViewPlan plan;
  plan.root = closing(join(join(scan(0), scan(1), Join::Match::kCurrent), scan(0), Join::Match::kCurrent));
  plan.emit = ViewPlan::Emit::kChanges;
  ASSERT_EQ(granularity_of(plan), Granularity::kEvent);
  const auto steps = walk(plan);
  for (const std::size_t reach : {1U, 20U, 100'000U}) {
    const auto cuts = feed(plan, reach, random);
    expect_complete(cuts, plan);
    ASSERT_EQ(cuts.size(), steps.size());
    for (std::size_t i = 0; i < cuts.size(); ++i) {
      ASSERT_EQ(cuts[i].source, steps[i].offset);
      ASSERT_EQ(cuts[i].pushes, steps[i].heads);
      const std::int64_t mark = steps[i].after;
      ASSERT_EQ(cuts[i].advanced, mark == INT64_MIN ? std::vector<std::int64_t>{} : std::vector{mark});
    }
  }
}

TEST_F(FeederTest, GoesOnFromStoredTimes) {
  std::mt19937_64 random(5);
  append_events(random);
  ViewPlan plan;
  plan.root = closing(join(scan(0), scan(1), Join::Match::kCurrent));
  plan.emit = ViewPlan::Emit::kOnWindowClose;
  Recorder straight;
  Recorder restarted;
  Feeder one(plan);
  auto two = std::make_unique<Feeder>(plan);
  EventSource source(*log_, log_->start(), one.scans());
  while (source.position() < log_->durable_end()) {
    ASSERT_TRUE(source.next(source.position() + 1 + random() % 60));
    ASSERT_TRUE(one.feed(source, 0, straight));
    auto again = std::make_unique<Feeder>(plan);
    for (std::size_t i = 0; i < two->times().size(); ++i) again->set_time(i, two->times()[i].latest);
    two = std::move(again);
    ASSERT_TRUE(two->feed(source, 0, restarted));
  }
  ASSERT_EQ(straight.cuts.size(), restarted.cuts.size());
  for (std::size_t i = 0; i < straight.cuts.size(); ++i) {
    EXPECT_EQ(straight.cuts[i].source, restarted.cuts[i].source);
    EXPECT_EQ(straight.cuts[i].advanced, restarted.cuts[i].advanced);
  }
}

}  // namespace
}  // namespace kappa::processor::test
