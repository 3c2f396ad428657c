// Two lists of rows, each in the same order, compared in one pass and in the memory of one row of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/error.h"
#include "proto/value.h"
#include "tools/row_stream.h"

namespace kappa::tools {

// How rows of the left are compared with rows of the right. Columns are the same if their names are.
struct DiffShape {
  using Pair = std::pair<std::size_t, std::size_t>;  // Index in the left row, in the right row.
  bool by_key = false;                  // `order` is a key of both; else it is every column that both have.
  std::vector<Pair> order;              // Both lists are in the order of these.
  std::vector<Pair> rest;               // The other columns that both have.
  std::vector<std::string> left_only;   // Columns of one side: not compared.
  std::vector<std::string> right_only;
  bool nulls_first = true;              // In the order.
  [[nodiscard]] bool same_columns() const { return left_only.empty() && right_only.empty(); }
};
// Indexes of the key columns in key order (none: there is one row); nullopt if a part of the key is no column.
using KeyColumns = std::optional<std::vector<std::size_t>>;
// By key only if both have the same, in names and types.
[[nodiscard]] DiffShape diff_shape(const std::vector<ClientColumn>& left, const KeyColumns& left_key,
                                   const std::vector<ClientColumn>& right, const KeyColumns& right_key);

struct DiffCounts {
  std::uint64_t equal = 0;
  std::uint64_t differing = 0;   // The same key, other values.
  std::uint64_t left_only = 0;
  std::uint64_t right_only = 0;
  [[nodiscard]] bool any() const { return differing + left_only + right_only > 0; }
};
// Calls `each` with false for a row of the left that the right does not have, with true the other way round; of a key
// with other values, both, the left one first. Rows that are there several times are paired off. kInvalid 5003: a
// source is not in order. Errors of the sources.
[[nodiscard]] Expected<DiffCounts> diff_rows(const DiffShape& shape, RowSource& left, RowSource& right,
                                             const std::function<void(bool right, const Row& row)>& each);

}  // namespace kappa::tools
