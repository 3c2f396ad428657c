// Small makers and walkers of plans that the planner's files share (planner_impl.h).
#include "processor/sql/expression_tools.h"
#include "processor/sql/planner_impl.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {

std::shared_ptr<Plan> make_node(PlanKind kind, PlanPtr input) {
  auto plan = std::make_shared<Plan>();
  plan->kind = kind;
  if (input) plan->output = input->output;
  plan->input = std::move(input);
  return plan;
}

PlanPtr filtered(PlanPtr base, const ExpressionPtr& predicate) {
  if (!predicate) return base;
  auto filter = make_node(PlanKind::kFilter, std::move(base));
  filter->predicate = predicate;
  return filter;
}

ExpressionPtr typed(const ExpressionPtr& e) {
  return e->type.id == TypeId::kNull ? make_constant(Value::null(kTextType)) : e;
}

PlanPtr projected(PlanPtr input, const std::vector<ExpressionPtr>& expressions,
                  const std::vector<std::string>& names) {
  auto project = make_node(PlanKind::kProject, std::move(input));
  project->output.clear();
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    project->expressions.push_back(typed(expressions[i]));
    project->output.push_back({names[i], project->expressions.back()->type});
  }
  return project;
}

void split_conjuncts(const ExpressionPtr& condition, std::vector<ExpressionPtr>& out) {
  if (!condition) return;
  if (condition->kind == ExpressionKind::kCall && name_of(*condition->function) == "and") {
    for (const ExpressionPtr& argument : condition->arguments) split_conjuncts(argument, out);
  } else {
    out.push_back(condition);
  }
}

ExpressionPtr conjunction(const std::vector<ExpressionPtr>& conjuncts) {
  if (conjuncts.empty()) return nullptr;
  // Balanced: long lists must not make deep trees.
  std::vector<ExpressionPtr> level = conjuncts;
  while (level.size() > 1) {
    std::vector<ExpressionPtr> half;
    for (std::size_t i = 0; i + 1 < level.size(); i += 2) half.push_back(*make_call("and", {level[i], level[i + 1]}));
    if (level.size() % 2 == 1) half.push_back(level.back());
    level = std::move(half);
  }
  return level.front();
}

ExpressionPtr shifted(const ExpressionPtr& e, std::size_t by) {
  if (by == 0) return e;
  return rewrite(e, [by](const ExpressionPtr& part) -> ExpressionPtr {
    return part->kind == ExpressionKind::kColumn ? make_column(part->column + by, part->type) : nullptr;
  });
}

}  // namespace kappa::processor::sql
