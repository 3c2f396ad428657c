// Goal: a view is its batch query over the log prefix, whatever the batches, restarts and losses of
// derived files on the way.
// Method: a real log and engine in a temporary directory; answers are compared with hand-computed
// rows, with the same query over the stream, and across ways to get there.
#include "processor/engine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

constexpr const char* kHits =
    "CREATE STREAM hits (page TEXT, ms BIGINT, ts TIMESTAMP, city TEXT PATH '$.geo.city') WITH (event_time = 'ts')";
constexpr const char* kByPage =
    "CREATE MATERIALIZED VIEW by_page AS SELECT page, count(*) AS n, sum(ms) AS total, max(ts) AS seen "
    "FROM hits GROUP BY page";

std::string hit(int i) {
  return R"({"page":"/p)" + std::to_string(i % 7) + R"(","ms":)" + std::to_string(i % 100) + R"(,"ts":)" +
         std::to_string(1'700'000'000'000 + i) + R"(,"geo":{"city":"c)" + std::to_string(i % 3) + R"("}})";
}
std::vector<std::string> hits(int from, int to) {
  std::vector<std::string> events;
  for (int i = from; i < to; ++i) events.push_back(hit(i));
  return events;
}

class EngineTest : public EngineFixture {
 protected:
  // What the view must be: the same SELECT over the stream.
  Lines batch_answer() {
    return lines("SELECT page, count(*) AS n, sum(ms) AS total, max(ts) AS seen FROM hits GROUP BY page ORDER BY page");
  }
  Lines view_answer() { return lines("SELECT * FROM by_page ORDER BY page"); }
};

TEST_F(EngineTest, ADroppedTopicBeginsAnew) {
  run(kHits);
  run(kByPage);
  append("hits", {R"({"page":"/old","ms":5})"});
  EXPECT_EQ(refusal("DROP TOPIC hits").number, 2010);
  EXPECT_EQ(refusal("DROP TOPIC hist").number, 2003);
  run("DROP TOPIC hits CASCADE");
  EXPECT_EQ(lines("SHOW TOPICS"), Lines{});
  EXPECT_EQ(lines("SHOW STREAMS"), Lines{});
  run(kHits);
  run(kByPage);
  append("hits", {R"({"page":"/new","ms":7})"});
  restart();
  EXPECT_EQ(lines("SELECT page, n FROM by_page"), Lines{"/new|1"});
}

TEST_F(EngineTest, AppendedEventsAreInTheView) {
  run(kHits);
  run(kByPage);
  append("hits", {R"({"page":"/a","ms":5,"ts":"2024-01-01T00:00:00Z"})", R"({"page":"/b","ms":7})",
                  R"({"page":"/a","ms":null,"ts":"2023-01-01T00:00:00Z"})", R"({})"});
  EXPECT_EQ(view_answer(), (Lines{"/a|2|5|2024-01-01T00:00:00Z", "/b|1|7|NULL", "NULL|1|NULL|NULL"}));
  EXPECT_EQ(lines("SELECT n FROM by_page WHERE page = '/a'"), Lines{"2"});
  const ViewStatus view = status("by_page");
  EXPECT_EQ(view.rows, 3U);
  EXPECT_EQ(view.state, "live");
  EXPECT_EQ(view.lag_events, 0U);
  EXPECT_EQ(view.applied, log_->durable_end());
}

