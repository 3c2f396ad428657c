// Goal: views and SELECTs over several streams and topics, tables and other views are SQLite's answers over the
// same prefix. Method: random events of four streams in three topics, in small batches in random order; views made
// early and late, restarts; every answer is compared at the offset that it reports, and the ad-hoc SELECT of the
// same text at random prefixes. KAPPA_SEED repeats a run.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "tests/processor/engine/engine_fixture.h"
#include "tests/processor/engine/sqlite.h"

namespace kappa::processor::test {
namespace {

// A query in both dialects; {orders} and the like stand for a stream's events of the prefix in SQLite's.
struct Both {
  std::string kappa, sqlite;
  bool whole_text = true;  // The ad-hoc SELECT is compared, too.
};

const std::string kPeople =
    "(SELECT uid, name FROM {users} AS u WHERE o = (SELECT max(o) FROM {users} AS w WHERE w.uid = u.uid) AND op IS NOT 'D')";

const std::string kOrdersByName = "SELECT p.name AS name, count(*) AS n FROM {orders} a LEFT JOIN " + kPeople +
                                  " p ON p.uid = a.usr GROUP BY p.name";

const std::vector<Both>& queries() {
  static const std::vector<Both> all{
      {"SELECT a.id, a.amount, c.item FROM orders a JOIN clicks c ON a.usr = c.usr",
       "SELECT a.id, a.amount, c.item FROM {orders} a JOIN {clicks} c ON a.usr = c.usr"},
      {"SELECT c.item, count(*) AS n, sum(a.amount) AS s FROM orders a JOIN clicks c ON a.usr = c.usr AND c.item <> a.id "
       "GROUP BY c.item",
       "SELECT c.item, count(*), sum(a.amount) FROM {orders} a JOIN {clicks} c ON a.usr = c.usr AND c.item <> a.id "
       "GROUP BY c.item"},
      {"SELECT p.name, count(*) AS n FROM orders a LEFT JOIN people p ON p.uid = a.usr GROUP BY p.name",
       kOrdersByName},
      {"SELECT usr, item FROM clicks UNION ALL SELECT usr, item FROM buys UNION ALL SELECT usr, amount FROM orders",
       "SELECT usr, item FROM {clicks} UNION ALL SELECT usr, item FROM {buys} UNION ALL SELECT usr, amount FROM {orders}"},
      {"SELECT a.id, b.id AS other FROM orders a JOIN orders b ON a.usr = b.usr AND a.amount < b.amount",
       "SELECT a.id, b.id FROM {orders} a JOIN {orders} b ON a.usr = b.usr AND a.amount < b.amount"},
      {"SELECT a.id, p.name FROM orders a JOIN people p FOR SYSTEM_TIME AS OF a._offset ON p.uid = a.usr",
       "SELECT a.id, u.name FROM {orders} a JOIN {users} u ON u.o = (SELECT max(o) FROM {users} w WHERE w.uid = a.usr AND "
       "w.o < a.o) WHERE u.op IS NOT 'D'"},
      {"SELECT a.id, t.name FROM orders a JOIN (SELECT name, count(*) AS n FROM people GROUP BY name) t FOR SYSTEM_TIME AS OF "
       "a._offset ON t.n = a.usr",
       "SELECT a.id, g.name FROM {orders} a JOIN (SELECT DISTINCT name FROM {users}) g ON a.usr > 0 AND a.usr = (SELECT "
       "count(*) FROM {users} u WHERE u.name = g.name AND u.op IS NOT 'D' AND u.o = (SELECT max(o) FROM {users} w WHERE "
       "w.uid = u.uid AND w.o < a.o))"},
      {"SELECT n, count(*) AS c FROM v2 GROUP BY n",
       "SELECT n, count(*) FROM (" + kOrdersByName + ") GROUP BY n",
       false},
      {"SELECT c.usr, c.item, b.item AS bought FROM clicks c LEFT JOIN buys b ON b.usr = c.usr AND b.item = c.item",
       "SELECT c.usr, c.item, b.item FROM {clicks} c LEFT JOIN {buys} b ON b.usr = c.usr AND b.item = c.item"},
  };
  return all;
}

// The events below `end` in place of the names in braces.
std::string over_prefix(std::string sql, std::uint64_t end) {
  for (const std::string name : {"orders", "users", "clicks", "buys"}) {
    const std::string from = "{" + name + "}";
    const std::string to = "(SELECT * FROM " + name + " WHERE o < " + std::to_string(end) + ")";
    for (std::size_t at = 0; (at = sql.find(from, at)) != std::string::npos; at += to.size())
      sql.replace(at, from.size(), to);
  }
  return sql;
}

class MultiTopic : public EngineFixture {
 protected:
  Lines sorted(const Answer& answer) const {
    Lines got = texts_of(answer.rows);
    std::ranges::sort(got);
    return got;
  }

