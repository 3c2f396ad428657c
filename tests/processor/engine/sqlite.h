// SQLite in memory, as the judge of answers.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/processor/engine/engine_fixture.h"

namespace kappa::processor::test {

class Sqlite {
 public:
  explicit Sqlite(const std::string& schema) {
    if (sqlite3_open(":memory:", &db_) != SQLITE_OK) std::abort();
    run(schema);
  }
  ~Sqlite() { sqlite3_close(db_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  void run(const std::string& sql) {
    char* message = nullptr;
    ASSERT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << sql << ": " << message;
  }
  // Rows as text_of() has them, sorted.
  std::vector<std::string> query(const std::string& sql) {
    std::vector<std::string> lines;
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sql << sqlite3_errmsg(db_);
    while (sqlite3_step(statement) == SQLITE_ROW) {
      Row row;
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        switch (sqlite3_column_type(statement, i)) {
          case SQLITE_INTEGER: row.push_back(Value::bigint(sqlite3_column_int64(statement, i))); break;
          case SQLITE_FLOAT: row.push_back(Value::real(sqlite3_column_double(statement, i))); break;
          case SQLITE_NULL: row.push_back(Value()); break;
          default: row.push_back(Value::text(reinterpret_cast<const char*>(sqlite3_column_text(statement, i))));
        }
      }
      lines.push_back(text_of(row));
    }
    sqlite3_finalize(statement);
    std::ranges::sort(lines);
    return lines;
  }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace kappa::processor::test
