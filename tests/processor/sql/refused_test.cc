// Goal: every construct that the language refuses is refused, with its number, the place in the text and what to
// do instead; docs/sql.md lists them under "Refused".
// Method: statements against the fixed catalog of sql_fixture.h.
#include <gtest/gtest.h>

#include "tests/processor/sql/sql_fixture.h"

namespace kappa::processor {
namespace {

class Refused : public testing::Test {
 protected:
  Refused() { catalog_.run(kHits); }
  MemoryCatalog catalog_;
  void refused(const std::string& sql, std::uint16_t number, const std::string& message, const std::string& hint,
               std::uint32_t column) {
    const auto statement = compile(sql, catalog_);
    ASSERT_FALSE(statement) << sql;
    const Error& error = statement.error();
    EXPECT_EQ(error.number, number) << sql << ": " << to_string(error);
    EXPECT_NE(error.message.find(message), std::string::npos) << sql << ": " << error.message;
    EXPECT_NE(error.hint.find(hint), std::string::npos) << sql << ": " << error.hint;
    ASSERT_TRUE(error.place.has_value()) << sql;
    EXPECT_EQ(error.place->column, column) << sql;
  }
};

TEST_F(Refused, TheClockAndChance) {
  refused("CREATE VIEW v AS SELECT page, now() AS t FROM hits", 2005, "now", "_append_time", 31);
  refused("CREATE VIEW v AS SELECT page, current_timestamp AS t FROM hits", 2005, "current_timestamp", "_append_time", 31);
  refused("CREATE VIEW v AS SELECT random() AS r FROM hits", 2005, "random", "_offset", 25);
  refused("CREATE VIEW v AS SELECT gen_random_uuid() AS r FROM hits", 2005, "gen_random_uuid", "_offset", 25);
}

TEST_F(Refused, JoinsThatGrowWithTheProduct) {
  refused("CREATE VIEW v AS SELECT a.page FROM hits a JOIN hits b ON a.ms < b.ms", 2005, "product", "unbounded_join", 18);
  refused("CREATE VIEW v AS SELECT a.page FROM hits a, hits b", 2005, "product", "a.key = b.key", 18);
  refused("CREATE VIEW v AS SELECT a.page FROM hits a JOIN hits b ON b.page = 'x'", 2005, "product", "a.key", 18);
  // An equality of the sides, though one of them is a constant.
  EXPECT_TRUE(compile("CREATE VIEW v AS SELECT a.page FROM hits a JOIN (SELECT '/a' AS p, ms FROM hits) b ON a.page = b.p",
                      catalog_));
  EXPECT_TRUE(compile("CREATE VIEW v WITH (unbounded_join = 'allow') AS SELECT a.page FROM hits a, hits b", catalog_));
  EXPECT_TRUE(compile("CREATE VIEW v AS SELECT a.page FROM hits a, hits b WHERE a.page = b.page", catalog_));
  EXPECT_TRUE(compile("CREATE VIEW v AS SELECT a.page FROM hits a JOIN hits b ON b.ts BETWEEN a.ts AND a.ts + INTERVAL '1 m'",
                      catalog_));
  refused("CREATE VIEW v AS SELECT a.page FROM hits a FULL JOIN hits b ON a.page = b.page", 2005, "FULL JOIN", "UNION ALL", 44);
}

TEST_F(Refused, TwoTablesOfOneName) {
  refused("SELECT hits.page FROM hits JOIN hits ON hits.page = hits.page", 2007, "in FROM twice", "AS", 33);
  refused("SELECT a.page FROM hits a JOIN (SELECT page FROM hits) a ON a.page = a.page", 2007, "\"a\"", "AS", 56);
}

TEST_F(Refused, UnknownFunctionsAndWrongTypes) {
  refused("SELECT cuont(*) FROM hits", 2004, "cuont", "count", 8);
  refused("SELECT lenght(page) FROM hits", 2004, "lenght", "length", 8);
  refused("SELECT sum(page) FROM hits", 2002, "sum", "", 12);
  refused("SELECT page FROM hits WHERE ms", 2002, "BOOLEAN", "", 29);
  refused("SELECT lower(ms) FROM hits", 2002, "TEXT", "", 8);
}

TEST_F(Refused, WindowsWithoutEventTime) {
  refused("CREATE VIEW v AS SELECT count(*) AS n FROM hits GROUP BY TUMBLE(ms, INTERVAL '1 m')", 2002, "event time", "TIMESTAMP", 65);
  refused("CREATE VIEW v AS SELECT count(*) AS n FROM hits GROUP BY HOP(ts, INTERVAL '2 h', INTERVAL '1 h')", 2005, "slide", "slide comes first", 58);
  refused("CREATE VIEW v AS SELECT count(*) AS n FROM hits GROUP BY SESSION(ts, INTERVAL '0 s')", 2005, "above zero", "", 79);
  refused("CREATE VIEW v AS SELECT count(*) AS n FROM hits GROUP BY TUMBLE(ts)", 2002, "takes 2 arguments", "usage", 58);
  refused("SELECT TUMBLE(ts, INTERVAL '1 m') FROM hits", 2005, "GROUP BY", "window_start", 8);
  refused("CREATE VIEW v WITH (retain = '1 d') AS SELECT page FROM hits", 2005, "window", "TUMBLE", 21);
  refused("CREATE STREAM s AS SELECT page, count(*) AS n FROM hits GROUP BY page EMIT ON WINDOW CLOSE", 2005, "window", "TUMBLE", 71);
  refused("CREATE VIEW v AS SELECT page, count(*) AS n FROM hits GROUP BY page EMIT ON WINDOW CLOSE", 2005, "current", "CREATE STREAM", 69);
}

TEST_F(Refused, RanksWithoutABound) {
  refused("CREATE VIEW v AS SELECT page, ROW_NUMBER() OVER (ORDER BY ms) AS r FROM hits", 2005, "bounds", "WHERE rank", 31);
  refused("CREATE VIEW v AS SELECT page FROM hits WHERE ROW_NUMBER() OVER (ORDER BY ms) < 3", 2005, "WHERE", "subquery", 46);
  refused("SELECT count(*) OVER (PARTITION BY page) FROM hits", 2005, "OVER", "", 8);
  refused("SELECT rank() FROM hits", 2005, "OVER", "", 8);
  EXPECT_TRUE(compile("CREATE VIEW v AS SELECT page FROM (SELECT page, RANK() OVER (ORDER BY ms) AS r FROM hits) WHERE 3 > r",
                      catalog_));
}

TEST_F(Refused, NamesThatAreNotThere) {
  refused("SELECT page FROM hist", 2003, "hist", "hits", 18);
  refused("SELECT b.page FROM hits a", 2006, "not in FROM", "", 8);
  refused("SELECT a.pgae FROM hits a", 2006, "pgae", "page", 8);
  refused("SELECT page FROM hits a JOIN hits b ON a.page = b.page", 2006, "more than one table", "a.page", 8);
}

TEST_F(Refused, SetsAndRecursion) {
  refused("SELECT page FROM hits EXCEPT SELECT page FROM hits", 2005, "EXCEPT", "", 23);
  refused("SELECT page FROM hits UNION ALL SELECT page, ms FROM hits", 2002, "1 and 2 columns", "", 23);
  refused("SELECT page FROM hits UNION ALL SELECT ms FROM hits", 2002, "TEXT and BIGINT", "CAST", 23);
}

TEST_F(Refused, AStreamThatReadsWhatItWrites) {
  refused("CREATE STREAM s WITH (topic = 'hits') AS SELECT page FROM hits", 2005, "would read what it writes", "", 15);
}

}  // namespace
}  // namespace kappa::processor
