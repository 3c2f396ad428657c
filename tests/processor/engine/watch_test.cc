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
    {"groups", "SELECT k, count(*) AS n, sum(v) AS s, min(v) AS low FROM e GROUP BY k"},
    {"having", "SELECT k, count(*) % 3 AS n FROM e GROUP BY k HAVING count(*) % 3 <> 1"},
    {"one", "SELECT count(*) AS n, max(v) AS m FROM e"},
    {"bag", "SELECT k, v FROM e WHERE v > 3"},
    {"ranked", "SELECT k, v, r FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, t) AS r FROM e) "
               "WHERE r <= 2"},
    {"joined", "SELECT a.k AS k, a.v AS v, l.v AS latest FROM e AS a LEFT JOIN last AS l ON a.k = l.k"},
    {"panes", "SELECT k, window_start, count(*) AS n, sum(v) AS s FROM HOP(e, t, INTERVAL '1' MINUTE, INTERVAL '6' "
              "MINUTE) GROUP BY k, window_start"},
    {"sessions", "SELECT k, window_start, window_end, count(*) AS n FROM SESSION(e, t, INTERVAL '2' MINUTE) GROUP BY "
                 "k, window_start, window_end"},
};

constexpr const char* kStream = "CREATE STREAM e (k TEXT, v BIGINT, t TIMESTAMP) FROM TOPIC e WITH (event_time = 't')";
constexpr const char* kLast = "CREATE TABLE last (k TEXT, v BIGINT) FROM TOPIC e WITH (key = 'k')";

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

}  // namespace
}  // namespace kappa::processor::test
