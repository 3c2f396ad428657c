// See plan_properties.h.
#include "processor/sql/plan_properties.h"

#include <algorithm>
#include <numeric>

namespace kappa::processor {
namespace {

bool has(const Plan& plan, bool (*test)(const Plan&)) {
  return test(plan) || (plan.input && has(*plan.input, test)) || (plan.right && has(*plan.right, test));
}

bool joins_as_of_offset(const Plan& plan) {
  return plan.kind == PlanKind::kJoin && plan.join.match == Join::Match::kAsOfOffset;
}

void collect(const Plan& plan, std::vector<const Plan*>& scans) {
  if (!plan.input) scans.push_back(&plan);
  if (plan.input) collect(*plan.input, scans);
  if (plan.right) collect(*plan.right, scans);
}

// The turns of the scans below `plan`, none under `least`; gives the first turn that is free behind them.
unsigned assign_turns(const Plan& plan, unsigned least, std::vector<unsigned>& turns) {
  if (!plan.input) {
    turns.push_back(least);
    return least + 1;
  }
  if (!plan.right) return assign_turns(*plan.input, least, turns);
  if (!joins_as_of_offset(plan)) {
    const unsigned left = assign_turns(*plan.input, least, turns);
    return std::max(left, assign_turns(*plan.right, least, turns));
  }
  // The right input goes first, but its scans stand behind those of the left one.
  std::vector<unsigned> right_turns;
  const unsigned after = assign_turns(*plan.right, least, right_turns);
  const unsigned end = assign_turns(*plan.input, after, turns);
  turns.insert(turns.end(), right_turns.begin(), right_turns.end());
  return end;
}

using ColumnSet = std::vector<std::size_t>;

bool is_plain(const ExpressionPtr& expression) { return expression->kind == ExpressionKind::kColumn; }

// The columns among the expressions.
ColumnSet plain_columns(const std::vector<ExpressionPtr>& expressions) {
  ColumnSet columns;
  for (const ExpressionPtr& expression : expressions) {
    if (is_plain(expression)) columns.push_back(expression->column);
  }
  return columns;
}

bool holds_one_of(const ColumnSet& columns, const std::vector<ColumnSet>& keys) {
  return std::ranges::any_of(keys, [&](const ColumnSet& key) {
    return std::ranges::all_of(key, [&](std::size_t column) { return std::ranges::count(columns, column) > 0; });
  });
}

// Sets of columns of which no two rows have the same values. Not all of them.
std::vector<ColumnSet> unique_keys(const Plan& plan) {
  switch (plan.kind) {
    case PlanKind::kStreamScan: {
      std::vector<ColumnSet> keys;
      const std::size_t named = plan.stream ? plan.stream->columns.size() + plan.stream->hidden.size() : 0;
      for (std::size_t i = 0; plan.stream && i < plan.stream_columns.size(); ++i) {
        if (plan.stream_columns[i] == named + static_cast<std::size_t>(Pseudo::kOffset)) keys.push_back({i});
      }
      return keys;
    }
    case PlanKind::kValues: return {ColumnSet{}};
    case PlanKind::kFilter: return unique_keys(*plan.input);
    case PlanKind::kProject: {
      std::vector<ColumnSet> keys;
      for (const ColumnSet& key : unique_keys(*plan.input)) {
        ColumnSet mapped;
        for (const std::size_t column : key) {
          for (std::size_t i = 0; i < plan.expressions.size(); ++i) {
            if (!is_plain(plan.expressions[i]) || plan.expressions[i]->column != column) continue;
            mapped.push_back(i);
            break;
          }
        }
        if (mapped.size() == key.size()) keys.push_back(std::move(mapped));
      }
      return keys;
    }
    case PlanKind::kAggregate: {
      ColumnSet key(plan.group_keys.size());
      std::iota(key.begin(), key.end(), std::size_t{0});
      return {std::move(key)};
    }
    case PlanKind::kTopK: {
      std::vector<ColumnSet> keys = unique_keys(*plan.input);
      ColumnSet partition = plain_columns(plan.top_k.partition);
      const bool one = plan.top_k.function == RankFunction::kRowNumber && plan.top_k.limit == 1;
      if (one && partition.size() == plan.top_k.partition.size()) keys.push_back(std::move(partition));
      return keys;
    }
    case PlanKind::kJoin: {
      // A left row stays one row where it meets one right row at most.
      if (plan.join.match == Join::Match::kAsOfTime || is_unique_on(*plan.right, plan.join.right_keys))
        return unique_keys(*plan.input);
      return {};
    }
    case PlanKind::kViewScan:
    case PlanKind::kSort:
    case PlanKind::kWindow:
    case PlanKind::kUnion: return {};
  }
  return {};
}

}  // namespace

bool is_unique_on(const Plan& plan, const std::vector<ExpressionPtr>& expressions) {
  return holds_one_of(plain_columns(expressions), unique_keys(plan));
}

PlanProperties properties_of(const Plan& plan, PlanSetting setting) {
  PlanProperties below;
  if (plan.input) below = properties_of(*plan.input, setting);
  const auto right_appends = [&] { return properties_of(*plan.right, setting).append_only; };
  switch (plan.kind) {
    case PlanKind::kStreamScan:
    case PlanKind::kValues: return {!setting.scans_take_back, !setting.scans_take_back};
    case PlanKind::kViewScan: return {!setting.scans_take_back, false};
    case PlanKind::kFilter:
    case PlanKind::kProject: return below;
    case PlanKind::kSort: return {below.append_only, false};
    case PlanKind::kWindow:
      // A session that grows takes its rows back and gives them again.
      return plan.window.kind == Window::Kind::kHop ? below : PlanProperties{false, false};
    case PlanKind::kAggregate:
      // Groups without aggregates (DISTINCT) come once and stay; closed windows are given once.
      if (plan.emit_on_close || setting.aggregates_at_end) return {true, false};
      return {below.append_only && plan.aggregates.empty() && !plan.group_keys.empty() && !plan.retain_micros,
              false};
    case PlanKind::kTopK: return {false, false};
    case PlanKind::kUnion: return {below.append_only && right_appends(), false};
    case PlanKind::kJoin: {
      if (plan.join.match == Join::Match::kAsOfOffset) return {below.append_only, false};
      const bool append_only = below.append_only && right_appends() &&
                               !plan.join.left_outer && plan.join.match == Join::Match::kCurrent;
      return {append_only, false};
    }
  }
  return {false, false};
}

bool is_stateless(const Plan& plan) {
  switch (plan.kind) {
    case PlanKind::kStreamScan: return true;
    case PlanKind::kFilter:
    case PlanKind::kProject: return is_stateless(*plan.input);
    case PlanKind::kWindow: return plan.window.kind == Window::Kind::kHop && is_stateless(*plan.input);
    case PlanKind::kUnion:  // The inputs of a chunk come one after the other.
    case PlanKind::kViewScan:
    case PlanKind::kAggregate:
    case PlanKind::kSort:
    case PlanKind::kValues:
    case PlanKind::kJoin:
    case PlanKind::kTopK: return false;
  }
  return false;
}

std::vector<const Plan*> scans_of(const Plan& plan) {
  std::vector<const Plan*> scans;
  collect(plan, scans);
  return scans;
}

Granularity granularity_of(const ViewPlan& plan) {
  if (plan.emit == ViewPlan::Emit::kChanges && !is_stateless(*plan.root)) return Granularity::kEvent;
  if (plan.emit == ViewPlan::Emit::kOnWindowClose) {
    return has(*plan.root, joins_as_of_offset) ? Granularity::kEvent : Granularity::kWindowClose;
  }
  return has(*plan.root, joins_as_of_offset) ? Granularity::kRun : Granularity::kChunk;
}

std::vector<unsigned> head_turns(const Plan& plan) {
  std::vector<unsigned> turns;
  assign_turns(plan, 0, turns);
  if (!has(plan, joins_as_of_offset)) std::fill(turns.begin(), turns.end(), 0U);
  return turns;
}

std::int64_t watermark_step(const Plan& plan) {
  std::int64_t step = 0;
  if (plan.kind == PlanKind::kAggregate && plan.emit_on_close && plan.window_key) {
    const WindowKey& key = *plan.window_key;
    step = key.step_micros == 0 ? 1 : std::gcd(key.step_micros, key.size_micros);
  }
  if (plan.input) step = std::gcd(step, watermark_step(*plan.input));
  if (plan.right) step = std::gcd(step, watermark_step(*plan.right));
  return step;
}

}  // namespace kappa::processor
