// SQLite as the judge of the Nexmark queries: tables filled from the generator's typed events, and each query
// written once more, in another way where there is one: windows by integer division, sessions by lag(), the
// best of a group by a sub-select. Times are integers, in milliseconds; `o` is the event's position, which
// decides ties.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "proto/value.h"
#include "tools/nexmark/generator.h"

namespace kappa::tools::nexmark::test {

// "a|1|NULL" for a row; timestamps in milliseconds, as SQLite has them.
inline std::string text_of(const Row& row) {
  std::string text;
  for (const Value& value : row) {
    if (!text.empty()) text += '|';
    text += value.type() == kTimestampType && !value.is_null() ? std::to_string(value.as_int64() / 1000)
                                                               : display(value);
  }
  return text;
}

class Oracle {
 public:
  Oracle() {
    if (sqlite3_open(":memory:", &db_) != SQLITE_OK) std::abort();
    run(R"(
      CREATE TABLE person (o INTEGER, ts INTEGER, id INTEGER, name TEXT, city TEXT, state TEXT);
      CREATE TABLE auction (o INTEGER, ts INTEGER, id INTEGER, item_name TEXT, description TEXT, initial_bid INTEGER,
                            reserve INTEGER, expires INTEGER, seller INTEGER, category INTEGER, extra TEXT);
      CREATE TABLE bid (o INTEGER, ts INTEGER, auction INTEGER, bidder INTEGER, price INTEGER, channel TEXT, url TEXT,
                        extra TEXT);
      CREATE INDEX person_id ON person (id);
      CREATE INDEX auction_id ON auction (id);
      CREATE INDEX bid_auction ON bid (auction, price);
      CREATE INDEX bid_o ON bid (o);
      CREATE INDEX bid_pair ON bid (auction, bidder, ts))");
    person_ = prepare("INSERT INTO person VALUES (?,?,?,?,?,?)");
    auction_ = prepare("INSERT INTO auction VALUES (?,?,?,?,?,?,?,?,?,?,?)");
    bid_ = prepare("INSERT INTO bid VALUES (?,?,?,?,?,?,?,?)");
  }
  ~Oracle() {
    for (sqlite3_stmt* statement : {person_, auction_, bid_}) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  void run(const std::string& sql) {
    char* message = nullptr;
    ASSERT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK)
        << sql << ": " << message;
  }

  void insert(std::int64_t position, const Event& event) {
    const std::int64_t ts = event.time_ms;
    if (const auto* p = std::get_if<Person>(&event.what)) {
      insert(person_, position, ts, p->id, p->name, p->city, p->state);
    } else if (const auto* a = std::get_if<Auction>(&event.what)) {
      insert(auction_, position, ts, a->id, a->item_name, a->description, a->initial_bid, a->reserve,
             a->expires_ms, a->seller, a->category, a->extra);
    } else {
      const Bid& b = std::get<Bid>(event.what);
      insert(bid_, position, ts, b.auction, b.bidder, b.price, b.channel, b.url, b.extra);
    }
  }

  // Rows as text, in no order.
  std::vector<std::string> query(const std::string& sql) {
    std::vector<std::string> lines;
    sqlite3_stmt* statement = prepare(sql);
    while (statement != nullptr && sqlite3_step(statement) == SQLITE_ROW) {
      Row row;
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        switch (sqlite3_column_type(statement, i)) {
          case SQLITE_INTEGER: row.push_back(Value::bigint(sqlite3_column_int64(statement, i))); break;
          case SQLITE_FLOAT: row.push_back(Value::real(sqlite3_column_double(statement, i))); break;
          case SQLITE_NULL: row.push_back(Value()); break;
          default:
            row.push_back(Value::text(reinterpret_cast<const char*>(sqlite3_column_text(statement, i))));
        }
      }
      lines.push_back(text_of(row));
    }
    EXPECT_EQ(sqlite3_finalize(statement), SQLITE_OK) << sql << ": " << sqlite3_errmsg(db_);
    return lines;
  }

