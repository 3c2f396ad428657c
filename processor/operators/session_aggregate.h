// GROUP BY partition, SESSION(...): sessions themselves are kept, not their rows. For input that is never taken back
// and aggregates whose groups can be merged: a late row that bridges two sessions merges their states.
//   partition key, 8 bytes first time (big-endian, sign flipped) -> i64 last time | group (aggregates/group_layout.h)
//
// Each session that a batch touched gives its old row (-1) and its new row (+1), once. With emit on close a session
// gives its row when the watermark reaches its end (last time plus gap), and goes; a row that then comes for a session
// that ended is left out and counted (window_expiry.h). Rows are taken one by one there, so that the result does not
// depend on how the input is cut; otherwise rows of a batch that belong together are gathered first.
//
// State grows with the sessions. One thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "processor/operators/batch_builder.h"
#include "processor/operators/group_codec.h"
#include "processor/operators/operator.h"
#include "processor/operators/row_keys.h"
#include "processor/operators/window_expiry.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

class SessionAggregateOperator final : public Operator {
 public:
  // Whether an aggregate over a session window has this form, as far as its keys go.
  [[nodiscard]] static bool fits(const Plan& aggregate, bool append_only);
  struct Tables {
    TableId sessions = 0;
    TableId expiry = 0;  // Used with emit on close only.
  };
  // `aggregates` are mergeable. What comes in are the rows below the window.
  SessionAggregateOperator(const Plan& aggregate, std::unique_ptr<AggregateSet> aggregates, StateStore& store,
                           Tables tables);
  [[nodiscard]] Status push(const ChangeBatch& batch) override;
  [[nodiscard]] Status advance(std::int64_t watermark) override;

 private:
  struct Input {
    std::vector<ExpressionEvaluator> arguments;
    std::vector<ExpressionEvaluator> order;
    std::vector<const Vector*> order_values;  // Of the batch at hand.
    std::optional<ExpressionEvaluator> filter;
    std::vector<const Vector*> values;
    Selection rows;
  };
  struct Timed {
    std::string partition;
    std::int64_t time;
    std::uint32_t row;
  };
  // Rows of the batch that belong together.
  struct Run {
    std::string partition;
    std::int64_t first = 0;
    std::int64_t last = 0;
    std::int64_t weight = 0;
    StateEntry group{{}, nullptr, 0};  // Not of the store: only its value counts.
  };
  [[nodiscard]] Status gather(const ChangeBatch& batch);
  [[nodiscard]] Status aggregate(const ChangeBatch& batch);
  // Merges the run with the sessions that it reaches.
  [[nodiscard]] Status place(Run& run);
  [[nodiscard]] Status give_changes();
  // The row of a session; nullopt where no TIMESTAMP can hold its end. kCorrupt 3301.
  [[nodiscard]] Expected<std::optional<Row>> row_of(std::string_view key, std::string_view value) const;
  // Remembers what the session was before the batch.
  [[nodiscard]] Expected<StateEntry*> touch(const std::string& key);
  void store(StateEntry& entry, std::string_view value);
  // The last session of a partition, as far as it is remembered or can be found.
  struct Last {
    bool any = false;
    std::int64_t first = 0;
    std::int64_t last = 0;
  };
  [[nodiscard]] Expected<Last*> last_of(const std::string& partition);
  [[nodiscard]] Int128 end_of(std::int64_t last) const { return Int128{last} + gap_; }

  enum class Key : std::uint8_t { kPartition, kStart, kEnd };
  const std::unique_ptr<AggregateSet> aggregates_;
  StateStore& store_;
  const TableId table_;
  const std::int64_t gap_;
  std::vector<Key> keys_;  // In the order of the output.
  RowKeys partition_;
  ExpressionEvaluator time_;
  std::vector<Input> inputs_;
  std::optional<WindowExpiry> expiry_;
  BatchBuilder out_;
  // Rows mostly come behind what was there: then nothing need be searched. A cache; not with emit on close, where
  // sessions leave.
  std::unordered_map<std::string, Last> last_;

  // Of the batch at hand.
  std::vector<Timed> timed_;
  std::deque<Run> runs_;
  std::vector<StateEntry*> groups_;       // Of the runs.
  std::vector<std::uint32_t> group_of_;   // By position in the batch: number of its run.
  Selection rows_;
  std::map<std::string, std::optional<std::string>> touched_;
};

}  // namespace kappa::processor
