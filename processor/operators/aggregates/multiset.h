// Side tables of aggregates: how often each value is in each group, ordered by group and value.
//
// Key: group key, then the value's key bytes. Entry: an i64 multiplicity for each slot; a table that only
// ever asks whether a value came (DISTINCT of append-only input) keeps a bit for each slot instead, and
// nothing when there is one. A slot is a FILTER: count(DISTINCT x) FILTER (WHERE a), count(DISTINCT x) FILTER
// (WHERE b) are two slots of one table, so that a row costs one look-up. Aggregates of the same values and
// FILTER have one slot together; the first of them owns it and feeds it, the others see what it did.
//
// A multiplicity may be below zero for a while where rows are taken back before they come; only values above
// zero are members. Of the processor thread.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "processor/operators/aggregates/aggregate.h"
#include "processor/sql/plan.h"

namespace kappa::processor {

class MultisetTable {
 public:
  // What decides which aggregates share a table.
  struct Spec {
    std::vector<SortKey> key;  // What the value's bytes are made of.
    bool ordered = false;      // first() and scan() will be asked; such a table has one slot.
    bool counted = false;      // Multiplicities are kept; else only that a value came.
    ExpressionPtr left_out;    // Rows where this is NULL have no value; null: all have one.
  };
  MultisetTable(StateStore* store, TableId table, Spec spec);

  // A slot's number in the table, and whether the caller feeds it.
  struct Use {
    MultisetTable* table = nullptr;
    std::size_t slot = 0;
    bool owner = false;
  };

  // Loads the entries of the slot's rows. `append_value(row, key)` appends the value's bytes, or says that
  // the row has none (false). Of owners, in the order of their slots.
  template <class Append>
  [[nodiscard]] Status prepare(std::size_t slot, const AggregateRows& rows, Append&& append_value) {
    // The owner of slot 0 is asked first in each batch.
    if (slot == 0) begin_batch(rows.group_of.size());
    keys_.clear();
    ends_.clear();
    looked_up_.clear();
    for (const std::uint32_t row : rows.rows) {
      if (seen_in_[row] == batch_) continue;
      seen_in_[row] = batch_;
      entries_[row] = nullptr;
      keys_ += rows.group(row).key;
      if (!append_value(row, keys_)) {
        keys_.resize(ends_.empty() ? 0 : ends_.back());
        continue;
      }
      ends_.push_back(keys_.size());
      looked_up_.push_back(row);
    }
    return look_up();
  }

  // How often a value was in its group before a row and after it.
  struct Step {
    StateEntry* entry = nullptr;  // Null: the row has no value.
    std::int64_t before = 0;
    std::int64_t after = 0;
    [[nodiscard]] bool came() const { return before <= 0 && after > 0; }
    [[nodiscard]] bool went() const { return before > 0 && after <= 0; }
    // How many members more.
    [[nodiscard]] std::int64_t more() const {
      return std::max<std::int64_t>(after, 0) - std::max<std::int64_t>(before, 0);
    }
  };
  // Takes the rows in. Of the owner, once a batch.
  void update(std::size_t slot, const AggregateRows& rows);
  // What the last update() did, one step for each of rows.rows.
  [[nodiscard]] const std::vector<Step>& steps(std::size_t slot) const { return slots_[slot].steps; }

  // The key bytes and multiplicity of the first or last member of a group in (after, before), by key bytes;
  // nothing if there is none. The bounds may be empty: none.
  struct Member {
    std::string key;
    std::int64_t count = 0;
  };
  [[nodiscard]] Expected<std::optional<Member>> first(std::string_view group_key, std::string_view after,
                                                      std::string_view before, bool backward);
  // The same one by one. Not to be used after the next change of the state.
  class Walk {
   public:
    Walk(std::unique_ptr<StateCursor> cursor, std::size_t prefix)
        : cursor_(std::move(cursor)), prefix_(prefix) {}
    [[nodiscard]] Expected<std::optional<Member>> next();

   private:
    std::unique_ptr<StateCursor> cursor_;
    std::size_t prefix_;
  };
  [[nodiscard]] Expected<Walk> walk(std::string_view group_key, std::string_view after,
                                    std::string_view before, bool backward);

 private:
  friend class MultisetPool;
  struct Slot {
    ExpressionPtr filter;
    std::vector<Step> steps;
  };
  void begin_batch(std::size_t rows);
  // The entries of looked_up_, at once.
  [[nodiscard]] Status look_up();
  void add_counted(std::size_t slot, Step& step, std::int64_t weight);
  void add_seen(std::size_t slot, Step& step);

  StateStore* store_;
  TableId table_;
  Spec spec_;
  std::vector<Slot> slots_;
  // By row of the batch at hand.
  std::vector<StateEntry*> entries_;
  std::vector<std::uint32_t> seen_in_;  // The batch in which the entry was looked up.
  std::uint32_t batch_ = 0;
  // Of the look-up at hand: keys end to end.
  std::string keys_;
  std::vector<std::size_t> ends_;
  std::vector<std::uint32_t> looked_up_;
  std::vector<std::string_view> views_;
  std::vector<StateEntry*> found_;
};

// The tables of one operator's aggregates.
class MultisetPool {
 public:
  // The slot for an aggregate: one that there is already, where that can be, else a new one. Call it once for
  // each use, in the order of the aggregates.
  [[nodiscard]] MultisetTable::Use use(const AggregateContext& context, MultisetTable::Spec spec);

 private:
  std::vector<std::unique_ptr<MultisetTable>> tables_;
};

}  // namespace kappa::processor
