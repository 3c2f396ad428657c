// Goal: points 1 to 8 of the Kappa checklist, one test each that names it: the log, its readers, replays and the
// cutover. kappa_checklist_outputs_test.cc has 9 to 15, random_replay_test.cc has 16; docs/architecture.md says how
// each point holds. Method: an engine over a small log; what other threads do is polled for.
#include <atomic>
#include <thread>

#include "tests/processor/engine/kappa_checklist.h"

namespace kappa::processor::test {
namespace {

TEST_F(KappaChecklist, P01_TheLogKeepsWhatViewsNeedOrSaysWhatIsGone) {
  // Retention may not go over what a view has not committed yet: a paused build holds its place.
  close();
  log_options_.retention.bytes = 3 * log_options_.segment_bytes;
  replay_with(1);
  open();
  append("hits", hits(0, 4000));
  bool paused = false;
  while (!paused) {
    run("DROP VIEW IF EXISTS v");
    run(kCounts);
    paused = engine_->pause_replay("v").has_value();
  }
  // A pause makes a checkpoint; where the view stands is known once that is committed.
  until([&] { return status("v").committed == status("v").applied; });
  const Offset needed = status("v").committed;
  log_->begin_retention();
  append("hits", hits(4000, 12'000));
  EXPECT_LE(log_->start(), needed);
  EXPECT_TRUE(log_->status().lowest_hold);
  ASSERT_TRUE(engine_->resume_replay("v"));
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{"12000"});
  // Then it goes, and whoever needs it is told, with the offset: who reads, who makes a view, who lost one.
  until([&] { return log_->start() > Offset(0); });
  const std::string start = std::to_string(log_->start().value());
  EXPECT_FALSE(status("v").rebuildable);
  EXPECT_NE(run("SELECT count(*) FROM hits").result.notice.find("begins at offset"), std::string::npos);
  EXPECT_NE(run("CREATE MATERIALIZED VIEW late AS SELECT count(*) AS n FROM hits").result.notice.find(
                "the log has nothing below"), std::string::npos);
  close();
  std::filesystem::remove_all(options_.directory);
  open();
  EXPECT_EQ(status("v").state, "failed");
  EXPECT_NE(status("v").error.find("the log has nothing below"), std::string::npos) << status("v").error;
  EXPECT_EQ(refusal("SELECT * FROM v").number, 2017);
}

TEST_F(KappaChecklist, P02_SubscribersAreIndependentAndRewindIsAnotherOffset) {
  append("hits", hits(0, 300), 10);
  const TopicId topic = log_->find_topic("hits")->id;
  const auto offsets = [](log::LogReader& reader, std::size_t batches) {
    std::vector<std::uint64_t> seen;
    for (std::size_t i = 0; i < batches; ++i) {
      const auto batch = reader.next();
      if (batch && *batch) seen.push_back((*batch)->header.base_offset.value());
    }
    return seen;
  };
  const auto first = log_->reader(Offset(0), {topic});
  const auto second = log_->reader(Offset(0), {topic});
  const auto all = offsets(*first, 30);
  ASSERT_EQ(all.size(), 30U);
  // What one has read is nothing to the other, and one that is behind reads the same.
  EXPECT_EQ(offsets(*second, 5), (std::vector<std::uint64_t>(all.begin(), all.begin() + 5)));
  ASSERT_TRUE(first->seek(Offset(all[12])));
  EXPECT_EQ(offsets(*first, 30), (std::vector<std::uint64_t>(all.begin() + 12, all.end())));
  EXPECT_EQ(offsets(*second, 2), (std::vector<std::uint64_t>(all.begin() + 5, all.begin() + 7)));
  // For SQL too, a prefix is an offset.
  EXPECT_EQ(lines("SELECT count(*) FROM hits AS OF OFFSET " + std::to_string(all[12])), Lines{"120"});
  EXPECT_EQ(lines("SELECT count(*) FROM hits WHERE _offset >= " + std::to_string(all[12])), Lines{"180"});
}

TEST_F(KappaChecklist, P03_ReprocessingIsASecondInstanceFromTheStartIntoANewOutput) {
  append("hits", hits(0, 700));
  run(kCounts);
  const Lines counts = lines("SELECT * FROM v ORDER BY page");
  run(kManualSums);
  until([&] { return lines("SELECT * FROM v@2").size() == 7; });
  // From the first event on, beside the other, in a directory of its own.
  EXPECT_EQ(version_status("v", 2).from, Offset(0));
  EXPECT_EQ(lines("SELECT sum(n) FROM v@2"), Lines{std::to_string(699 * 700 / 2)});
  EXPECT_EQ(lines("SELECT * FROM v ORDER BY page"), counts);
  EXPECT_EQ(versions(), (Set{"v@1 serving", "v@2 next"}));
  EXPECT_EQ(states_on_disk(), 2U);
}

TEST_F(KappaChecklist, P04_ReplayIsTheLiveEngineAndSlidesIntoLive) {
  options_.replay.events_min = kNever;
  restart();
  run("CREATE MATERIALIZED VIEW v AS SELECT page, window_start, count(*) AS c, sum(n) AS s FROM hits "
      "GROUP BY page, TUMBLE(ts, INTERVAL '1 minute')");
  append("hits", hits(0, 3000), 7);
  run("SELECT * FROM v");
  // The same view from the start, by a replay that is overtaken by new events again and again.
  close();
  std::filesystem::remove_all(options_.directory);
  replay_with(2);
  open();
  for (int i = 3000; i < 6000; i += 50) append("hits", hits(i, i + 50), 13);
  run("SELECT * FROM v");
  until([&] { return !status("v").replay.active; });
  append("hits", hits(6000, 6100), 1);  // Live now.
  EXPECT_EQ(lines("SELECT sum(c) FROM v"), Lines{"6100"});
  close();
  const Digests slid = digests_of(options_.directory);
  std::filesystem::remove_all(options_.directory);
  options_.replay.events_min = kNever;
  open();
  wait_for_views(*engine_, *log_);
  close();
  expect_same_states(slid, digests_of(options_.directory), "replayed and slid into live, against live alone");
}

TEST_F(KappaChecklist, P05_NothingIsReprocessedUnlessTheCodeChanges) {
  append("hits", hits(0, 5000));
  run(kCounts);
  run("SELECT * FROM v");
  restart();
  EXPECT_EQ(status("v").rebuilt, "");
  append("hits", hits(0, 10));
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{"5010"});
  EXPECT_LE(status("v").events_applied, 10U);
  // The release that opens it, or the number of threads, is no change of code.
  replay_with(4);
  restart();
  append("hits", hits(0, 10));
  EXPECT_EQ(lines("SELECT sum(n) FROM v"), Lines{"5020"});
  EXPECT_LE(status("v").events_applied, 10U);
  EXPECT_EQ(versions(), Set{"v@1 serving"});
}

TEST_F(KappaChecklist, P06_ReplayParallelismCanBeRaisedAtWill) {
  append("hits", hits(0, 20'000));
  run("CREATE MATERIALIZED VIEW v AS SELECT page, count(DISTINCT n) AS u, min(ts) AS t FROM hits WHERE n % 3 = 1 GROUP BY page");
  std::optional<Digests> first;
  for (const unsigned threads : {1U, 2U, 4U, 7U}) {
    close();
    std::filesystem::remove_all(options_.directory);
    replay_with(threads, 500);
    open();
    // They are there as soon as there is something to replay, and stay.
    until([&] { return threads_named("kappa-replay-") > 0; });
    until([&] { return threads_named("kappa-replay-") >= threads; });
    EXPECT_EQ(threads_named("kappa-replay-"), threads);
    wait_for_views(*engine_, *log_);
    close();
    const Digests now = digests_of(options_.directory);
    if (!first) first = now;
    expect_same_states(now, *first, std::to_string(threads) + " threads");
  }
}

TEST_F(KappaChecklist, P07_CaughtUpReadersSwitchInOneStep) {
  // Version k of both answers k; w reads v, so a read of both must never see two versions.
  const auto both = [](int k, const std::string& create) {
    return create + " MATERIALIZED VIEW v AS SELECT " + std::to_string(k) + " AS version, count(*) AS a FROM hits";
  };
  run(both(1, "CREATE"));
  run("CREATE MATERIALIZED VIEW w AS SELECT version AS version, a FROM v");
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> reads{0};
  std::thread reader([&] {
    std::int64_t last_version = 0;
    Offset last;
    while (!stop) {
      const auto got = engine_->get("v", {});
      ASSERT_TRUE(got) << to_string(got.error());
      ASSERT_GE(got->applied, last);
      last = got->applied;
      ASSERT_TRUE(got->row);
      ASSERT_GE((*got->row)[0].as_int64(), last_version);
      last_version = (*got->row)[0].as_int64();
    }
  });
  std::thread pairs([&] {
    while (!stop) {
      const auto answer = execute("SELECT v.version, w.version, v.a, w.a FROM v, w");
      ASSERT_TRUE(answer) << to_string(answer.error());
      for (const Row& row : answer->rows) {
        ASSERT_EQ(row[0].as_int64(), row[1].as_int64());
        ASSERT_EQ(row[2].as_int64(), row[3].as_int64());
      }
      ++reads;
    }
  });
  for (int k = 2; k <= 12; ++k) {
    append("hits", hits(0, 40));
    run(both(k, "CREATE OR REPLACE"));
    append("hits", hits(0, 40));
    until_serving("w", static_cast<std::uint32_t>(k));
  }
  const std::uint64_t so_far = reads;
  until([&] { return reads > so_far; });
  stop = true;
  reader.join();
  pairs.join();
}

TEST_F(KappaChecklist, P08_TheOldVersionIsKeptForRollbackAndForReadsByVersion) {
  append("hits", hits(0, 700));
  run(kCounts);
  run(kSums);
  until_serving("v", 2);
  EXPECT_EQ(versions(), (Set{"v@1 kept", "v@2 serving"}));
  append("hits", hits(700, 1400));  // Both are fed.
  EXPECT_EQ(lines("SELECT n FROM v@1 WHERE page = '/p0'"), Lines{"200"});
  EXPECT_EQ(lines("SELECT a.n, b.n > a.n FROM v@1 a JOIN v@2 b ON a.page = b.page WHERE a.page = '/p3'"), Lines{"200|true"});
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), lines("SELECT n FROM v@2 WHERE page = '/p0'"));
  // Back at once: without a replay, at the offset that readers have seen.
  const Offset seen = *run("SELECT * FROM v").result.applied;
  const std::uint64_t applied = version_status("v", 1).events_applied;
  run("ALTER VIEW v ROLLBACK");
  const auto answer = run("SELECT n FROM v WHERE page = '/p0'");
  EXPECT_EQ(texts_of(answer.rows), Lines{"200"});
  EXPECT_GE(*answer.result.applied, seen);
  EXPECT_LE(version_status("v", 1).events_applied, applied + 1);
  EXPECT_EQ(serving("v"), 1U);
}

}  // namespace
}  // namespace kappa::processor::test
