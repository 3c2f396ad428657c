// Session windows over anything, also rows that are taken back: each row with the bounds of the session that it is
// in. Two rows of a partition belong together if their times are at most the gap apart, and so do all that are
// linked in that way; window_start is the first time, window_end the last one plus the gap.
//
// All rows are kept in the order of time (timed_rows.h; key: the partition). A batch touches the stretches around its
// times, as far as the gap links them, before or after; their rows are given anew where the bounds changed. So a
// session of n rows costs n for each batch that moves its bounds; see session_aggregate.h for the small form.
// Rows without a time, and sessions whose end no TIMESTAMP can hold, are in no window. State grows with the rows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/operators/operator.h"
#include "processor/operators/row_codec.h"
#include "processor/operators/row_keys.h"
#include "processor/operators/timed_rows.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

class SessionOperator final : public Operator {
 public:
  SessionOperator(const Plan& plan, StateStore& store, TableId table);
  [[nodiscard]] Status push(const ChangeBatch& batch) override;

 private:
  // A row in its session.
  struct Placed {
    std::int64_t time = 0;
    std::string row;
    std::int64_t weight = 0;
    std::int64_t start = 0;
    std::int64_t end = 0;  // Of the session's last row.
  };
  struct Stretch {
    std::string partition;
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::vector<Placed> before;
  };
  struct Change {
    StateEntry* entry;
    std::string row;
    std::int64_t weight;
  };
  // The stretch that holds times[at]; moves `at` behind the times that are in it.
  [[nodiscard]] Expected<Stretch> stretch_of(const std::string& partition, const std::vector<std::int64_t>& times,
                                             std::size_t& at);
  // The rows of a stretch with the bounds of their sessions.
  [[nodiscard]] Expected<std::vector<Placed>> place(const Stretch& stretch);
  [[nodiscard]] bool close(std::int64_t earlier, std::int64_t later) const {
    return Int128{later} - earlier <= gap_;
  }
  [[nodiscard]] Status give_difference(const std::vector<Placed>& before, const std::vector<Placed>& after);
  [[nodiscard]] Status give_row(const Placed& placed, std::int64_t weight);

  const std::int64_t gap_;
  ExpressionEvaluator time_;
  RowKeys partition_;
  RowCodec codec_;
  TimedRows rows_;
  BatchBuilder out_;
  StateStore& store_;

  // Of the batch at hand.
  std::map<std::string, std::vector<std::int64_t>> times_;  // Touched, by partition.
  std::vector<Change> changes_;
  std::vector<Stretch> stretches_;
};

}  // namespace kappa::processor
