// The other database: every stream is a table with _offset, a query is asked for a prefix. One thread.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/events.h"
#include "tests/oracle/schema.h"

namespace kappa::oracle {

class SqliteOracle {
 public:
  explicit SqliteOracle(const Schema& schema);
  ~SqliteOracle();
  SqliteOracle(const SqliteOracle&) = delete;
  SqliteOracle& operator=(const SqliteOracle&) = delete;

  // The event got this offset; counts the topic's _seq.
  void insert(const Event& event, std::uint64_t offset);
  // Statements are kept prepared. A statement that SQLite refuses ends the process: the grammar is wrong.
  // nullopt: more than `steps` thousand steps of SQLite's machine or more than `rows` rows.
  std::optional<std::vector<Cells>> query(const std::string& sql, std::uint64_t end, int steps = INT32_MAX,
                                          std::size_t rows = SIZE_MAX);
  // Forgets prepared statements.
  void forget();

 private:
  sqlite3_stmt* prepared(const std::string& sql);

  const Schema& schema_;
  sqlite3* db_ = nullptr;
  std::map<std::string, sqlite3_stmt*> statements_;
  std::vector<std::uint64_t> sequences_;  // By topic.
};

}  // namespace kappa::oracle
