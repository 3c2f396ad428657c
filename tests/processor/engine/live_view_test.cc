// Goal: a view over several scans and topics has the same rows, counters, watermark and state bytes for the
// same log prefix, wherever its chunks end, however often it is committed and opened again. Method: random
// events of two streams in two topics; views of hand-made plans are fed in random chunks, committed and thrown
// away at random, and compared with a walk over the events and with each other.
#include "processor/live_view.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "processor/sql/compile.h"
#include "processor/sql/expression_tools.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

struct Event {
  std::size_t stream = 0;
  std::optional<std::int64_t> n;
  std::optional<std::int64_t> time;  // Microseconds.
  bool wrong = false;                // n is not a BIGINT.
};

class LiveViewTest : public EngineFixture {
 protected:
  void SetUp() override {
    open_log();
    class Empty final : public CatalogReader {
      std::shared_ptr<const StreamDefinition> stream(std::string_view) const override { return nullptr; }
      std::optional<View> view(std::string_view) const override { return std::nullopt; }
      std::vector<std::string> names() const override { return {}; }
    };
    for (const char* sql : {"CREATE STREAM a (n BIGINT, ts TIMESTAMP) WITH (event_time = 'ts', delay = '1 second')",
                            "CREATE STREAM b (n BIGINT, ts TIMESTAMP) WITH (event_time = 'ts')"}) {
      auto statement = compile(sql, Empty());
      ASSERT_TRUE(statement) << to_string(statement.error());
      streams_.push_back(std::get<CreateStream>(*statement).definition);
    }
  }

