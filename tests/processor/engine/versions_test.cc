// Goal: a view can be replaced while it is read: the new version is built beside the old one, readers go over in one
// step together with everything that reads the view, a rollback goes back, and a restart at any point finds the
// same. Method: an engine in a temporary directory; what another thread does is polled for, without a clock.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <set>
#include <thread>

#include "processor/replacement.h"
#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {
namespace {

class Versions : public EngineFixture {
 protected:
  void SetUp() override {
    options_.commit_interval_ms = 10;
    EngineFixture::SetUp();
    run("CREATE STREAM hits (page TEXT, n BIGINT)");
    run("CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page");
    append("hits", hits(0, 100));
  }
  static std::vector<std::string> hits(int from, int to) {
    std::vector<std::string> events;
    for (int i = from; i < to; ++i)
      events.push_back(R"({"page":"/p)" + std::to_string(i % 3) + R"(","n":)" + std::to_string(i) + "}");
    return events;
  }
  std::uint32_t serving(std::string_view name) {
    for (const ViewStatus& view : engine_->views())
      if (view.name == name && view.role == "serving") return view.version;
    return 0;
  }
  std::set<std::string> versions() {
    std::set<std::string> all;
    for (const ViewStatus& view : engine_->views()) all.insert(view.name + "@" + std::to_string(view.version) + " " + view.role);
    return all;
  }
  void until_serving(std::string_view name, std::uint32_t version) {
    until([&] { return serving(name) == version; });
  }
  using Set = std::set<std::string>;
};

constexpr const char* kSums = "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT page, sum(n) AS n FROM hits GROUP BY page";
constexpr const char* kManual =
    "CREATE OR REPLACE MATERIALIZED VIEW v WITH (cutover = 'manual') AS SELECT page, sum(n) AS n FROM hits GROUP BY page";

TEST_F(Versions, ANewVersionTakesOverByItself) {
  const Lines counts{"/p0|34", "/p1|33", "/p2|33"};
  const Lines sums{"/p0|1683", "/p1|1617", "/p2|1650"};
  EXPECT_EQ(lines("SELECT * FROM v"), counts);
  run(kSums);
  until_serving("v", 2);
  EXPECT_EQ(lines("SELECT * FROM v"), sums);
  EXPECT_EQ(lines("SELECT * FROM v@1"), counts);
  EXPECT_EQ(lines("SELECT * FROM v@2"), sums);
  EXPECT_EQ(versions(), (Set{"v@1 kept", "v@2 serving"}));
  restart();
  EXPECT_EQ(lines("SELECT * FROM v"), sums);
  EXPECT_EQ(lines("SELECT * FROM v@1"), counts);
  append("hits", hits(0, 3));
  EXPECT_EQ(lines("SELECT * FROM v@1"), (Lines{"/p0|35", "/p1|34", "/p2|34"}));  // It is still fed.
}

TEST_F(Versions, ManualCutoverAndRollback) {
  run(kManual);
  until([&] { return lines("SELECT * FROM v@2").size() == 3; });
  EXPECT_EQ(versions(), (Set{"v@1 serving", "v@2 next"}));
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"34"});
  EXPECT_EQ(refusal("ALTER MATERIALIZED VIEW v ROLLBACK").number, 2010);
  restart();
  EXPECT_EQ(versions(), (Set{"v@1 serving", "v@2 next"}));
  until([&] { return execute("ALTER MATERIALIZED VIEW v CUTOVER").has_value(); });
  EXPECT_EQ(versions(), (Set{"v@1 kept", "v@2 serving"}));
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"1683"});
  append("hits", hits(3, 6));
  until([&] { return execute("ALTER MATERIALIZED VIEW v ROLLBACK").has_value(); });
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"35"});
  EXPECT_EQ(versions(), (Set{"v@1 serving", "v@2 kept"}));
  restart();
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"35"});
  until([&] { return execute("ALTER MATERIALIZED VIEW v CUTOVER").has_value(); });
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"1686"});
}

