// Goal: the rows that a watcher was given, added up, are the view at each of its marks, whatever the plan, the cuts,
// the bounds and the versions.
// Method: a collector keeps a multiset of rows from the steps it is given, and fails when a row is taken that is not
// there. Random events with groups that come, go and are late; the collector is compared with SELECT * at the same
// applied offset.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/processor/engine/engine_fixture.h"
#include "tests/support/seed.h"

namespace kappa::processor::test {
namespace {

// What a client would have.
class Collector final : public WatchSink {
 public:
  bool columns(const std::vector<Column>& columns) override {
    names.clear();
    for (const Column& column : columns) names.push_back(column.name);
    return true;
  }
  bool begin(const Step& step) override {
    EXPECT_GE(step.applied, applied) << "an offset went back";
    EXPECT_FALSE(in_step_);
    in_step_ = true;
    if (step.reset) {
      rows.clear();
      resets.push_back(*step.reset);
    }
    return true;
  }
  bool change(bool added, const Row& row) override {
    if (stop_after && changes == *stop_after) return false;
    ++changes;
    const std::string text = text_of(row);
    int& copies = rows[text];
    copies += added ? 1 : -1;
    EXPECT_GE(copies, 0) << "taken without being there: " << text;
    if (copies == 0) rows.erase(text);
    return true;
  }
  bool end(const Step& step) override {
    EXPECT_TRUE(in_step_);
    in_step_ = false;
    applied = step.applied;
    version = step.version;
    ++steps;
    return true;
  }
  // After a step that was stopped.
  void forget() { in_step_ = false; }
  [[nodiscard]] Lines lines() const {
    Lines all;
    for (const auto& [text, copies] : rows) all.insert(all.end(), static_cast<std::size_t>(copies), text);
    return all;
  }

  std::map<std::string, int> rows;
  Lines names;
  std::vector<WatchReset> resets;
  Offset applied;
  std::uint32_t version = 0;
  std::size_t steps = 0;
  std::size_t changes = 0;
  std::optional<std::size_t> stop_after;

