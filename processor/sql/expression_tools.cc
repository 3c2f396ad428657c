#include "processor/sql/expression_tools.h"

namespace kappa::processor::sql {

bool equal(const Expression& a, const Expression& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || a.type != b.type || a.arguments.size() != b.arguments.size()) return false;
  switch (a.kind) {
    case ExpressionKind::kColumn: return a.column == b.column;
    case ExpressionKind::kConstant: return a.constant == b.constant;
    case ExpressionKind::kCall: break;
  }
  if (a.function != b.function) return false;
  for (std::size_t i = 0; i < a.arguments.size(); ++i) {
    if (!equal(*a.arguments[i], *b.arguments[i])) return false;
  }
  return true;
}

bool equal(const SortKey& a, const SortKey& b) {
  return a.descending == b.descending && a.nulls_first == b.nulls_first && equal(*a.expression, *b.expression);
}

bool equal(const Aggregate& a, const Aggregate& b) {
  if (a.function != b.function || a.distinct != b.distinct || a.arguments.size() != b.arguments.size() ||
      a.parameters != b.parameters || a.order_by.size() != b.order_by.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.order_by.size(); ++i) {
    if (!equal(a.order_by[i], b.order_by[i])) return false;
  }
  if ((a.filter == nullptr) != (b.filter == nullptr) || (a.filter && !equal(*a.filter, *b.filter)))
    return false;
  for (std::size_t i = 0; i < a.arguments.size(); ++i) {
    if (!equal(*a.arguments[i], *b.arguments[i])) return false;
  }
  return true;
}

void for_each_column(const Expression& expression, const std::function<void(std::size_t)>& visit) {
  if (expression.kind == ExpressionKind::kColumn) visit(expression.column);
  for (const ExpressionPtr& argument : expression.arguments) for_each_column(*argument, visit);
}

ExpressionPtr rewrite(const ExpressionPtr& expression,
                      const std::function<ExpressionPtr(const ExpressionPtr&)>& replace) {
  if (ExpressionPtr replaced = replace(expression)) return replaced;
  std::vector<ExpressionPtr> arguments;
  bool changed = false;
  for (const ExpressionPtr& argument : expression->arguments) {
    arguments.push_back(rewrite(argument, replace));
    changed = changed || arguments.back() != argument;
  }
  if (!changed) return expression;
  auto copy = std::make_shared<Expression>(*expression);
  copy->arguments = std::move(arguments);
  return copy;
}

}  // namespace kappa::processor::sql