  void create_streams() {
    run("CREATE STREAM orders (id BIGINT, usr BIGINT, amount BIGINT)");
    run("CREATE STREAM users (uid BIGINT, name TEXT, op TEXT)");
    run("CREATE STREAM clicks (usr BIGINT, item BIGINT) WITH (topic = 'acts') WHERE kind = 1");
    run("CREATE STREAM buys (usr BIGINT, item BIGINT) WITH (topic = 'acts') WHERE kind = 2");
    run("CREATE TABLE people AS LATEST users BY uid DELETE WHEN op = 'D'");
  }

  void append_random(std::mt19937_64& random, Sqlite& sqlite) {
    const auto below = [&](std::size_t n) { return static_cast<std::int64_t>(random() % n); };
    const auto number = [&](std::size_t n) { return below(9) == 0 ? std::string("null") : std::to_string(below(n)); };
    const std::int64_t topic = below(3);
    std::vector<std::string> values;
    std::string inserts = "BEGIN;";
    const std::uint64_t base = log_->durable_end().value();
    for (std::int64_t i = 1 + below(below(6) == 0 ? 40 : 3); i > 0; --i) {
      const std::string o = std::to_string(base + values.size());
      if (topic == 0) {
        const std::string usr = number(12), amount = number(50);
        values.push_back("{\"id\":" + o + ",\"usr\":" + usr + ",\"amount\":" + amount + "}");
        inserts += "INSERT INTO orders VALUES (" + o + "," + o + "," + usr + "," + amount + ");";
      } else if (topic == 1) {
        const std::string uid = std::to_string(below(12)), name = "n" + std::to_string(below(5));
        const bool gone = below(5) == 0;
        values.push_back("{\"uid\":" + uid + ",\"name\":\"" + name + "\"" + (gone ? ",\"op\":\"D\"}" : "}"));
        inserts += "INSERT INTO users VALUES (" + o + "," + uid + ",'" + name + "'," + (gone ? "'D'" : "NULL") + ");";
      } else {
        const std::int64_t kind = below(4);
        const std::string usr = number(12), item = number(6);
        values.push_back("{\"kind\":" + std::to_string(kind) + ",\"usr\":" + usr + ",\"item\":" + item + "}");
        if (kind == 1 || kind == 2)
          inserts += std::string("INSERT INTO ") + (kind == 1 ? "clicks" : "buys") + " VALUES (" + o + "," + usr + "," + item + ");";
      }
    }
    sqlite.run(inserts + "COMMIT;");
    append(topic == 0 ? "orders" : topic == 1 ? "users" : "acts", values, values.size());
  }

  void check_views(std::size_t count, Sqlite& sqlite, std::mt19937_64& random) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto answer = execute("SELECT * FROM v" + std::to_string(i), random() % 2 == 0 ? fresh() : Freshness{});
      ASSERT_TRUE(answer) << to_string(answer.error());
      ASSERT_TRUE(answer->result.applied);
      const std::uint64_t applied = answer->result.applied->value();
      ASSERT_EQ(sorted(*answer), sqlite.query(over_prefix(queries()[i].sqlite, applied)))
          << queries()[i].kappa << " at " << applied;
    }
  }

