// Goal: statements bind to the plans, keys and definitions that docs/sql.md promises, and everything
// that is wrong or not available yet is refused with its number, place and advice. Method: small
// statements over a catalog in memory; plans are compared as EXPLAIN text.
#include "tests/processor/sql/sql_fixture.h"

namespace kappa::processor {
namespace {

class Compile : public ::testing::Test {
 protected:
  void SetUp() override { catalog_.run(kHits); }

  template <class T>
  T as(std::string_view sql) {
    auto statement = compile(sql, catalog_);
    if (!statement) {
      ADD_FAILURE() << sql << "\n" << to_string(statement.error());
      return {};
    }
    EXPECT_TRUE(std::holds_alternative<T>(*statement)) << sql;
    return std::get<T>(std::move(*statement));
  }
  // The kinds of a plan's nodes, root first.
  static std::vector<PlanKind> shape(const PlanPtr& root) {
    std::vector<PlanKind> kinds;
    for (const Plan* node = root.get(); node != nullptr; node = node->input.get())
      kinds.push_back(node->kind);
    return kinds;
  }
  static const Plan& scan(const PlanPtr& root) {
    const Plan* node = root.get();
    while (node->input) node = node->input.get();
    return *node;
  }
  ViewPlan view(const std::string& select) {
    return as<CreateView>("CREATE MATERIALIZED VIEW v AS " + select).plan;
  }

