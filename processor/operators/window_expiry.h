// When groups of windows leave an aggregate: an index by the end of the window, and the rows that come too late.
//   8 bytes window end (big-endian, sign flipped), group key -> nothing
// A group leaves once the watermark has reached its window's end plus what it is retained for. Groups whose window
// has no end that a TIMESTAMP can hold stay. An event exactly the gap behind a session still belongs to it, so a session
// is over only when the watermark is past its end.
//
// Late rows are counted only where a window is closed once and for all (EMIT ON WINDOW CLOSE), because only then is
// every cut of the input told of the watermark at the same events:
//   table kLateRowsTable: u8 table of the groups -> u64 rows
//
// Of the processor thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/state/state_store.h"
#include "processor/vector/vector.h"
#include "proto/error.h"

namespace kappa::processor {

class WindowExpiry {
 public:
  // Of a kAggregate that retains or emits on close; its groups are in `groups`.
  WindowExpiry(const Plan& plan, StateStore& store, TableId table, TableId groups);
  [[nodiscard]] static bool wanted(const Plan& plan) {
    return plan.window_key && (plan.retain_micros || plan.emit_on_close);
  }

  // The end of the window of a row, by the evaluated group keys; nullopt: it never ends.
  [[nodiscard]] std::optional<std::int64_t> end_of(const std::vector<const Vector*>& keys, std::size_t row) const;
  [[nodiscard]] bool passed(std::optional<std::int64_t> end) const {
    return end && Int128{*end} + after_ + (session_ ? 1 : 0) <= watermark_;
  }
  // Counts a row that came too late (where they are counted).
  [[nodiscard]] Status count_late(std::uint64_t rows);

  // A group came or went.
  void track(std::string_view group, std::int64_t end, bool there);
  // Moves the watermark; false if it did not move.
  [[nodiscard]] bool advance(std::int64_t watermark);
  // Takes some of the groups whose time has come out of the index, in order; none at the end.
  [[nodiscard]] Expected<std::vector<std::string>> take_due();

 private:
  StateStore& store_;
  const TableId table_;
  const TableId groups_;
  const WindowKey key_;
  const std::int64_t after_;
  const bool counts_late_;
  const bool session_;
  std::int64_t watermark_ = INT64_MIN;
  std::string scratch_;
};

}  // namespace kappa::processor
