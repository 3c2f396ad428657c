// Goal: points 9 to 15 of the Kappa checklist, one test each that names it: what versions, stores and derived topics
// leave and keep. See kappa_checklist_test.cc.
#include <algorithm>
#include <thread>

#include "tests/processor/engine/kappa_checklist.h"

namespace kappa::processor::test {
namespace {

std::uintmax_t bytes_below(const std::filesystem::path& directory) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

TEST_F(KappaChecklist, P09_TheOldVersionStopsIsDeletedAndItsDiskComesBack) {
  append("hits", hits(0, 20'000));
  const std::string select = " AS SELECT n, count(*) AS c FROM hits GROUP BY n";
  run("CREATE MATERIALIZED VIEW v" + select);
  run("SELECT count(*) FROM v");
  until([&] { return status("v").committed >= status("v").applied; });
  const std::uintmax_t large = bytes_below(options_.directory);
  // Both for some time, then the new one alone, which is small.
  run("CREATE OR REPLACE MATERIALIZED VIEW v WITH (keep_old = '0 seconds') AS SELECT count(*) AS c FROM hits");
  until([&] { return versions() == Set{"v@2 serving"}; });
  until([&] { return states_on_disk() == 1; });
  EXPECT_LT(bytes_below(options_.directory), large / 2);
  EXPECT_EQ(refusal("SELECT * FROM v@1").number, 2003);
  EXPECT_EQ(lines("SELECT * FROM v"), Lines{"20000"});
  restart();
  EXPECT_EQ(states_on_disk(), 1U);
}

TEST_F(KappaChecklist, P10_ANewVersionStartsEmptyAndWhatTheOldOneDoesNeverReachesIt) {
  append("hits", hits(0, 700));
  run(kCounts);
  run("SELECT * FROM v");
  run(kManualSums);
  until([&] { return lines("SELECT * FROM v@2").size() == 7; });
  // Checkpoints of their own.
  until([&] { return version_status("v", 2).commits > 0; });
  until([&] { return execute("ALTER VIEW v CUTOVER").has_value(); });
  append("hits", hits(700, 1400));
  const Lines sums = lines("SELECT page, sum(n) FROM hits GROUP BY page ORDER BY page");
  EXPECT_EQ(lines("SELECT * FROM v ORDER BY page"), sums);
  EXPECT_EQ(lines("SELECT sum(n) FROM v@1"), Lines{"1400"});  // Fed, and nobody's output but its own.
  close();
  // Each without the other: deleting one state changes nothing in the other.
  std::vector<std::filesystem::path> states;
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory)) states.push_back(entry.path());
  ASSERT_EQ(states.size(), 2U);
  const auto old = std::ranges::find_if(states, [](const auto& path) { return path.filename().string().ends_with("-1"); });
  ASSERT_NE(old, states.end());
  std::filesystem::remove_all(*old);
  open();
  EXPECT_EQ(version_status("v", 2).rebuilt, "");
  EXPECT_EQ(lines("SELECT * FROM v ORDER BY page"), sums);
}

// Without a clock: reads of a live view are answered while the build, which is given 1 % of a thread, goes on.
TEST_F(KappaChecklist, P11_LiveViewsGoOnWhileAReplayRuns) {
  close();
  replay_with(2, 32, 1);
  options_.replay.events_min = 2'000;
  open();
  run("CREATE STREAM live (n BIGINT)");
  run("CREATE MATERIALIZED VIEW sums AS SELECT sum(n) AS s, count(*) AS c FROM live");
  append("hits", hits(0, 20'000));
  run("SELECT * FROM sums");
  run("CREATE MATERIALIZED VIEW big AS SELECT page, n, count(*) AS c FROM hits GROUP BY page, n");
  int meanwhile = 0;
  for (int i = 1; i <= 20; ++i) {
    append("live", {R"({"n":1})"});
    EXPECT_EQ(lines("SELECT c FROM sums"), Lines{std::to_string(i)});
    if (status("big").replay.active) ++meanwhile;
  }
  EXPECT_GT(meanwhile, 0);
  EXPECT_EQ(status("sums").replay.state, "");
}

TEST_F(KappaChecklist, P12_TheServingStoreIsDisposable) {
  run(kCounts);
  run("CREATE TABLE latest AS LATEST hits BY page");
  run("CREATE MATERIALIZED VIEW visits AS SELECT page, window_start, window_end, count(*) AS c FROM hits "
      "GROUP BY page, SESSION(ts, INTERVAL '10 seconds')");
  for (int i = 0; i < 3000; i += 100) append("hits", hits(i, i + 100), 1 + static_cast<std::size_t>(i) % 17);
  wait_for_views(*engine_, *log_);
  const Lines rows = lines("SELECT * FROM visits");
  close();
  const Digests before = digests_of(options_.directory);
  std::filesystem::remove_all(options_.directory);
  replay_with(2);
  open();
  EXPECT_EQ(lines("SELECT * FROM visits"), rows);
  wait_for_views(*engine_, *log_);
  close();
  expect_same_states(digests_of(options_.directory), before, "built again");
}

// The log itself is never compacted; what compaction is for, the last row of each key, is a TABLE, which is disposable
// like any view: so a keyed topic gives a full replay of both, its rows and their history.
TEST_F(KappaChecklist, P13_AKeyedTopicGivesAFullReplayOfItsLatestRows) {
  run("CREATE STREAM changes (id BIGINT, name TEXT, op TEXT)");
  run("CREATE TABLE users AS LATEST changes BY id DELETE WHEN op = 'D'");
  run("CREATE MATERIALIZED VIEW names AS SELECT name, count(*) AS c FROM users GROUP BY name");
  std::vector<std::string> events;
  for (int i = 0; i < 4000; ++i) {
    const std::string op = i % 11 == 0 ? "D" : "U";
    events.push_back(R"({"id":)" + std::to_string(i * 7 % 100) + R"(,"name":"n)" + std::to_string(i % 5) + R"(","op":")" +
                     op + "\"}");
  }
  append("changes", events, 37);
  const Lines users = lines("SELECT * FROM users ORDER BY id");
  const Lines names = lines("SELECT * FROM names ORDER BY name");
  EXPECT_FALSE(users.empty());
  EXPECT_LT(users.size(), 100U);  // Some keys ended deleted.
  close();
  const Digests before = digests_of(options_.directory);
  std::filesystem::remove_all(options_.directory);
  replay_with(4);
  open();
  EXPECT_EQ(lines("SELECT * FROM users ORDER BY id"), users);
  EXPECT_EQ(lines("SELECT * FROM names ORDER BY name"), names);
  // Rows that were overwritten are still events.
  EXPECT_EQ(lines("SELECT count(*) FROM changes"), Lines{"4000"});
  wait_for_views(*engine_, *log_);
  close();
  expect_same_states(digests_of(options_.directory), before, "built again");
}

TEST_F(KappaChecklist, P14_LateEventsGiveTheSameAnswerLiveAndReplayed) {
  options_.replay.events_min = kNever;
  restart();
  const std::string windows = "page, window_start, count(*) AS c, sum(n) AS s FROM hits GROUP BY page, TUMBLE(ts, INTERVAL '1 minute')";
  run("CREATE MATERIALIZED VIEW minutes AS SELECT " + windows);
  run("CREATE MATERIALIZED VIEW kept WITH (retain = '5 minutes') AS SELECT " + windows);
  run("CREATE STREAM closed AS SELECT " + windows + " EMIT ON WINDOW CLOSE");
  append("hits", hits(0, 2500), 1);  // Live: a batch each.
  // An event counts in its window however late it came.
  EXPECT_EQ(lines("SELECT * FROM minutes ORDER BY page, window_start"), lines("SELECT " + windows + " ORDER BY page, window_start"));
  EXPECT_EQ(lines("SELECT sum(c) FROM minutes"), Lines{"2500"});
  const Lines kept = lines("SELECT * FROM kept ORDER BY page, window_start");
  EXPECT_LT(kept.size(), lines("SELECT * FROM minutes").size());
  const Lines closed = lines("SELECT page, window_start, c, s FROM closed");
  EXPECT_FALSE(closed.empty());
  const std::uint64_t late = status("closed").late;
  EXPECT_GT(late, 0U);  // Some came too late for a window that was given already, and were counted.
  wait_for_views(*engine_, *log_);
  close();
  const Digests live = digests_of(options_.directory);
  for (const unsigned threads : {1U, 3U}) {
    std::filesystem::remove_all(options_.directory);
    replay_with(threads);
    open();
    EXPECT_EQ(lines("SELECT * FROM kept ORDER BY page, window_start"), kept);
    EXPECT_EQ(lines("SELECT page, window_start, c, s FROM closed"), closed);
    EXPECT_EQ(status("closed").late, late);
    wait_for_views(*engine_, *log_);
    close();
    expect_same_states(digests_of(options_.directory), live, std::to_string(threads) + " threads");
  }
}

TEST_F(KappaChecklist, P15_AReplayNeverAppendsADerivedEventTwice) {
  run("CREATE STREAM big AS SELECT page, n FROM hits WHERE n % 3 = 0 EMIT CHANGES");
  run("CREATE MATERIALIZED VIEW of_big AS SELECT count(*) AS c, sum(n) AS s FROM big");
  append("hits", hits(0, 900), 11);
  EXPECT_EQ(lines("SELECT c FROM of_big"), Lines{"300"});
  const auto events_of = [&](const char* topic) { return log_->find_topic(topic)->next_sequence.value(); };
  EXPECT_EQ(events_of("big"), 300U);
  // The state of the stream is thrown away: it is replayed, and what it makes is there already.
  close();
  std::filesystem::remove_all(options_.directory);
  replay_with(2);
  open();
  EXPECT_EQ(lines("SELECT c FROM of_big"), Lines{"300"});
  EXPECT_EQ(events_of("big"), 300U);
  append("hits", hits(900, 1200), 11);
  EXPECT_EQ(lines("SELECT c FROM of_big"), Lines{"400"});
  EXPECT_EQ(events_of("big"), 400U);
  // New code writes to a topic of its own; the old output gets nothing of it.
  run("CREATE OR REPLACE STREAM big AS SELECT page, n FROM hits WHERE n % 2 = 0 EMIT CHANGES");
  until_serving("of_big", 2);
  EXPECT_EQ(lines("SELECT c FROM of_big"), Lines{"600"});
  EXPECT_EQ(events_of("big"), 400U);
  EXPECT_EQ(events_of("big@2"), 600U);
}

}  // namespace
}  // namespace kappa::processor::test
