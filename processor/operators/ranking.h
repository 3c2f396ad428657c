// Ranks of ordered rows, and what changed between two rankings of one partition.
//
// No state; rows are borrowed bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "processor/sql/plan.h"

namespace kappa::processor {

// A row as a top-k keeps it.
struct OrderedRow {
  std::string_view order;      // RowOrder bytes.
  std::size_t rank_bytes = 0;  // Of `order`: rows that are equal in these share a RANK.
  std::string_view row;        // RowCodec bytes.
  std::int64_t weight = 1;     // Copies; below one: none.
};

// A row of the result.
struct RankedRow {
  std::string_view order;
  std::string_view row;
  std::int64_t weight = 1;
  std::int64_t rank = 0;  // 0 where the rank is not given.
};

// Takes the rows of a partition in order and makes the result.
class Ranking {
 public:
  explicit Ranking(const TopK& top_k) : top_k_(top_k) {}
  // False once this row and all behind it are outside the limit; it was not taken then.
  [[nodiscard]] bool add(const OrderedRow& row);
  [[nodiscard]] const std::vector<RankedRow>& rows() const { return rows_; }
  void clear();

 private:
  const TopK& top_k_;
  std::vector<RankedRow> rows_;
  std::uint64_t before_ = 0;       // Rows so far, copies counted.
  std::uint64_t rank_ = 0;         // Of the rows that are equal to the last one in the rank keys.
  std::uint64_t dense_rank_ = 0;
  std::string_view rank_keys_;     // Of the last row.
  bool first_ = true;
};

// Calls give(row, weight) for the differences: what only `from` has with its weight below zero, what only `to`
// has above.
template <class Give>
void for_each_difference(const std::vector<RankedRow>& from, const std::vector<RankedRow>& to, Give&& give) {
  const auto before = [](const RankedRow& a, const RankedRow& b) {
    if (const int order = a.order.compare(b.order); order != 0) return order < 0;
    if (const int row = a.row.compare(b.row); row != 0) return row < 0;
    return a.rank < b.rank;
  };
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < from.size() || j < to.size()) {
    if (j == to.size() || (i < from.size() && before(from[i], to[j]))) {
      give(from[i], -from[i].weight);
      ++i;
    } else if (i == from.size() || before(to[j], from[i])) {
      give(to[j], to[j].weight);
      ++j;
    } else {
      if (from[i].weight != to[j].weight) give(to[j], to[j].weight - from[i].weight);
      ++i;
      ++j;
    }
  }
}

}  // namespace kappa::processor
