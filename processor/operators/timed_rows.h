// Rows in the order of time below a key: the table that sessions and joins as of a time look around in.
//   key bytes, 8 bytes time (big-endian, sign flipped), suffix -> rows with weights (copies.h)
// The suffix orders rows of one time, or tells them apart (suffix_of()).
//
// Of the processor thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "processor/operators/copies.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

class TimedRows {
 public:
  TimedRows(StateStore& store, TableId table) : store_(store), table_(table) { store.keep_ordered(table); }

  // A suffix that follows from the row.
  [[nodiscard]] static std::string suffix_of(std::string_view row);
  // The entry that the row belongs into, for add() after begin_changes().
  [[nodiscard]] Expected<StateEntry*> entry(std::string_view key, std::int64_t time, std::string_view suffix);
  [[nodiscard]] Status add(StateEntry& entry, std::string_view row, std::int64_t weight);

  struct Item {
    std::int64_t time = 0;
    std::string_view suffix;
    std::string_view value;  // Copies. Both views end with the next step.
  };
  // Like StateCursor, and as short-lived: it ends with the next change of the store.
  class Cursor {
   public:
    Cursor(std::unique_ptr<StateCursor> cursor, std::size_t key_bytes)
        : cursor_(std::move(cursor)), key_bytes_(key_bytes) {}
    // nullopt at the end of the range; kCorrupt 3301.
    [[nodiscard]] Expected<std::optional<Item>> next();

   private:
    std::unique_ptr<StateCursor> cursor_;
    std::size_t key_bytes_;
  };
  // Inclusive times; from > to gives nothing.
  [[nodiscard]] Expected<Cursor> scan(std::string_view key, std::int64_t from, std::int64_t to, bool backward);
  // From behind the row at (from, suffix) on.
  [[nodiscard]] Expected<Cursor> scan_behind(std::string_view key, std::int64_t from, std::string_view suffix,
                                             std::int64_t to);

 private:
  [[nodiscard]] Expected<Cursor> scan_range(std::string from, std::string last, std::size_t key_bytes, bool backward);

  StateStore& store_;
  const TableId table_;
  std::string key_;
  std::string scratch_;
};

}  // namespace kappa::processor
