// Goal: an event that is not of its stream's types enters no view of it, is among the stream's dead letters
// exactly once with the reason and its bytes, and stops nobody; whatever the batches, restarts and replays.
// Method: streams with on_error = 'dead_letter' beside ones without over the same topic; random events
// against a model in this file, in random batches, with restarts and with the states deleted; the shared bad
// lines as raw events where they are there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "processor/set_aside.h"
#include "processor/vector/json_decode.h"
#include "tests/processor/engine/engine_fixture.h"
#include "tests/support/seed.h"

namespace kappa::processor::test {
namespace {

class DeadLetters : public EngineFixture {
 protected:
  // "offset|reason" of a stream's letters.
  Lines reasons(const std::string& stream) {
    Lines found;
    for (const Row& row : run("SHOW DEAD LETTERS FROM " + stream).rows) {
      found.push_back(display(row[1]) + "|" + display(row[2]));
    }
    return found;
  }
  StreamStatus stream(std::string_view name) {
    for (StreamStatus& one : engine_->streams()) {
      if (one.name == name) return one;
    }
    ADD_FAILURE() << "no stream " << name;
    return {};
  }
  // Appends an event as `kappa dead retry` does.
  void append_retry(const std::string& topic, const std::string& value, std::uint64_t of) {
    const auto id = log_->ensure_topic(topic);
    ASSERT_TRUE(id);
    const std::string offset = std::to_string(of);
    const std::vector<RecordHeader> headers{{"other", "x"}, {kRetryHeader, offset}};
    BatchBuilder builder;
    BatchBuilder::Event event;
    event.value = value;
    event.headers = headers;
    ASSERT_TRUE(builder.add(event));
    log::AppendBatch batch;
    batch.topic = *id;
    batch.count = 1;
    batch.body = builder.take();
    batch.uncompressed_length = static_cast<std::uint32_t>(batch.body.size());
    ASSERT_TRUE(log_->append(std::move(batch)));
  }
  std::uint64_t next_offset() const { return log_->durable_end().value(); }
};

TEST_F(DeadLetters, AnEventWithAWrongValueIsSetAsideWithReasonAndBytes) {
  run("CREATE STREAM strict (page TEXT, ms BIGINT, ts TIMESTAMP) WITH (topic = 'hits', event_time = 'ts', "
      "on_error = 'dead_letter')");
  run("CREATE STREAM lenient (page TEXT, ms BIGINT, ts TIMESTAMP) WITH (topic = 'hits')");
  // Neither reads `ts`: what a view reads does not matter.
  run("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM strict GROUP BY page");
  run("CREATE MATERIALIZED VIEW w AS SELECT page, count(*) AS n FROM lenient GROUP BY page");
  const std::uint64_t first = next_offset();
  append("hits", {R"({"page":"a","ms":1,"ts":5})", R"({"page":"a","ms":"x","ts":6})", R"({"page":"a","ts":"no"})",
                  "[1,2]", R"({"page":"b","ms":null})", "{\"page\":\"\xff\"}", R"({"page":{"x":1.5},"ms":2.5})"}, 3);
  EXPECT_EQ(lines("SELECT page, n FROM v ORDER BY page"), (Lines{"a|1", "b|1"}));
  EXPECT_EQ(lines("SELECT page, n FROM w ORDER BY page"), (Lines{"a|3", "b|1", "NULL|1"}));
  EXPECT_EQ(lines("SELECT count(*) AS n FROM strict"), Lines{"2"});
  const auto at = [&](int i) { return std::to_string(first + static_cast<std::uint64_t>(i)); };
  const Answer letters = run("SHOW DEAD LETTERS");
  ASSERT_EQ(letters.rows.size(), 5U);
  EXPECT_EQ(reasons("strict"),
            (Lines{at(1) + "|column \"ms\": \"x\" is not of type BIGINT",
                   at(2) + "|column \"ts\": \"no\" is not of type TIMESTAMP",
                   at(3) + "|" + validate_json_event("[1,2]").error().message,
                   at(5) + "|" + validate_json_event("{\"page\":\"\xff\"}").error().message,
                   at(6) + "|column \"page\": {\"x\":1.5} is not of type TEXT; column \"ms\": 2.5 is not of type BIGINT"}));
  EXPECT_EQ(display(letters.rows[0][3]), R"({"page":"a","ms":"x","ts":6})");
  EXPECT_EQ(display(letters.rows[2][3]), "[1,2]");
  EXPECT_TRUE(letters.rows[3][3].is_null());
  EXPECT_EQ(display(letters.rows[3][4]), "eyJwYWdlIjoi/yJ9");
  EXPECT_EQ(stream("strict").dead_letters, 5U);
  EXPECT_EQ(stream("strict").poison, 2U);
  EXPECT_EQ(stream("lenient").dead_letters, std::nullopt);
  EXPECT_EQ(lines("SHOW STREAMS"), (Lines{"lenient|hits|3|page: 1|2|NULL|NULL", "strict|hits|3|page: 1|2|5|NULL"}));
}

TEST_F(DeadLetters, WhereDecidesWhoseEventItIs) {
  run("CREATE STREAM bid (price BIGINT PATH '$.bid.price', note TEXT) WITH (topic = 'x', on_error = 'dead_letter') "
      "WHERE event_type = 2 AND (price > 10 OR price IS NULL)");
  const std::uint64_t first = next_offset();
  append("x", {R"({"event_type":1,"bid":{"price":"no"}})",    // Another stream's, whatever its price is.
               R"({"event_type":2,"bid":{"price":"no"}})",    // It would depend on the price.
               R"({"event_type":2,"bid":{"price":5},"note":1})",   // WHERE says no, and not because of the note.
               R"({"event_type":2,"bid":{"price":50},"note":1})",
               R"({"bid":{"price":"no"}})",                   // The type is not known to be 2.
               R"({"event_type":2,"bid":{"price":50}})"}, 1);
  const auto at = [&](int i) { return std::to_string(first + static_cast<std::uint64_t>(i)); };
  EXPECT_EQ(reasons("bid"), (Lines{at(1) + "|column \"price\": \"no\" is not of type BIGINT",
                                   at(3) + "|column \"note\": 1 is not of type TEXT"}));
  EXPECT_EQ(lines("SELECT price FROM bid"), Lines{"50"});
}

TEST_F(DeadLetters, AreTheSameForEveryBatchingRestartAndReplay) {
  const std::uint64_t seed = kappa::test::new_seed();
  std::mt19937_64 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const auto below = [&](std::size_t n) { return random() % n; };
  run("CREATE STREAM s (a BIGINT, b TEXT) WITH (on_error = 'dead_letter') WHERE kind <> 'skip'");
  run("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(a) AS a FROM s");
  Lines expected;
  std::uint64_t kept = 0, sum = 0;
  for (int round = 0; round < 12; ++round) {
    std::vector<std::string> values;
    std::uint64_t offset = next_offset();
    for (std::size_t i = 0; i < 1 + below(700); ++i, ++offset) {
      const std::uint64_t a = below(1000);
      const bool skip = below(4) == 0;
      const std::string kind = skip ? R"(,"kind":"skip"})" : R"(,"kind":"k"})";
      switch (below(8)) {
        case 0:
          values.push_back("{\"a\":" + std::to_string(a));
          expected.push_back(std::to_string(offset) + "|" + validate_json_event(values.back()).error().message);
          break;
        case 1:
          values.push_back(R"({"a":")" + std::to_string(a) + "\"" + kind);
          if (!skip) {
            expected.push_back(std::to_string(offset) + "|column \"a\": \"" + std::to_string(a) +
                               "\" is not of type BIGINT");
          }
          break;
        case 2:
          values.push_back(R"({"b":false,"a":)" + std::to_string(a) + kind);
          if (!skip) expected.push_back(std::to_string(offset) + "|column \"b\": false is not of type TEXT");
          break;
        default:
          values.push_back(R"({"b":"t","a":)" + std::to_string(a) + kind);
          if (!skip) ++kept, sum += a;
      }
    }
    append("s", values, 1 + below(600));
    switch (below(4)) {
      case 0: restart(); break;
      case 1:
        close();
        std::filesystem::remove_all(options_.directory);
        open();
        break;
      case 2:
        run("DROP MATERIALIZED VIEW total");
        run("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(a) AS a FROM s");
        break;
      default: break;
    }
    ASSERT_EQ(reasons("s"), expected) << round;
    ASSERT_EQ(lines("SELECT n, a FROM total"), Lines{std::to_string(kept) + "|" + std::to_string(sum)}) << round;
    ASSERT_EQ(stream("s").dead_letters, expected.size());
  }
}

TEST_F(DeadLetters, ARetryIsRememberedByTheLogAlone) {
  run("CREATE STREAM s (a BIGINT) WITH (on_error = 'dead_letter')");
  run("CREATE MATERIALIZED VIEW total AS SELECT sum(a) AS a FROM s");
  const std::uint64_t first = next_offset();
  append("s", {R"({"a":"1"})", R"({"a":"2"})", R"({"a":10})"}, 1);
  append_retry("s", R"({"a":1})", first);          // Corrected.
  append_retry("s", R"({"a":"two"})", first + 1);  // Wrong again.
  const auto at = [&](std::uint64_t i) { return std::to_string(first + i); };
  const auto expect = [&] {
    Lines found;
    for (const Row& row : run("SHOW DEAD LETTERS FROM s").rows) {
      found.push_back(display(row[1]) + "|" + display(row[6]) + "|" + display(row[7]));
    }
    EXPECT_EQ(found, (Lines{at(0) + "|NULL|" + at(3), at(1) + "|NULL|" + at(4), at(4) + "|" + at(1) + "|NULL"}));
    EXPECT_EQ(stream("s").dead_letters, 3U);
    EXPECT_EQ(lines("SELECT a FROM total"), Lines{"11"});
  };
  expect();
  restart();
  expect();
  close();
  std::filesystem::remove_all(options_.directory);
  open();
  expect();
}

TEST_F(DeadLetters, GoWithTheStreamAndComeWithTheNext) {
  run("CREATE STREAM s (a BIGINT) WITH (topic = 't', on_error = 'dead_letter')");
  append("t", {R"({"a":"x"})"});
  EXPECT_EQ(reasons("s").size(), 1U);
  const auto states = [&] {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(options_.directory)) ++count;
    return count;
  };
  EXPECT_EQ(states(), 1U);
  run("DROP STREAM s");
  EXPECT_EQ(states(), 0U);
  EXPECT_EQ(refusal("SHOW DEAD LETTERS FROM s").number, 2003);
  EXPECT_TRUE(run("SHOW DEAD LETTERS").rows.empty());
  // A definition that takes the value has it in its views at once: nothing needs to be appended again.
  run("CREATE STREAM s (a TEXT) WITH (topic = 't', on_error = 'dead_letter')");
  EXPECT_TRUE(reasons("s").empty());
  EXPECT_EQ(lines("SELECT a FROM s"), Lines{"x"});
  run("CREATE STREAM plain (a BIGINT) WITH (topic = 't')");
  const Error none = refusal("SHOW DEAD LETTERS FROM plain");
  EXPECT_EQ(none.number, 2003);
  EXPECT_NE(none.hint.find("on_error"), std::string::npos) << none.hint;
  restart();
  EXPECT_EQ(states(), 1U);
  close();
  const ViewsReport report = verify();
  EXPECT_TRUE(report.damage.empty() && report.warnings.empty());
  EXPECT_EQ(report.views, 1U);
  open();
}

