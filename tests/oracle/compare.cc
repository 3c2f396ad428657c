// See compare.h.
#include "tests/oracle/compare.h"

#include <algorithm>
#include <cmath>

namespace kappa::oracle {
namespace {

// NULL, numbers by value, text by bytes. Doubles that are compared with a tolerance come last, so that
// both sides sort alike.
std::strong_ordering order(const Cell& a, const Cell& b) {
  if (a.index() != b.index()) {
    const bool numbers = a.index() >= 1 && a.index() <= 2 && b.index() >= 1 && b.index() <= 2;
    if (!numbers) return a.index() <=> b.index();
    const auto value = [](const Cell& c) {
      const auto* integer = std::get_if<std::int64_t>(&c);
      return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(c);
    };
    const double x = value(a), y = value(b);
    return x < y   ? std::strong_ordering::less
           : x > y ? std::strong_ordering::greater
                   : std::strong_ordering::equal;
  }
  if (const auto* x = std::get_if<double>(&a)) {
    const double y = std::get<double>(b);
    return *x < y   ? std::strong_ordering::less
           : *x > y ? std::strong_ordering::greater
                    : std::strong_ordering::equal;
  }
  if (const auto* x = std::get_if<std::int64_t>(&a)) return *x <=> std::get<std::int64_t>(b);
  if (const auto* x = std::get_if<std::string>(&a)) return *x <=> std::get<std::string>(b);
  return std::strong_ordering::equal;
}

bool approximate(const Column& column) {
  return (column.kind == Kind::kDouble || column.kind == Kind::kInteger) && !column.exact;
}

bool less(const Cells& a, const Cells& b, const std::vector<Column>& columns) {
  for (const bool last : {false, true}) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (approximate(columns[i]) != last) continue;
      if (last && (a[i].index() == 0) != (b[i].index() == 0)) return a[i].index() == 0;
      if (const auto by = order(a[i], b[i]); by != 0) return by < 0;
    }
  }
  return false;
}

bool equal(const Cell& a, const Cell& b, const Column& column) {
  if (!approximate(column))
    return order(a, b) == 0 && (a.index() == b.index() || column.kind == Kind::kDouble);
  if (a.index() == 0 || b.index() == 0) return a.index() == b.index();
  if (column.kind == Kind::kInteger) {
    // Estimated counts: of few they are near, never far by a part of them alone.
    const auto x = static_cast<double>(std::get<std::int64_t>(a));
    const auto y = static_cast<double>(std::get<std::int64_t>(b));
    return std::fabs(x - y) <= 2 + column.tolerance * y;
  }
  // SQLite's may be an integer.
  const auto number = [](const Cell& c) {
    const auto* integer = std::get_if<std::int64_t>(&c);
    return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(c);
  };
  const double x = number(a), y = number(b);
  return std::fabs(x - y) <= column.tolerance * std::max({std::fabs(x), std::fabs(y), 1e-3});
}

// Rows that differ in numbers with a tolerance only may not be in one order: each takes one of the other
// side's. Both are sorted.
template <class Alike>
bool paired(const std::vector<Cells>& actual, const std::vector<Cells>& expected,
            const std::vector<Column>& columns, Alike&& alike) {
  const auto before = [&](const Cells& a, const Cells& b) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (approximate(columns[i])) continue;
      if (const auto by = order(a[i], b[i]); by != 0) return by < 0;
    }
    return false;
  };
  std::vector<bool> taken(expected.size(), false);
  for (const Cells& row : actual) {
    const auto [first, last] = std::ranges::equal_range(expected, row, before);
    bool found = false;
    for (auto at = first; at != last && !found; ++at) {
      const auto i = static_cast<std::size_t>(at - expected.begin());
      found = !taken[i] && alike(row, *at);
      if (found) taken[i] = true;
    }
    if (!found) return false;
  }
  return true;
}

}  // namespace

