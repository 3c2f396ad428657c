// SQLite as judge of single expressions: their values as text, or compared with ours by number.
#pragma once

#include <sqlite3.h>

#include <string>

#include "tests/processor/sql/sql_fixture.h"

namespace kappa::processor {

// SQLite has no booleans: 1 and 0.
inline std::string as_sqlite(const Value& value) {
  if (!value.is_null() && value.type().id == TypeId::kBoolean) return value.as_bool() ? "1" : "0";
  return display(value);
}

class Sqlite {
 public:
  Sqlite() {
    EXPECT_EQ(sqlite3_open(":memory:", &db_), SQLITE_OK);
    sqlite3_exec(db_, "PRAGMA case_sensitive_like = ON", nullptr, nullptr, nullptr);
  }
  ~Sqlite() { sqlite3_close(db_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  std::string value(const std::string& expression) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, ("SELECT " + expression).c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      ADD_FAILURE() << sqlite3_errmsg(db_) << ": " << expression;
      return {};
    }
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    const auto* text = sqlite3_column_text(statement, 0);
    std::string result = text == nullptr ? "NULL" : reinterpret_cast<const char*>(text);
    sqlite3_finalize(statement);
    return result;
  }

  // What differs, nothing if the values are the same; doubles must be the same to the last bit.
  std::string difference(const Value& ours, const std::string& expression) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, ("SELECT " + expression).c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      return std::string(sqlite3_errmsg(db_)) + ": " + expression;
    }
    if (sqlite3_step(statement) != SQLITE_ROW) return std::string(sqlite3_errmsg(db_)) + ": " + expression;
    std::string theirs = "NULL";
    bool same = ours.is_null();
    const int type = sqlite3_column_type(statement, 0);
    if (type != SQLITE_NULL) {
      theirs.assign(static_cast<const char*>(sqlite3_column_blob(statement, 0)),
                    static_cast<std::size_t>(sqlite3_column_bytes(statement, 0)));
      same = !ours.is_null() &&
             (type == SQLITE_FLOAT ? ours.type().id == TypeId::kDouble &&
                                         ours.as_double() == sqlite3_column_double(statement, 0)
                                   : as_sqlite(ours) == theirs);
    }
    sqlite3_finalize(statement);
    return same ? "" : "ours " + display(ours) + ", SQLite's " + theirs;
  }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace kappa::processor