TEST_F(EngineTest, PointReadsTakeTheWholeKey) {
  run(kHits);
  run("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, city FROM hits GROUP BY page, city");
  run("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM hits");
  append("hits", hits(0, 21));
  run("SELECT * FROM v");
  run("SELECT * FROM total");
  const auto found = engine_->get("v", {{Value::text("/p0"), Value::text("c0")}});
  ASSERT_TRUE(found) << to_string(found.error());
  ASSERT_TRUE(found->row);
  EXPECT_EQ(text_of(*found->row), "1|c0");  // 0; 7 is c1, 14 is c2. The hidden key column is not shown.
  EXPECT_EQ(found->applied, log_->durable_end());
  const auto absent = engine_->get("v", {{Value::text("/p0"), Value::text("c9")}});
  ASSERT_TRUE(absent);
  EXPECT_FALSE(absent->row);
  const auto partial = engine_->get("v", {{Value::text("/p0")}});
  ASSERT_FALSE(partial);
  EXPECT_EQ(partial.error().number, 2011);
  EXPECT_NE(partial.error().message.find("page TEXT, city TEXT"), std::string::npos) << partial.error().message;
  EXPECT_EQ(engine_->get("nothing", {}).error().number, 2003);
  const auto global = engine_->get("total@1", {});
  ASSERT_TRUE(global) << to_string(global.error());
  ASSERT_TRUE(global->row);
  EXPECT_EQ(text_of(*global->row), "21");
  EXPECT_EQ(engine_->get("total@2", {}).error().number, 2003);
}

TEST_F(EngineTest, ScansAreInKeyOrderWithinTheirBounds) {
  run(kHits);
  run("CREATE MATERIALIZED VIEW v AS SELECT page, city, count(*) AS n FROM hits GROUP BY page, city");
  append("hits", hits(0, 210));
  run("SELECT * FROM v");
  const auto scan = [&](ScanRequest request) {
    request.view = "v";
    Answer answer;
    Collect sink(answer);
    const std::atomic<bool> cancelled{false};
    const auto result = engine_->scan(request, sink, cancelled);
    EXPECT_TRUE(result) << to_string(result.error());
    EXPECT_EQ(answer.columns.size(), 3U);
    return texts_of(answer.rows);
  };
  EXPECT_EQ(scan({}).size(), 21U);
  EXPECT_TRUE(std::ranges::is_sorted(scan({})));
  ScanRequest prefix;
  prefix.prefix = {Value::text("/p3")};
  EXPECT_EQ(scan(prefix), (Lines{"/p3|c0|10", "/p3|c1|10", "/p3|c2|10"}));
  prefix.limit = 2;
  EXPECT_EQ(scan(prefix).size(), 2U);
  ScanRequest range;
  range.from = {Value::text("/p5"), Value::text("c2")};
  range.to = {Value::text("/p6")};
  EXPECT_EQ(scan(range), (Lines{"/p5|c2|10"}));
  range.to = {Value::text("/p1")};
  EXPECT_TRUE(scan(range).empty());
}

TEST_F(EngineTest, BatchSizesDoNotMatter) {
  Lines first;
  for (const std::size_t batch : {1U, 7U, 1000U, 2000U}) {
    const std::string name = "hits" + std::to_string(batch);
    run("CREATE STREAM " + name + " (page TEXT, ms BIGINT, ts TIMESTAMP)");
    run("CREATE MATERIALIZED VIEW v" + name + " AS SELECT page, count(*) AS n, sum(ms) AS total, avg(ms) AS a, "
        "min(ts) AS lo, count(DISTINCT ms) AS d FROM " + name + " GROUP BY page");
    append(name, hits(0, 2000), batch);
    const Lines answer = lines("SELECT * FROM v" + name + " ORDER BY page");
    ASSERT_EQ(answer.size(), 7U);
    if (first.empty()) first = answer;
    EXPECT_EQ(answer, first) << batch;
  }
}

TEST_F(EngineTest, ARestartContinuesExactlyWhereItStopped) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 3000), 7);
  const Lines before = view_answer();
  restart();
  EXPECT_EQ(status("by_page").events_applied, 0U);  // Everything was committed at the end.
  EXPECT_EQ(view_answer(), before);
  append("hits", hits(3000, 5000), 7);
  EXPECT_EQ(view_answer(), batch_answer());
  EXPECT_EQ(status("by_page").events_applied, 2000U);
  EXPECT_EQ(status("by_page").rows, 7U);
}

