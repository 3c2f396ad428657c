// Goal: views and space. A view keeps what it has not committed from retention; one that the log can no
// longer make anew says so and is never quietly wrong; one without room to commit is full, answers, and goes
// on by itself. Method: a log of small segments with retention; states with too small a map; directories
// deleted while the engine is down. What must become true is polled for, without a clock.
#include <gtest/gtest.h>

#include <thread>

#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

class Space : public EngineFixture {
 protected:
  void SetUp() override {
    log_options_.segment_bytes = 64 << 10;
    log_options_.prepared_segments = 1;
    options_.commit_interval_ms = 10;
    open();
    run("CREATE STREAM hits (page TEXT, n BIGINT)");
  }
  void open(bool retain = true) {
    EngineFixture::open();
    if (retain) log_->begin_retention();
  }
  void append(int count) {
    std::vector<std::string> events;
    for (int i = 0; i < count; ++i, ++next_) {
      events.push_back(R"({"page":"/page)" + std::to_string(next_ % 9) + R"(","n":)" + std::to_string(next_) + "}");
    }
    EngineFixture::append("hits", events, 100);
  }
  void until_committed(std::string_view view) {
    until([&] { return status(view).committed == log_->durable_end(); });
  }
  // Retention has removed what it may.
  void until_retained() {
    until([&] { return log_->status().segments <= 4; });
  }

  int next_ = 0;
};

constexpr const char* kView = "CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page";

TEST_F(Space, AViewOutlivesTheEventsItWasMadeFromAndSaysThatItCannotBeRebuilt) {
  run(kView);
  append(9000);
  until_committed("v");
  EXPECT_TRUE(status("v").rebuildable);
  const Lines before = lines("SELECT * FROM v ORDER BY page");
  close();
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  open();
  until_retained();
  EXPECT_GT(log_->start(), Offset(0));
  EXPECT_EQ(lines("SELECT * FROM v ORDER BY page"), before);
  EXPECT_EQ(status("v").state, "live");
  EXPECT_FALSE(status("v").rebuildable);
  close();
  open();
  EXPECT_EQ(lines("SELECT * FROM v ORDER BY page"), before) << "after an opening with its mark at or above the start";
  append(9);
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{"9009"});
}

TEST_F(Space, AViewThatLostItsStateIsFailedNotMadeFromWhatIsLeft) {
  run(kView);
  append(9000);
  until_committed("v");
  close();
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  open();
  until_retained();
  const std::string start = std::to_string(log_->start().value());
  close();
  std::filesystem::remove_all(directory_ / "views");
  for (int opening = 0; opening < 2; ++opening) {
    open();
    const ViewStatus lost = status("v");
    EXPECT_EQ(lost.state, "failed");
    EXPECT_NE(lost.error.find("cannot be rebuilt before offset " + start), std::string::npos) << lost.error;
    const auto refused = execute("SELECT * FROM v");
    ASSERT_FALSE(refused) << "an answer from the rest would be wrong";
    EXPECT_EQ(refused.error().number, 2017);
    close();
  }
  open();
  run("DROP MATERIALIZED VIEW v");
  const Answer created = run(kView);
  EXPECT_NE(created.result.notice.find("from offset " + start + " on"), std::string::npos) << created.result.notice;
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{std::to_string(log_->durable_end() - log_->start() - 2)})
      << "all but the records of DROP and CREATE";
}

TEST_F(Space, AViewThatBeganLateIsRebuiltFromWhereItBegan) {
  append(9000);
  close();
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  open();
  until_retained();
  run(kView);
  const Offset from = status("v").from;
  EXPECT_EQ(from, log_->start());
  EXPECT_TRUE(status("v").rebuildable);
  const Lines before = lines("SELECT * FROM v ORDER BY page");
  until_committed("v");
  close();
  std::filesystem::remove_all(directory_ / "views");
  log_options_.retention = {};
  open();
  EXPECT_EQ(status("v").from, from) << "the catalog remembers";
  EXPECT_EQ(lines("SELECT * FROM v ORDER BY page"), before);
  EXPECT_EQ(before, lines("SELECT page, count(*) AS n FROM hits GROUP BY page ORDER BY page"));
}

TEST_F(Space, AQueryOfAStreamSaysWhereTheLogBeginsAndRefusesWhatLiesBefore) {
  append(9000);
  EXPECT_EQ(run("SELECT count(*) FROM hits").result.notice, "");
  close();
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  open();
  until_retained();
  const std::string start = std::to_string(log_->start().value());
  const Answer answer = run("SELECT count(*) FROM hits");
  EXPECT_NE(answer.result.notice.find("begins at offset " + start), std::string::npos) << answer.result.notice;
  EXPECT_EQ(texts_of(answer.rows), Lines{std::to_string(log_->durable_end() - log_->start())});
  const auto refused = execute("SELECT count(*) FROM hits AS OF OFFSET 5");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().number, 3010) << to_string(refused.error());
}

TEST_F(Space, AViewThatCannotCommitHoldsTheLogAndTheHardCapFailsIt) {
  close();
  options_.state_bytes_max = std::uint64_t{128} << 10;
  options_.memory_bytes = 256 << 10;
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  open();
  run("CREATE MATERIALIZED VIEW big AS SELECT n, count(*) AS c FROM hits GROUP BY n");
  run(kView);
  append(20'000);
  until([&] { return status("big").state == "full"; });
  EXPECT_FALSE(status("big").error.empty());
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{"20000"}) << "another view goes on";
  const auto answer = engine_->get("big", {{Value::text("5")}});
  ASSERT_TRUE(answer) << to_string(answer.error());
  EXPECT_TRUE(answer->row) << "it answers with what it has";
  EXPECT_LT(answer->applied, log_->durable_end());
  until([&] { return log_->status().retention_note.find("view \"big\"") != std::string::npos; });
  EXPECT_LE(log_->start(), status("big").committed);
  // With a hard cap the log goes on without it.
  close();
  log_options_.retention.bytes_max = 4 * log_options_.segment_bytes;
  open();
  until([&] { return log_->start() > Offset(10'000); });
  append(5000);
  until([&] { return status("big").state == "failed"; });
  EXPECT_NE(status("big").error.find("cannot be rebuilt before"), std::string::npos) << status("big").error;
  until([&] { return log_->status().retention_note.find("hard limit") != std::string::npos; });
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{"25000"});
  // Nor does the next opening make it from what is left.
  close();
  options_.state_bytes_max = std::uint64_t{1} << 30;
  open();
  EXPECT_EQ(status("big").state, "failed");
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{"25000"});
}

TEST_F(Space, AnIdleViewDoesNotHoldTheLogForEver) {
  run("CREATE STREAM quiet (a BIGINT)");
  run("CREATE MATERIALIZED VIEW q AS SELECT a, count(*) AS c FROM quiet GROUP BY a");
  append(9000);
  until([&] { return status("q").applied == log_->durable_end(); });
  close();  // Commits.
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  open();
  until_retained();
  EXPECT_EQ(status("q").state, "live");
}

}  // namespace
}  // namespace kappa::processor::test