Cell cell_of(const Value& value) {
  if (value.is_null()) return {};
  switch (value.type().id) {
    case TypeId::kNull: return {};
    case TypeId::kBoolean: return std::int64_t{value.as_bool()};
    case TypeId::kBigint:
    case TypeId::kTimestamp:
    case TypeId::kInterval: return value.as_int64();
    case TypeId::kDouble: return value.as_double();
    case TypeId::kNumeric: {
      const Int128 v = value.as_int128();
      if (value.type().scale == 0 && v >= INT64_MIN && v <= INT64_MAX) return static_cast<std::int64_t>(v);
      return format_numeric(v, value.type().scale);
    }
    case TypeId::kText:
    case TypeId::kJson: return value.as_text();
  }
  return {};
}

std::vector<Cells> cells_of(const std::vector<Row>& rows) {
  std::vector<Cells> all;
  all.reserve(rows.size());
  for (const Row& row : rows) {
    Cells cells;
    for (const Value& value : row) cells.push_back(cell_of(value));
    all.push_back(std::move(cells));
  }
  return all;
}

std::string text_of(const Cell& cell) {
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&cell)) {
    // A double is seen to be one, whatever its value; -0 is 0.
    std::string text = format_double(*real == 0 ? 0 : *real);
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
  }
  if (const auto* text = std::get_if<std::string>(&cell)) {
    std::string quoted;
    append_json_string(*text, quoted);
    return quoted;
  }
  return "NULL";
}

std::string text_of(const Cells& row) {
  std::string text;
  for (const Cell& cell : row) text += (text.empty() ? "" : " | ") + text_of(cell);
  return text;
}

std::vector<std::string> texts_of(const std::vector<Cells>& rows) {
  std::vector<std::string> texts;
  for (const Cells& row : rows) texts.push_back(text_of(row));
  std::ranges::sort(texts);
  return texts;
}

void present(std::vector<Cells>& expected, const std::vector<Column>& columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].kind != Kind::kNumeric) continue;
    for (Cells& row : expected) {
      if (i >= row.size()) continue;
      if (const auto* hundredths = std::get_if<std::int64_t>(&row[i]))
        row[i] = format_numeric(*hundredths, 2);
    }
  }
}

std::string difference(std::vector<Cells>& actual, std::vector<Cells>& expected,
                       const std::vector<Column>& columns) {
  present(expected, columns);
  for (const auto* rows : {&actual, &expected}) {
    for (const Cells& row : *rows) {
      if (row.size() != columns.size()) {
        return "rows of " + std::to_string(row.size()) + " columns where " + std::to_string(columns.size()) +
               " were asked for\n";
      }
    }
  }
  const auto before = [&](const Cells& a, const Cells& b) { return less(a, b, columns); };
  std::ranges::sort(actual, before);
  std::ranges::sort(expected, before);
  const auto alike = [&](const Cells& a, const Cells& b) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (!equal(a[i], b[i], columns[i])) return false;
    }
    return true;
  };
  if (actual.size() == expected.size() &&
      (std::ranges::equal(actual, expected, alike) || paired(actual, expected, columns, alike)))
    return {};
  std::string report = "Kappa gave " + std::to_string(actual.size()) + " rows, SQLite " +
                       std::to_string(expected.size()) + "\n";
  int shown = 0;
  std::size_t i = 0, j = 0;
  while ((i < actual.size() || j < expected.size()) && shown < 12) {
    if (i < actual.size() && j < expected.size() && alike(actual[i], expected[j])) {
      ++i, ++j;
    } else if (j == expected.size() || (i < actual.size() && before(actual[i], expected[j]))) {
      report += "  only Kappa:  " + text_of(actual[i++]) + "\n";
      ++shown;
    } else {
      report += "  only SQLite: " + text_of(expected[j++]) + "\n";
      ++shown;
    }
  }
  return report;
}

}  // namespace kappa::oracle