  void append_events(std::mt19937_64& random, int batches) {
    const auto below = [&](std::size_t n) { return static_cast<std::int64_t>(random() % n); };
    for (int batch = 0; batch < batches; ++batch) {
      const auto stream = static_cast<std::size_t>(below(2));
      std::vector<std::string> values;
      std::vector<Event> events;
      for (std::int64_t i = 1 + below(below(8) == 0 ? 200 : 4); i > 0; --i) {
        Event event{stream, {}, {}, below(12) == 0};
        std::string json = "{";
        if (event.wrong) {
          json += "\"n\":\"x\"";
        } else if (below(9) > 0) {
          event.n = below(40);
          json += "\"n\":" + std::to_string(*event.n);
        }
        if (below(3) > 0) {
          const std::int64_t time = 1'000'000 + below(900'000);
          event.time = time * 1000;
          json += (json.size() > 1 ? ",\"ts\":" : "\"ts\":") + std::to_string(time);
        }
        values.push_back(json + "}");
        events.push_back(event);
      }
      append(stream == 0 ? "a" : "b", values, values.size());
      const std::uint64_t base = log_->durable_end().value() - values.size();
      for (std::size_t i = 0; i < events.size(); ++i) events_[base + i] = events[i];
    }
  }

  // n and _offset.
  PlanPtr scan(std::size_t stream) const {
    auto plan = std::make_shared<Plan>();
    plan->kind = PlanKind::kStreamScan;
    plan->stream = streams_[stream];
    plan->stream_columns = {0, streams_[stream]->columns.size() + streams_[stream]->hidden.size()};
    plan->output = {{"n", kBigintType}, {"_offset", kBigintType}};
    return plan;
  }
  ExpressionPtr column(std::size_t index) const {
    auto expression = std::make_shared<Expression>();
    expression->kind = ExpressionKind::kColumn;
    expression->column = index;
    expression->type = kBigintType;
    return expression;
  }
  std::shared_ptr<const ViewPlan> join(PlanPtr left, PlanPtr right, Join::Match match) const {
    auto plan = std::make_shared<Plan>();
    plan->kind = PlanKind::kJoin;
    plan->output = {{"n", kBigintType}, {"o", kBigintType}, {"m", kBigintType}, {"p", kBigintType}};
    plan->input = std::move(left);
    plan->right = std::move(right);
    plan->join.match = match;
    plan->join.left_keys = {column(0)};
    plan->join.right_keys = {column(0)};
    auto view = std::make_shared<ViewPlan>();
    view->root = std::move(plan);
    view->visible_columns = 4;
    view->key_columns = {1, 3};
    return view;
  }
  std::shared_ptr<const ViewPlan> union_all(PlanPtr left, PlanPtr right) const {
    auto plan = std::make_shared<Plan>();
    plan->kind = PlanKind::kUnion;
    plan->output = left->output;
    plan->input = std::move(left);
    plan->right = std::move(right);
    auto view = std::make_shared<ViewPlan>();
    view->root = std::move(plan);
    view->visible_columns = 2;
    view->key_columns = {1};
    return view;
  }

  std::unique_ptr<LiveView> open_view(const std::shared_ptr<const ViewPlan>& plan) {
    auto entry = std::make_shared<CatalogEntry>();
    entry->kind = CatalogEntry::Kind::kView;
    entry->name = "v";
    entry->view = plan;
    auto view = std::make_unique<LiveView>(entry, options_);
    std::uint64_t check_bytes = UINT64_MAX;
    const Status opened = view->open(*log_, check_bytes);
    EXPECT_TRUE(opened) << to_string(opened.error());
    return view;
  }

  struct Result {
    Lines rows;
    std::map<std::string, std::map<std::string, std::uint64_t>> failures;
    Progress progress;
    std::string digest;
  };

  // Feeds a new state up to `end` and gives what it is then. `reach`: of a chunk.
  Result run_view(const std::shared_ptr<const ViewPlan>& plan, Offset end, std::size_t reach, std::mt19937_64& random) {
    std::filesystem::remove_all(options_.directory);
    std::filesystem::create_directories(options_.directory);
    const auto below = [&](std::size_t n) { return random() % n; };
    std::unique_ptr<LiveView> view = open_view(plan);
    auto source = std::make_unique<EventSource>(*log_, view->applied(), view->scans());
    const auto commit = [&] {
      const auto frozen = view->freeze(*log_);
      EXPECT_TRUE(frozen && *frozen);
      const Status committed = view->commit();
      EXPECT_TRUE(committed) << to_string(committed.error());
    };
    std::uint64_t budget = 400;  // Steps back must not keep it from its end.
    while (view->applied() < end) {
      const auto moved = source->next(std::min(end, view->applied() + 1 + below(reach)));
      EXPECT_TRUE(moved && *moved);
      if (!moved || !*moved) break;
      const Status applied = view->apply(*source, 0);
      EXPECT_TRUE(applied) << to_string(applied.error());
      EXPECT_EQ(view->applied(), source->position());
      if (reach < 1000 && below(8) == 0) commit();
      if (reach < 1000 && budget > 0 && below(15) == 0) {
        --budget;
        view.reset();  // What was not committed is lost.
        view = open_view(plan);
        source = std::make_unique<EventSource>(*log_, view->applied(), view->scans());
      }
    }
    commit();
    Result result;
    result.failures = view->conversion_failures();
    {
      const auto served = view->served();
      EXPECT_TRUE(served);
      const auto snapshot = served->store->snapshot();
      EXPECT_TRUE(snapshot);
      result.progress = (*snapshot)->progress();
      const auto cursor = (*snapshot)->scan(served->reader->table(), {}, false);
      for (;;) {
        const auto entry = cursor->next();
        EXPECT_TRUE(entry);
        if (!entry || !*entry) break;
        const auto stored = served->reader->decode((*entry)->key, (*entry)->value);
        EXPECT_TRUE(stored);
        EXPECT_EQ((*stored)->weight, 1);
        result.rows.push_back(text_of((*stored)->row));
      }
    }
    const std::filesystem::path state = view->directory();
    view.reset();
    const auto digest = state_digest(state);
    EXPECT_TRUE(digest) << to_string(digest.error());
    result.digest = std::to_string(digest->entries) + " " + std::to_string(digest->hash);
    return result;
  }

  // Pairs of events with equal n; `as_of`: the right one not after the left one.
  Lines pairs(Offset end, std::size_t left, std::size_t right, bool as_of) const {
    Lines lines;
    for (const auto& [o, l] : events_) {
      if (o >= end.value() || l.stream != left || !l.n) continue;
      for (const auto& [p, r] : events_) {
        if (p >= end.value() || r.stream != right || r.n != l.n || (as_of && p > o)) continue;
        lines.push_back(std::to_string(*l.n) + "|" + std::to_string(o) + "|" + std::to_string(*r.n) + "|" + std::to_string(p));
      }
    }
    return lines;
  }
  std::int64_t watermark(Offset end, const std::vector<std::size_t>& streams) const {
    std::int64_t least = INT64_MAX;
    for (const std::size_t stream : streams) {
      std::int64_t latest = INT64_MIN;
      for (const auto& [o, event] : events_) {
        if (o < end.value() && event.stream == stream && event.time) latest = std::max(latest, *event.time);
      }
      if (latest == INT64_MIN) return INT64_MIN;
      least = std::min(least, latest - streams_[stream]->delay_micros);
    }
    return least;
  }
  std::uint64_t wrong(Offset end, std::size_t stream) const {
    std::uint64_t count = 0;
    for (const auto& [o, event] : events_) count += o < end.value() && event.stream == stream && event.wrong ? 1 : 0;
    return count;
  }

  void expect_all(const std::shared_ptr<const ViewPlan>& plan, const std::vector<std::size_t>& streams,
                  const std::function<Lines(Offset)>& rows, std::mt19937_64& random) {
    const std::uint64_t size = log_->durable_end().value();
    for (const Offset end : {Offset(1 + random() % 40), Offset(size / 2), Offset(size)}) {
      const Lines wanted = rows(end);
      std::string digest;
      for (const std::size_t reach : {100'000U, 5U, 60U, 60U}) {
        SCOPED_TRACE("below " + std::to_string(end.value()) + ", chunks of up to " + std::to_string(reach));
        const Result result = run_view(plan, end, reach, random);
        EXPECT_EQ(result.rows, wanted);
        EXPECT_EQ(result.progress.rows, wanted.size());
        EXPECT_EQ(result.progress.applied, end);
        EXPECT_EQ(result.progress.watermark, watermark(end, streams));
        std::uint64_t all = 0;
        for (const std::size_t stream : streams) {
          const std::uint64_t count = wrong(end, stream);
          all += count;
          const auto& counts = result.failures.find(streams_[stream]->name);
          EXPECT_EQ(counts == result.failures.end() ? 0 : counts->second.at("n"), count);
        }
        EXPECT_EQ(result.progress.conversion_failures, all);
        if (digest.empty()) digest = result.digest;
        EXPECT_EQ(result.digest, digest) << "the same state bytes";
        if (HasFailure()) return;
      }
    }
  }

  std::vector<std::shared_ptr<const StreamDefinition>> streams_;
  std::map<std::uint64_t, Event> events_;
};

TEST_F(LiveViewTest, ATwoTopicJoinIsTheSameWhateverTheChunksAndRestarts) {
  std::mt19937_64 random(11);
  append_events(random, 60);
  expect_all(join(scan(0), scan(1), Join::Match::kCurrent), {0, 1},
             [&](Offset end) { return pairs(end, 0, 1, false); }, random);
}

TEST_F(LiveViewTest, AJoinAsOfTheEventsOffsetSeesWhatWasThereThen) {
  std::mt19937_64 random(12);
  append_events(random, 60);
  expect_all(join(scan(0), scan(1), Join::Match::kAsOfOffset), {0, 1},
             [&](Offset end) { return pairs(end, 0, 1, true); }, random);
}

TEST_F(LiveViewTest, ASelfJoinReadsOneStreamTwiceAndCountsItsFailuresOnce) {
  std::mt19937_64 random(13);
  append_events(random, 60);
  expect_all(join(scan(1), scan(1), Join::Match::kAsOfOffset), {1},
             [&](Offset end) { return pairs(end, 1, 1, true); }, random);
}

TEST_F(LiveViewTest, AUnionOfTwoTopicsHasTheEventsOfBoth) {
  std::mt19937_64 random(14);
  append_events(random, 60);
  const auto rows = [&](Offset end) {
    Lines lines;
    for (const auto& [o, event] : events_) {
      if (o < end.value()) lines.push_back((event.n ? std::to_string(*event.n) : "NULL") + "|" + std::to_string(o));
    }
    return lines;
  };
  expect_all(union_all(scan(0), scan(1)), {0, 1}, rows, random);
}

// The status is told of the memory where it is looked at, also between a freeze and the commit that fails.
TEST_F(LiveViewTest, AViewWhoseCommitFindsNoSpaceIsFullUntilOneDoes) {
  options_.state_bytes_max = std::uint64_t{128} << 10;
  options_.memory_bytes = std::size_t{256} << 10;
  std::filesystem::create_directories(options_.directory);
  std::vector<std::string> values;
  for (int i = 0; i < 5000; ++i) values.push_back(R"({"n":)" + std::to_string(i) + "}");
  append("a", values);
  const auto view = open_view(union_all(scan(0), scan(0)));
  EventSource source(*log_, view->applied(), view->scans());
  // All of it: more than the state takes, and more than a half of the memory.
  while (view->applied() < log_->durable_end()) {
    const auto moved = source.next(log_->durable_end());
    ASSERT_TRUE(moved && *moved);
    ASSERT_TRUE(view->apply(source, 0));
  }
  EXPECT_NE(view->status(*log_).state, "full") << "no commit has failed";
  const auto frozen = view->freeze(*log_);
  ASSERT_TRUE(frozen && *frozen);
  EXPECT_NE(view->status(*log_).state, "full");
  const Status committed = view->commit();
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, ErrorCode::kFull) << to_string(committed.error());
  EXPECT_EQ(view->status(*log_).state, "full") << "nothing is applied meanwhile that would say so";
}

}  // namespace
}  // namespace kappa::processor::test
