// Two answers as bags of rows: integers, text and NULL exactly, doubles to the bit or within their tolerance.
#pragma once

#include <string>
#include <vector>

#include "proto/value.h"
#include "tests/oracle/dual.h"

namespace kappa::oracle {

[[nodiscard]] Cell cell_of(const Value& value);
[[nodiscard]] std::vector<Cells> cells_of(const std::vector<Row>& rows);
[[nodiscard]] std::string text_of(const Cell& cell);
[[nodiscard]] std::string text_of(const Cells& row);
// Sorted texts, one row each.
[[nodiscard]] std::vector<std::string> texts_of(const std::vector<Cells>& rows);

// SQLite's rows as Kappa shows them: the hundredths of NUMERIC columns become text.
void present(std::vector<Cells>& expected, const std::vector<Column>& columns);

// Empty if they are the same bag; else which rows only one of them has. Sorts both, and presents SQLite's.
[[nodiscard]] std::string difference(std::vector<Cells>& actual, std::vector<Cells>& expected,
                                     const std::vector<Column>& columns);

}  // namespace kappa::oracle
