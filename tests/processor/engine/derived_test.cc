// Goal: a derived stream writes each of its events once, in order, with an identity that follows from the log
// alone; whatever the batches, restarts, lost states and refusals of the log.
// Method: random events against a model in this file that knows nothing of operators; the topic's events (value,
// key, timestamp, source, ordinal, number) are read back from the log. Restarts of the engine and of the log,
// states deleted, an older state put back, a log that is full for a while. The power cuts are crash_derived_test.cc's.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "processor/derived_writer.h"
#include "tests/log/forwarding_files.h"
#include "tests/processor/engine/derived_model.h"
#include "tests/processor/engine/engine_fixture.h"
#include "tests/support/seed.h"

namespace kappa::processor::test {
namespace {

constexpr const char* kAuth = "CREATE STREAM auth (card TEXT, ts TIMESTAMP) WITH (event_time = 'ts')";
constexpr const char* kAlerts =
    "CREATE STREAM alerts AS SELECT card, window_start, count(*) AS tries FROM auth "
    "GROUP BY card, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(*) > 3 EMIT ON WINDOW CLOSE";
constexpr const char* kChanges = "CREATE STREAM changes AS SELECT card, count(*) AS n FROM auth GROUP BY card EMIT CHANGES";
constexpr const char* kPassed =
    "CREATE STREAM passed WITH (event_time = 'ts') AS SELECT card, ts FROM auth WHERE card <> 'c1' EMIT CHANGES";

class Derived : public EngineFixture {
 protected:
  void SetUp() override {
    options_.commit_interval_ms = 10;
    EngineFixture::SetUp();
  }
  Lines written(std::string_view topic) { return derived_events(*log_, topic); }
  // Everything that follows from the events so far is written.
  void settle() {
    for (const char* name : {"alerts", "changes", "passed"}) {
      if (!log_->find_topic(name)) continue;
      run(std::string("SELECT count(*) FROM ") + name);
    }
  }
};

TEST_F(Derived, TheAlertsExampleWorksEndToEnd) {
  run(kAuth);
  run(kAlerts);
  run("CREATE MATERIALIZED VIEW per_card AS SELECT card, sum(tries) AS tries FROM alerts GROUP BY card");
  append("auth", {R"({"card":"a","ts":0})", R"({"card":"a","ts":1000})", R"({"card":"a","ts":2000})",
                  R"({"card":"a","ts":4999})", R"({"card":"b","ts":4000})"});
  EXPECT_TRUE(lines("SELECT * FROM alerts").empty());
  append("auth", {R"({"card":"b","ts":5000})"});
  const auto source = log_->durable_end().value() - 1;
  EXPECT_EQ(lines("SELECT * FROM alerts"), Lines{"a|1970-01-01T00:00:00Z|4"});
  EXPECT_EQ(written("alerts"),
            Lines{R"({"card":"a","window_start":"1970-01-01T00:00:00Z","tries":4} a 5000000 )" + std::to_string(source) + "/0/0"});
  // Fresh means also what came over a derived stream.
  EXPECT_EQ(lines("SELECT * FROM per_card"), Lines{"a|4"});
  // Too late for a window that was given.
  append("auth", {R"({"card":"a","ts":3000})"});
  EXPECT_EQ(written("alerts").size(), 1U);
}

TEST_F(Derived, EventsAreThoseOfTheModelHoweverTheyCame) {
  const std::uint64_t seed = kappa::test::new_seed();
  std::mt19937_64 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  run(kAuth);
  run(kAlerts);
  run(kChanges);
  run(kPassed);
  AuthModel model;
  for (int round = 0; round < 14; ++round) {
    const auto events = random_auth(random, 1 + random() % 900);
    append("auth", events, 1 + random() % 300);
    if (random() % 2 == 0) settle();
    switch (random() % 6) {
      case 0: restart(); break;
      case 1:
        engine_.reset();
        open_engine();
        break;
      case 2:
        close();
        std::filesystem::remove_all(options_.directory);
        open();
        break;
      default: break;
    }
  }
  settle();
  model.take(*log_, "auth");
  EXPECT_GT(model.alerts().size(), 20U);
  EXPECT_EQ(written("alerts"), model.alerts());
  EXPECT_EQ(written("changes"), model.changes());
  EXPECT_EQ(written("passed"), model.passed());
}

// A copy of the states from before more events were written is put back, as a restored backup of views/ is.
TEST_F(Derived, AnOlderStateWritesNothingTwice) {
  std::mt19937_64 random(7);
  run(kAuth);
  run(kAlerts);
  run(kChanges);
  append("auth", random_auth(random, 500), 7);
  settle();
  close();
  const auto old = directory_ / "old";
  std::filesystem::copy(options_.directory, old, std::filesystem::copy_options::recursive);
  open();
  append("auth", random_auth(random, 500), 7);
  settle();
  close();
  std::filesystem::remove_all(options_.directory);
  std::filesystem::rename(old, options_.directory);
  open();
  append("auth", random_auth(random, 100), 7);
  settle();
  AuthModel model;
  model.take(*log_, "auth");
  EXPECT_EQ(written("alerts"), model.alerts());
  EXPECT_EQ(written("changes"), model.changes());
}

// A disk whose free space is a number.
class Room final : public log::ForwardingFiles {
 public:
  Expected<log::DiskSpace> disk_space(const std::filesystem::path&) override {
    return log::DiskSpace{free.load(), std::uint64_t{1} << 40};
  }
  std::atomic<std::uint64_t> free{std::uint64_t{1} << 39};
};

TEST_F(Derived, AFullLogMakesItWaitAndNothingIsLost) {
  Room room;
  close();
  log_options_.files = &room;
  log_options_.segment_bytes = limits::kSegmentBytesMin;
  log_options_.disk_reserve_bytes = 1'000'000;
  open();
  run(kAuth);
  run(kAlerts);
  run(kChanges);
  run(kPassed);
  run("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM auth");
  engine_.reset();
  std::mt19937_64 random(11);
  const auto events = random_auth(random, 3000);
  append("auth", events, 50);
  const Offset end = log_->durable_end();
  room.free = 999'999;
  // The log looks how much room there is now and then.
  const std::vector<std::string> filler{"{}"};
  until([&] { return !kappa::test::append_events(*log_, "filler", filler, 1); });
  open_engine();
  until([&] { return status("changes").state == "full" && status("passed").state == "full"; });
  EXPECT_NE(status("changes").error.find("K3004"), std::string::npos) << status("changes").error;
  // Others are not kept waiting.
  until([&] { return status("n").applied >= end; });
  // A restart while it is full.
  engine_.reset();
  open_engine();
  until([&] { return status("changes").state == "full"; });
  EXPECT_EQ(status("changes").rebuilt, "");
  room.free = std::uint64_t{1} << 39;
  settle();
  AuthModel model;
  model.take(*log_, "auth");
  EXPECT_EQ(written("alerts"), model.alerts());
  EXPECT_EQ(written("changes"), model.changes());
  EXPECT_EQ(written("passed"), model.passed());
  EXPECT_EQ(status("changes").state, "live");
  close();
  log_options_.files = nullptr;
  open();
}

// The stored count of events tells, not the producer table, which forgets who has not written for long.
TEST_F(Derived, AProducerThatTheLogForgotWritesNothingTwice) {
  // Each segment begins with the table of producers: few segments.
  close();
  log_options_.segment_bytes = std::size_t{16} << 20;
  open();
  run(kAuth);
  run(kChanges);
  append("auth", {R"({"card":"a","ts":0})", R"({"card":"b","ts":1})", R"({"card":"a","ts":2})"});
  settle();
  ASSERT_EQ(written("changes").size(), 3U);
  // Others of the topic and of other topics.
  const TopicId changes = log_->find_topic("changes")->id;
  const TopicId other = *log_->ensure_topic("other");
  BatchBuilder builder;
  BatchBuilder::Event event;
  event.value = "{}";
  ASSERT_TRUE(builder.add(event));
  const std::string body = builder.take();
  std::atomic<std::size_t> done{0};
  const std::size_t others = limits::kProducersMax + 10;
  for (std::size_t i = 0; i < others; ++i) {
    log::AppendBatch batch;
    batch.topic = i % 1000 == 0 ? changes : other;
    batch.count = 1;
    batch.body = body;
    batch.uncompressed_length = static_cast<std::uint32_t>(body.size());
    batch.producer_id = ProducerId(1'000'000 + i);
    log_->submit(std::move(batch), [&](const Expected<log::AppendAck>& ack) {
      EXPECT_TRUE(ack);
      ++done;
    });
    if (i % 1000 == 999) {
      log_->pump();
      until([&] { return done == i + 1; });
    }
  }
  log_->pump();
  until([&] { return done == others; });
  for (int round = 0; round < 2; ++round) {
    close();
    if (round == 1) std::filesystem::remove_all(options_.directory);
    open();
    append("auth", {R"({"card":"a","ts":3})"});
    settle();
  }
  Lines numbers;
  for (const std::string& line : written("changes")) {
    if (line.ends_with("/-")) continue;  // Of the others.
    numbers.push_back(line.substr(line.rfind('/') + 1));
  }
  EXPECT_EQ(numbers, (Lines{"0", "1", "2", "3", "4"}));
}

// An event exactly the gap behind a session belongs to it: at a watermark of that time the session is still open.
TEST_F(Derived, ASessionIsOpenUntilTheWatermarkIsPastItsEnd) {
  run("CREATE STREAM e (ts TIMESTAMP, k TEXT) WITH (event_time = 'ts')");
  run("CREATE STREAM sessions AS SELECT k, window_start, window_end, count(*) AS c FROM e "
      "GROUP BY k, SESSION(ts, INTERVAL '2 seconds') EMIT ON WINDOW CLOSE");
  append("e", {R"({"ts":0,"k":"a"})", R"({"ts":2000,"k":"b"})", R"({"ts":2000,"k":"a"})", R"({"ts":9000,"k":"c"})"}, 1);
  EXPECT_EQ(lines("SELECT k, c FROM sessions ORDER BY k"), (Lines{"a|2", "b|1"}));
  // What comes for a session that was closed is counted and shown.
  append("e", {R"({"ts":1,"k":"a"})"});
  EXPECT_EQ(lines("SELECT k, c FROM sessions ORDER BY k"), (Lines{"a|2", "b|1"}));
  until([&] { return lines("SHOW STREAMS").back() == "sessions|sessions|4||0|NULL|1"; });
}

TEST_F(Derived, IntervalsAndTimesComeBackAsTheyWere) {
  run("CREATE STREAM e (ts TIMESTAMP, k TEXT) WITH (event_time = 'ts')");
  run("CREATE STREAM ages AS SELECT k, ts, ts - TIMESTAMP '2024-01-03' AS age FROM e");
  append("e", {R"({"ts":"2024-01-01T20:00:00Z","k":"a"})", R"({"ts":1704139200000000,"k":"micros"})", R"({"ts":-99999999999999,"k":"old"})"});
  EXPECT_EQ(lines("SELECT k, ts, age FROM ages ORDER BY k"), lines("SELECT k, ts, ts - TIMESTAMP '2024-01-03' AS age FROM e ORDER BY k"));
}

TEST_F(Derived, TimesAtBothEndsOfWhatCanBeAreWritten) {
  run("CREATE STREAM far (id BIGINT, ts TIMESTAMP) WITH (event_time = 'ts')");
  run("CREATE STREAM windows AS SELECT id, window_start, count(*) AS n FROM far GROUP BY id, TUMBLE(ts, INTERVAL '1 second') "
      "EMIT CHANGES");
  // Epoch milliseconds. The events carry the ends of the windows, further apart than a batch can say.
  append("far", {R"({"id":1,"ts":9223372036852000})", R"({"id":2,"ts":-9223372036854000})", R"({"id":3,"ts":9223372036852000})"});
  settle();
  until([&] { return status("windows").state == "live"; });
  EXPECT_EQ(lines("SELECT id, n FROM windows ORDER BY id"), (Lines{"1|1", "2|1", "3|1"}));
  EXPECT_EQ(written("windows").size(), 3U);
}

TEST_F(Derived, ADroppedStreamLeavesItsEventsAndItsTopicIsNotTakenAgain) {
  run(kAuth);
  run(kChanges);
  append("auth", {R"({"card":"a","ts":0})"});
  settle();
  run("DROP STREAM changes");
  EXPECT_EQ(written("changes").size(), 1U);
  EXPECT_EQ(refusal(kChanges).number, 2010);
  run("CREATE STREAM changes WITH (topic = 'changes2') AS SELECT card, count(*) AS n FROM auth GROUP BY card EMIT CHANGES");
  EXPECT_EQ(lines("SELECT * FROM changes"), Lines{"a|1"});
  EXPECT_EQ(written("changes2").size(), 1U);
  // A topic that is dropped begins anew.
  run("DROP STREAM changes");
  run("DROP TOPIC changes");
  run(kChanges);
  append("auth", {R"({"card":"a","ts":1})"});
  settle();
  EXPECT_EQ(written("changes").size(), 2U);
}

TEST_F(Derived, CyclesAreRefused) {
  run("CREATE STREAM a (n BIGINT) WITH (topic = 'ta')");
  EXPECT_EQ(refusal("CREATE STREAM b WITH (topic = 'ta') AS SELECT n FROM a EMIT CHANGES").number, 2005);
  run("CREATE STREAM b WITH (topic = 'tb') AS SELECT n FROM a EMIT CHANGES");
  run("CREATE STREAM c WITH (topic = 'tc') AS SELECT n FROM b EMIT CHANGES");
  run("CREATE STREAM x (n BIGINT) WITH (topic = 'tx')");
  // tx feeds ta's other reading; writing to ta's source from c would close the circle.
  run("CREATE STREAM d WITH (topic = 'td') AS SELECT n FROM x EMIT CHANGES");
  const Error cycle = refusal("CREATE STREAM e WITH (topic = 'ta') AS SELECT n FROM c EMIT CHANGES");
  EXPECT_EQ(cycle.number, 2010) << to_string(cycle);
  EXPECT_NE(cycle.message.find("come back"), std::string::npos) << cycle.message;
  EXPECT_EQ(refusal("CREATE STREAM f WITH (topic = 'tc') AS SELECT n FROM x EMIT CHANGES").number, 2010);
  append("ta", {R"({"n":1})"});
  append("tx", {R"({"n":2})"});
  EXPECT_EQ(lines("SELECT n FROM c"), Lines{"1"});
}

TEST_F(Derived, ChainsAndUpdatesAreWrittenInOrder) {
  run("CREATE STREAM s (k TEXT, v BIGINT)");
  run("CREATE STREAM sums AS SELECT k, sum(v) AS total, count(*) AS n FROM s GROUP BY k HAVING sum(v) > 10 EMIT CHANGES");
  run("CREATE STREAM big AS SELECT k, total FROM sums WHERE total > 100 EMIT CHANGES");
  run("CREATE MATERIALIZED VIEW latest AS SELECT k, max(total) AS total FROM big GROUP BY k");
  append("s", {R"({"k":"a","v":6})", R"({"k":"a","v":6})", R"({"k":"b","v":200})", R"({"k":"b","v":0})",
               R"({"k":"a","v":-5})", R"({"k":"a","v":100})"}, 2);
  EXPECT_EQ(lines("SELECT k, total, n FROM sums"),
            (Lines{"a|12|2", "b|200|1", "b|200|2", "a|107|4"}));
  EXPECT_EQ(lines("SELECT * FROM latest ORDER BY k"), (Lines{"a|107", "b|200"}));
}

}  // namespace
}  // namespace kappa::processor::test