TEST_F(Versions, DefinitionsSayEveryVersionWithItsTextAndWhatItReads) {
  run("CREATE MATERIALIZED VIEW w AS SELECT max(n) AS most FROM v");
  const std::string stream = "hits|1|stream|serving|NULL|[]|CREATE STREAM hits (page TEXT, n BIGINT)";
  const std::string counts = "v|1|view|serving|NULL|[\"hits@1\"]|CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page";
  const std::string reader = R"(CREATE MATERIALIZED VIEW w AS SELECT max(n) AS most FROM v)";
  EXPECT_EQ(lines("SHOW DEFINITIONS"), (Lines{stream, counts, "w|1|view|serving|NULL|[\"v@1\"]|" + reader}));
  run(std::string(kManual) + " ;");
  EXPECT_EQ(lines("SHOW DEFINITIONS"),
            (Lines{stream, counts, "v|2|view|next|manual|[\"hits@1\"]|" + std::string(kManual),
                   "w|1|view|serving|NULL|[\"v@1\"]|" + reader, "w|2|view|next|manual|[\"v@2\"]|" + reader}));
  EXPECT_EQ(lines("DESCRIBE v@1")[1], "n|BIGINT|NULL|");
  EXPECT_EQ(lines("DESCRIBE v@2")[1], "n|NUMERIC(38,0)|NULL|");
  EXPECT_EQ(refusal("DESCRIBE v@3").number, 2003);
  EXPECT_EQ(refusal("DESCRIBE v@x").number, 2001);
}

TEST_F(Versions, ACancelledBuildLeavesNothing) {
  run(kManual);
  EXPECT_EQ(refusal(kManual).number, 2016);
  run("ALTER MATERIALIZED VIEW v CANCEL");
  EXPECT_EQ(versions(), Set{"v@1 serving"});
  EXPECT_EQ(refusal("ALTER MATERIALIZED VIEW v CANCEL").number, 2010);
  EXPECT_EQ(refusal("ALTER MATERIALIZED VIEW nobody CANCEL").number, 2003);
  std::size_t states = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(options_.directory)) ++states;
  EXPECT_EQ(states, 1U);
  restart();
  EXPECT_EQ(versions(), Set{"v@1 serving"});
  run(kSums);
  until_serving("v", 2);
}

TEST_F(Versions, TheOldVersionGoesWhenItsTimeIsOverAndGivesItsDiskBack) {
  run("CREATE OR REPLACE MATERIALIZED VIEW v WITH (keep_old = '0 seconds') AS SELECT page, sum(n) AS n FROM hits GROUP BY page");
  until([&] { return versions() == Set{"v@2 serving"}; });
  EXPECT_EQ(refusal("SELECT * FROM v@1").number, 2003);
  EXPECT_EQ(refusal("ALTER MATERIALIZED VIEW v ROLLBACK").number, 2010);
  std::size_t states = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(options_.directory)) ++states;
  EXPECT_EQ(states, 1U);
  restart();
  EXPECT_EQ(versions(), Set{"v@2 serving"});
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"1683"});
  // What is made now is made of version 2, also after a restart.
  run("CREATE MATERIALIZED VIEW w AS SELECT sum(n) AS n FROM v");
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"4950"});
  restart();
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"4950"});
}

TEST_F(Versions, WhatReadsAViewIsReplacedAndSwitchedWithIt) {
  run("CREATE MATERIALIZED VIEW w AS SELECT max(n) AS most FROM v");
  run("CREATE MATERIALIZED VIEW x AS SELECT most + 1 AS more FROM w");
  run("CREATE MATERIALIZED VIEW other AS SELECT count(*) AS c FROM hits");
  EXPECT_EQ(lines("SELECT * FROM x"), Lines{"35"});
  run(kSums);
  until_serving("x", 2);
  EXPECT_EQ(versions(), (Set{"v@1 kept", "v@2 serving", "w@1 kept", "w@2 serving", "x@1 kept", "x@2 serving", "other@1 serving"}));
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"1683"});
  EXPECT_EQ(lines("SELECT * FROM x"), Lines{"1684"});
  restart();
  EXPECT_EQ(lines("SELECT * FROM x"), Lines{"1684"});
  EXPECT_EQ(lines("SELECT * FROM x@1"), Lines{"35"});
  run("ALTER MATERIALIZED VIEW w ROLLBACK");  // Any of the set.
  EXPECT_EQ(lines("SELECT * FROM x"), Lines{"35"});
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"34"});
}

TEST_F(Versions, AReaderThatDoesNotGoWithTheNewVersionRefusesIt) {
  run("CREATE MATERIALIZED VIEW w AS SELECT max(n) AS most FROM v");
  const Error error = refusal("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT page, count(*) AS c FROM hits GROUP BY page");
  EXPECT_EQ(error.number, 2010);
  EXPECT_NE(error.message.find("\"w\""), std::string::npos) << error.message;
  EXPECT_EQ(versions(), (Set{"v@1 serving", "w@1 serving"}));
  EXPECT_EQ(refusal("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT page, n FROM v").number, 2010);
  EXPECT_EQ(refusal("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT '' AS page, most AS n FROM w").number, 2010);
  EXPECT_EQ(refusal("CREATE OR REPLACE TABLE v AS LATEST hits BY page").number, 2007);
}

