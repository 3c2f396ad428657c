// Goal: a view that is built by the replayer has, byte for byte, the state of one that was fed event by event, for
// every plan, number of threads, size of segments and place of interruption; and a replay can be paused, resumed,
// joined, dropped and killed.
// Method: one log with random events (late ones, poison, wrong types) in random batches over two topics. The views
// are built live; then their states are deleted and built again in other ways, and the digests of all entries are
// compared. KAPPA_TEST_SEED repeats a run.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "tests/processor/engine/engine_fixture.h"
#include "tests/processor/engine/state_digests.h"
#include "tests/support/seed.h"

namespace kappa::processor::test {
namespace {

using Random = std::mt19937_64;
namespace fs = std::filesystem;

class Replay : public EngineFixture {
 protected:
  static constexpr std::uint64_t kNever = UINT64_MAX;

  void SetUp() override {
    options_.commit_interval_ms = 10;
    options_.replay.checkpoint_ms = 10;
    options_.replay.nice = 0;  // Who polls here would starve them.
  }

  static std::size_t below(Random& random, std::size_t n) { return random() % n; }

  std::vector<std::string> events(Random& random, std::size_t count) {
    std::vector<std::string> made;
    for (std::size_t i = 0; i < count; ++i) {
      if (below(random, 70) == 0) {
        made.push_back("[\"poison\"]");
        continue;
      }
      time_ += static_cast<std::int64_t>(below(random, 40));
      const std::int64_t at = 1'700'000'000'000 + time_ - (below(random, 9) == 0 ? static_cast<std::int64_t>(below(random, 900)) : 0);
      std::string event = "{\"k\":\"key" + std::to_string(below(random, 40)) + (below(random, 9) == 0 ? "\\n\"" : "\"");
      event += ",\"g\":" + (below(random, 30) == 0 ? std::string("\"seven\"") : std::to_string(below(random, 6)));
      event += ",\"x\":" + std::to_string(static_cast<int>(below(random, 1000)) - 300);
      event += ",\"d\":" + std::to_string(static_cast<double>(below(random, 4000)) / 7);
      event += ",\"ts\":" + std::to_string(at) + ",\"pad\":\"" + std::string(below(random, 90), 'p') + "\"}";
      made.push_back(std::move(event));
    }
    return made;
  }

  // A compressed batch: its text lies in a buffer of the reader, which the next one overwrites.
  void append_compressed(const char* topic, const std::vector<std::string>& values) {
    const auto id = log_->ensure_topic(topic);
    ASSERT_TRUE(id);
    BatchBuilder builder;
    for (const std::string& value : values) {
      BatchBuilder::Event event;
      event.value = value;
      ASSERT_TRUE(builder.add(event));
    }
    log::AppendBatch batch;
    batch.topic = *id;
    batch.codec = Codec::kZstd;
    batch.count = builder.count();
    const std::string body = builder.take();
    batch.uncompressed_length = static_cast<std::uint32_t>(body.size());
    batch.body = compress_body(body);
    const auto ack = log_->append(std::move(batch));
    ASSERT_TRUE(ack) << to_string(ack.error());
  }

  // To both topics, in batches of random sizes, a few of them large, some compressed.
  void fill(Random& random, std::size_t count) {
    while (count > 0) {
      const std::size_t most = below(random, 4) == 0 ? 5000 : below(random, 2) == 0 ? 300 : 3;
      const std::size_t size = std::min(count, 1 + below(random, most));
      const char* const topic = below(random, 4) == 0 ? "b" : "a";
      if (below(random, 3) == 0) {
        append_compressed(topic, events(random, size));
      } else {
        append(topic, events(random, size), size);
      }
      count -= size;
    }
  }

  void create_views() {
    const std::string columns = "(k TEXT, g BIGINT, x BIGINT, d DOUBLE, ts TIMESTAMP)";
    run("CREATE STREAM a " + columns + " WITH (event_time = 'ts', delay = '200 milliseconds')");
    run("CREATE STREAM b " + columns + " WITH (event_time = 'ts')");
    run("CREATE STREAM strict " + columns + " WITH (topic = 'a', on_error = 'dead_letter')");
    run("CREATE TABLE lookup AS LATEST b BY k");
  }

