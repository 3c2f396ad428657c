// See panes.h.
#include "processor/sql/panes.h"

#include <algorithm>

#include "processor/sql/expression_tools.h"
#include "processor/vector/functions.h"

namespace kappa::processor {
namespace {

// A row in fewer windows than this costs less as a group for each (measured with keys that are seldom in two
// neighbouring panes: equal at 4 windows, half as fast at 2).
constexpr std::int64_t kWindowsMin = 4;

}  // namespace

Int128 PaneGrid::floor(Int128 time) const { return time - (time % slide_ + slide_) % slide_; }

std::optional<std::int64_t> PaneGrid::pane_of(std::int64_t time) const {
  const std::int64_t rest = size_ % slide_;
  const Int128 start = floor(time);
  if (start < INT64_MIN) return std::nullopt;
  return static_cast<std::int64_t>(rest != 0 && time - start >= rest ? start + rest : start);
}

Int128 PaneGrid::first_after(Int128 time) const {
  return std::max(floor(time) + slide_, floor(Int128{INT64_MIN} + slide_ - 1));
}

Int128 PaneGrid::last_until(Int128 time) const { return std::min(floor(time), floor(Int128{INT64_MAX} - size_)); }

Int128 PaneGrid::next_pane(std::int64_t pane) const {
  const std::int64_t rest = size_ % slide_;
  const Int128 start = floor(pane);
  return rest != 0 && start == pane ? start + rest : start + slide_;
}

namespace {

// Which columns of a node are the bounds of the window.
struct Bounds {
  std::vector<bool> start;
  std::vector<bool> end;
  std::int64_t size = 0;

  [[nodiscard]] std::optional<Panes::Key> bound(const Expression& e) const {
    if (e.kind == ExpressionKind::kColumn) {
      if (start[e.column]) return Panes::Key::kStart;
      if (end[e.column]) return Panes::Key::kEnd;
      return std::nullopt;
    }
    // How the planner writes the end.
    if (e.kind != ExpressionKind::kCall || name_of(*e.function) != "+" || e.arguments.size() != 2) return std::nullopt;
    const Expression& column = *e.arguments[0];
    const Expression& added = *e.arguments[1];
    const bool is_end = column.kind == ExpressionKind::kColumn && start[column.column] &&
                        added.kind == ExpressionKind::kConstant && added.type.id == TypeId::kInterval &&
                        !added.constant.is_null() && added.constant.as_int64() == size;
    return is_end ? std::optional(Panes::Key::kEnd) : std::nullopt;
  }
  [[nodiscard]] bool reads(const ExpressionPtr& e) const {
    bool found = false;
    if (e) sql::for_each_column(*e, [&](std::size_t column) { found = found || start[column] || end[column]; });
    return found;
  }
};

// From below a node to its output; false where it needs the window of a row.
bool follow(const Plan& node, Bounds& bounds) {
  if (node.kind == PlanKind::kFilter) return !bounds.reads(node.predicate);
  Bounds above{{}, {}, bounds.size};
  for (const ExpressionPtr& e : node.expressions) {
    const std::optional<Panes::Key> bound = bounds.bound(*e);
    if (!bound && bounds.reads(e)) return false;
    above.start.push_back(bound == Panes::Key::kStart);
    above.end.push_back(bound == Panes::Key::kEnd);
  }
  bounds = std::move(above);
  return true;
}

}  // namespace

std::optional<Panes> panes_of(const Plan& aggregate) {
  if (aggregate.kind != PlanKind::kAggregate || aggregate.retain_micros || aggregate.emit_on_close) return std::nullopt;
  std::vector<const Plan*> between;
  const Plan* window = aggregate.input.get();
  for (; window->kind == PlanKind::kFilter || window->kind == PlanKind::kProject; window = window->input.get())
    between.push_back(window);
  if (window->kind != PlanKind::kWindow || window->window.kind != Window::Kind::kHop) return std::nullopt;
  const std::int64_t size = window->window.size_micros;
  const std::int64_t slide = window->window.slide_micros;
  if (size / slide < kWindowsMin) return std::nullopt;

  const std::size_t width = window->output.size();
  Bounds bounds{std::vector<bool>(width), std::vector<bool>(width), size};
  bounds.start[width - 2] = true;
  bounds.end[width - 1] = true;
  for (auto node = between.rbegin(); node != between.rend(); ++node) {
    if (!follow(**node, bounds)) return std::nullopt;
  }
  Panes panes{PaneGrid(slide, size), window, std::move(between), {}, aggregate, false};
  panes.by_pane.group_keys.clear();
  ExpressionPtr start;
  panes.in_order = true;
  for (const ExpressionPtr& key : aggregate.group_keys) {
    const std::optional<Panes::Key> bound = bounds.bound(*key);
    panes.keys.push_back(bound.value_or(Panes::Key::kOther));
    if (bound == Panes::Key::kStart && start) return std::nullopt;
    if (bound == Panes::Key::kStart) start = key;
    if (bound == Panes::Key::kEnd && !start) panes.in_order = false;
    if (bound) continue;
    if (bounds.reads(key)) return std::nullopt;
    if (start) panes.in_order = false;
    panes.by_pane.group_keys.push_back(key);
  }
  if (!start) return std::nullopt;
  panes.by_pane.group_keys.push_back(std::move(start));
  for (const Aggregate& one : aggregate.aggregates) {
    const auto reads = [&](const ExpressionPtr& e) { return bounds.reads(e); };
    if (std::ranges::any_of(one.arguments, reads) || reads(one.filter)) return std::nullopt;
    for (const SortKey& key : one.order_by) {
      if (reads(key.expression)) return std::nullopt;
    }
  }
  return panes;
}

}  // namespace kappa::processor
