// The grammar of queries: SELECTs over everything that exists, each feature one production.
//
// query(depth) nests: FROM takes streams, tables, views, subqueries and joins of them. Where the meaning
// leaves an order open, the grammar does not go.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/expressions.h"
#include "tests/oracle/from.h"
#include "tests/oracle/random.h"
#include "tests/oracle/schema.h"

namespace kappa::oracle {

class Grammar {
 public:
  // Borrowed; views are those made so far, which a query may read.
  Grammar(Random& random, const Schema& schema, const std::vector<Relation>& views)
      : random_(random), schema_(schema), views_(views) {}

  Query query();
  // Windows of one stream, of which a view keeps those that the watermark has not passed by so much.
  Query retained();
  // Windows of one stream, with their end as column `we`.
  struct Windows {
    Query query;
    std::string watermark;  // Of the prefix, in SQLite; NULL: none.
  };
  Windows windows();

 private:
  // --- selects (grammar_select.cc, grammar_window.cc, grammar_rank.cc) ---
  Query select(int depth);
  Query plain(int depth);
  Query distinct(int depth);
  Query grouped(int depth);
  Query union_all(int depth);
  Query windowed(int depth);
  // `source` with its time; `with_end`: window_end is selected.
  Query windowed_over(const From& source, const std::string& time, bool with_end);
  Query session();
  Query ranked(int depth);
  Query limited(int depth);

  // --- sources (grammar_from.cc, grammar_join.cc) ---
  From from(int depth);
  From one_source(int depth);
  From stream_source();
  From table_function();
  From joined(int depth);
  From join_streams();
  From as_of();
  From system_time();
  Relation relation(int depth);
  // "relation AS alias" in both spellings, and its columns in scope.
  From named(const Relation& relation);

  struct Item {
    Term term;
    std::string name;
  };
  // "a AS c0, b AS c1" of items, in both spellings.
  static Dual list(const std::vector<Item>& items);
  static std::vector<Column> columns_of(const std::vector<Item>& items);
  Query finish(Dual text, std::vector<Column> columns, const From& from);
  Dual where(const From& from, std::size_t one_in);
  std::string alias() { return "a" + std::to_string(aliases_++); }
  std::string interval(std::int64_t micros);
  const Stream& some_stream() { return schema_.streams[random_.below(schema_.streams.size())]; }
  void note(const char* production) { used_.insert(production); }

  Random& random_;
  const Schema& schema_;
  const std::vector<Relation>& views_;
  std::set<std::string> used_;
  std::size_t aliases_ = 0;
};

}  // namespace kappa::oracle
