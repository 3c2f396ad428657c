// Conditions to where they cost least: below projections, into the inputs of joins and unions, under ranks and
// groups; what compares two sides of an inner join becomes a part of the join. Projections of projections become
// one. The rows and the columns that a plan gives stay the same.
#include <algorithm>

#include "processor/sql/expression_tools.h"
#include "processor/sql/planner_impl.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {
namespace {

using Conjuncts = std::vector<ExpressionPtr>;

bool reads_only(const Expression& e, std::size_t begin, std::size_t end) {
  bool only = true;
  for_each_column(e, [&](std::size_t column) { only = only && column >= begin && column < end; });
  return only;
}

std::size_t size_of(const Expression& e) {
  std::size_t size = 1;
  for (const ExpressionPtr& argument : e.arguments) size += size_of(*argument);
  return size;
}

// The expression with column i replaced by expressions[i].
ExpressionPtr substituted(const ExpressionPtr& e, const std::vector<ExpressionPtr>& expressions) {
  return rewrite(e, [&](const ExpressionPtr& part) -> ExpressionPtr {
    return part->kind == ExpressionKind::kColumn ? expressions[part->column] : nullptr;
  });
}

// Whether putting `below` in the place of columns costs nothing: each that computes something is read once.
bool cheap_to_compose(const std::vector<ExpressionPtr>& above, const std::vector<ExpressionPtr>& below) {
  std::vector<std::size_t> uses(below.size(), 0);
  for (const ExpressionPtr& e : above) for_each_column(*e, [&](std::size_t column) { ++uses[column]; });
  for (std::size_t i = 0; i < below.size(); ++i) {
    if (uses[i] > 1 && !below[i]->arguments.empty()) return false;
  }
  return true;
}

bool plain(const std::vector<ExpressionPtr>& expressions) {
  return std::ranges::all_of(expressions, [](const ExpressionPtr& e) { return e->arguments.empty(); });
}

PlanPtr push(const PlanPtr& plan, Conjuncts conjuncts);

// The plan with what could not go further down above it.
PlanPtr under(PlanPtr plan, const Conjuncts& rest) { return filtered(std::move(plan), conjunction(rest)); }

PlanPtr push_project(const Plan& plan, Conjuncts conjuncts) {
  Conjuncts down;
  Conjuncts stay;
  for (const ExpressionPtr& conjunct : conjuncts) {
    // A condition on what is expensive to compute is not worth computing it twice.
    std::size_t cost = 0;
    for_each_column(*conjunct, [&](std::size_t column) { cost += size_of(*plan.expressions[column]); });
    (cost <= 16 ? down : stay).push_back(conjunct);
  }
  for (ExpressionPtr& conjunct : down) conjunct = substituted(conjunct, plan.expressions);
  auto copy = std::make_shared<Plan>(plan);
  copy->input = push(plan.input, std::move(down));
  if (copy->input->kind == PlanKind::kProject && cheap_to_compose(copy->expressions, copy->input->expressions)) {
    for (ExpressionPtr& e : copy->expressions) e = substituted(e, copy->input->expressions);
    copy->input = copy->input->input;
  }
  return under(std::move(copy), stay);
}

PlanPtr push_join(const Plan& plan, Conjuncts conjuncts) {
  auto copy = std::make_shared<Plan>(plan);
  const std::size_t left_width = plan.input->output.size();
  const std::size_t width = plan.output.size();
  Conjuncts left;
  Conjuncts right;
  Conjuncts both;
  Conjuncts stay;
  for (const ExpressionPtr& conjunct : conjuncts) {
    if (reads_only(*conjunct, 0, left_width)) {
      left.push_back(conjunct);
    } else if (plan.join.left_outer || plan.join.match == Join::Match::kAsOfTime) {
      stay.push_back(conjunct);  // It is asked of the row that was found, or of its absence.
    } else if (reads_only(*conjunct, left_width, width)) {
      right.push_back(rewrite(conjunct, [&](const ExpressionPtr& part) -> ExpressionPtr {
        return part->kind == ExpressionKind::kColumn ? make_column(part->column - left_width, part->type) : nullptr;
      }));
    } else {
      both.push_back(conjunct);
    }
  }
  if (!both.empty()) {
    Conjuncts residual;
    split_conjuncts(copy->join.residual, residual);
    residual.insert(residual.end(), both.begin(), both.end());
    copy->join.residual = conjunction(residual);
    classify_join(*copy);
  }
  copy->input = push(copy->input, std::move(left));
  copy->right = push(copy->right, std::move(right));
  return under(std::move(copy), stay);
}

PlanPtr push_aggregate(const Plan& plan, Conjuncts conjuncts) {
  auto copy = std::make_shared<Plan>(plan);
  Conjuncts down;
  Conjuncts stay;
  for (const ExpressionPtr& conjunct : conjuncts) {
    // Of a global aggregate the one row is there whatever comes in.
    const bool of_keys = !plan.group_keys.empty() && reads_only(*conjunct, 0, plan.group_keys.size());
    bool session_end = false;  // Depends on the rows that are there.
    if (plan.window_key && plan.window_key->step_micros == 0) {
      for_each_column(*conjunct, [&](std::size_t column) {
        session_end = session_end || column == plan.window_key->start || column == plan.window_key->end;
      });
    }
    (of_keys && !session_end ? down : stay).push_back(conjunct);
  }
  for (ExpressionPtr& conjunct : down) conjunct = substituted(conjunct, plan.group_keys);
  copy->input = push(plan.input, std::move(down));
  if (copy->input->kind == PlanKind::kProject && plain(copy->input->expressions)) {
    const std::vector<ExpressionPtr>& below = copy->input->expressions;
    for (ExpressionPtr& key : copy->group_keys) key = substituted(key, below);
    for (Aggregate& aggregate : copy->aggregates) {
      for (ExpressionPtr& argument : aggregate.arguments) argument = substituted(argument, below);
      for (SortKey& key : aggregate.order_by) key.expression = substituted(key.expression, below);
      if (aggregate.filter) aggregate.filter = substituted(aggregate.filter, below);
    }
    copy->input = copy->input->input;
  }
  return under(std::move(copy), stay);
}

// Conditions on columns that partition the rows go below: every row of a partition keeps or loses them alike.
PlanPtr push_partitioned(const Plan& plan, const std::vector<ExpressionPtr>& partition, Conjuncts conjuncts) {
  Conjuncts down;
  Conjuncts stay;
  for (const ExpressionPtr& conjunct : conjuncts) {
    bool only = true;
    std::size_t columns = 0;
    for_each_column(*conjunct, [&](std::size_t column) {
      ++columns;
      only = only && std::ranges::any_of(partition, [&](const ExpressionPtr& key) {
               return key->kind == ExpressionKind::kColumn && key->column == column;
             });
    });
    (only && columns > 0 ? down : stay).push_back(conjunct);
  }
  auto copy = std::make_shared<Plan>(plan);
  copy->input = push(plan.input, std::move(down));
  return under(std::move(copy), stay);
}

PlanPtr push(const PlanPtr& plan, Conjuncts conjuncts) {
  switch (plan->kind) {
    case PlanKind::kFilter: {
      Conjuncts all;
      split_conjuncts(plan->predicate, all);
      all.insert(all.end(), conjuncts.begin(), conjuncts.end());
      return push(plan->input, std::move(all));
    }
    case PlanKind::kProject: return push_project(*plan, std::move(conjuncts));
    case PlanKind::kJoin: return push_join(*plan, std::move(conjuncts));
    case PlanKind::kAggregate: return push_aggregate(*plan, std::move(conjuncts));
    case PlanKind::kTopK: return push_partitioned(*plan, plan->top_k.partition, std::move(conjuncts));
    case PlanKind::kUnion: {
      auto copy = std::make_shared<Plan>(*plan);
      copy->input = push(plan->input, conjuncts);
      copy->right = push(plan->right, std::move(conjuncts));
      return copy;
    }
    case PlanKind::kWindow: {
      if (plan->window.kind == Window::Kind::kSession)
        return push_partitioned(*plan, plan->window.partition, std::move(conjuncts));
      Conjuncts down;
      Conjuncts stay;
      for (const ExpressionPtr& conjunct : conjuncts)
        (reads_only(*conjunct, 0, plan->input->output.size()) ? down : stay).push_back(conjunct);
      auto copy = std::make_shared<Plan>(*plan);
      copy->input = push(plan->input, std::move(down));
      return under(std::move(copy), stay);
    }
    case PlanKind::kSort: {
      auto copy = std::make_shared<Plan>(*plan);
      copy->input = push(plan->input, {});
      return under(std::move(copy), conjuncts);
    }
    case PlanKind::kStreamScan:
    case PlanKind::kViewScan:
    case PlanKind::kValues: return under(plan, conjuncts);
  }
  return under(plan, conjuncts);
}

}  // namespace

PlanPtr optimize(const PlanPtr& plan) { return push(plan, {}); }

}  // namespace kappa::processor::sql
