// ASOF JOIN: each left row with the right row that was valid at its time: of those with the same keys and a time at
// or before (strict: before) the left one, the latest; among equal times the greatest in right_order; none if that
// one says that it is deleted.
//
// Both inputs are kept in the order of time (timed_rows.h; key: the join keys), so that a late row of either side is
// as good as any other. A right row answers for the left rows from its time to the next right row: when it comes, goes
// or is replaced, exactly those are given anew, if what they match differs. Right row bytes begin with one byte: 1 if
// deleted. NULL keys and times join nothing.
//
// State grows with the rows of both inputs. One thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/operators/join.h"
#include "processor/operators/operator.h"
#include "processor/operators/row_codec.h"
#include "processor/operators/row_keys.h"
#include "processor/operators/timed_rows.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

class AsOfJoinOperator final : public Operator {
 public:
  struct Tables {
    TableId left = 0;
    TableId right = 0;
  };
  AsOfJoinOperator(const Plan& plan, StateStore& store, Tables tables);
  // Of the left input.
  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  [[nodiscard]] Status push_right(const ChangeBatch& batch);
  // Borrowed.
  [[nodiscard]] Operator& right() { return right_input_; }

 private:
  struct Change {
    std::uint32_t row = 0;
    StateEntry* entry = nullptr;
    std::string key;
    std::int64_t time = 0;
    std::string bytes;
    std::int64_t weight = 0;
  };
  // Left rows that may have another match now: inclusive times, and the right row that all of them had, bytes with
  // the deleted byte, empty for none.
  struct Stretch {
    std::string key;
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::string before;
  };
  struct LeftRow {
    std::string bytes;
    std::int64_t weight = 0;
    std::size_t match = 0;  // Index into the piece's matches.
  };

  // The right row for a left row of that time; empty: none.
  [[nodiscard]] Expected<std::string> match_at(const std::string& key, std::int64_t left_time);
  // The latest live row of an entry of the right table; empty: none.
  [[nodiscard]] static Expected<std::string_view> live_row(std::string_view value);
  // What the changed right times of a key touch; moves `at` behind the times that are covered.
  [[nodiscard]] Expected<std::optional<Stretch>> stretch_of(const std::string& key,
                                                            const std::vector<std::int64_t>& times, std::size_t& at);
  [[nodiscard]] Status give_stretch(const Stretch& stretch);
  [[nodiscard]] bool stands_for_none(std::string_view right_row) const {
    return right_row.empty() || right_row.front() == '\1';
  }
  // A left row with its match.
  [[nodiscard]] Status give_pair(std::string_view left_row, std::string_view right_row, std::int64_t weight);

  StateStore& store_;
  const bool left_outer_;
  const bool strict_;
  const std::size_t left_columns_;
  const std::size_t right_columns_;
  RowKeys left_keys_;
  RowKeys right_keys_;
  ExpressionEvaluator left_time_;
  ExpressionEvaluator right_time_;
  RowKeys right_order_;
  std::optional<ExpressionEvaluator> right_deleted_;
  RowCodec left_codec_;
  RowCodec right_codec_;
  TimedRows left_;
  TimedRows right_;
  RightInput<AsOfJoinOperator> right_input_;
  BatchBuilder out_;
};

}  // namespace kappa::processor
