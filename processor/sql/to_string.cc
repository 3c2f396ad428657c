// Bound expressions as SQL text, for EXPLAIN. Parentheses wherever operators nest: plain, never wrong.
#include "processor/sql/expression_tools.h"
#include "processor/vector/functions.h"

namespace kappa::processor {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return result;
}

std::string constant_text(const Value& value) {
  if (value.is_null()) return "NULL";
  switch (value.type().id) {
    case TypeId::kText:
    case TypeId::kJson: {
      std::string text = "'";
      for (const char c : value.as_text()) {
        text += c;
        if (c == '\'') text += c;
      }
      return text + "'";
    }
    case TypeId::kTimestamp: return "TIMESTAMP '" + display(value) + "'";
    case TypeId::kInterval: return "INTERVAL '" + display(value) + "'";
    default: return display(value);
  }
}

using Names = std::vector<std::string>;

std::string list_text(const Expression& call, std::size_t from, const Names& columns) {
  std::string text;
  for (std::size_t i = from; i < call.arguments.size(); ++i) {
    if (i > from) text += ", ";
    text += to_string(*call.arguments[i], columns);
  }
  return text;
}

// An argument of an operator: in parentheses if it is an operator itself.
std::string operand_text(const Expression& e, const Names& columns) {
  std::string text = to_string(e, columns);
  if (e.kind != ExpressionKind::kCall) return text;
  const ScalarFunction::Form form = e.function->form;
  const bool closed = form == ScalarFunction::Form::kCall ||
                      (form == ScalarFunction::Form::kSpecial && e.function->name != "in");
  return closed ? text : "(" + text + ")";
}

std::string case_text(const Expression& call, const Names& columns) {
  std::string text = "CASE";
  for (std::size_t i = 0; i + 1 < call.arguments.size(); i += 2) {
    text += " WHEN " + to_string(*call.arguments[i], columns) + " THEN " +
            to_string(*call.arguments[i + 1], columns);
  }
  return text + " ELSE " + to_string(*call.arguments.back(), columns) + " END";
}

std::string call_text(const Expression& call, const Names& columns) {
  const ScalarFunction& function = *call.function;
  switch (function.form) {
    case ScalarFunction::Form::kCall:
      return std::string(function.name) + "(" + list_text(call, 0, columns) + ")";
    case ScalarFunction::Form::kPrefix:
      return (function.name == "negate" ? "-" : upper(function.name) + " ") +
             operand_text(*call.arguments[0], columns);
    case ScalarFunction::Form::kPostfix:
      return operand_text(*call.arguments[0], columns) + " " + upper(function.name);
    case ScalarFunction::Form::kInfix: {
      std::string text = operand_text(*call.arguments[0], columns) + " " + upper(function.name) + " " +
                         operand_text(*call.arguments[1], columns);
      if (call.arguments.size() == 3) text += " ESCAPE " + operand_text(*call.arguments[2], columns);
      return text;
    }
    case ScalarFunction::Form::kSpecial: break;
  }
  if (function.name == "case") return case_text(call, columns);
  if (function.name == "in")
    return operand_text(*call.arguments[0], columns) + " IN (" + list_text(call, 1, columns) + ")";
  return "CAST(" + list_text(call, 0, columns) + " AS " + to_string(call.type) + ")";
}

}  // namespace

std::string to_string(const Expression& expression, const Names& columns) {
  switch (expression.kind) {
    case ExpressionKind::kColumn:
      return expression.column < columns.size() ? columns[expression.column]
                                                : "#" + std::to_string(expression.column);
    case ExpressionKind::kConstant: return constant_text(expression.constant);
    case ExpressionKind::kCall: return call_text(expression, columns);
  }
  return {};
}

namespace sql {

std::string to_string(const Aggregate& aggregate, const Names& columns) {
  std::string text = aggregate.function + "(" + (aggregate.distinct ? "DISTINCT " : "");
  std::string inside;
  for (const ExpressionPtr& argument : aggregate.arguments)
    inside += (inside.empty() ? "" : ", ") + processor::to_string(*argument, columns);
  for (const Value& parameter : aggregate.parameters)
    inside += (inside.empty() ? "" : ", ") + constant_text(parameter);
  text += inside.empty() ? "*" : inside;
  // Without an argument of its own it is over what it orders: WITHIN GROUP.
  const bool within = aggregate.arguments.empty();
  std::string order;
  for (const SortKey& key : aggregate.order_by) {
    order += (order.empty() ? "ORDER BY " : ", ") + processor::to_string(*key.expression, columns);
    if (key.descending) order += " DESC";
    if (key.nulls_first != key.descending) order += key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
  }
  if (!order.empty()) text += (within ? ") WITHIN GROUP (" : " ") + order;
  text += ")";
  if (aggregate.filter) text += " FILTER (WHERE " + processor::to_string(*aggregate.filter, columns) + ")";
  return text;
}

std::string quote_name(const std::string& name) {
  bool plain = !name.empty() && !(name.front() >= '0' && name.front() <= '9');
  for (const char c : name) plain = plain && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
  if (plain) return name;
  std::string text = "\"";
  for (const char c : name) {
    text += c;
    if (c == '"') text += c;
  }
  return text + "\"";
}

}  // namespace sql
}  // namespace kappa::processor
