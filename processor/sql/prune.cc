// Column pruning: every node gives only what the nodes above it read, so that a scan decodes no more.
#include <algorithm>

#include "processor/sql/expression_tools.h"
#include "processor/sql/planner_impl.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {
namespace {

constexpr std::size_t kGone = SIZE_MAX;

using Needed = std::vector<bool>;
// By column of the plan before: its place in the plan after, or kGone.
using Places = std::vector<std::size_t>;

struct Pruned {
  PlanPtr plan;
  Places places;
};

void need(const ExpressionPtr& e, Needed& needed) {
  if (e) for_each_column(*e, [&](std::size_t column) { needed[column] = true; });
}
void move(ExpressionPtr& e, const Places& places) {
  if (!e) return;
  e = rewrite(e, [&](const ExpressionPtr& part) -> ExpressionPtr {
    return part->kind == ExpressionKind::kColumn ? make_column(places[part->column], part->type) : nullptr;
  });
}

// Every expression of a node over its (left) input.
template <class Visit>
void for_each_expression(Plan& node, Visit&& visit) {
  visit(node.predicate);
  for (ExpressionPtr& e : node.expressions) visit(e);
  for (ExpressionPtr& e : node.group_keys) visit(e);
  for (Aggregate& aggregate : node.aggregates) {
    for (ExpressionPtr& e : aggregate.arguments) visit(e);
    for (SortKey& key : aggregate.order_by) visit(key.expression);
    visit(aggregate.filter);
  }
  for (SortKey& key : node.sort_keys) visit(key.expression);
  visit(node.window.time);
  for (ExpressionPtr& e : node.window.partition) visit(e);
  for (ExpressionPtr& e : node.top_k.partition) visit(e);
  for (SortKey& key : node.top_k.order) visit(key.expression);
  for (ExpressionPtr& e : node.join.left_keys) visit(e);
  visit(node.join.left_time);
}
// Those of a join over its right input.
template <class Visit>
void for_each_right_expression(Plan& node, Visit&& visit) {
  for (ExpressionPtr& e : node.join.right_keys) visit(e);
  visit(node.join.right_time);
  for (ExpressionPtr& e : node.join.right_order) visit(e);
  visit(node.join.right_deleted);
}

Pruned prune_node(const PlanPtr& plan, const Needed& needed);

Pruned prune_scan(const Plan& plan, const Needed& needed) {
  auto scan = std::make_shared<Plan>(plan);
  Pruned result{nullptr, Places(needed.size(), kGone)};
  scan->output.clear();
  scan->stream_columns.clear();
  for (std::size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    result.places[i] = scan->output.size();
    scan->output.push_back(plan.output[i]);
    scan->stream_columns.push_back(plan.stream_columns.empty() ? i : plan.stream_columns[i]);
  }
  result.plan = std::move(scan);
  return result;
}

// Removes the elements of a list that are not needed, `from` being the place of its first among the outputs.
template <class T>
void keep(std::vector<T>& list, std::size_t from, const Needed& needed) {
  std::size_t at = 0;
  std::erase_if(list, [&](const T&) { return !needed[from + at++]; });
}

void note_places(Pruned& result, const Needed& kept) {
  result.places.assign(kept.size(), kGone);
  std::size_t at = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i]) result.places[i] = at++;
  }
}

// A node whose output is a selection of its own columns: project, aggregate.
Pruned prune_list(const Plan& plan, Needed needed) {
  auto copy = std::make_shared<Plan>(plan);
  if (plan.kind == PlanKind::kAggregate)
    std::fill_n(needed.begin(), static_cast<std::ptrdiff_t>(plan.group_keys.size()), true);
  keep(copy->output, 0, needed);
  if (plan.kind == PlanKind::kAggregate) {
    keep(copy->aggregates, plan.group_keys.size(), needed);
  } else {
    keep(copy->expressions, 0, needed);
  }
  Needed below(plan.input->output.size(), false);
  for_each_expression(*copy, [&](const ExpressionPtr& e) { need(e, below); });
  Pruned input = prune_node(plan.input, below);
  for_each_expression(*copy, [&](ExpressionPtr& e) { move(e, input.places); });
  copy->input = std::move(input.plan);
  Pruned result{std::move(copy), {}};
  note_places(result, needed);
  return result;
}

