// A side table of an aggregate: how often each argument value is in each group, ordered by group and
// value. Key: group key, then the value's key bytes. Entry: i64 multiplicity; on append-only input
// nothing, because being there is all that will ever be asked.
//
// A multiplicity may be below zero between batches when rows are taken back before they come; only
// values above zero are in the group. Of the processor thread.
#pragma once

#include <vector>

#include "processor/operators/aggregates/aggregate.h"

namespace kappa::processor {

class MultisetTable {
 public:
  // `store` may be null when nothing will be updated.
  MultisetTable(StateStore* store, TableId table, InputKind input)
      : store_(store), table_(table), input_(input) {}

  // Loads the entries of the rows; they are at entry(i) for the i-th of rows.rows (null: NULL argument).
  [[nodiscard]] Status prepare(const AggregateRows& rows);
  [[nodiscard]] StateEntry* entry(std::size_t index) const { return entries_[index]; }

  // What adding `weight` to an entry did.
  enum class Change : std::uint8_t { kNone, kCame, kWent };
  [[nodiscard]] Change add(StateEntry& entry, std::int64_t weight);

  // The key bytes of the least or greatest value in a group; empty if it has none.
  [[nodiscard]] Expected<std::string> extremum(std::string_view group_key, bool greatest);
  [[nodiscard]] StateStore& store() const { return *store_; }

 private:
  StateStore* store_;
  TableId table_;
  InputKind input_;
  std::vector<StateEntry*> entries_;
  std::string key_;
};

}  // namespace kappa::processor