TEST_F(Versions, StatementsThatOnlyGoTogetherAreReplacedTogether) {
  run("CREATE MATERIALIZED VIEW w AS SELECT max(n) AS most FROM v");
  run("CREATE MATERIALIZED VIEW pages AS SELECT page FROM hits");
  // A view that reads the stream's new column, in front of it; another that loses the column it read.
  const std::string view = "CREATE OR REPLACE VIEW v WITH (keep_old = '1 hour') AS SELECT place AS page, sum(n) AS n FROM hits GROUP BY place";
  const std::string stream = "CREATE OR REPLACE STREAM hits (place TEXT PATH '$.page', n BIGINT)";
  const std::string pages = "CREATE OR REPLACE VIEW pages AS SELECT place FROM hits";
  const Error alone = refusal(stream);
  EXPECT_EQ(alone.number, 2010);
  EXPECT_EQ(refusal(view).number, 2006);
  const Error two = refusal(view + ";\n" + stream);
  EXPECT_EQ(two.number, 2010);
  EXPECT_NE(two.message.find("\"pages\""), std::string::npos) << two.message;
  const Error wrong = refusal(stream + ";\n" + pages + ";\nCREATE OR REPLACE VIEW v AS\n SELECT nope FROM hits");
  EXPECT_EQ(wrong.number, 2006);
  EXPECT_EQ(wrong.place->line, 4U);
  EXPECT_EQ(wrong.place->column, 9U);
  EXPECT_EQ(refusal(stream + "; DROP VIEW pages").number, 2001);
  EXPECT_EQ(refusal(stream + "; CREATE OR REPLACE VIEW nobody AS SELECT place FROM hits").number, 2003);
  EXPECT_EQ(refusal(stream + ";" + stream).number, 2007);
  EXPECT_EQ(refusal("CREATE OR REPLACE VIEW v AS SELECT '' AS page, most AS n FROM w; CREATE OR REPLACE VIEW w AS SELECT max(n) AS most FROM v").number, 2010);
  EXPECT_EQ(versions(), (Set{"v@1 serving", "w@1 serving", "pages@1 serving"}));
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"34"});

  run(view + ";\n" + stream + ";" + pages + ";");
  until_serving("v", 2);
  EXPECT_EQ(versions(), (Set{"v@1 kept", "v@2 serving", "w@1 kept", "w@2 serving", "pages@1 kept", "pages@2 serving"}));
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"1683"});
  EXPECT_EQ(lines("SELECT count(*) FROM pages WHERE place = '/p1'"), Lines{"33"});
  restart();
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"1683"});
  EXPECT_EQ(lines("SELECT n FROM v@1 WHERE page = '/p0'"), Lines{"34"});
  run("ALTER STREAM hits ROLLBACK");
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"34"});
  EXPECT_EQ(lines("SELECT count(*) FROM pages WHERE page = '/p1'"), Lines{"33"});
}

TEST_F(Versions, NothingIsMadeOfWhatIsBeingReplaced) {
  run(kManual);
  EXPECT_EQ(refusal("CREATE MATERIALIZED VIEW w AS SELECT max(n) AS most FROM v").number, 2016);
  until([&] { return execute("ALTER VIEW v CUTOVER").has_value(); });
  run("CREATE MATERIALIZED VIEW w AS SELECT max(n) AS most FROM v");
  const Error error = refusal("ALTER VIEW v ROLLBACK");
  EXPECT_EQ(error.number, 2010);
  EXPECT_NE(error.message.find("\"w\""), std::string::npos) << error.message;
  run("DROP VIEW w");
  run("ALTER VIEW v ROLLBACK");
}

TEST_F(Versions, AStreamIsReplacedWithEverythingThatReadsIt) {
  run("CREATE MATERIALIZED VIEW w AS SELECT sum(n) AS s FROM hits");
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"4950"});
  run("CREATE OR REPLACE STREAM hits (page TEXT, n BIGINT) WITH (keep_old = '1 hour') WHERE n < 50");
  until_serving("w", 2);
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"1225"});
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), Lines{"17"});
  EXPECT_EQ(lines("SELECT count(*) AS c FROM hits"), Lines{"50"});
  restart();
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"1225"});
  EXPECT_EQ(lines("SELECT * FROM w@1"), Lines{"4950"});
  run("ALTER STREAM hits ROLLBACK");
  EXPECT_EQ(lines("SELECT * FROM w"), Lines{"4950"});
  EXPECT_EQ(lines("SELECT count(*) AS c FROM hits"), Lines{"100"});
}