// A node that gives its input's columns and then some of its own: filter, window, top-k.
Pruned prune_extending(const Plan& plan, const Needed& needed) {
  auto copy = std::make_shared<Plan>(plan);
  const std::size_t width = plan.input->output.size();
  Needed below(needed.begin(), needed.begin() + static_cast<std::ptrdiff_t>(width));
  for_each_expression(*copy, [&](const ExpressionPtr& e) { need(e, below); });
  Pruned input = prune_node(plan.input, below);
  for_each_expression(*copy, [&](ExpressionPtr& e) { move(e, input.places); });
  Pruned result{nullptr, input.places};
  copy->output = input.plan->output;
  std::size_t at = copy->output.size();
  if (plan.kind == PlanKind::kTopK) copy->top_k.gives_rank = plan.top_k.gives_rank && needed[width];
  for (std::size_t i = width; i < plan.output.size(); ++i) {
    if (plan.kind == PlanKind::kTopK && !copy->top_k.gives_rank) {
      result.places.push_back(kGone);
      continue;
    }
    copy->output.push_back(plan.output[i]);
    result.places.push_back(at++);
  }
  copy->input = std::move(input.plan);
  result.plan = std::move(copy);
  return result;
}

Pruned prune_join(const Plan& plan, const Needed& needed) {
  auto copy = std::make_shared<Plan>(plan);
  const auto left_width = static_cast<std::ptrdiff_t>(plan.input->output.size());
  Needed all = needed;
  need(plan.join.residual, all);
  Needed left(all.begin(), all.begin() + left_width);
  Needed right(all.begin() + left_width, all.end());
  for_each_expression(*copy, [&](const ExpressionPtr& e) { need(e, left); });
  for_each_right_expression(*copy, [&](const ExpressionPtr& e) { need(e, right); });
  Pruned one = prune_node(plan.input, left);
  Pruned two = prune_node(plan.right, right);
  for_each_expression(*copy, [&](ExpressionPtr& e) { move(e, one.places); });
  for_each_right_expression(*copy, [&](ExpressionPtr& e) { move(e, two.places); });
  Pruned result{nullptr, one.places};
  for (const std::size_t place : two.places)
    result.places.push_back(place == kGone ? kGone : place + one.plan->output.size());
  move(copy->join.residual, result.places);
  copy->output = one.plan->output;
  copy->output.insert(copy->output.end(), two.plan->output.begin(), two.plan->output.end());
  copy->input = std::move(one.plan);
  copy->right = std::move(two.plan);
  result.plan = std::move(copy);
  return result;
}

// Exactly the needed columns, in order: both inputs of a union must agree.
PlanPtr exactly(const PlanPtr& plan, const Needed& needed) {
  const Pruned pruned = prune_node(plan, needed);
  std::vector<ExpressionPtr> expressions;
  std::vector<std::string> names;
  bool same = true;
  for (std::size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    same = same && pruned.places[i] == expressions.size();
    expressions.push_back(make_column(pruned.places[i], plan->output[i].type));
    names.push_back(plan->output[i].name);
  }
  if (same && expressions.size() == pruned.plan->output.size()) return pruned.plan;
  return projected(pruned.plan, expressions, names);
}

Pruned prune_node(const PlanPtr& plan, const Needed& needed) {
  switch (plan->kind) {
    case PlanKind::kStreamScan:
    case PlanKind::kViewScan: return prune_scan(*plan, needed);
    case PlanKind::kValues: {
      Pruned result{plan, {}};
      return result;
    }
    case PlanKind::kProject:
    case PlanKind::kAggregate: return prune_list(*plan, needed);
    case PlanKind::kFilter:
    case PlanKind::kWindow:
    case PlanKind::kTopK: return prune_extending(*plan, needed);
    case PlanKind::kJoin: return prune_join(*plan, needed);
    case PlanKind::kUnion: {
      auto copy = std::make_shared<Plan>(*plan);
      copy->input = exactly(plan->input, needed);
      copy->right = exactly(plan->right, needed);
      copy->output = copy->input->output;
      Pruned result{std::move(copy), {}};
      note_places(result, needed);
      return result;
    }
    case PlanKind::kSort: {
      // Only at the root: its input gives exactly what it sorts by and gives.
      auto copy = std::make_shared<Plan>(*plan);
      Pruned input = prune_node(plan->input, Needed(plan->input->output.size(), true));
      for_each_expression(*copy, [&](ExpressionPtr& e) { move(e, input.places); });
      copy->input = std::move(input.plan);
      Pruned result{std::move(copy), {}};
      note_places(result, Needed(plan->output.size(), true));
      return result;
    }
  }
  return {plan, {}};
}

}  // namespace

PlanPtr prune(const PlanPtr& plan) { return prune_node(plan, Needed(plan->output.size(), true)).plan; }

}  // namespace kappa::processor::sql