  struct Refusal {
    const char* sql;
    std::uint16_t number;
    std::uint32_t column;
    const char* text;  // Part of the message or the hint.
  };
  void refused(std::initializer_list<Refusal> cases) {
    for (const Refusal& c : cases) {
      const Error error = error_of(c.sql, catalog_);
      EXPECT_EQ(error.number, c.number) << c.sql << "\n" << to_string(error);
      ASSERT_TRUE(error.place.has_value()) << c.sql << "\n" << to_string(error);
      EXPECT_EQ(error.place->line, 1U) << c.sql;
      EXPECT_EQ(error.place->column, c.column) << c.sql << "\n" << to_string(error);
      EXPECT_NE(to_string(error).find(c.text), std::string::npos) << c.sql << "\n" << to_string(error);
    }
  }
  MemoryCatalog catalog_;
};

using enum PlanKind;

TEST_F(Compile, StreamHasPathsTypesAndOptions) {
  const auto stream =
      as<CreateStream>(
          "CREATE STREAM q (id VARCHAR(20), magType TEXT, \"Odd Name\" INT, mag DOUBLE PRECISION PATH "
          "'$.properties.mag', d DOUBLE PATH '$.g.c[2]', e BIGINT PATH '$.n.\"x.y\"', f BIGINT PATH "
          "'$[\"a b\"][0]', p DECIMAL(12,3), at TIMESTAMPTZ, span INTERVAL, j JSON, b BOOL) "
          "WITH (topic = 'quakes', event_time = 'at', delay = '5 seconds', on_error = 'dead_letter')")
          .definition;
  EXPECT_EQ(stream->topic, "quakes");
  EXPECT_EQ(stream->event_time, 8U);
  EXPECT_EQ(stream->delay_micros, 5'000'000);
  EXPECT_TRUE(stream->dead_letter);
  using Step = StreamColumn::Step;
  EXPECT_EQ(stream->columns[1].name, "magtype");
  EXPECT_EQ(stream->columns[1].path, (std::vector<Step>{{"magType", 0}}));
  EXPECT_EQ(stream->columns[2].name, "Odd Name");
  EXPECT_EQ(stream->columns[2].path, (std::vector<Step>{{"Odd Name", 0}}));
  EXPECT_EQ(stream->columns[4].path, (std::vector<Step>{{"g", 0}, {"c", 0}, {std::nullopt, 2}}));
  EXPECT_EQ(stream->columns[5].path, (std::vector<Step>{{"n", 0}, {"x.y", 0}}));
  EXPECT_EQ(stream->columns[6].path, (std::vector<Step>{{"a b", 0}, {std::nullopt, 0}}));
  EXPECT_EQ(stream->columns[7].type, (Type{TypeId::kNumeric, 12, 3}));
  EXPECT_EQ(as<CreateStream>("CREATE STREAM Plain (a TEXT)").definition->topic, "plain");
}

TEST_F(Compile, StreamWhereInfersTheTypesOfMembers) {
  const auto stream =
      as<CreateStream>(
          "CREATE STREAM s (a BIGINT) WHERE event_type = 2 AND kind LIKE 'a%' AND Flag AND x IS NOT NULL AND "
          "y > 1.5 "
          "AND z IN ('p', 'q') AND w = a AND NOT (seen < TIMESTAMP '2024-01-01') AND x IS NULL AND 3 < n + 1")
          .definition;
  std::vector<std::string> found;
  for (const StreamColumn& column : stream->hidden) {
    found.push_back(column.name + " " + to_string(column.type) + " " + *column.path[0].member);
  }
  EXPECT_EQ(found, (std::vector<std::string>{"event_type BIGINT event_type", "kind TEXT kind",
                                             "flag BOOLEAN Flag", "x JSON x", "y DOUBLE y", "z TEXT z",
                                             "w BIGINT w", "seen TIMESTAMP seen", "n BIGINT n"}));
  ASSERT_NE(stream->where, nullptr);
  EXPECT_EQ(stream->where->type, kBooleanType);
}

TEST_F(Compile, StreamMistakesAreRefused) {
  refused({
      {"CREATE STREAM s (a TEXT) WITH (topik = 'x')", 2005, 32, "did you mean \"topic\"?"},
      {"CREATE STREAM s (a TEXT) WITH (event_time = 'a')", 2002, 45, "must be a TIMESTAMP"},
      {"CREATE STREAM s (tss TIMESTAMP) WITH (event_time = 'ts')", 2006, 52, "did you mean \"tss\"?"},
      {"CREATE STREAM s (a TEXT) WITH (delay = 'soon')", 2002, 40, "delay"},
      {"CREATE STREAM s (a TEXT) WITH (on_error = 'ignore')", 2005, 43, "dead_letter"},
      {"CREATE STREAM s (a TEXT) WITH (topic = '')", 2005, 40, "bytes"},
      {"CREATE STREAM s (a TEXT, A BIGINT)", 2007, 26, "twice"},
      {"CREATE STREAM s (_offset BIGINT)", 2007, 18, "_offset"},
      {"CREATE STREAM s (a TEXT PATH 'x')", 2001, 30, "must start with $"},
      {"CREATE STREAM s (a TEXT PATH '$')", 2001, 30, "names no member"},
      {"CREATE STREAM s (a TEXT PATH '$.')", 2001, 30, "a name is missing"},
      {"CREATE STREAM s (a TEXT PATH '$.a[x]')", 2001, 30, "array index"},
      {"CREATE STREAM s (a TEXT PATH '$.a[99999999999]')", 2001, 30, "array index"},
      {"CREATE STREAM s (a TEXT PATH '$.\"a')", 2001, 30, "does not end"},
      {"CREATE STREAM s (a TEXT) WHERE _offset > 3", 2005, 32, "WHERE of a stream"},
      {"CREATE STREAM s (a TEXT) WHERE ts < now()", 2005, 37, "_append_time"},
      {"CREATE STREAM hits (a TEXT)", 2007, 15, "exists already"},
      {"CREATE STREAM by_page (a TEXT)", 2007, 15, "exists already"},
  });
  EXPECT_TRUE(as<CreateStream>("CREATE STREAM IF NOT EXISTS hits (a TEXT)").if_not_exists);
  EXPECT_TRUE(as<CreateStream>("CREATE OR REPLACE STREAM hits (a TEXT)").or_replace);
}

TEST_F(Compile, ViewPlansAreCanonical) {
  EXPECT_EQ(shape(view("SELECT page, count(*) FROM hits GROUP BY page").root),
            (std::vector{kProject, kAggregate, kStreamScan}));
  EXPECT_EQ(
      shape(view("SELECT page, sum(ms)/count(*) FROM hits WHERE ok GROUP BY page HAVING count(*) > 1").root),
      (std::vector{kProject, kFilter, kAggregate, kFilter, kStreamScan}));
  EXPECT_EQ(shape(view("SELECT page FROM hits WHERE ok").root),
            (std::vector{kProject, kFilter, kStreamScan}));
  // Subqueries that filter and project dissolve.
  EXPECT_EQ(shape(view("SELECT p, count(*) FROM (SELECT upper(page) AS p, ms FROM hits WHERE ok) WHERE ms > "
                       "1 GROUP BY p")
                      .root),
            (std::vector{kProject, kAggregate, kFilter, kStreamScan}));
  EXPECT_EQ(
      shape(view("SELECT n + 1 FROM (SELECT page, count(*) AS n FROM hits GROUP BY page) x WHERE x.n > 3")
                .root),
      (std::vector{kProject, kFilter, kAggregate, kStreamScan}));
}

TEST_F(Compile, ViewKeysAreTheGroupKeysAlsoHidden) {
  const ViewPlan selected = view("SELECT count(*) AS n, page FROM hits GROUP BY page");
  EXPECT_EQ(selected.visible_columns, 2U);
  EXPECT_EQ(selected.key_columns, std::vector<std::size_t>{1});
  const ViewPlan hidden = view("SELECT count(*) AS n, ms FROM hits GROUP BY page, ms, upper(page)");
  EXPECT_EQ(hidden.visible_columns, 2U);
  EXPECT_EQ(hidden.key_columns, (std::vector<std::size_t>{2, 1, 3}));
  EXPECT_EQ(hidden.root->output[2].name, "page");
  EXPECT_EQ(hidden.root->output[3].name, "upper(page)");
  const ViewPlan rows = view("SELECT page FROM hits");
  EXPECT_EQ(rows.visible_columns, 1U);
  EXPECT_EQ(rows.key_columns, std::vector<std::size_t>{1});
  EXPECT_EQ(rows.root->output[1].name, "_offset");
  EXPECT_EQ(view("SELECT _offset, page FROM hits").key_columns, std::vector<std::size_t>{0});
  const ViewPlan global = view("SELECT count(*) AS n FROM hits");
  EXPECT_TRUE(global.single_row);
  EXPECT_TRUE(global.key_columns.empty());
  EXPECT_EQ(view("SELECT DISTINCT page, ok FROM hits").key_columns, (std::vector<std::size_t>{0, 1}));
}

TEST_F(Compile, GroupByTakesOrdinalsAliasesAndExpressions) {
  for (const char* select : {"SELECT upper(page) AS p, count(*) FROM hits GROUP BY 1",
                             "SELECT upper(page) AS p, count(*) FROM hits GROUP BY p",
                             "SELECT upper(page) AS p, count(*) FROM hits GROUP BY upper(page)",
                             "SELECT upper(page) AS p, count(*) FROM hits GROUP BY UPPER(hits.PAGE), p"}) {
    const ViewPlan plan = view(select);
    const Plan& aggregate = *plan.root->input;
    ASSERT_EQ(aggregate.group_keys.size(), 1U) << select;
    EXPECT_EQ(aggregate.output[0].name, "upper(page)") << select;
    EXPECT_EQ(plan.key_columns, std::vector<std::size_t>{0}) << select;
  }
  // An input column goes before an alias.
  const ViewPlan plan = view("SELECT upper(page) AS ms, count(*) FROM hits GROUP BY ms, page");
  EXPECT_EQ(plan.root->input->output[0].name, "ms");
}

TEST_F(Compile, AggregatesHaveTheirTypesAndAreSharedWhenEqual) {
  const ViewPlan plan = view(
      "SELECT sum(ms) AS a, sum(price) AS b, sum(score) AS c, avg(ms) AS d, min(ts) AS e, count(DISTINCT "
      "page) AS f, "
      "sum(ms) + 1 AS g, max(ms) FILTER (WHERE ok) AS h, min(DISTINCT ms) AS i, min(ms) AS j FROM hits");
  std::vector<std::string> types;
  for (const Column& column : plan.root->output) types.push_back(to_string(column.type));
  EXPECT_EQ(types,
            (std::vector<std::string>{"NUMERIC(38,0)", "NUMERIC(38,2)", "DOUBLE", "DOUBLE", "TIMESTAMP",
                                      "BIGINT", "NUMERIC(38,0)", "BIGINT", "BIGINT", "BIGINT"}));
  EXPECT_EQ(plan.root->input->aggregates.size(), 8U);
}

TEST_F(Compile, ScansDecodeOnlyWhatIsUsed) {
  const ViewPlan plan = view("SELECT page, max(price) AS p FROM hits WHERE ms > 3 GROUP BY page");
  EXPECT_EQ(scan(plan.root).stream_columns, (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_TRUE(scan(view("SELECT count(*) AS n FROM hits").root).stream_columns.empty());
  // Pseudo columns come after declared and hidden ones.
  EXPECT_EQ(scan(view("SELECT _append_time, _seq FROM hits").root).stream_columns,
            (std::vector<std::size_t>{8, 9, 11}));
}

TEST_F(Compile, OrderByUsesOutputsInputsAndAggregates) {
  const auto sorted = as<Select>(
      "SELECT page, count(*) AS n FROM hits GROUP BY page ORDER BY n DESC, 1, max(ms) DESC NULLS LAST LIMIT "
      "5 OFFSET 2");
  EXPECT_EQ(shape(sorted.plan), (std::vector{kSort, kProject, kAggregate, kStreamScan}));
  const Plan& sort = *sorted.plan;
  EXPECT_EQ(sort.input->output.size(), 3U);
  ASSERT_EQ(sort.sort_keys.size(), 3U);
  EXPECT_TRUE(sort.sort_keys[0].descending && sort.sort_keys[0].nulls_first);
  EXPECT_TRUE(!sort.sort_keys[1].descending && !sort.sort_keys[1].nulls_first);
  EXPECT_FALSE(sort.sort_keys[2].nulls_first);
  EXPECT_EQ(sort.limit, 5U);
  EXPECT_EQ(sort.offset, 2U);
  EXPECT_EQ(sorted.plan->output.size(), 2U);

  EXPECT_EQ(shape(as<Select>("SELECT page FROM hits ORDER BY page").plan),
            (std::vector{kSort, kProject, kStreamScan}));
  EXPECT_EQ(shape(as<Select>("SELECT * FROM by_page WHERE n > 3 LIMIT 1").plan),
            (std::vector{kSort, kProject, kFilter, kViewScan}));
}

TEST_F(Compile, SelectReadsViewsAndPrefixesOfStreams) {
  const auto by_view = as<Select>("SELECT b.*, b.n * 2 AS twice FROM by_page AS b");
  EXPECT_EQ(by_view.views, std::vector<std::string>{"by_page"});
  EXPECT_EQ(by_view.plan->output.size(), 3U);
  EXPECT_EQ(scan(as<Select>("SELECT * FROM by_page@1").plan).view_version, 1U);
  const auto prefix = as<Select>("SELECT count(*) FROM hits AS OF OFFSET 81234");
  EXPECT_EQ(prefix.as_of_offset, 81234U);
  EXPECT_EQ(prefix.streams, std::vector<std::string>{"hits"});
  EXPECT_EQ(
      shape(as<Select>("SELECT max(n) FROM (SELECT page, count(*) AS n FROM hits GROUP BY page) x").plan),
      (std::vector{kProject, kAggregate, kAggregate, kStreamScan}));
}

TEST_F(Compile, NamesAreFoldedUnlessQuoted) {
  EXPECT_EQ(
      as<Select>("SELECT PAGE, MagType, \"magtype\" FROM HITS h WHERE H.Page = 'x'").plan->output[1].name,
      "magtype");
  refused({{"SELECT \"Page\" FROM hits", 2006, 8, "did you mean \"page\"?"}});
  catalog_.run("CREATE STREAM odd (\"CamelCase\" TEXT)");
  EXPECT_EQ(as<Select>("SELECT camelcase FROM odd").plan->output.size(), 1U);
}

TEST_F(Compile, MistakesAreRefusedWithAdvice) {
  refused({
      {"SELECT * FROM hist", 2003, 15, "did you mean \"hits\"?"},
      {"SELECT pgae FROM hits", 2006, 8, "did you mean \"page\"?"},
      {"SELECT x.page FROM hits h", 2006, 8, "not in FROM"},
      {"SELECT lenght(page) FROM hits", 2004, 8, "did you mean \"length\"?"},
      {"SELECT page, count(*) FROM hits", 2005, 8, "GROUP BY"},
      {"SELECT count(*), 1 + ms FROM hits GROUP BY page", 2005, 22, "\"ms\""},
      {"SELECT * FROM hits WHERE count(*) > 1", 2005, 26, "use HAVING"},
      {"SELECT sum(count(*)) FROM hits", 2005, 12, "an aggregate"},
      {"SELECT count(*) FROM hits GROUP BY 2", 2006, 36, "positions go from 1 to 1"},
      {"SELECT page FROM hits ORDER BY 0", 2006, 32, "select list"},
      {"SELECT page FROM hits WHERE ms", 2002, 29, "WHERE must be BOOLEAN"},
      {"SELECT ts > 'soon' FROM hits", 2002, 13, "not a valid TIMESTAMP"},
      {"SELECT ms = 'x' FROM hits", 2002, 13, "not a valid BIGINT"},
      {"SELECT page = 1 FROM hits", 2002, 13, "cannot compare TEXT with BIGINT"},
      {"SELECT ms + page FROM hits", 2002, 11, "BIGINT and TEXT"},
      {"SELECT tag = tag FROM hits", 2002, 12, "JSON"},
      {"SELECT sum(page) FROM hits", 2002, 12, "sum does not take TEXT"},
      {"SELECT sum(*) FROM hits", 2002, 8, "only count takes *"},
      {"SELECT count() FROM hits", 2002, 8, "count(*)"},
      {"SELECT length(page, 1) FROM hits", 2002, 8, "usage: length(TEXT)"},
      {"SELECT lower(DISTINCT page) FROM hits", 2005, 8, "not an aggregate"},
      {"SELECT CAST(ts AS BIGINT) FROM hits", 2002, 8, "epoch_ms"},
      {"SELECT CASE WHEN ok THEN 1 ELSE 'x' END FROM hits", 2002, 8, "not a valid BIGINT"},
      {"SELECT CASE WHEN ok THEN ms ELSE page END FROM hits", 2002, 8, "branches of CASE"},
      {"SELECT date_trunc('fortnight', ts) FROM hits", 2002, 8, "not a unit of time"},
      {"SELECT 1 = 1 FROM by_page@7", 2003, 19, "no version 7"},
      {"SELECT * FROM by_page AS OF OFFSET 4", 2005, 15, "is a view"},
      {"INSERT INTO hits VALUES (1)", 2005, 1, "kappa append"},
      {"SELECT *", 2005, 8, "needs FROM"},
  });
}

TEST_F(Compile, ViewsRefuseTheClockAndChance) {
  refused({
      {"CREATE VIEW v AS SELECT page FROM hits WHERE ts < now()", 2005, 51, "_append_time"},
      {"CREATE VIEW v AS SELECT current_timestamp FROM hits", 2005, 25, "_append_time"},
      {"CREATE VIEW v AS SELECT random() FROM hits", 2005, 25, "_offset"},
      {"CREATE VIEW v AS SELECT gen_random_uuid() FROM hits", 2005, 25, "_offset"},
      {"CREATE VIEW v AS SELECT 1", 2005, 18, "needs FROM"},
      {"CREATE VIEW v AS SELECT page FROM hits AS OF OFFSET 3", 2005, 18, "AS OF OFFSET"},
      {"CREATE VIEW v AS SELECT page, page FROM hits", 2007, 18, "two columns"},
      {"CREATE VIEW hits AS SELECT page FROM hits", 2007, 13, "exists already"},
      {"CREATE VIEW v WITH (retian = '1 day') AS SELECT page FROM hits", 2005, 21,
       "did you mean \"retain\"?"},
  });
  EXPECT_EQ(as<Select>("SELECT now() AS t").plan->output[0].type, kTimestampType);
}

TEST_F(Compile, LaterConstructsAreNamedWithTheirPlace) {
  refused({
      {"SELECT page FROM hits WHERE page IN (SELECT page FROM by_page)", 2008, 34, "IN with a subquery"},
  });
}

TEST_F(Compile, OtherStatements) {
  const auto drop = as<Drop>("DROP STREAM IF EXISTS hits CASCADE;");
  EXPECT_EQ(drop.what, Drop::What::kStream);
  EXPECT_TRUE(drop.if_exists && drop.cascade);
  EXPECT_EQ(drop.place.column, 23U);
  EXPECT_EQ(as<Drop>("DROP MATERIALIZED VIEW by_page").what, Drop::What::kView);
  EXPECT_EQ(as<Alter>("ALTER MATERIALIZED VIEW by_page CUTOVER").action, Alter::Action::kCutover);
  EXPECT_EQ(as<Alter>("ALTER STREAM hits rollback").name, "hits");
  refused({{"ALTER VIEW by_page SWITCH", 2001, 20, "CUTOVER, ROLLBACK"}});
  EXPECT_TRUE(as<CreateView>("CREATE OR REPLACE VIEW by_page WITH (cutover = 'manual') AS SELECT page FROM hits").replace.manual);
  EXPECT_EQ(as<CreateView>("CREATE OR REPLACE VIEW by_page WITH (keep_old = '1 hour') AS SELECT page FROM hits").replace.keep_micros,
            std::int64_t{3'600'000'000});
  refused({{"CREATE OR REPLACE VIEW by_page WITH (cutover = 'soon') AS SELECT page FROM hits", 2005, 48, "'auto' or 'manual'"},
           {"CREATE OR REPLACE VIEW by_page WITH (keep_old = 'x') AS SELECT page FROM hits", 2002, 49, "keep the old version"}});
  EXPECT_EQ(as<Show>("SHOW DEAD LETTERS").what, Show::What::kDeadLetters);
  EXPECT_EQ(as<Show>("SHOW DEAD LETTERS").of, "");
  EXPECT_EQ(as<Show>("SHOW DEAD LETTERS FROM hits;").of, "hits");
  EXPECT_EQ(as<Describe>("DESCRIBE hits").name, "hits");
  const std::string text =
      as<Explain>(
          "EXPLAIN CREATE VIEW v AS SELECT page, count(DISTINCT ms) AS d FROM hits WHERE ok GROUP BY page")
          .text;
  for (const char* part : {"key page", "project: page, count(DISTINCT ms) AS d",
                           "grows with the number of groups", "grows with the number of distinct values",
                           "filter: ok", "decodes page TEXT $.page, ms BIGINT $.ms"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

}  // namespace
}  // namespace kappa::processor