TEST_F(EngineTest, DeletedViewDirectoriesComeBack) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 4000), 100);
  const Lines before = view_answer();
  close();
  std::filesystem::remove_all(directory_ / "views");
  open();
  EXPECT_EQ(view_answer(), before);
  EXPECT_EQ(status("by_page").events_applied, 4000U);
  close();
  // Damage instead of absence.
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory_ / "views")) {
    if (!file.is_regular_file()) continue;
    std::ofstream(file.path(), std::ios::trunc) << "this is not a database, and long enough to be read as a page";
  }
  open();
  EXPECT_EQ(view_answer(), before);
  append("hits", hits(4000, 4100));
  EXPECT_EQ(view_answer(), batch_answer());
}

TEST_F(EngineTest, ALogThatWasRestoredAndGrewAgainIsNotTakenForTheSame) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 100));
  close();
  std::filesystem::copy(directory_ / "log", directory_ / "old", std::filesystem::copy_options::recursive);
  open();
  append("hits", hits(1000, 1500));
  run("SELECT * FROM by_page");
  close();
  std::filesystem::remove_all(directory_ / "log");
  std::filesystem::rename(directory_ / "old", directory_ / "log");
  // First shorter than the view, then, after other events, as long.
  open();
  EXPECT_EQ(view_answer(), batch_answer());
  EXPECT_EQ(lines("SELECT sum(n) AS n FROM by_page"), Lines{"100"});
  append("hits", hits(5000, 5600));
  EXPECT_EQ(view_answer(), batch_answer());
}

TEST_F(EngineTest, AnotherHistoryOfTheSameLengthIsNoticed) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 100));
  close();
  std::filesystem::copy(directory_ / "log", directory_ / "old", std::filesystem::copy_options::recursive);
  open();
  append("hits", hits(1000, 1500));
  run("SELECT * FROM by_page");
  engine_.reset();
  log_.reset();
  std::filesystem::remove_all(directory_ / "log");
  std::filesystem::rename(directory_ / "old", directory_ / "log");
  std::filesystem::rename(directory_ / "views", directory_ / "aside");
  open();  // Grows beyond the old length without the view's state.
  append("hits", hits(2000, 2900));
  close();
  std::filesystem::remove_all(directory_ / "views");
  std::filesystem::rename(directory_ / "aside", directory_ / "views");
  open();
  EXPECT_EQ(view_answer(), batch_answer());
  EXPECT_EQ(lines("SELECT sum(n) AS n FROM by_page"), Lines{"1000"});
}

TEST_F(EngineTest, AViewCreatedLaterJoinsTheOthers) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 20'000), 1000);
  run("CREATE MATERIALIZED VIEW cities AS SELECT city, count(*) AS n FROM hits GROUP BY city");
  run("CREATE STREAM slow (ms BIGINT) WITH (topic = 'hits') WHERE ms >= 50");
  run("CREATE MATERIALIZED VIEW slow_total AS SELECT count(*) AS n, min(ms) AS lo FROM slow");
  append("hits", hits(20'000, 30'000), 333);
  EXPECT_EQ(lines("SELECT * FROM cities ORDER BY city"), (Lines{"c0|10000", "c1|10000", "c2|10000"}));
  EXPECT_EQ(lines("SELECT * FROM slow_total"), Lines{"15000|50"});
  EXPECT_EQ(view_answer(), batch_answer());
  EXPECT_EQ(status("cities").applied, status("by_page").applied);
}

TEST_F(EngineTest, EventsOfOtherTopicsMoveTheOffsetOnly) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 10));
  append("other", hits(0, 500), 10);
  const Answer answer = run("SELECT * FROM by_page");
  EXPECT_EQ(answer.result.applied, log_->durable_end());
  EXPECT_EQ(status("by_page").events_applied, 10U);
}

