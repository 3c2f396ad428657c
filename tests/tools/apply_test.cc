// Goal: `kappa apply` tells a changed definition from one that is only written differently, names what it would do, and
// places errors in the file. Method: texts in pairs; scripts against made-up states of a server.
#include <gtest/gtest.h>

#include "tools/apply_plan.h"
#include "tools/command.h"

namespace kappa::tools {
namespace {

std::string normal(std::string_view sql) {
  const auto text = normalized_definition(sql);
  EXPECT_TRUE(text) << sql;
  return text ? *text : "";
}

TEST(DefinitionText, WhatDoesNotSayWhatIsDefinedIsLeftOut) {
  const std::string wanted = normal("create view v as select page, count(*) as n from hits group by page");
  for (const char* same :
       {"CREATE VIEW v AS SELECT page, COUNT(*) AS n FROM hits GROUP BY page",
        "  create\tmaterialized\n view v as select page , count( * ) as n from hits group by page ; ",
        "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page",
        "CREATE VIEW IF NOT EXISTS v AS SELECT page, count(*) AS n FROM hits GROUP BY page;",
        "-- counts\nCREATE VIEW v AS /* of /* each */ page */ SELECT page, count(*) AS n FROM Hits GROUP BY PAGE -- end",
        "CREATE VIEW v WITH (cutover = 'manual', keep_old = '2 hours') AS SELECT page, count(*) AS n FROM hits GROUP BY page"}) {
    EXPECT_EQ(normal(same), wanted) << same;
  }
}

TEST(DefinitionText, LiteralsAndQuotedNamesCountAsWritten) {
  const std::pair<const char*, const char*> different[] = {
      {"CREATE VIEW v AS SELECT 'a b' AS x FROM hits", "CREATE VIEW v AS SELECT 'a  b' AS x FROM hits"},
      {"CREATE VIEW v AS SELECT 'A' AS x FROM hits", "CREATE VIEW v AS SELECT 'a' AS x FROM hits"},
      {"CREATE VIEW v AS SELECT '-- a' AS x FROM hits", "CREATE VIEW v AS SELECT '-- b' AS x FROM hits"},
      {"CREATE VIEW v AS SELECT '/**/;' AS x FROM hits", "CREATE VIEW v AS SELECT ';' AS x FROM hits"},
      {"CREATE VIEW v AS SELECT \"Page\" FROM hits", "CREATE VIEW v AS SELECT \"page\" FROM hits"},
      {"CREATE VIEW v AS SELECT \"a  b\" FROM hits", "CREATE VIEW v AS SELECT \"a b\" FROM hits"},
      {"CREATE VIEW v AS SELECT 'it''s' AS x FROM hits", "CREATE VIEW v AS SELECT 'it' 's' AS x FROM hits"},
      // A text that looks like what is left out elsewhere.
      {"CREATE VIEW v AS SELECT 'or replace' AS x FROM hits", "CREATE VIEW v AS SELECT '' AS x FROM hits"},
      {"CREATE VIEW v AS SELECT 'x' AS n FROM hits", "CREATE VIEW v AS SELECT \"x\" AS n FROM hits"},
      {"CREATE VIEW v AS SELECT 'page' AS n FROM hits", "CREATE VIEW v AS SELECT page AS n FROM hits"},
      {"CREATE VIEW v AS SELECT 1 AS n FROM hits", "CREATE VIEW v AS SELECT 12 AS n FROM hits"}};
  for (const auto& [a, b] : different) EXPECT_NE(normal(a), normal(b)) << a;
}

TEST(DefinitionText, OptionsCountWithoutTheirOrder) {
  EXPECT_EQ(normal("CREATE STREAM s (a BIGINT) WITH (topic = 't', event_time = 'a')"),
            normal("CREATE STREAM s (a BIGINT) WITH (event_time='a',keep_old='1 hour',topic='t')"));
  EXPECT_NE(normal("CREATE STREAM s (a BIGINT) WITH (topic = 't')"), normal("CREATE STREAM s (a BIGINT) WITH (topic = 'u')"));
  EXPECT_NE(normal("CREATE STREAM s (a BIGINT) WITH (topic = 't')"), normal("CREATE STREAM s (a BIGINT)"));
  EXPECT_NE(normal("CREATE STREAM s (a BIGINT)"), normal("CREATE TABLE s (a BIGINT)"));
  // A common table expression is no list of options.
  EXPECT_NE(normal("CREATE VIEW v AS WITH cutover AS (SELECT 1 AS a) SELECT a FROM cutover"),
            normal("CREATE VIEW v AS SELECT a FROM cutover"));
}

TEST(DefinitionScript, EachStatementIsDescribedAndPlaced) {
  const std::string script =
      "-- first\nCREATE STREAM hits (page TEXT);\n\n  create or replace view V as select page from hits;"
      "CREATE TABLE t AS LATEST hits BY page; DROP VIEW IF EXISTS old";
  const auto statements = parse_definitions(script);
  ASSERT_TRUE(statements) << to_string(statements.error());
  ASSERT_EQ(statements->size(), 4U);
  const ScriptStatement& view = (*statements)[1];
  EXPECT_EQ((std::tuple{view.kind, view.name, view.line, view.column}), (std::tuple{"view", "v", 4U, 3U}));
  EXPECT_TRUE(view.create && view.or_replace && view.replays);
  EXPECT_FALSE((*statements)[0].replays);
  EXPECT_EQ((*statements)[2].kind, "table");
  EXPECT_FALSE((*statements)[3].create);
}

TEST(DefinitionScript, ErrorsHaveTheirPlaceInTheFile) {
  struct Case {
    const char* script;
    std::uint16_t number;
    std::uint32_t line, column;
  };
  for (const Case& one : {Case{"CREATE STREAM s (a BIGINT);\nSELECT 1", 2005, 2, 1},
                          Case{"CREATE STREAM s (a BIGINT); SHOW VIEWS", 2005, 1, 29},
                          Case{"CREATE STREAM s (a BIGINT);\n\n  CREATE VIEW v AS\n  SELEC a FROM s", 2001, 4, 3},
                          Case{"/* */ CREATE VIEW v AS SELEC a", 2001, 1, 24},
                          Case{"CREATE STREAM s (a BIGINT);\nCREATE VIEW S AS SELECT a FROM x", 2007, 2, 1},
                          Case{"CREATE STREAM s (a BIGINT);\nDROP STREAM s", 2007, 2, 1},
                          Case{"EXPLAIN SELECT a FROM s", 2005, 1, 1},
                          Case{"CREATE STREAM s (a BIGINT);\nCREATE VIEW v AS SELECT 'a", 2001, 2, 25}}) {
    const auto statements = parse_definitions(one.script);
    ASSERT_FALSE(statements) << one.script;
    const Error& error = statements.error();
    ASSERT_TRUE(error.place) << one.script;
    EXPECT_EQ((std::tuple{error.number, error.place->line, error.place->column}),
              (std::tuple{one.number, one.line, one.column}))
        << one.script << "\n" << error.message;
  }
}

TEST(DefinitionScript, AnErrorOfTheReplacingTextIsPlacedInTheGivenOne) {
  const std::string script = "CREATE STREAM s (a BIGINT);\n  CREATE VIEW v AS SELECT nope\nFROM s";
  const auto statements = parse_definitions(script);
  ASSERT_TRUE(statements);
  const ScriptStatement& view = (*statements)[1];
  EXPECT_EQ(with_or_replace(view), "CREATE OR REPLACE VIEW v AS SELECT nope\nFROM s");
  const auto place = [&](std::uint32_t line, std::uint32_t column) {
    Error error{ErrorCode::kInvalid, 2006, "", "", 0, SourcePlace{line, column, 4}};
    const Error placed = placed_in_script(without_or_replace(error, view), view);
    return std::pair{placed.place->line, placed.place->column};
  };
  EXPECT_EQ(place(1, 36), (std::pair{2U, 27U}));  // nope
  EXPECT_EQ(place(1, 1), (std::pair{2U, 3U}));    // CREATE
  EXPECT_EQ(place(2, 6), (std::pair{3U, 6U}));    // s
}

class ApplyPlanTest : public testing::Test {
 protected:
  ApplyPlanTest() {
    server_.log_start = 100;
    server_.log_end = 1'000'100;
    server_.topics = {"hits"};
    hold("hits", "stream", {}, "CREATE STREAM hits (page TEXT, n BIGINT)");
    hold("v", "view", {"hits"}, "CREATE MATERIALIZED VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page");
    hold("w", "view", {"v"}, "CREATE MATERIALIZED VIEW w AS SELECT max(n) AS n FROM v");
  }
  void hold(std::string name, std::string kind, std::vector<std::string> reads, std::string sql,
            std::string role = "serving", std::uint32_t version = 1) {
    definitions_.push_back({std::move(name), version, std::move(kind), std::move(role), false, std::move(reads), std::move(sql)});
  }
  // "action name events", one a line; what is left alone in brackets.
  std::string plan(const std::string& script) {
    const auto statements = parse_definitions(script);
    EXPECT_TRUE(statements);
    plan_ = plan_apply(*statements, definitions_, server_);
    if (!plan_) return "error " + std::to_string(plan_.error().number);
    std::string text;
    for (const ApplyStep& step : plan_->steps) {
      text += std::string(name_of(step.action)) + " " + (*statements)[step.statement].name;
      if (step.events > 0) text += " " + std::to_string(step.events);
      for (const std::string& name : step.with) text += " +" + name;
      text += step.sql.empty() ? "\n" : " !\n";
    }
    for (const Definition& one : plan_->left_alone) text += "[" + one.name + "]\n";
    return text;
  }
  Definitions definitions_;
  ServerState server_;
  Expected<ApplyPlan> plan_ = ApplyPlan{};
  const std::string same_ =
      "create stream hits (page text, n bigint); create view v as select page, count(*) as n from hits group by page;"
      "create view w as select max(n) as n from v;";
};

TEST_F(ApplyPlanTest, WhatIsTheSameIsLeftAlone) {
  EXPECT_EQ(plan(same_), "unchanged hits\nunchanged v\nunchanged w\n");
  EXPECT_EQ(plan("CREATE STREAM hits (page TEXT, n BIGINT)"), "unchanged hits\n[v]\n[w]\n");
}

TEST_F(ApplyPlanTest, AChangeNamesItsReplayAndWhatGoesWithIt) {
  EXPECT_EQ(plan("CREATE STREAM hits (page TEXT, n DOUBLE); CREATE VIEW x AS SELECT n FROM hits; CREATE STREAM s (a BIGINT)"),
            "changed hits 1000000 +v +w !\nnew x 1000000 !\nnew s !\n[v]\n[w]\n");
  EXPECT_EQ(plan_->steps[0].sql, "CREATE OR REPLACE STREAM hits (page TEXT, n DOUBLE)");
  EXPECT_DOUBLE_EQ(plan_->steps[0].seconds, 1e6 / kReplayRateAssumed);
  server_.views.push_back({});
  server_.views.back().events_per_second = 2e6;
  EXPECT_EQ(plan("CREATE VIEW w AS SELECT min(n) AS n FROM v"), "changed w 1000000 !\n[hits]\n[v]\n");
  EXPECT_DOUBLE_EQ(plan_->steps[0].seconds, 0.5);
}

TEST_F(ApplyPlanTest, AStreamThatNobodyReadsNeedsNoReplay) {
  hold("idle", "stream", {}, "CREATE STREAM idle (a BIGINT)");
  EXPECT_EQ(plan("CREATE STREAM idle (a TEXT)"), "changed idle !\n[hits]\n[v]\n[w]\n");
}

TEST_F(ApplyPlanTest, WhatIsBeingBuiltIsNotBegunAgain) {
  const std::string sums = "CREATE OR REPLACE VIEW v AS SELECT page, sum(n) AS n FROM hits GROUP BY page";
  hold("v", "view", {"hits"}, sums, "next", 2);
  EXPECT_EQ(plan(sums), "being built v\n[hits]\n[w]\n");
  // Another text, and the one that serves: both are a change to what is under way.
  EXPECT_EQ(plan("CREATE VIEW v AS SELECT page, max(n) AS n FROM hits GROUP BY page"),
            "changed v 1000000 +w !\n[hits]\n[w]\n");
  EXPECT_EQ(plan("CREATE VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page"),
            "changed v 1000000 +w !\n[hits]\n[w]\n");
}

TEST_F(ApplyPlanTest, WhatIsKeptIsSwitchedToWithoutAReplay) {
  definitions_[1].role = "kept";
  hold("v", "view", {"hits"}, "CREATE VIEW v AS SELECT page, sum(n) AS n FROM hits GROUP BY page", "serving", 2);
  EXPECT_EQ(plan("CREATE VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page"), "changed v +w !\n[hits]\n[w]\n");
  EXPECT_EQ(plan_->steps[0].sql, "ALTER VIEW \"v\" ROLLBACK");
  std::swap(definitions_[1].role, definitions_.back().role);
  EXPECT_EQ(plan("CREATE VIEW v AS SELECT page, sum(n) AS n FROM hits GROUP BY page"), "changed v +w !\n[hits]\n[w]\n");
  EXPECT_EQ(plan_->steps[0].sql, "ALTER VIEW \"v\" CUTOVER");
  // What is kept of it does not outlive the change of what it reads.
  EXPECT_EQ(plan("CREATE STREAM hits (page TEXT, n DOUBLE); CREATE VIEW v AS SELECT page, sum(n) AS n FROM hits GROUP BY page"),
            "changed hits 1000000 +v +w !\nchanged v 1000000 +w !\n[w]\n");
}

TEST_F(ApplyPlanTest, ADropRunsIfThereIsSomething) {
  EXPECT_EQ(plan("DROP VIEW w; DROP VIEW IF EXISTS nobody; DROP STREAM v; DROP TOPIC hits; DROP TOPIC other"),
            "drop w !\nabsent nobody\nabsent v\ndrop hits !\nabsent other\n[hits]\n");
}

TEST_F(ApplyPlanTest, ANameThatIsSomethingElseIsRefusedBeforeAnythingRuns) {
  EXPECT_EQ(plan("CREATE VIEW x AS SELECT n FROM hits;\nCREATE STREAM w (a BIGINT)"), "error 2007");
  EXPECT_EQ(plan_.error().place->line, 2U);
}

TEST(ServerState, ProgressComesFromTheReplayOrFromTheLag) {
  const auto state = parse_server_state(
      R"({"log":{"start":5,"end":105},"topics":[{"name":"t"}],"views":[)"
      R"({"name":"a","version":2,"role":"next","state":"building","from":5,"applied":30,"lag_events":75},)"
      R"({"name":"b","version":1,"role":"serving","state":"building","applied":40,"lag_events":65,)"
      R"("replay":{"state":"paused","events_done":90,"events_total":100,"tail_events":7,"events_per_second":2500000.5,"eta_seconds":4.2}},)"
      R"({"name":"c","version":1,"role":"serving","state":"live","applied":105,"lag_events":0}]})");
  ASSERT_TRUE(state);
  EXPECT_EQ((std::tuple{state->log_start, state->log_end, state->topics.size()}), (std::tuple{5U, 105U, 1U}));
  EXPECT_EQ(progress_line(state->views[0], 10), "a@2  [##--------]  25 %  25/100 events");
  EXPECT_EQ(progress_line(state->views[1], 10), "b@1  [#########-]  90 %  90/100 events + 7 since  2.5 M/s  4 s left  paused");
  EXPECT_EQ(replay_bars(*state), "being built\n  " + progress_line(state->views[0]) + "\n  " +
                                     progress_line(state->views[1]) + "\n");
  EXPECT_FALSE(parse_server_state("[]"));
  EXPECT_EQ(duration_text(0.4), "0 s");
  EXPECT_EQ(duration_text(600), "10 min");
  EXPECT_EQ(duration_text(7'500), "2 h 5 min");
}

}  // namespace
}  // namespace kappa::tools