TEST_F(Versions, ADerivedStreamGetsATopicOfItsOwnAndTheOldOneTakesNoEventTwice) {
  run("CREATE STREAM d AS SELECT page, n FROM hits WHERE n < 10 EMIT CHANGES");
  run("CREATE MATERIALIZED VIEW of_d AS SELECT count(*) AS c FROM d");
  EXPECT_EQ(lines("SELECT * FROM of_d"), Lines{"10"});
  run("CREATE OR REPLACE STREAM d AS SELECT page, n FROM hits WHERE n < 20 EMIT CHANGES");
  until_serving("of_d", 2);
  EXPECT_EQ(lines("SELECT * FROM of_d"), Lines{"20"});
  append("hits", hits(0, 5));
  EXPECT_EQ(lines("SELECT * FROM of_d"), Lines{"25"});
  EXPECT_EQ(lines("SELECT * FROM of_d@1"), Lines{"15"});
  EXPECT_EQ(log_->find_topic("d")->next_sequence.value(), 15U);
  EXPECT_EQ(log_->find_topic("d@2")->next_sequence.value(), 25U);
  restart();
  EXPECT_EQ(lines("SELECT * FROM of_d"), Lines{"25"});
  // A version number whose topic has events is not used again.
  run("ALTER STREAM d ROLLBACK");
  EXPECT_EQ(lines("SELECT * FROM of_d"), Lines{"15"});
  run("CREATE OR REPLACE STREAM d AS SELECT page, n FROM hits WHERE n < 30 EMIT CHANGES");
  until([&] { return lines("SELECT * FROM of_d") == Lines{"35"}; });
}

TEST_F(Versions, DroppingTakesEveryVersionAndAReplacementOfAReplacementKeepsTheLastOnly) {
  for (const char* what : {"sum(n)", "max(n)", "min(n)"}) {
    const std::uint32_t before = serving("v");
    run("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT page, " + std::string(what) + " AS n FROM hits GROUP BY page");
    until_serving("v", before + 1);
  }
  until([&] { return versions() == Set{"v@3 kept", "v@4 serving"}; });
  EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p1'"), Lines{"1"});
  run(kManual);
  run("DROP VIEW v");
  EXPECT_EQ(versions(), Set{});
  restart();
  EXPECT_EQ(versions(), Set{});
  run("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM hits");
  EXPECT_EQ(versions(), Set{"v@1 serving"});
  EXPECT_EQ(lines("SELECT * FROM v"), Lines{"100"});
}

// Kreps' checklist, 7: no reader sees "no such view" or a mix, offsets never go back.
TEST_F(Versions, ReadersOfAViewThatIsReplacedAgainAndAgainSeeOneVersionAtATime) {
  run("DROP VIEW v");
  // Version k answers k for every event.
  run("CREATE MATERIALIZED VIEW v AS SELECT 1 AS version, count(*) AS a, count(*) * 1 AS b FROM hits");
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
      if (!got->row) continue;
      const Row& row = *got->row;
      ASSERT_GE(row[0].as_int64(), last_version);
      ASSERT_EQ(row[2].as_int64(), row[1].as_int64() * row[0].as_int64());
      last_version = row[0].as_int64();
      ++reads;
    }
  });
  std::thread query([&] {
    while (!stop) {
      const auto answer = execute("SELECT version, a, b FROM v");
      ASSERT_TRUE(answer) << to_string(answer.error());
      for (const Row& row : answer->rows) ASSERT_EQ(row[2].as_int64(), row[1].as_int64() * row[0].as_int64());
    }
  });
  for (int k = 2; k <= 20; ++k) {
    append("hits", hits(0, 50));
    run("CREATE OR REPLACE MATERIALIZED VIEW v WITH (keep_old = '" + std::string(k % 2 == 0 ? "0 seconds" : "1 hour") +
        "') AS SELECT " + std::to_string(k) + " AS version, count(*) AS a, count(*) * " + std::to_string(k) +
        " AS b FROM hits");
    append("hits", hits(0, 50));
    until_serving("v", static_cast<std::uint32_t>(k));
  }
  stop = true;
  reader.join();
  query.join();
  EXPECT_GT(reads, 0U);
  EXPECT_EQ(lines("SELECT version, a FROM v"), Lines{"20|2000"});
}

// The offset of the last record that made new versions serve.
Offset last_cutover(const log::Log& log) {
  Offset last;
  for (const log::SystemRecord& record : log.system_records()) {
    const auto id = parse_replacement_key(record.key);
    const auto replacement = id ? decode_replacement(record.value, *id) : Expected<Replacement>(Replacement{});
    if (replacement && replacement->state == Replacement::State::kSwitched) last = std::max(last, record.offset);
  }
  return last;
}

