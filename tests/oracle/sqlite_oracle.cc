// See sqlite_oracle.h.
#include "tests/oracle/sqlite_oracle.h"

#include <cstdio>
#include <cstdlib>

#include "tests/oracle/sqlite_functions.h"

namespace kappa::oracle {
namespace {

[[noreturn]] void wrong(sqlite3* db, const std::string& sql) {
  std::fprintf(stderr, "the grammar made a statement that SQLite does not take: %s\n%s\n", sqlite3_errmsg(db),
               sql.c_str());
  std::abort();
}

void bind(sqlite3_stmt* statement, int at, const Cell& cell) {
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) {
    sqlite3_bind_int64(statement, at, *integer);
  } else if (const auto* real = std::get_if<double>(&cell)) {
    sqlite3_bind_double(statement, at, *real);
  } else if (const auto* text = std::get_if<std::string>(&cell)) {
    sqlite3_bind_text(statement, at, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
  } else {
    sqlite3_bind_null(statement, at);
  }
}

}  // namespace

SqliteOracle::SqliteOracle(const Schema& schema) : schema_(schema), sequences_(schema.topics.size(), 0) {
  if (sqlite3_open(":memory:", &db_) != SQLITE_OK) std::abort();
  register_functions(db_);
  register_ordered_functions(db_);
  register_regexp_functions(db_);
  std::string setup =
      "PRAGMA case_sensitive_like = ON; CREATE TABLE slides (n INTEGER PRIMARY KEY);"
      "WITH RECURSIVE up(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up WHERE n < 15) INSERT INTO slides "
      "SELECT n FROM up;";
  for (const Stream& stream : schema.streams) setup += stream.sqlite_definition() + ";";
  if (sqlite3_exec(db_, setup.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) wrong(db_, setup);
}

SqliteOracle::~SqliteOracle() {
  forget();
  sqlite3_close(db_);
}

void SqliteOracle::forget() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  statements_.clear();
}

sqlite3_stmt* SqliteOracle::prepared(const std::string& sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr && sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
    wrong(db_, sql);
  return statement;
}

void SqliteOracle::insert(const Event& event, std::uint64_t offset) {
  const std::uint64_t sequence = sequences_[event.topic]++;
  for (std::size_t i = 0; i < event.rows.size(); ++i) {
    if (!event.rows[i]) continue;
    std::string sql = "INSERT INTO " + schema_.streams[i].name + " VALUES (?, ?, ?";
    for (std::size_t n = 0; n < event.rows[i]->size(); ++n) sql += ", ?";
    sqlite3_stmt* statement = prepared(sql + ")");
    bind(statement, 1, static_cast<std::int64_t>(offset));
    bind(statement, 2, static_cast<std::int64_t>(sequence));
    bind(statement, 3, event.key ? Cell(*event.key) : Cell());
    for (std::size_t n = 0; n < event.rows[i]->size(); ++n)
      bind(statement, static_cast<int>(n) + 4, (*event.rows[i])[n]);
    if (sqlite3_step(statement) != SQLITE_DONE) wrong(db_, sql);
    sqlite3_reset(statement);
  }
}

std::optional<std::vector<Cells>> SqliteOracle::query(const std::string& sql, std::uint64_t end, int steps,
                                                      std::size_t rows_max) {
  sqlite3_stmt* statement = prepared(sql);
  sqlite3_bind_int64(statement, 1, static_cast<std::int64_t>(end));
  const auto count_down = [](void* left) -> int { return --*static_cast<int*>(left) < 0; };
  sqlite3_progress_handler(db_, steps == INT32_MAX ? 0 : 1000, count_down, &steps);
  std::vector<Cells> rows;
  int code = 0;
  while (rows.size() <= rows_max && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    Cells row;
    for (int i = 0; i < sqlite3_column_count(statement); ++i) {
      switch (sqlite3_column_type(statement, i)) {
        case SQLITE_INTEGER: row.emplace_back(std::int64_t{sqlite3_column_int64(statement, i)}); break;
        case SQLITE_FLOAT: row.emplace_back(sqlite3_column_double(statement, i)); break;
        case SQLITE_NULL: row.emplace_back(); break;
        default:
          row.emplace_back(std::string(reinterpret_cast<const char*>(sqlite3_column_text(statement, i)),
                                       static_cast<std::size_t>(sqlite3_column_bytes(statement, i))));
      }
    }
    rows.push_back(std::move(row));
  }
  sqlite3_progress_handler(db_, 0, nullptr, nullptr);
  if (code != SQLITE_DONE && code != SQLITE_ROW && code != SQLITE_INTERRUPT) wrong(db_, sql);
  sqlite3_reset(statement);
  if (code != SQLITE_DONE) return std::nullopt;
  return rows;
}

}  // namespace kappa::oracle