 private:
  sqlite3_stmt* prepare(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(db_);
    return statement;
  }
  void bind(sqlite3_stmt* statement, int place, std::int64_t value) {
    sqlite3_bind_int64(statement, place, value);
  }
  void bind(sqlite3_stmt* statement, int place, const std::string& value) {
    sqlite3_bind_text(statement, place, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  template <class... Values>
  void insert(sqlite3_stmt* statement, const Values&... values) {
    int place = 0;
    (bind(statement, ++place, values), ...);
    ASSERT_EQ(sqlite3_step(statement), SQLITE_DONE) << sqlite3_errmsg(db_);
    sqlite3_reset(statement);
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* person_ = nullptr;
  sqlite3_stmt* auction_ = nullptr;
  sqlite3_stmt* bid_ = nullptr;
};

inline const std::string kRanks =
    "count(*), sum(price < 10000), sum(price >= 10000 AND price < 1000000), sum(price >= 1000000)";
inline const std::string kDistincts =
    "count(DISTINCT bidder), count(DISTINCT CASE WHEN price < 10000 THEN bidder END), "
    "count(DISTINCT CASE WHEN price BETWEEN 10000 AND 999999 THEN bidder END), "
    "count(DISTINCT CASE WHEN price >= 1000000 THEN bidder END), "
    "count(DISTINCT auction), count(DISTINCT CASE WHEN price < 10000 THEN auction END), "
    "count(DISTINCT CASE WHEN price BETWEEN 10000 AND 999999 THEN auction END), "
    "count(DISTINCT CASE WHEN price >= 1000000 THEN auction END)";
inline const std::string kDay = "strftime('%Y-%m-%d', ts / 1000, 'unixepoch')";
inline const std::string kHour = "CAST(strftime('%H', ts / 1000, 'unixepoch') AS INTEGER)";
// Position of the winning bid of auction a; no row without one.
inline const std::string kWinner =
    "(SELECT x.o FROM bid x WHERE x.auction = a.id AND x.ts >= a.ts AND x.ts <= a.expires "
    "ORDER BY x.price DESC, x.ts, x.o LIMIT 1)";

inline const std::map<std::string, std::string, std::less<>>& oracle_queries() {
  static const std::map<std::string, std::string, std::less<>> kQueries{
      {"q0", "SELECT auction, bidder, price, ts, extra FROM bid"},
      {"q1", "SELECT auction, bidder, price * 0.908, ts, extra FROM bid"},
      {"q2", "SELECT auction, price FROM bid WHERE auction % 123 = 0"},
      {"q3",
       "SELECT name, city, state, auction.id FROM person, auction WHERE person.id = seller AND category = 10 "
       "AND state IN ('CA', 'ID', 'OR')"},
      {"q4",
       "SELECT category, 1.0 * sum(final) / count(final) FROM (SELECT category, (SELECT max(price) FROM bid "
       "b "
       "WHERE b.auction = a.id AND b.ts >= a.ts AND b.ts <= a.expires) AS final FROM auction a) "
       "WHERE final IS NOT NULL GROUP BY category"},
      {"q5",
       "WITH slide (k) AS (VALUES (0), (1), (2), (3), (4)), "
       "counts AS MATERIALIZED (SELECT (ts / 2000 - k) * 2000 AS w, auction, count(*) AS n FROM bid, slide "
       "GROUP BY 1, 2), "
       "most AS (SELECT w, max(n) AS n FROM counts GROUP BY w) "
       "SELECT w, w + 10000, auction, n FROM counts JOIN most USING (w, n)"},
      {"q6",
       "WITH won AS (SELECT seller, price, b.ts AS ts, a.id AS id FROM auction a JOIN bid b ON b.o = " +
           kWinner +
           ") SELECT seller, 1.0 * sum(price) / count(*) FROM won WHERE (SELECT count(*) FROM won AS later "
           "WHERE later.seller = won.seller AND (later.ts, later.id) > (won.ts, won.id)) < 10 GROUP BY "
           "seller"},
      {"q7",
       "WITH best AS (SELECT ts / 10000 AS w, max(price) AS price FROM bid GROUP BY 1) "
       "SELECT w * 10000, auction, bidder, b.price, ts, extra FROM bid b JOIN best "
       "ON ts / 10000 = w AND b.price = best.price"},
      {"q8",
       "SELECT DISTINCT p.id, p.name, p.ts / 10000 * 10000 FROM person p JOIN auction a ON a.seller = p.id "
       "AND a.ts / 10000 = p.ts / 10000"},
      {"q9",
       "SELECT a.id, item_name, description, initial_bid, reserve, a.ts, expires, seller, category, a.extra, "
       "bidder, price, b.ts, b.extra FROM auction a JOIN bid b ON b.o = " +
           kWinner},
      {"q11",
       "WITH gaps AS (SELECT bidder, ts, o, coalesce(ts - lag(ts) OVER (PARTITION BY bidder ORDER BY ts, o) "
       "> 10000, 1) AS first FROM bid), "
       "numbered AS (SELECT bidder, ts, sum(first) OVER (PARTITION BY bidder ORDER BY ts, o) AS number FROM "
       "gaps) "
       "SELECT bidder, count(*), min(ts), max(ts) + 10000 FROM numbered GROUP BY bidder, number"},
      {"q14", "SELECT auction, bidder, price * 0.908, CASE WHEN " + kHour +
                  " BETWEEN 8 AND 18 THEN 'dayTime' WHEN " + kHour +
                  " IN (7, 19) THEN 'otherTime' ELSE 'nightTime' END, ts, extra, "
                  "length(extra) - length(replace(extra, 'c', '')) FROM bid "
                  "WHERE price * 0.908 > 1e6 AND price * 0.908 < 5e7"},
      {"q15", "SELECT " + kDay + ", " + kRanks + ", " + kDistincts + " FROM bid GROUP BY 1"},
      {"q16", "SELECT channel, " + kDay + ", max(strftime('%H:%M', ts / 1000, 'unixepoch')), " + kRanks +
                  ", " + kDistincts + " FROM bid GROUP BY 1, 2"},
      {"q17", "SELECT auction, " + kDay + ", " + kRanks +
                  ", min(price), max(price), 1.0 * sum(price) / count(*), sum(price) FROM bid GROUP BY 1, 2"},
      {"q18",
       "SELECT auction, bidder, price, channel, url, ts, extra FROM bid b WHERE o = (SELECT o FROM bid x "
       "WHERE x.auction = b.auction AND x.bidder = b.bidder ORDER BY ts DESC, o LIMIT 1)"},
      {"q19",
       "SELECT * FROM (SELECT auction, bidder, price, channel, url, ts, extra, "
       "row_number() OVER (PARTITION BY auction ORDER BY price DESC, o) AS place FROM bid) WHERE place <= "
       "10"},
      {"q20",
       "SELECT b.auction, bidder, price, channel, url, b.ts, b.extra, item_name, description, initial_bid, "
       "reserve, a.ts, expires, seller, category, a.extra FROM auction a, bid b "
       "WHERE a.id = b.auction AND category = 10"},
      {"q21",
       "SELECT auction, bidder, price, channel, CASE channel WHEN 'Apple' THEN '0' WHEN 'Google' THEN '1' "
       "WHEN 'Facebook' THEN '2' WHEN 'Baidu' THEN '3' ELSE substr(url, instr(url, '&channel_id=') + 12) END "
       "FROM bid WHERE channel NOT LIKE 'channel-%' OR url LIKE '%&channel_id=%'"},
      // The directories follow https://www.nexmark.com/, which is 24 characters.
      {"q22",
       "WITH rest AS (SELECT *, substr(url, 25) AS r1 FROM bid), "
       "more AS (SELECT *, substr(r1, instr(r1, '/') + 1) AS r2 FROM rest), "
       "last AS (SELECT *, substr(r2, instr(r2, '/') + 1) AS r3 FROM more) "
       "SELECT auction, bidder, price, channel, substr(r1, 1, instr(r1, '/') - 1), "
       "substr(r2, 1, instr(r2, '/') - 1), substr(r3, 1, instr(r3, '/') - 1) FROM last"},
  };
  return kQueries;
}

}  // namespace kappa::tools::nexmark::test