TEST_F(EngineTest, PoisonIsCountedAndSkipped) {
  run(kHits);
  run(kByPage);
  append("hits", {hit(0), "not json", "[1]", R"({"page":)", hit(0), ""}, 2);
  EXPECT_EQ(lines("SELECT page, n FROM by_page"), Lines{"/p0|2"});
  EXPECT_EQ(status("by_page").poison, 4U);
  EXPECT_EQ(status("by_page").applied, log_->durable_end());
  restart();
  EXPECT_EQ(status("by_page").poison, 4U);
  EXPECT_EQ(lines("SELECT count(*) AS n FROM hits"), Lines{"2"});
}

TEST_F(EngineTest, ADecimalLiteralBesideANumericIsWhatIsWritten) {
  run("CREATE STREAM o (id TEXT, price NUMERIC(10,2))");
  append("o", {R"({"id":"a","price":0.10})", R"({"id":"b","price":19.99})", R"({"id":"c","price":1.1})", R"({"id":"d","price":-0.3})"});
  EXPECT_EQ(lines("SELECT id FROM o WHERE price = 19.99"), Lines{"b"});
  EXPECT_EQ(lines("SELECT id FROM o WHERE price < 0.10 ORDER BY id"), Lines{"d"});
  EXPECT_EQ(lines("SELECT id FROM o WHERE price IN (0.1, 1.1, 7.123) ORDER BY id"), (Lines{"a", "c"}));
  EXPECT_EQ(lines("SELECT id FROM o WHERE price BETWEEN 0.1 AND 1.1 ORDER BY id"), (Lines{"a", "c"}));
  EXPECT_EQ(lines("SELECT id FROM o WHERE price = -0.30"), Lines{"d"});
  EXPECT_EQ(lines("SELECT CASE price WHEN 1.1 THEN 'x' ELSE 'y' END AS c FROM o WHERE id = 'c'"), Lines{"x"});
}

TEST_F(EngineTest, ANullInAUnionTakesTheTypeOfTheOtherSide) {
  run(kHits);
  append("hits", {R"({"page":"a","ts":5})"});
  EXPECT_EQ(lines("SELECT ts FROM hits UNION ALL SELECT NULL FROM hits"), (Lines{"1970-01-01T00:00:00.005Z", "NULL"}));
  EXPECT_EQ(lines("SELECT NULL AS n FROM hits UNION ALL SELECT NULL FROM hits"), (Lines{"NULL", "NULL"}));
  // The type stays open until a member gives more than NULL, and a NULL with a type keeps it.
  EXPECT_EQ(lines("SELECT length(CAST(NULL AS TEXT)) AS n FROM hits UNION SELECT CAST(NULL AS BIGINT) FROM hits "
                  "UNION SELECT sign(-5) FROM hits ORDER BY n"),
            (Lines{"-1", "NULL"}));
  EXPECT_EQ(lines("SELECT NULL AS n FROM hits UNION SELECT NULL FROM hits UNION ALL SELECT ts FROM hits"),
            (Lines{"1970-01-01T00:00:00.005Z", "NULL"}));
  EXPECT_EQ(lines("SELECT CAST(NULL AS TEXT) AS n FROM hits UNION SELECT CAST(NULL AS BIGINT) FROM hits"), Lines{"NULL"});
}

TEST_F(EngineTest, WhatExpressionsCannotComputeIsCountedOnceAnEvent) {
  run("CREATE STREAM c (a BIGINT, b TEXT)");
  run("CREATE VIEW av AS SELECT _offset AS o, 1 / a AS z, a + 1 AS y, b::BIGINT AS x FROM c");
  run("CREATE VIEW sums AS SELECT b, sum(a % 0) AS s FROM c WHERE a + 1 > 0 OR TRUE GROUP BY b");
  append("c", {R"({"a":1,"b":"x"})", R"({"a":9223372036854775807,"b":"12"})", R"({"a":0,"b":"7"})"}, 1);
  EXPECT_EQ(lines("SELECT z, y, x FROM av ORDER BY o"), (Lines{"1|2|NULL", "0|NULL|12", "NULL|1|7"}));
  EXPECT_EQ(status("av").expression_failures, 3U);
  static_cast<void>(lines("SELECT * FROM sums"));
  EXPECT_EQ(status("sums").expression_failures, 4U);  // a % 0 of three events, a + 1 of one.
  restart();
  EXPECT_EQ(status("av").expression_failures, 3U);
  append("c", {R"({"a":0,"b":"z"})"});
  static_cast<void>(lines("SELECT * FROM av"));
  EXPECT_EQ(status("av").expression_failures, 5U);
}

