// The abstract tree's vocabulary: every node is built as a pair of texts, Kappa's and SQLite's, side by
// side, so that the oracle knows nothing of Kappa's planner. Names and aliases are the same in both.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kappa::oracle {

// One value as both sides can give it. Booleans are 0 and 1, timestamps microseconds, integers beyond 64
// bits their digits.
using Cell = std::variant<std::monostate, std::int64_t, double, std::string>;
using Cells = std::vector<Cell>;

struct Dual {
  std::string kappa;
  std::string sqlite;
};
inline Dual same(std::string text) {
  return {text, text};
}

// Stands in Kappa's text after the name of a stream in FROM: " AS OF OFFSET n" in a SELECT, nothing in a
// view.
inline constexpr char kAsOfMark = '\x01';
inline std::string without_marks(std::string text) {
  std::erase(text, kAsOfMark);
  return text;
}

// Types as the grammar sees them. kNumeric has two digits after the point; SQLite sees its hundredths, an
// integer. kHuge is what sum(BIGINT) gives. kJson is opened and shown only.
enum class Kind : std::uint8_t { kBoolean, kInteger, kDouble, kNumeric, kText, kTime, kHuge, kJson };
inline constexpr Kind kKinds[] = {Kind::kBoolean, Kind::kInteger, Kind::kDouble,
                                  Kind::kNumeric, Kind::kText,    Kind::kTime};

// How far numbers that are not exact may be apart, as a part of their size.
inline constexpr double kLastBits = 1e-9;

struct Column {
  std::string name;
  Kind kind = Kind::kInteger;
  // Greatest size of a number, so that SQLite's own operators are used where they cannot overflow.
  double bound = 0;
  // Both sides give the same bits. Other numbers are compared with a tolerance, never inside a query.
  bool exact = true;
  double tolerance = kLastBits;
};

// An expression over some scope.
struct Term {
  Dual text;
  Kind kind = Kind::kInteger;
  double bound = 0;
  bool exact = true;
  double tolerance = kLastBits;
};

// Something that stands in FROM. In SQLite's text ?1 is the end of the prefix.
struct Relation {
  Dual text;
  std::vector<Column> columns;
  bool stream = false;             // Has _offset and _seq; its rows come only.
  std::string event_time;          // A column of a stream; empty: none.
  std::vector<std::string> needs;  // Views and tables to create first, in order.
};

struct Query {
  Dual text;
  std::string options;  // "WITH (...) " of the view that it is; empty: it is a SELECT too.
  std::vector<Column> columns;
  std::vector<std::string> needs;
  std::set<std::string> productions;  // What the query uses, for the counts.
};

inline void merge_needs(std::vector<std::string>& into, const std::vector<std::string>& from) {
  for (const std::string& name : from) {
    if (std::ranges::find(into, name) == into.end()) into.push_back(name);
  }
}

}  // namespace kappa::oracle
