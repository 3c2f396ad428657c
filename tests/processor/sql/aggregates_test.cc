// Goal: calls of aggregates bind to what their table says: type, arguments, order with what breaks ties,
// parameters; wrong ones are refused with number, place and advice; their values over small inputs are right.
// Method: statements over a catalog in memory; plans are compared as EXPLAIN prints their aggregates.
#include "processor/sql/expression_tools.h"
#include "tests/processor/sql/sql_fixture.h"

namespace kappa::processor {
namespace {

class Aggregates : public ::testing::Test {
 protected:
  void SetUp() override { catalog_.run(kHits); }

  static const Plan* find(const Plan* node) {
    while (node != nullptr && node->kind != PlanKind::kAggregate) node = node->input.get();
    return node;
  }
  // "text type" of the only aggregate of a view.
  std::string bound(const std::string& call) {
    auto statement =
        compile("CREATE VIEW v AS SELECT page, " + call + " AS x FROM hits GROUP BY page", catalog_);
    if (!statement) return to_string(statement.error());
    const ViewPlan plan = std::get<CreateView>(std::move(*statement)).plan;
    const Plan& node = *find(plan.root.get());
    EXPECT_EQ(node.aggregates.size(), 1U) << call;
    std::vector<std::string> names;
    for (const Column& column : node.input->output) names.push_back(column.name);
    return sql::to_string(node.aggregates[0], names) + " " + to_string(node.aggregates[0].type);
  }
  MemoryCatalog catalog_;
};

TEST_F(Aggregates, BindToArgumentsOrderAndParameters) {
  const std::pair<const char*, const char*> cases[] = {
      {"sum(DISTINCT ms)", "sum(DISTINCT ms) NUMERIC(38,0)"},
      {"avg(DISTINCT price)", "avg(DISTINCT price) DOUBLE"},
      {"max(DISTINCT ms)", "max(ms) BIGINT"},
      {"sum(ms) FILTER (WHERE ok)", "sum(ms) FILTER (WHERE ok) NUMERIC(38,0)"},
      {"sum(ms ORDER BY ts)", "sum(ms) NUMERIC(38,0)"},
      {"stddev(ms)", "stddev_samp(ms) DOUBLE"},
      {"variance(price)", "var_samp(price) DOUBLE"},
      {"var_pop(score)", "var_pop(score) DOUBLE"},
      {"first(ms ORDER BY ts)", "first(ms ORDER BY ts, _offset) BIGINT"},
      {"LAST(ok ORDER BY ts DESC)", "last(ok ORDER BY ts DESC, _offset) BOOLEAN"},
      {"last(ms ORDER BY ts NULLS FIRST, score)", "last(ms ORDER BY ts NULLS FIRST, score, _offset) BIGINT"},
      {"first(ms)", "first(ms ORDER BY _offset) BIGINT"},
      {"latest_by_offset(ms)", "last(ms ORDER BY _offset) BIGINT"},
      {"EARLIEST_BY_OFFSET(ms)", "first(ms ORDER BY _offset) BIGINT"},
      {"arg_min(score, ts)", "arg_min(score ORDER BY ts, _offset) DOUBLE"},
      {"arg_max(score, ts)", "arg_max(score ORDER BY ts DESC NULLS LAST, _offset) DOUBLE"},
      {"bool_and(ok)", "bool_and(ok) BOOLEAN"},
      {"bool_or(ms > 3)", "bool_or(ms > 3) BOOLEAN"},
      {"percentile_disc(0.5) WITHIN GROUP (ORDER BY ts)",
       "percentile_disc(0.5) WITHIN GROUP (ORDER BY ts) TIMESTAMP"},
      {"PERCENTILE_CONT(1) WITHIN GROUP (ORDER BY ms DESC)",
       "percentile_cont(1) WITHIN GROUP (ORDER BY ms DESC) DOUBLE"},
      {"percentile_cont(1 - 0.75) WITHIN GROUP (ORDER BY ms) FILTER (WHERE ok)",
       "percentile_cont(0.25) WITHIN GROUP (ORDER BY ms) FILTER (WHERE ok) DOUBLE"},
      {"string_agg(page, ', ')", "string_agg(page, ', ' ORDER BY _offset) TEXT"},
      {"string_agg(page, ', ' ORDER BY ts DESC)", "string_agg(page, ', ' ORDER BY ts DESC, _offset) TEXT"},
      {"string_agg(DISTINCT page, '')", "string_agg(DISTINCT page, '' ORDER BY page) TEXT"},
      {"array_agg(tag)", "array_agg(tag ORDER BY _offset) JSON"},
      {"array_agg(DISTINCT ms ORDER BY ms DESC)", "array_agg(DISTINCT ms ORDER BY ms DESC) JSON"},
      {"approx_count_distinct(page)", "approx_count_distinct(page) BIGINT"},
      {"approx_count_distinct(DISTINCT page)", "approx_count_distinct(page) BIGINT"},
      {"approx_quantile(price, 0.99)", "approx_quantile(price, 0.99) DOUBLE"},
      {"first(NULL)", "first(NULL ORDER BY _offset) TEXT"},
      {"stddev_pop(NULL)", "stddev_pop(NULL) DOUBLE"},
  };
  for (const auto& [call, expected] : cases) EXPECT_EQ(bound(call), expected) << call;
}

TEST_F(Aggregates, RowsWithoutAnOffsetAreOrderedByThemselves) {
  const auto statement = compile(
      "SELECT last(n ORDER BY n % 2) AS x FROM (SELECT page, count(*) AS n FROM hits GROUP BY page) q",
      catalog_);
  ASSERT_TRUE(statement) << to_string(statement.error());
  const Plan& node = *find(std::get<Select>(*statement).plan.get());
  EXPECT_EQ(node.aggregates[0].order_by.size(), 1U);
}

TEST_F(Aggregates, WrongCallsAreRefusedWithAdvice) {
  struct Refusal {
    const char* call;
    std::uint16_t number;
    const char* text;
  };
  const Refusal cases[] = {
      {"sum(page)", 2002, "sum does not take TEXT"},
      {"bool_and(ms)", 2002, "bool_and does not take BIGINT"},
      {"stddev(ts)", 2002, "stddev does not take TIMESTAMP"},
      {"percentile_cont(0.5) WITHIN GROUP (ORDER BY page)", 2002, "percentile_cont does not take TEXT"},
      {"percentile_disc(0.5)", 2002, "WITHIN GROUP (ORDER BY x)"},
      {"percentile_disc(ms, 0.5)", 2002, "WITHIN GROUP (ORDER BY x)"},
      {"percentile_disc(0.5) WITHIN GROUP (ORDER BY ms, ts)", 2002, "not complete"},
      {"percentile_disc(1.5) WITHIN GROUP (ORDER BY ms)", 2002, "from 0 to 1"},
      {"percentile_disc(ms) WITHIN GROUP (ORDER BY ms)", 2005, "must be a constant"},
      {"percentile_disc(NULL) WITHIN GROUP (ORDER BY ms)", 2002, "must not be NULL"},
      {"percentile_disc('x') WITHIN GROUP (ORDER BY ms)", 2002, "DOUBLE"},
      {"percentile_disc(DISTINCT 0.5) WITHIN GROUP (ORDER BY ms)", 2005, "does not take DISTINCT"},
      {"sum(ms) WITHIN GROUP (ORDER BY ms)", 2002, "sum(x)"},
      {"arg_max(ms)", 2002, "arg_max(x, y)"},
      {"latest_by_offset(ms ORDER BY ts)", 2005, "order of its own"},
      {"first(ms ORDER BY ts) WITHIN GROUP (ORDER BY ms)", 2001, "WITHIN GROUP"},
      {"lower(page ORDER BY page)", 2005, "not an aggregate"},
      {"string_agg(page)", 2002, "delimiter"},
      {"string_agg(ms, ',')", 2002, "string_agg does not take BIGINT"},
      {"string_agg(page, page)", 2005, "must be a constant"},
      {"array_agg(DISTINCT ms ORDER BY ts)", 2005, "orders by x"},
      {"approx_count_distinct(tag)", 2002, "does not take JSON"},
      {"approx_quantile(ms)", 2002, "approx_quantile(x, p)"},
      {"first(max(ms))", 2005, "an aggregate"},
  };
  for (const Refusal& c : cases) {
    const std::string sql = std::string("SELECT ") + c.call + " FROM hits";
    const Error error = error_of(sql, catalog_);
    EXPECT_EQ(error.number, c.number) << sql << "\n" << to_string(error);
    EXPECT_TRUE(error.place.has_value()) << sql;
    EXPECT_NE(to_string(error).find(c.text), std::string::npos) << sql << "\n" << to_string(error);
  }
}

TEST_F(Aggregates, WhatCannotTakeRowsBackIsRefusedInViewsWhereTheyAre) {
  const std::string call =
      "SELECT approx_count_distinct(n) AS d FROM (SELECT page, count(*) AS n FROM hits GROUP BY page) q";
  const Error error = error_of("CREATE VIEW v AS " + call, catalog_);
  EXPECT_EQ(error.number, 2005);
  ASSERT_TRUE(error.place.has_value());
  EXPECT_EQ(error.place->column, 25U);
  EXPECT_NE(to_string(error).find("count(DISTINCT x)"), std::string::npos);
  EXPECT_TRUE(compile(call, catalog_));  // A query sees groups once they are whole.
  EXPECT_TRUE(compile("CREATE VIEW v AS SELECT approx_count_distinct(ms) AS d FROM hits", catalog_));
}

}  // namespace
}  // namespace kappa::processor