TEST_F(EngineTest, ConversionFailuresAreCountedByColumn) {
  run(kHits);
  run(kByPage);
  append("hits", {R"({"page":1,"ms":"x","ts":5})", R"({"page":"/a","ms":3.5})", R"({"page":null,"ms":4,"ts":"no"})"}, 1);
  EXPECT_EQ(lines("SELECT page, n, total FROM by_page ORDER BY page"), (Lines{"/a|1|NULL", "NULL|2|4"}));
  const Lines expected{"hits|hits|4|ms: 2, page: 1, ts: 1|0|NULL|NULL"};
  EXPECT_EQ(lines("SHOW STREAMS"), expected);
  EXPECT_EQ(status("by_page").conversion_failures, 4U);
  restart();
  EXPECT_EQ(lines("SHOW STREAMS"), expected);
}

TEST_F(EngineTest, PseudoColumnsAreOfTheLog) {
  run("CREATE STREAM hits (ms BIGINT)");
  append("other", hits(0, 3));
  const auto first = log_->durable_end().value();
  ASSERT_TRUE(kappa::test::append_batch(*log_, "hits", std::vector<std::string>{R"({"ms":1})", R"({"ms":2})"}, "k"));
  ASSERT_TRUE(kappa::test::append_batch(*log_, "hits", std::vector<std::string>{R"({"ms":3})"}));
  EXPECT_EQ(lines("SELECT _offset, _seq, _key, ms, _append_time IS NULL AS t FROM hits"),
            (Lines{std::to_string(first) + "|0|k|1|false", std::to_string(first + 1) + "|1|k|2|false",
                   std::to_string(first + 2) + "|2|NULL|3|false"}));
}

TEST_F(EngineTest, StreamsAreReadUpToAnOffset) {
  run(kHits);
  append("hits", hits(0, 100), 9);
  const std::uint64_t base = log_->durable_end().value() - 100;
  for (const std::uint64_t events : {0U, 1U, 8U, 9U, 10U, 55U, 100U}) {
    EXPECT_EQ(lines("SELECT count(*) AS n FROM hits AS OF OFFSET " + std::to_string(base + events)),
              Lines{std::to_string(events)});
  }
  EXPECT_EQ(lines("SELECT count(*) AS n FROM hits AS OF OFFSET 999999"), Lines{"100"});
  EXPECT_EQ(run("SELECT page FROM hits WHERE ms > 97 LIMIT 5").rows.size(), 2U);
  EXPECT_EQ(run("SELECT page FROM hits LIMIT 5").rows.size(), 5U);
  EXPECT_EQ(lines("SELECT 1 + 2 AS three, 'x' AS x"), Lines{"3|x"});
}

TEST_F(EngineTest, AViewWithoutGroupsHasARowPerEvent) {
  run(kHits);
  run("CREATE MATERIALIZED VIEW slow AS SELECT page, ms FROM hits WHERE ms >= 98");
  append("hits", hits(0, 1000), 13);
  EXPECT_EQ(run("SELECT * FROM slow").rows.size(), 20U);
  EXPECT_EQ(status("slow").rows, 20U);
}

TEST_F(EngineTest, AGlobalAggregateHasItsRowBeforeAnyEvent) {
  run(kHits);
  run("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(ms) AS s FROM hits");
  EXPECT_EQ(lines("SELECT * FROM total"), Lines{"0|NULL"});
  restart();
  EXPECT_EQ(lines("SELECT * FROM total"), Lines{"0|NULL"});
}

