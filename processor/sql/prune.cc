// Column pruning: a scan decodes only what the first projection or aggregate above it reads.
#include <algorithm>

#include "processor/sql/expression_tools.h"
#include "processor/sql/planner.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {
namespace {

// Every expression of a node, by reference, so that they can be read and replaced alike.
template <class Visit>
void for_each_expression(Plan& node, Visit&& visit) {
  if (node.predicate) visit(node.predicate);
  for (ExpressionPtr& expression : node.expressions) visit(expression);
  for (ExpressionPtr& key : node.group_keys) visit(key);
  for (Aggregate& aggregate : node.aggregates) {
    for (ExpressionPtr& argument : aggregate.arguments) visit(argument);
    if (aggregate.filter) visit(aggregate.filter);
  }
}

}  // namespace

PlanPtr prune(const PlanPtr& plan) {
  if (!plan->input) return plan;
  const bool reads = plan->kind == PlanKind::kProject || plan->kind == PlanKind::kAggregate;
  std::vector<std::shared_ptr<Plan>> chain{std::make_shared<Plan>(*plan)};  // This node and filters below.
  PlanPtr below = plan->input;
  while (reads && below->kind == PlanKind::kFilter) {
    chain.push_back(std::make_shared<Plan>(*below));
    below = below->input;
  }
  if (!reads || below->kind != PlanKind::kStreamScan) {
    chain.front()->input = prune(plan->input);
    return chain.front();
  }
  std::vector<std::size_t> position(below->output.size(), SIZE_MAX);
  for (const auto& node : chain) {
    for_each_expression(*node, [&](const ExpressionPtr& e) {
      for_each_column(*e, [&](std::size_t column) { position[column] = 0; });
    });
  }
  auto scan = std::make_shared<Plan>(*below);
  scan->output.clear();
  scan->stream_columns.clear();
  for (std::size_t i = 0; i < position.size(); ++i) {
    if (position[i] == SIZE_MAX) continue;
    position[i] = scan->output.size();
    scan->output.push_back(below->output[i]);
    scan->stream_columns.push_back(below->stream_columns[i]);
  }
  PlanPtr input = std::move(scan);
  for (auto node = chain.rbegin(); node != chain.rend(); ++node) {
    for_each_expression(**node, [&](ExpressionPtr& e) {
      e = rewrite(e, [&](const ExpressionPtr& part) -> ExpressionPtr {
        return part->kind == ExpressionKind::kColumn ? make_column(position[part->column], part->type)
                                                     : nullptr;
      });
    });
    if ((*node)->kind == PlanKind::kFilter) (*node)->output = input->output;
    (*node)->input = std::move(input);
    input = *node;
  }
  return input;
}

}  // namespace kappa::processor::sql