  void go(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Sqlite sqlite(
        "CREATE TABLE orders (o INTEGER, id INTEGER, usr INTEGER, amount INTEGER);"
        "CREATE TABLE users (o INTEGER, uid INTEGER, name TEXT, op TEXT);"
        "CREATE TABLE clicks (o INTEGER, usr INTEGER, item INTEGER); CREATE TABLE buys (o INTEGER, usr INTEGER, item INTEGER)");
    create_streams();
    std::size_t made = 0;
    const auto create = [&] {
      run("CREATE MATERIALIZED VIEW v" + std::to_string(made) + " AS " + queries()[made].kappa);
      ++made;
    };
    for (int i = 0; i < 4; ++i) create();
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < 12; ++i) append_random(random, sqlite);
      if (random() % 4 == 0) restart();
      if (round % 2 == 1 && made < queries().size()) create();
      check_views(made, sqlite, random);
      if (HasFatalFailure()) return;
    }
    const std::uint64_t end = log_->durable_end().value();
    for (const Both& query : queries()) {
      if (!query.whole_text) continue;
      const Answer whole = run(query.kappa);
      // A table is read as far as it is, which with `fresh` is all.
      ASSERT_EQ(sorted(whole), sqlite.query(over_prefix(query.sqlite, end))) << query.kappa;
    }
    for (int i = 0; i < 6; ++i) {
      const std::uint64_t at = random() % end;
      const Answer part = run("SELECT c.usr, a.id FROM clicks c AS OF OFFSET " + std::to_string(at) + " JOIN orders a ON a.usr = c.usr");
      ASSERT_EQ(sorted(part),
                sqlite.query(over_prefix("SELECT c.usr, a.id FROM {clicks} c JOIN {orders} a ON a.usr = c.usr", at)))
          << at;
    }
    // Views, a table and a stream in one SELECT.
    const Answer mixed = run(
        "SELECT v2.name, v2.n, count(*) AS c FROM v2 JOIN people p ON p.name = v2.name JOIN orders o ON o.usr = p.uid GROUP BY "
        "v2.name, v2.n");
    ASSERT_EQ(sorted(mixed), sqlite.query(over_prefix("SELECT v.name, v.n, count(*) FROM (" + kOrdersByName +
                                                          ") v JOIN " + kPeople +
                                                          " p ON p.name = v.name JOIN {orders} o ON o.usr = p.uid GROUP BY 1, 2",
                                                      end)));
  }
};

TEST_F(MultiTopic, AnswersAreSqlitesAtEveryOffset) {
  const char* given = std::getenv("KAPPA_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  const int runs = given != nullptr ? 1 : 2;
  for (int i = 0; i < runs; ++i) {
    const std::uint64_t seed = first + static_cast<std::uint64_t>(i);
    SCOPED_TRACE("KAPPA_SEED=" + std::to_string(seed));
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    go(seed);
    if (HasFatalFailure()) return;
    close();
    std::filesystem::remove_all(directory_ / "log");
    std::filesystem::remove_all(directory_ / "views");
    open();
  }
}

TEST_F(MultiTopic, ViewsThatAreReadTogetherAreReadAtOneOffset) {
  run("CREATE STREAM e (n BIGINT)");
  run("CREATE MATERIALIZED VIEW x AS SELECT count(*) AS n FROM e");
  run("CREATE MATERIALIZED VIEW y AS SELECT count(*) AS n, sum(n) AS s FROM e");
  append("e", {R"({"n":1})"});
  EXPECT_EQ(lines("SELECT x.n, y.n AS m FROM x CROSS JOIN y"), Lines{"1|1"});
  std::atomic<bool> stop{false};
  std::thread appender([&] {
    const std::vector<std::string> one{R"({"n":1})"};
    while (!stop.load()) EXPECT_TRUE(kappa::test::append_events(*log_, "e", one));
  });
  std::set<std::uint64_t> offsets;
  while (offsets.size() < 60) {  // The views move meanwhile.
    const auto answer = execute("SELECT x.n, y.n AS m, y.s FROM x CROSS JOIN y", Freshness{});
    if (!answer || answer->rows.size() != 1) {
      ADD_FAILURE() << (answer ? "no row" : to_string(answer.error()));
      break;
    }
    const Row& row = answer->rows[0];
    EXPECT_EQ(row[0].as_int64(), row[1].as_int64());
    EXPECT_EQ(answer->result.notice, "");
    offsets.insert(answer->result.applied->value());
  }
  stop.store(true);
  appender.join();
}

}  // namespace
}  // namespace kappa::processor::test