TEST_F(EngineTest, KeyRangesGiveWhatAFullReadGives) {
  run(kHits);
  run("CREATE MATERIALIZED VIEW v AS SELECT page, ms, count(*) AS n FROM hits GROUP BY page, ms");
  append("hits", hits(0, 2000));
  // The left form can use the key order, the right one hides the column from it.
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"page = '/p3'", "page || '' = '/p3'"},
      {"page = '/p3' AND ms > 40", "page || '' = '/p3' AND ms + 0 > 40"},
      {"page = '/p3' AND ms >= 40 AND ms < 60", "page || '' = '/p3' AND ms + 0 >= 40 AND ms + 0 < 60"},
      {"'/p3' = page AND 40 > ms", "page || '' = '/p3' AND ms + 0 < 40"},
      {"page > '/p3'", "page || '' > '/p3'"},
      {"page <= '/p3'", "page || '' <= '/p3'"},
      {"page LIKE '/p%'", "page || '' LIKE '/p%'"},
      {"page LIKE '/p4'", "page || '' LIKE '/p4'"},
      {"page LIKE '%4'", "page || '' LIKE '%4'"},
      {"page LIKE '/_4'", "page || '' LIKE '/_4'"},
      {"page > '/p5' AND page < '/p2'", "page || '' > '/p5' AND page || '' < '/p2'"},
      {"page = '/p3' AND ms = 10.0", "page || '' = '/p3' AND ms + 0 = 10.0"},
      {"ms = 10", "ms + 0 = 10"},
      {"page IS NULL", "page || '' IS NULL"},
      {"page = '/p3' OR page = '/p5'", "page || '' = '/p3' OR page || '' = '/p5'"},
  };
  for (const auto& [fast, slow] : pairs) {
    EXPECT_EQ(lines("SELECT * FROM v WHERE " + fast + " ORDER BY page, ms"),
              lines("SELECT * FROM v WHERE " + slow + " ORDER BY page, ms"))
        << fast;
  }
}

TEST_F(EngineTest, AReadOnlyEngineAnswersFromWhatIsCommitted) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 100));
  const Lines before = view_answer();
  engine_.reset();
  append("hits", hits(100, 200));
  options_.read_only = true;
  auto engine = Engine::open(options_, *log_);
  ASSERT_TRUE(engine) << to_string(engine.error());
  engine_ = std::move(*engine);
  const auto answer = execute("SELECT * FROM by_page ORDER BY page", Freshness{});
  ASSERT_TRUE(answer) << to_string(answer.error());
  EXPECT_EQ(texts_of(answer->rows), before);
  EXPECT_EQ(status("by_page").lag_events, 100U);
  EXPECT_EQ(execute("SELECT * FROM by_page").error().code, ErrorCode::kTimeout);
  EXPECT_EQ(execute("DROP MATERIALIZED VIEW by_page").error().code, ErrorCode::kReadOnly);
}

TEST_F(EngineTest, ACancelledQueryEnds) {
  run(kHits);
  run(kByPage);
  append("hits", hits(0, 100));
  Answer answer;
  Collect sink(answer);
  const std::atomic<bool> cancelled{true};
  EXPECT_EQ(engine_->execute("SELECT count(*) FROM hits", {}, sink, cancelled).error().number, 4008);
  EXPECT_EQ(engine_->execute("SELECT * FROM by_page", {}, sink, cancelled).error().number, 4008);
}

TEST_F(EngineTest, SmallOverlaysCommitOften) {
  close();
  options_.memory_bytes = 16384;
  open();
  run(kHits);
  run("CREATE MATERIALIZED VIEW v AS SELECT ts, count(*) AS n FROM hits GROUP BY ts");
  append("hits", hits(0, 20'000), 500);
  EXPECT_EQ(lines("SELECT count(*) AS n FROM v"), Lines{"20000"});
  EXPECT_EQ(status("v").rows, 20'000U);
  restart();
  EXPECT_EQ(lines("SELECT count(*) AS n FROM v"), Lines{"20000"});
}

}  // namespace
}  // namespace kappa::processor::test