// The cutover's record is durable, the new version's state is not: after the crash it begins far below what readers
// saw of the old one. They must not see that: a read waits, or is told to ask again.
TEST_F(Versions, AfterACrashRightBehindTheCutoverNoReaderGoesBehindIt) {
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    append("hits", hits(0, 6'000));
    run("SELECT * FROM v");
    const Offset before = last_cutover(*log_);
    close();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      options_.commit_interval_ms = 60'000;  // The new version commits nothing.
      open();
      static_cast<void>(execute(kSums));
      while (last_cutover(*log_) == before) std::this_thread::yield();
      ::kill(::getpid(), SIGKILL);
    }
    int how = 0;
    ASSERT_EQ(::waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    options_.replay.events_min = 1;
    options_.replay.unit = 64;
    options_.replay.share_percent = 3;  // It comes slowly.
    open();
    const Offset cutover = last_cutover(*log_);
    ASSERT_GT(cutover, before);
    const Freshness any{std::nullopt, false, std::chrono::minutes(2)};
    std::uint64_t told_to_wait = 0;
    for (;;) {
      const auto got = engine_->get("v", {{Value::text("/p0")}});
      if (got) {
        EXPECT_GE(got->applied, cutover);
        break;
      }
      ASSERT_EQ(got.error().number, 2016) << to_string(got.error());
      ASSERT_TRUE(got.error().code == ErrorCode::kBusy);
      if (++told_to_wait > 1) break;
      EXPECT_TRUE(engine_->must_wait("v"));
    }
    const auto selected = execute("SELECT page, n FROM v", any);
    ASSERT_TRUE(selected) << to_string(selected.error());
    EXPECT_GE(*selected->result.applied, cutover);
    EXPECT_FALSE(engine_->must_wait("v"));
    EXPECT_EQ(lines("SELECT n FROM v WHERE page = '/p0'"), lines("SELECT sum(n) FROM hits WHERE page = '/p0'"));
  }
}

// Versions are compared without the lock of statements, so others have their turn in between.
TEST_F(Versions, WhatServesIsWhatTheLogSaysHoweverManyStatementsSwitchAtTheSameTime) {
  run(kManual);
  until([&] { return lines("SELECT * FROM v@2").size() == 3; });
  for (int round = 0; round < 5; ++round) {
    std::atomic<bool> stop{false};
    std::atomic<int> switched{0};
    std::vector<std::thread> threads;
    for (const char* statement : {"ALTER VIEW v CUTOVER", "ALTER VIEW v ROLLBACK", "ALTER VIEW v CUTOVER"}) {
      threads.emplace_back([&, statement] {
        while (!stop) {
          const auto done = execute(statement);
          if (done) ++switched;
          if (!done) {
            EXPECT_TRUE(done.error().number == 2010 || done.error().number == 2016) << to_string(done.error());
          }
        }
      });
    }
    while (switched < 6) append("hits", hits(0, 50), 7);
    stop = true;
    for (std::thread& thread : threads) thread.join();
    until([&] { return execute("ALTER VIEW v ROLLBACK").has_value() || execute("ALTER VIEW v CUTOVER").has_value(); });
    const std::uint32_t served = serving("v");
    restart();
    ASSERT_EQ(serving("v"), served);
  }
}

TEST(ReplacementRecord, ComesBackAndRefusesOtherBytes) {
  Replacement replacement;
  replacement.id = Offset(7);
  replacement.state = Replacement::State::kRolledBack;
  replacement.manual = true;
  replacement.keep_micros = 5;
  replacement.switched_micros = 6;
  replacement.members = {{"v", 1, 2}, {"w", 3, 9}};
  const std::string bytes = encode_replacement(replacement);
  const auto back = decode_replacement(bytes, Offset(7));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->members, replacement.members);
  EXPECT_EQ(encode_replacement(*back), bytes);
  EXPECT_EQ(parse_replacement_key(replacement_key(Offset(7))), Offset(7));
  EXPECT_EQ(parse_replacement_key("replacement/7x"), std::nullopt);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(decode_replacement(std::string_view(bytes).substr(0, cut), Offset(7))) << cut;
  EXPECT_FALSE(decode_replacement(bytes + "x", Offset(7)));
  std::string later = bytes;
  later[0] = 2;
  EXPECT_EQ(decode_replacement(later, Offset(7)).error().number, 2013);
}

}  // namespace
}  // namespace kappa::processor::test
