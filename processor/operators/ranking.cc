// See ranking.h.
#include "processor/operators/ranking.h"

#include <algorithm>

namespace kappa::processor {

bool Ranking::add(const OrderedRow& row) {
  if (row.weight <= 0) return true;
  const std::uint64_t end = top_k_.offset + std::min(top_k_.limit, UINT64_MAX - top_k_.offset);
  const auto weight = static_cast<std::uint64_t>(row.weight);
  if (top_k_.function == RankFunction::kRowNumber) {
    if (before_ >= end) return false;
    const std::uint64_t from = std::max(before_, top_k_.offset);
    const std::uint64_t to = std::min(before_ + weight, end);
    before_ += weight;
    if (from >= to) return true;
    if (!top_k_.gives_rank) {
      rows_.push_back({row.order, row.row, static_cast<std::int64_t>(to - from), 0});
    } else {
      for (std::uint64_t at = from; at < to; ++at)
        rows_.push_back({row.order, row.row, 1, static_cast<std::int64_t>(at + 1)});
    }
    return true;
  }
  const std::string_view keys = row.order.substr(0, row.rank_bytes);
  const bool tie = !first_ && keys == rank_keys_;
  const std::uint64_t rank = tie ? rank_ : before_ + 1;
  const std::uint64_t dense = tie ? dense_rank_ : dense_rank_ + 1;
  const std::uint64_t given = top_k_.function == RankFunction::kRank ? rank : dense;
  if (given > end) return false;
  first_ = false;
  rank_keys_ = keys;
  rank_ = rank;
  dense_rank_ = dense;
  before_ += weight;
  if (given > top_k_.offset)
    rows_.push_back({row.order, row.row, row.weight, top_k_.gives_rank ? static_cast<std::int64_t>(given) : 0});
  return true;
}

void Ranking::clear() {
  rows_.clear();
  before_ = rank_ = dense_rank_ = 0;
  first_ = true;
}

}  // namespace kappa::processor
