// Hopping windows in panes: time is cut wherever a window begins or ends, at the multiples of the slide and, where
// the size is none of them, at the size's remainder behind each. A window is a run of whole panes, and a row is in
// one pane instead of size / slide windows. (Li, Maier, Tufte, Papadimos, Tucker: No Pane, No Gain, SIGMOD Record
// 2005; the two pieces a slide: Krishnamurthy, Wu, Franklin: On-the-Fly Sharing for Streamed Aggregation, SIGMOD
// 2006.)
//
// Pure functions of a plan.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/vector/vector.h"

namespace kappa::processor {

// The panes and windows of one HOP. Times in microseconds; starts of windows are multiples of the slide.
class PaneGrid {
 public:
  PaneGrid(std::int64_t slide, std::int64_t size) : slide_(slide), size_(size) {}
  [[nodiscard]] std::int64_t slide() const { return slide_; }
  [[nodiscard]] std::int64_t size() const { return size_; }

  // The start of the pane that a time is in; nullopt where no window that TIMESTAMP can hold has that time.
  [[nodiscard]] std::optional<std::int64_t> pane_of(std::int64_t time) const;
  // The first start of a window after `time`, and the last one up to it, of those whose bounds TIMESTAMP can hold.
  // A row's windows are first_after(time - size) to last_until(time).
  [[nodiscard]] Int128 first_after(Int128 time) const;
  [[nodiscard]] Int128 last_until(Int128 time) const;
  [[nodiscard]] Int128 first_of(std::int64_t pane) const { return first_after(Int128{pane} - size_); }
  // The pane behind the one that begins at `pane`.
  [[nodiscard]] Int128 next_pane(std::int64_t pane) const;

 private:
  [[nodiscard]] Int128 floor(Int128 time) const;
  std::int64_t slide_;
  std::int64_t size_;
};

// An aggregate over hopping windows whose groups may be kept by pane, as far as its keys and columns say. Refers to
// the plan it was made of.
struct Panes {
  enum class Key : std::uint8_t { kOther, kStart, kEnd };
  PaneGrid grid;
  const Plan* window = nullptr;         // The kWindow.
  std::vector<const Plan*> between;     // Filters and projections from the aggregate down to the window.
  std::vector<Key> keys;                // What each group key is.
  Plan by_pane;                         // The aggregate, with the other keys and then the pane's start as its keys.
  // The keys of windows order like those of panes: the other keys come first.
  bool in_order = false;
};
// Nothing where panes do not fit: other windows, keys or arguments that need the window of a row, windows that leave
// by the watermark, a size below four slides (a group a window costs less then).
[[nodiscard]] std::optional<Panes> panes_of(const Plan& aggregate);

}  // namespace kappa::processor