 private:
  bool in_step_ = false;
};

class WatchTest : public EngineFixture {
 protected:
  struct Watched {
    std::unique_ptr<Watch> watch;
    Collector collector;
    Status last;
    void step() {
      const std::atomic<bool> cancelled{false};
      last = watch->step(collector, cancelled);
    }
  };
  std::unique_ptr<Watched> watch(WatchRequest request) {
    auto watched = std::make_unique<Watched>();
    auto made = engine_->watch(std::move(request), [](WatchNews) {});
    EXPECT_TRUE(made) << to_string(made.error());
    if (made) watched->watch = std::move(*made);
    return watched;
  }
  std::unique_ptr<Watched> watch(const std::string& view) {
    WatchRequest request;
    request.view = view;
    return watch(std::move(request));
  }
  // Steps until its mark is at the end of the log.
  void catch_up(Watched& watched) {
    const Offset end = log_->durable_end();
    do {
      watched.step();
      ASSERT_TRUE(watched.last) << to_string(watched.last.error());
    } while (watched.collector.applied < end);
  }
  Lines sorted(std::string_view sql) {
    Lines all = lines(sql);
    std::ranges::sort(all);
    return all;
  }
};

struct Definition {
  const char* name;
  const char* sql;
};
// One of each way to keep rows: groups, HAVING over them, rows with keys, rows of a bag, ranked rows, a join, windows
// over panes, sessions, one row.
const std::vector<Definition> kDefinitions{
    {"by_k", "SELECT k, count(*) AS n, sum(v) AS s, min(v) AS low FROM e GROUP BY k"},
    {"some_k", "SELECT k, count(*) % 3 AS n FROM e GROUP BY k HAVING count(*) % 3 <> 1"},
    {"one_row", "SELECT count(*) AS n, max(v) AS m FROM e"},
    {"bag", "SELECT k, v FROM e WHERE v > 3"},
    {"ranked", "SELECT k, v, r FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, t) AS r FROM e) "
               "WHERE r <= 2"},
    {"joined", "SELECT a.k AS k, a.v AS v, l.v AS latest FROM e AS a LEFT JOIN last_e AS l ON a.k = l.k"},
    {"panes", "SELECT k, window_start, count(*) AS n, sum(v) AS s FROM HOP(e, t, INTERVAL '1' MINUTE, INTERVAL '6' "
              "MINUTE) GROUP BY k, window_start"},
    {"sessions", "SELECT k, window_start, window_end, count(*) AS n FROM SESSION(e, t, INTERVAL '2' MINUTE) GROUP BY "
                 "k, window_start, window_end"},
};

constexpr const char* kStream = "CREATE STREAM e (k TEXT, v BIGINT, t TIMESTAMP) WITH (event_time = 't')";
constexpr const char* kLast = "CREATE TABLE last_e AS LATEST e BY k";

std::vector<std::string> random_events(std::mt19937_64& random, std::size_t count) {
  std::vector<std::string> events;
  for (std::size_t i = 0; i < count; ++i) {
    const auto minute = random() % 30;
    events.push_back("{\"k\":\"k" + std::to_string(random() % 7) + "\",\"v\":" + std::to_string(random() % 10) +
                     ",\"t\":\"2024-05-01T10:" + (minute < 10 ? "0" : "") + std::to_string(minute) + ":" +
                     std::to_string(10 + random() % 50) + "Z\"}");
  }
  return events;
}

TEST_F(WatchTest, WhatItWasGivenIsTheViewAtEachMark) {
  std::mt19937_64 random(kappa::test::new_seed());
  run(kStream);
  run(kLast);
  for (const Definition& d : kDefinitions) run(std::string("CREATE MATERIALIZED VIEW ") + d.name + " AS " + d.sql);
  append("e", random_events(random, 50));
  std::vector<std::unique_ptr<Watched>> watches;
  for (const Definition& d : kDefinitions) watches.push_back(watch(d.name));
  for (int round = 0; round < 60; ++round) {
    append("e", random_events(random, 1 + random() % 40), 1 + random() % 10);
    if (round == 30) {
      // From here on some have waited for long, and some begin.
      for (const Definition& d : kDefinitions) watches.push_back(watch(d.name));
    }
    for (std::size_t i = 0; i < watches.size(); ++i) {
      if (random() % 3 == 0) {
        watches[i]->step();  // Wherever it is.
        ASSERT_TRUE(watches[i]->last) << to_string(watches[i]->last.error());
      }
      if (random() % 4 != 0) continue;
      catch_up(*watches[i]);
      const Definition& d = kDefinitions[i % kDefinitions.size()];
      ASSERT_EQ(watches[i]->collector.lines(), sorted(std::string("SELECT * FROM ") + d.name)) << d.name;
    }
  }
  for (const auto& watched : watches) EXPECT_EQ(watched->collector.resets.size(), 1U);
}

TEST_F(WatchTest, ABoundOfAlmostNothingMakesItBeginAnew) {
  std::mt19937_64 random(kappa::test::new_seed());
  run(kStream);
  run(kLast);
  for (const Definition& d : kDefinitions) run(std::string("CREATE MATERIALIZED VIEW ") + d.name + " AS " + d.sql);
  std::vector<std::unique_ptr<Watched>> watches;
  for (const Definition& d : kDefinitions) {
    WatchRequest request;
    request.view = d.name;
    request.bytes_max = 2'000;
    watches.push_back(watch(std::move(request)));
  }
  for (int round = 0; round < 20; ++round) {
    append("e", random_events(random, 60), 20);
    run("SELECT * FROM bag LIMIT 0");  // It has applied them.
    for (std::size_t i = 0; i < watches.size(); ++i) {
      if (random() % 4 != 0) continue;
      catch_up(*watches[i]);
      const Definition& d = kDefinitions[i];
      ASSERT_EQ(watches[i]->collector.lines(), sorted(std::string("SELECT * FROM ") + d.name)) << d.name;
    }
  }
  std::size_t behind = 0;
  for (const auto& watched : watches)
    behind += static_cast<std::size_t>(std::ranges::count(watched->collector.resets, WatchReset::kBehind));
  EXPECT_GT(behind, 0U);
}

TEST_F(WatchTest, WhatIsAsItWasIsNoChange) {
  run(kStream);
  run(kLast);
  run("CREATE MATERIALIZED VIEW v AS SELECT k, v FROM last_e");
  append("e", {R"({"k":"a","v":1})", R"({"k":"b","v":1})"});
  auto watched = watch("v");
  catch_up(*watched);
  EXPECT_EQ(watched->collector.changes, 2U);
  append("e", {R"({"k":"a","v":2})"});
  append("e", {R"({"k":"a","v":3})", R"({"k":"c","v":3})"});
  append("e", {R"({"k":"a","v":1})"});
  run("SELECT * FROM v");
  watched->step();
  EXPECT_EQ(watched->collector.changes, 3U);  // c alone.
  EXPECT_EQ(watched->collector.lines(), (Lines{"a|1", "b|1", "c|3"}));
}

TEST_F(WatchTest, APrefixOfTheKeyIsAllThatItSees) {
  std::mt19937_64 random(kappa::test::new_seed());
  run(kStream);
  const Definition& panes = kDefinitions[6];
  run(std::string("CREATE MATERIALIZED VIEW panes AS ") + panes.sql);
  append("e", random_events(random, 200));
  WatchRequest request;
  request.view = "panes";
  request.prefix = {Value::text("k3")};
  auto watched = watch(request);
  request.prefix.push_back(Value::text("2024-05-01T10:10:00Z"));
  auto one = watch(request);
  for (int round = 0; round < 20; ++round) {
    append("e", random_events(random, 20));
    catch_up(*watched);
    catch_up(*one);
    ASSERT_EQ(watched->collector.lines(), sorted("SELECT * FROM panes WHERE k = 'k3'"));
    ASSERT_EQ(one->collector.lines(),
              sorted("SELECT * FROM panes WHERE k = 'k3' AND window_start = TIMESTAMP '2024-05-01T10:10:00Z'"));
  }
  request.prefix.assign(4, Value::text("x"));
  EXPECT_EQ(engine_->watch(request, [](WatchNews) {}).error().number, 2011);
  request.view = "nothing";
  EXPECT_EQ(engine_->watch(request, [](WatchNews) {}).error().number, 2003);
}

TEST_F(WatchTest, AStepThatWasStoppedIsFollowedByAReset) {
  run(kStream);
  run("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  append("e", {R"({"k":"a"})", R"({"k":"b"})", R"({"k":"c"})"});
  auto watched = watch("v");
  run("SELECT * FROM v");
  watched->collector.stop_after = 1;
  watched->step();
  ASSERT_FALSE(watched->last);
  EXPECT_EQ(watched->last.error().number, 4011);
  watched->collector.forget();
  watched->collector.stop_after.reset();
  catch_up(*watched);
  EXPECT_EQ(watched->collector.lines(), (Lines{"a|1", "b|1", "c|1"}));
  EXPECT_EQ(watched->collector.resets, (std::vector{WatchReset::kSnapshot, WatchReset::kBehind}));
}

TEST_F(WatchTest, ADropEndsIt) {
  run(kStream);
  run("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  auto watched = watch("v");
  watched->step();
  ASSERT_TRUE(watched->last);
  run("DROP MATERIALIZED VIEW v");
  watched->step();
  ASSERT_FALSE(watched->last);
  EXPECT_EQ(watched->last.error().number, 2003);
}

TEST_F(WatchTest, ACutoverIsOneStepOfTheExactDifference) {
  run(kStream);
  const auto version = [&](const std::string& select) {
    run("CREATE OR REPLACE MATERIALIZED VIEW v WITH (cutover = 'manual') AS " + select);
  };
  const auto wait_until_built = [&] { until([&] { return execute("ALTER VIEW v CUTOVER").has_value(); }); };
  version("SELECT k, count(*) AS n FROM e GROUP BY k");
  append("e", {R"({"k":"a","v":1})", R"({"k":"a","v":5})", R"({"k":"b","v":1})"});
  run("SELECT * FROM v");
  auto prompt = watch("v");     // Is given every step.
  auto late = watch("v");       // Has changes waiting when the versions switch.
  auto first = watch("v@1");    // Follows that version.
  WatchRequest request;
  request.view = "v";
  request.reset_at_cutover = true;
  auto reset = watch(request);
  request.reset_at_cutover = false;
  request.snapshot = false;
  auto changes = watch(request);
  for (Watched* watched : {prompt.get(), late.get(), first.get(), reset.get(), changes.get()}) catch_up(*watched);
  EXPECT_EQ(changes->collector.changes, 0U);
  append("e", {R"({"k":"c","v":9})"});
  catch_up(*prompt);

  version("SELECT k, count(*) AS n FROM e WHERE v > 3 GROUP BY k");
  wait_until_built();
  const std::size_t steps = prompt->collector.steps;
  for (Watched* watched : {prompt.get(), late.get(), first.get(), reset.get()}) {
    watched->step();
    ASSERT_TRUE(watched->last) << to_string(watched->last.error());
  }
  EXPECT_EQ(prompt->collector.steps, steps + 1);
  EXPECT_EQ(prompt->collector.lines(), (Lines{"a|1", "c|1"}));
  EXPECT_EQ(prompt->collector.version, 2U);
  EXPECT_EQ(late->collector.lines(), (Lines{"a|1", "c|1"}));
  EXPECT_EQ(late->collector.resets.size(), 1U);
  EXPECT_EQ(reset->collector.lines(), (Lines{"a|1", "c|1"}));
  EXPECT_EQ(reset->collector.resets, (std::vector{WatchReset::kSnapshot, WatchReset::kReplaced}));
  EXPECT_EQ(first->collector.lines(), (Lines{"a|2", "b|1", "c|1"}));
  EXPECT_EQ(first->collector.version, 1U);

  // Back, with changes on the way, and forth again before anybody looks.
  append("e", {R"({"k":"a","v":7})"});
  run("SELECT * FROM v");
  until([&] { return execute("ALTER VIEW v ROLLBACK").has_value(); });
  catch_up(*prompt);
  EXPECT_EQ(prompt->collector.lines(), (Lines{"a|3", "b|1", "c|1"}));
  EXPECT_EQ(prompt->collector.version, 1U);
  wait_until_built();
  append("e", {R"({"k":"d","v":7})"});
  for (Watched* watched : {prompt.get(), late.get(), reset.get()}) {
    catch_up(*watched);
    EXPECT_EQ(watched->collector.lines(), (Lines{"a|2", "c|1", "d|1"}));
    EXPECT_EQ(watched->collector.version, 2U);
  }

  // Other columns: every row goes and comes.
  version("SELECT k, v, count(*) AS n FROM e GROUP BY k, v");
  wait_until_built();
  for (Watched* watched : {prompt.get(), late.get()}) {
    catch_up(*watched);
    EXPECT_EQ(watched->collector.lines(), sorted("SELECT * FROM v"));
    EXPECT_EQ(watched->collector.names, (Lines{"k", "v", "n"}));
    EXPECT_EQ(watched->collector.resets.size(), 1U);
  }
}

TEST_F(WatchTest, GoesOnFromAMarkIfNothingHappened) {
  run(kStream);
  run("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  append("e", {R"({"k":"a"})", R"({"k":"b"})"});
  auto watched = watch("v");
  catch_up(*watched);
  WatchRequest request;
  request.view = "v";
  request.resume = {watched->collector.applied, watched->collector.version};
  const Collector had = watched->collector;
  watched.reset();
  append("other", {"{}"});
  run("SELECT * FROM v");
  auto again = watch(request);
  again->collector = had;
  again->step();
  ASSERT_TRUE(again->last);
  EXPECT_EQ(again->collector.resets.size(), 1U);  // The first one's.
  EXPECT_EQ(again->collector.changes, had.changes);
  append("e", {R"({"k":"a"})"});
  run("SELECT * FROM v");
  again->step();
  EXPECT_EQ(again->collector.changes, had.changes + 2);
  EXPECT_EQ(again->collector.lines(), (Lines{"a|2", "b|1"}));
  // Now something has happened since that mark.
  auto late = watch(request);
  catch_up(*late);
  EXPECT_EQ(late->collector.resets, std::vector{WatchReset::kNotResumed});
  EXPECT_EQ(late->collector.lines(), (Lines{"a|2", "b|1"}));
  request.resume = {late->collector.applied, 2};
  auto other = watch(request);
  catch_up(*other);
  EXPECT_EQ(other->collector.resets, std::vector{WatchReset::kNotResumed});
}

}  // namespace
}  // namespace kappa::processor::test