// Every shared bad line as a raw event: exactly those that are not JSON objects are letters.
TEST_F(DeadLetters, BadLinesNeitherStopAViewNorVanish) {
  const char* shared = std::getenv("KAPPA_SHARED");
  const std::filesystem::path file =
      std::filesystem::path(shared != nullptr ? shared : KAPPA_SOURCE_DIRECTORY "/../shared") / "bad-input/lines.bin";
  std::ifstream in(file, std::ios::binary);
  if (!in) GTEST_SKIP() << file << " is not there";
  std::vector<std::string> events;
  for (std::string line; std::getline(in, line);) {
    if (line.size() < limits::kEventBytesMax) events.push_back(line);
  }
  ASSERT_GT(events.size(), 50U);
  run("CREATE STREAM s (zz_no_such_member BIGINT) WITH (on_error = 'dead_letter')");
  run("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM s");
  const std::uint64_t first = next_offset();
  append("s", events, 7);
  append("s", {R"({"last":1})"});
  Lines expected;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Status valid = validate_json_event(events[i]);
    if (!valid) expected.push_back(std::to_string(first + i) + "|" + valid.error().message);
  }
  EXPECT_EQ(reasons("s"), expected);
  EXPECT_EQ(lines("SELECT n FROM n"), Lines{std::to_string(events.size() + 1 - expected.size())});
  EXPECT_EQ(status("n").poison, expected.size());
}

}  // namespace
}  // namespace kappa::processor::test
