// Inner and left outer joins with the current rows of the other input, and joins with the rows as they were when
// the left event was appended (FOR SYSTEM_TIME AS OF _offset).
//
// What an input gives is joined with what the other one has, then kept (dL x R + L x dR; Budiu et al., VLDB
// 2023): exact for bags and for rows that are taken back. As of an offset the left rows are not kept, and a change
// of the right input touches nothing that was given. Keys that are NULL, and times, join nothing.
//
// A left row of a left outer join stands alone while it has no match. Without residual and time bound that is a
// question about the key; otherwise the matches of each left row are counted, in a table of their own:
//   left row bytes -> i64 weight of the left row | i64 weight of its matches
//
// State grows with the rows of both inputs (join_side.h). One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/operators/join_side.h"
#include "processor/operators/operator.h"
#include "processor/operators/row_codec.h"
#include "processor/operators/row_keys.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

// Hands a second input's batches on: an operator has one push().
template <class Owner>
class RightInput final : public Operator {
 public:
  explicit RightInput(Owner& owner) : owner_(owner) {}
  [[nodiscard]] Status push(const ChangeBatch& batch) override { return owner_.push_right(batch); }

 private:
  Owner& owner_;
};

class JoinOperator final : public Operator {
 public:
  struct Tables {
    TableId left = 0;
    TableId right = 0;
    TableId matches = 0;
  };
  struct Forms {
    JoinSide::Form left = JoinSide::Form::kOrdered;
    JoinSide::Form right = JoinSide::Form::kOrdered;
  };
  JoinOperator(const Plan& plan, Forms forms, StateStore& store, Tables tables);
  [[nodiscard]] static bool is_timed(const Plan& plan) {
    return plan.join.left_time != nullptr && (plan.join.lower || plan.join.upper);
  }

  // Of the left input.
  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  [[nodiscard]] Status push_right(const ChangeBatch& batch);
  // Borrowed.
  [[nodiscard]] Operator& right() { return right_input_; }

 private:
  struct Side {
    Side(const std::vector<ExpressionPtr>& keys, const ExpressionPtr& time, const std::vector<Column>& columns,
         JoinSide::Form form, bool timed, StateStore& store, TableId table);
    RowKeys keys;
    std::optional<ExpressionEvaluator> time;
    RowCodec codec;
    JoinSide state;
  };
  // A row of the batch at hand that may have matches.
  struct Incoming {
    std::uint32_t row = 0;
    std::int64_t time = 0;
    std::int64_t weight = 0;
    std::string_view key;
    std::string_view bytes;         // Of the row; empty when it is not kept.
    StateEntry* matches = nullptr;  // Of a counted left row.
  };
  // A counted left row that a right batch touches.
  struct TouchedLeft {
    StateEntry* entry;
    std::int64_t before;
    std::size_t counted = SIZE_MAX;  // The last row of the batch that was counted for it.
  };

  // Fills incoming_ and, with rows that can have no match, lone_.
  void take(Side& side, const ChangeBatch& batch, bool keep);
  [[nodiscard]] JoinSide::Times right_times(std::int64_t left_time) const;
  [[nodiscard]] JoinSide::Times left_times(std::int64_t right_time) const;
  // Ends a pair of which `other` is the weight that found_[tag] counts.
  [[nodiscard]] Status end_pair(std::int64_t weight, std::size_t tag, std::int64_t other);
  // Gives the pairs for which the residual is true.
  [[nodiscard]] Status flush_pairs();
  // Gives a left row without a match.
  [[nodiscard]] Status give_alone(const ChangeBatch& batch, std::uint32_t row, std::int64_t weight);
  [[nodiscard]] Status give_alone(std::string_view left_row, std::int64_t weight);
  [[nodiscard]] Status end_alone(std::int64_t weight);

  // Of a right batch, by what the join is.
  [[nodiscard]] Status join_right(const ChangeBatch& batch);
  [[nodiscard]] Status settle_counted();
  [[nodiscard]] Expected<std::size_t> touch(std::string_view left_row);

  const Join& join_;
  StateStore& store_;
  const TableId matches_table_;
  const bool keeps_left_;
  const bool timed_;
  const bool counted_;  // Left outer with a residual or a time bound.
  const std::size_t left_columns_;
  const std::size_t right_columns_;
  Side left_;
  Side right_;
  RightInput<JoinOperator> right_input_;
  std::optional<ExpressionEvaluator> residual_;
  BatchBuilder pairs_;
  struct Tag {
    std::size_t number;
    std::int64_t other;
  };
  std::vector<Tag> tags_;            // By position in pairs_.
  std::vector<std::int64_t> found_;  // By number: weight of what was found.
  Selection selection_;

  // Of the batch at hand.
  std::vector<Incoming> incoming_;
  std::vector<std::uint32_t> lone_;
  std::vector<TouchedLeft> touched_;
  Arena arena_;
  std::string scratch_;
};

}  // namespace kappa::processor