  // What replays care about: stateless, aggregates that merge and that keep values, order, time, two topics, windows
  // that close, text that is kept.
  static const std::vector<std::string>& plans() {
    static const std::vector<std::string> all{
        "SELECT k, count(*) AS n, sum(x) AS s, sum(d) AS e, avg(d) AS m FROM a GROUP BY k",
        "SELECT g, min(k) AS lo, max(k) AS hi, count(DISTINCT x) AS u FROM a WHERE x > -100 GROUP BY g",
        "SELECT _offset AS o, k, d FROM a WHERE x % 50 = 7",
        "SELECT window_start, k, count(*) AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '1 second')",
        "SELECT k, window_start, window_end, count(*) AS n, max(x) AS m FROM a GROUP BY k, SESSION(ts, INTERVAL '300 "
        "milliseconds')",
        "SELECT a.g, count(*) AS n, sum(b.x) AS s FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL "
        "'100 milliseconds' GROUP BY a.g",
        "SELECT a.g, count(*) AS n, sum(l.x) AS s FROM a JOIN lookup l ON a.k = l.k GROUP BY a.g",
        "SELECT a._offset AS o, l.x FROM a JOIN lookup FOR SYSTEM_TIME AS OF _offset AS l ON a.k = l.k WHERE a.x > 600",
        "SELECT strict.g, count(*) AS n, max(strict.k) AS m FROM strict GROUP BY strict.g",
        "SELECT k, x FROM (SELECT k, x, ROW_NUMBER() OVER (PARTITION BY k ORDER BY x DESC, _offset) AS r FROM a) AS t "
        "WHERE r <= 3",
    };
    return all;
  }

  Digests digests() { return digests_of(options_.directory); }
  void expect_same(const Digests& live, const std::string& how) { expect_same_states(digests(), live, how); }
  void wait_for_all() { wait_for_views(*engine_, *log_); }

  void build_live(Random& random, std::size_t count) {
    options_.replay.events_min = kNever;
    open();
    create_views();
    int number = 0;
    for (const std::string& plan : plans()) run("CREATE MATERIALIZED VIEW v" + std::to_string(number++) + " AS " + plan);
    fill(random, count);
    wait_for_all();
    close();
  }

  void replay_with(Random& random, unsigned threads) {
    options_.replay.events_min = 1;
    options_.replay.threads = threads;
    options_.replay.unit = 50 + below(random, 3000);
  }

