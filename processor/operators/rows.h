// Rows as they are stored: the end of a view without an aggregate.
//
// Entry: key columns -> the rows that have this key, each with its weight (copies.h). A key has one row; several
// only while a batch replaces one by another.
// Row bytes: the columns' wire form (proto/value.h), one after the other.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "processor/operators/build.h"
#include "processor/operators/operator.h"
#include "processor/sql/plan.h"
#include "processor/state/state_store.h"

namespace kappa::processor {

class RowsOperator final : public Operator {
 public:
  struct Options {
    TableId table = 0;
    std::vector<std::size_t> key_columns;
    // No two rows have one key and none is taken back: entries are written without being read.
    bool unique = false;
    std::uint64_t* row_count = nullptr;  // Borrowed: rows with weight above zero, copies included.
  };
  RowsOperator(StateStore& store, Options options) : store_(store), options_(std::move(options)) {}
  [[nodiscard]] Status push(const ChangeBatch& batch) override;

 private:
  // Adds the row at hand (row_) to an entry.
  [[nodiscard]] Status add(StateEntry& entry, std::int64_t weight);

  StateStore& store_;
  const Options options_;
  std::string keys_;  // Of the batch, end to end.
  std::vector<std::size_t> ends_;
  std::vector<StateEntry*> entries_;
  std::string row_;
  std::string merged_;
};

// The row of an entry with a weight above zero; nullopt if there is none. kCorrupt 3301.
[[nodiscard]] Expected<std::optional<ViewReader::StoredRow>> read_stored_row(std::string_view value,
                                                                             const std::vector<Type>& types);
// The bytes of the same row.
[[nodiscard]] Expected<std::optional<std::string_view>> stored_row_bytes(std::string_view value);

}  // namespace kappa::processor