  std::int64_t time_ = 0;
};

TEST_F(Replay, StateEqualsLiveByteForByteWithAnyThreadsAndSegments) {
  Random random(kappa::test::new_seed());
  for (const std::size_t segment : {std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{64} << 20}) {
    SCOPED_TRACE("segments of " + std::to_string(segment));
    log_options_.segment_bytes = segment;
    fs::remove_all(log_options_.directory);
    fs::remove_all(options_.directory);
    build_live(random, 5'000);
    ASSERT_FALSE(HasFailure());
    const auto live = digests();
    for (const unsigned threads : {1U, 2U, 4U}) {
      fs::remove_all(options_.directory);
      replay_with(random, threads);
      open();
      wait_for_all();
      close();
      expect_same(live, std::to_string(threads) + " threads, units of " + std::to_string(options_.replay.unit));
      if (HasFailure()) return;
    }
  }
}

TEST_F(Replay, GoesOnFromWhereItWasStoppedAnyNumberOfTimes) {
  Random random(kappa::test::new_seed());
  build_live(random, 8'000);
  const auto live = digests();
  fs::remove_all(options_.directory);
  for (int stop = 0; stop < 6; ++stop) {
    replay_with(random, 1 + static_cast<unsigned>(below(random, 4)));
    open();
    const std::uint64_t until_offset = below(random, log_->durable_end().value());
    const std::string name = "v" + std::to_string(below(random, plans().size()));
    until([&] { return status(name).applied.value() >= until_offset; });
    close();
  }
  open();
  wait_for_all();
  close();
  expect_same(live, "stopped six times");
}

// The child builds and dies in the middle of it; what it committed is where the parent goes on.
TEST_F(Replay, GoesOnFromItsLastCheckpointAfterSigkill) {
  Random random(kappa::test::new_seed());
  build_live(random, 8'000);
  const auto live = digests();
  fs::remove_all(options_.directory);
  for (int kill = 0; kill < 4; ++kill) {
    replay_with(random, 1 + static_cast<unsigned>(below(random, 4)));
    const std::uint64_t least = 1 + below(random, 7'000);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      open();
      for (;;) {
        for (const ViewStatus& view : engine_->views()) {
          if (view.committed.value() >= least) ::kill(::getpid(), SIGKILL);
        }
      }
    }
    int how = 0;
    ASSERT_EQ(::waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
  }
  std::uint64_t kept = 0;
  for (const auto& [name, digest] : digests()) kept = std::max(kept, digest.applied.value());
  EXPECT_GT(kept, 0U);
  replay_with(random, 2);
  open();
  for (const ViewStatus& view : engine_->views()) EXPECT_EQ(view.rebuilt, "") << view.name;
  wait_for_all();
  close();
  expect_same(live, "killed four times");
}

TEST_F(Replay, PausedViewsStandStillAndResumeWhereTheyWere) {
  Random random(kappa::test::new_seed());
  options_.replay.events_min = 1;
  options_.replay.unit = 64;
  options_.replay.threads = 2;
  open();
  create_views();
  fill(random, 20'000);
  run("CREATE MATERIALIZED VIEW other AS SELECT g, count(*) AS n FROM a GROUP BY g");
  bool paused = false;
  while (!paused) {  // It may be done before it can be paused.
    run("DROP VIEW IF EXISTS v");
    run("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, sum(d) AS s FROM a GROUP BY k");
    paused = engine_->pause_replay("v").has_value();
  }
  const Offset place = status("v").applied;
  EXPECT_EQ(status("v").replay.state, "paused");
  const Lines replays = lines("SHOW REPLAYS");
  EXPECT_TRUE(std::ranges::any_of(replays, [&](const std::string& line) {
    return line.starts_with("v|1|paused|" + std::to_string(status("v").replay.events_done) + "|");
  }));
  append("a", events(random, 3000));
  EXPECT_EQ(lines("SELECT sum(n) FROM other"), lines("SELECT count(*) FROM a"));
  EXPECT_EQ(status("v").applied, place);
  EXPECT_EQ(refusal("SELECT * FROM nowhere").number, 2003);
  run("ALTER MATERIALIZED VIEW v PAUSE");  // Twice is once.
  run("ALTER MATERIALIZED VIEW v RESUME");
  EXPECT_EQ(lines("SELECT * FROM v ORDER BY k"), lines("SELECT k, count(*) AS n, sum(d) AS s FROM a GROUP BY k ORDER BY k"));
  until([&] { return status("v").replay.state.empty(); });
  EXPECT_EQ(refusal("ALTER MATERIALIZED VIEW v PAUSE").number, 2018);
}

TEST_F(Replay, APauseOutlivesTheProcessAndEndsWithResumeOrTheView) {
  Random random(kappa::test::new_seed());
  options_.replay.events_min = 1;
  options_.replay.unit = 64;
  options_.replay.threads = 2;
  open();
  create_views();
  fill(random, 20'000);
  const auto create = [&](const std::string& name) {
    bool paused = false;
    while (!paused) {  // It may be done before it can be paused.
      run("DROP VIEW IF EXISTS " + name);
      run("CREATE MATERIALIZED VIEW " + name + " AS SELECT k, count(*) AS n FROM a GROUP BY k");
      paused = execute("ALTER VIEW " + name + " PAUSE").has_value();
    }
  };
  create("v");
  create("w");
  const Offset place = status("v").applied;
  run("CREATE MATERIALIZED VIEW other AS SELECT g, count(*) AS n FROM a GROUP BY g");
  for (int opened = 0; opened < 2; ++opened) {
    options_.replay.events_min = opened == 0 ? 1 : kNever;  // However near the end it is.
    restart();
    append("a", events(random, 500));
    EXPECT_EQ(lines("SELECT sum(n) FROM other"), lines("SELECT count(*) FROM a"));
    EXPECT_EQ(status("v").replay.state, "paused");
    EXPECT_TRUE(status("v").replay.active);
    EXPECT_EQ(status("v").applied, place);
    run("ALTER VIEW v PAUSE");  // Twice is once.
  }
  run("DROP VIEW w");
  run("CREATE MATERIALIZED VIEW w AS SELECT k, count(*) AS n FROM a GROUP BY k");
  run("ALTER VIEW v RESUME");
  const Lines expected = lines("SELECT k, count(*) AS n FROM a GROUP BY k ORDER BY k");
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_EQ(lines("SELECT * FROM v ORDER BY k"), expected);
    EXPECT_EQ(lines("SELECT * FROM w ORDER BY k"), expected);
    restart();
  }
  for (const log::SystemRecord& record : log_->system_records())
    EXPECT_FALSE(record.key.starts_with("pause/")) << record.key;
}

TEST_F(Replay, PausedViewsCanBeDropped) {
  Random random(kappa::test::new_seed());
  options_.replay.events_min = 1;
  options_.replay.unit = 64;
  open();
  create_views();
  fill(random, 20'000);
  for (int round = 0; round < 10; ++round) {
    run("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM a GROUP BY k");
    if (round % 2 == 0) static_cast<void>(engine_->pause_replay("v"));
    run("DROP VIEW v");
  }
  for (const auto& entry : fs::directory_iterator(options_.directory)) {
    EXPECT_EQ(entry.path().filename().string().find("v@"), std::string::npos);
  }
}

TEST_F(Replay, ViewsThatComeLaterJoinThoseOnTheWay) {
  Random random(kappa::test::new_seed());
  options_.replay.events_min = 1;
  options_.replay.unit = 512;
  options_.replay.threads = 2;
  open();
  create_views();
  fill(random, 30'000);
  for (int i = 0; i < 8; ++i) {
    run("CREATE MATERIALIZED VIEW v" + std::to_string(i) + " AS SELECT k, count(*) AS n, sum(x) AS s FROM a WHERE g <> " +
        std::to_string(i) + " GROUP BY k");
    if (i % 3 == 0) append("a", events(random, 200));
  }
  for (int i = 0; i < 8; ++i) {
    const std::string where = " FROM a WHERE g <> " + std::to_string(i) + " GROUP BY k ORDER BY k";
    EXPECT_EQ(lines("SELECT * FROM v" + std::to_string(i) + " ORDER BY k"),
              lines("SELECT k, count(*) AS n, sum(x) AS s" + where));
  }
}

TEST_F(Replay, TotalIsFixedAtTheStartAndTheTailIsApart) {
  Random random(kappa::test::new_seed());
  options_.replay.events_min = 1;
  options_.replay.unit = 64;
  open();
  create_views();
  fill(random, 20'000);
  bool paused = false;
  while (!paused) {
    run("DROP VIEW IF EXISTS v");
    run("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM a GROUP BY k");
    paused = engine_->pause_replay("v").has_value();
  }
  const ReplayProgress before = status("v").replay;
  EXPECT_TRUE(before.active);
  const std::uint64_t of_a = log_->find_topic("a")->next_sequence.value();
  ASSERT_LT(of_a, log_->durable_end().value());
  EXPECT_EQ(before.events_total, of_a);  // Not of those of "b".
  std::uint64_t done = 0;  // Poison is read, too.
  const auto reader = log_->reader(Offset(0), {log_->find_topic("a")->id});
  for (const Offset applied = status("v").applied; reader->position() < applied;) {
    const auto batch = reader->next();
    if (!batch || !*batch || (*batch)->header.base_offset >= applied) break;
    done += std::min<std::uint64_t>((*batch)->header.count, applied - (*batch)->header.base_offset);
  }
  EXPECT_EQ(before.events_done, done);
  EXPECT_LE(before.events_done, before.events_total);
  EXPECT_EQ(before.tail_events, 0U);
  append("a", events(random, 777));
  append("b", events(random, 55));
  const ReplayProgress after = status("v").replay;
  EXPECT_EQ(after.events_total, before.events_total);
  EXPECT_EQ(after.events_done, before.events_done);
  EXPECT_EQ(after.tail_events, 777U);
  ASSERT_TRUE(engine_->resume_replay("v"));
  until([&] { return !status("v").replay.active; });
  run("SELECT * FROM v");
}

TEST_F(Replay, SelectsOverStreamsGiveTheSameRowsInTheSameOrderWithAnyThreads) {
  Random random(kappa::test::new_seed());
  options_.replay.events_min = kNever;
  open();
  create_views();
  fill(random, 9'000);
  const std::vector<std::string> queries{
      "SELECT _offset, k, x, d FROM a WHERE x % 7 = 1",
      "SELECT k, count(*), sum(x), min(d), max(ts) FROM a GROUP BY k",
      "SELECT k, x FROM a WHERE g = 3 LIMIT 40",
      "SELECT a._offset, b._offset FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '20 milliseconds'",
      "SELECT _offset, _seq, _append_time, _key FROM b",
  };
  std::vector<Lines> expected;
  for (const std::string& query : queries) expected.push_back(lines(query));
  for (const unsigned threads : {1U, 2U, 4U}) {
    engine_.reset();
    options_.replay.threads = threads;
    options_.replay.unit = 20 + below(random, 1500);
    open_engine();
    for (std::size_t i = 0; i < queries.size(); ++i) {
      EXPECT_EQ(lines(queries[i]), expected[i]) << queries[i] << " with " << threads << " threads";
    }
  }
}

// Bytes of the first segment are changed: whoever reads it says so.
TEST_F(Replay, SegmentsOutsideOfTheOffsetsAndAppendTimesAskedForAreNotRead) {
  Random random(kappa::test::new_seed());
  log_options_.segment_bytes = std::size_t{64} << 10;
  options_.replay.events_min = kNever;
  open();
  create_views();
  for (const char* topic : {"a", "b", "a"}) append(topic, events(random, 2'000), 1 + below(random, 200));
  const Lines all = lines("SELECT _offset, _append_time FROM a");
  const std::uint64_t end = log_->durable_end().value();
  const auto with = [&](const std::string& where) { return lines("SELECT _offset, _append_time FROM a WHERE " + where); };
  const auto offset_of = [](const std::string& line) { return std::stoull(line); };
  std::map<std::string, std::int64_t> times;  // Of the lines, in microseconds.
  for (const Row& row : run("SELECT _offset, _append_time FROM a").rows) times[text_of(row)] = row[1].as_int64();
  const auto those = [&](const std::function<bool(const std::string&)>& keep) {
    Lines kept;
    for (const std::string& line : all) {
      if (keep(line)) kept.push_back(line);
    }
    return kept;
  };
  for (int round = 0; round < 40; ++round) {
    const std::uint64_t low = below(random, end), high = below(random, end);
    const std::string from = std::to_string(low), to = std::to_string(high);
    EXPECT_EQ(with("_offset >= " + from + " AND " + to + " > _offset"),
              those([&](const auto& line) { return offset_of(line) >= low && offset_of(line) < high; }));
    EXPECT_EQ(with("_offset > " + from + " AND _offset <= " + to),
              those([&](const auto& line) { return offset_of(line) > low && offset_of(line) <= high; }));
    EXPECT_EQ(with("_offset = " + from), those([&](const auto& line) { return offset_of(line) == low; }));
    EXPECT_EQ(with("_offset < " + from + " OR _offset > " + to),
              those([&](const auto& line) { return offset_of(line) < low || offset_of(line) > high; }));
    const std::string& chosen = all[below(random, all.size())];
    const std::string time = "CAST('" + chosen.substr(chosen.find('|') + 1) + "' AS TIMESTAMP)";
    const auto compared = [&](const std::string& how, const std::function<bool(std::int64_t)>& holds) {
      EXPECT_EQ(with("_append_time " + how + time), those([&](const auto& line) { return holds(times[line] - times[chosen]); }));
    };
    compared("<", [](std::int64_t order) { return order < 0; });
    compared("<=", [](std::int64_t order) { return order <= 0; });
    compared(">", [](std::int64_t order) { return order > 0; });
    compared(">=", [](std::int64_t order) { return order >= 0; });
    compared("=", [](std::int64_t order) { return order == 0; });
  }
  std::vector<fs::path> segments;
  for (const auto& entry : fs::directory_iterator(log_options_.directory)) {
    if (entry.path().extension() == ".segment") segments.push_back(entry.path());
  }
  std::ranges::sort(segments);
  ASSERT_GT(segments.size(), 4U);
  {
    std::fstream file(segments[0], std::ios::in | std::ios::out | std::ios::binary);
    for (int at = 10'000; at < 60'000; at += 1000) {
      file.seekp(at);
      file.write("damage", 6);
    }
  }
  const std::string late = std::to_string(end / 2);
  EXPECT_EQ(with("_offset >= " + late), those([&](const auto& line) { return offset_of(line) >= end / 2; }));
  EXPECT_EQ(refusal("SELECT count(*) FROM a").code, ErrorCode::kCorrupt);
}

TEST_F(Replay, ACancelledSelectEndsWithItsThreads) {
  Random random(kappa::test::new_seed());
  options_.replay.events_min = kNever;
  options_.replay.unit = 100;
  options_.replay.threads = 4;
  open();
  create_views();
  fill(random, 6'000);
  struct CancelAtFirst final : RowSink {
    std::atomic<bool> cancelled{false};
    bool columns(const std::vector<Column>&) override { return true; }
    bool rows(std::vector<Row>) override { return cancelled = true; }
  } sink;
  const auto answer = engine_->execute("SELECT k FROM a", {}, sink, sink.cancelled);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().number, 4008);
}

TEST_F(Replay, AShareOfTheTimeChangesNothingButTheTime) {
  Random random(kappa::test::new_seed());
  build_live(random, 6'000);
  const auto live = digests();
  fs::remove_all(options_.directory);
  replay_with(random, 2);
  options_.replay.share_percent = 30;
  open();
  wait_for_all();
  close();
  expect_same(live, "at 30 %");
}

}  // namespace
}  // namespace kappa::processor::test
