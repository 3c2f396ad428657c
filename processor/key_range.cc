// Conjuncts to key bounds.
#include "processor/key_range.h"

#include <algorithm>
#include <utility>

#include "processor/state/key_encoding.h"
#include "processor/vector/functions.h"

namespace kappa::processor {
namespace {

// What the WHERE says of one column: constants of the column's own type.
struct Bounds {
  std::optional<Value> equal;
  std::optional<Value> from;         // column >= (or >) this.
  std::optional<Value> to;           // column <= (or <) this.
  std::optional<std::string> begins;  // TEXT begins with this.
};

void conjuncts(const ExpressionPtr& expression, std::vector<const Expression*>& out) {
  if (expression->kind == ExpressionKind::kCall && name_of(*expression->function) == "and") {
    for (const ExpressionPtr& argument : expression->arguments) conjuncts(argument, out);
  } else {
    out.push_back(expression.get());
  }
}

// The text before the first wildcard of a LIKE pattern without ESCAPE.
std::string literal_prefix(const std::string& pattern) { return pattern.substr(0, pattern.find_first_of("%_")); }

std::string_view mirrored(std::string_view comparison) {
  if (comparison == "<") return ">";
  if (comparison == "<=") return ">=";
  if (comparison == ">") return "<";
  if (comparison == ">=") return "<=";
  return comparison;
}

void note(const Expression& conjunct, const std::vector<std::size_t>& columns, std::vector<Bounds>& bounds) {
  if (conjunct.kind != ExpressionKind::kCall || conjunct.arguments.size() != 2) return;
  std::string_view name = name_of(*conjunct.function);
  const Expression* column = conjunct.arguments[0].get();
  const Expression* constant = conjunct.arguments[1].get();
  if (column->kind == ExpressionKind::kConstant) {
    std::swap(column, constant);
    name = mirrored(name);
    if (name == "like" || name == "starts_with") return;
  }
  if (column->kind != ExpressionKind::kColumn || constant->kind != ExpressionKind::kConstant) return;
  const Value& value = constant->constant;
  // Comparisons between types are exact in the kernels; here only a value of the same type is safe.
  if (value.is_null() || value.type() != column->type) return;
  Bounds& bound = bounds[columns[column->column]];
  if (name == "=") {
    bound.equal = value;
  } else if (name == ">" || name == ">=") {
    if (!bound.from || compare(value, *bound.from) > 0) bound.from = value;
  } else if (name == "<" || name == "<=") {
    if (!bound.to || compare(value, *bound.to) < 0) bound.to = value;
  } else if (name == "like" && value.type().id == TypeId::kText) {
    bound.begins = literal_prefix(value.as_text());
  } else if (name == "starts_with" && value.type().id == TypeId::kText) {
    bound.begins = value.as_text();
  }
}

// The conjuncts of the filters between `scan` and the first other node above it; false if `scan` is not below.
bool collect_filters(const Plan& node, const Plan& scan, std::vector<const Expression*>& found) {
  if (&node == &scan) return true;
  const bool left = node.input && collect_filters(*node.input, scan, found);
  if (!left && !(node.right && collect_filters(*node.right, scan, found))) return false;
  const Plan* below = left ? node.input.get() : node.right.get();
  while (below->kind == PlanKind::kFilter) below = below->input.get();
  if (node.kind == PlanKind::kFilter && below == &scan) conjuncts(node.predicate, found);
  return true;
}

void narrow(KeyRange& range, std::string from, std::optional<std::string> to) {
  range.from = std::max(range.from, std::move(from));
  if (to && (!range.to || *to < *range.to)) range.to = std::move(to);
}

}  // namespace

std::optional<std::string> after_prefix(std::string_view prefix) {
  std::string next = key_after_prefix(prefix);
  if (next.empty()) return std::nullopt;
  return next;
}

std::vector<std::size_t> view_scan_columns(const Plan& scan) {
  if (scan.stream_columns.size() == scan.output.size()) return scan.stream_columns;
  std::vector<std::size_t> columns(scan.output.size());
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i] = i;
  return columns;
}

Expected<KeyPart> derive_key_part(const Plan& plan, const Plan& scan, const ViewPlan& view,
                                  const std::vector<std::size_t>& columns, const ViewReader& reader) {
  std::vector<const Expression*> found;
  static_cast<void>(collect_filters(plan, scan, found));
  std::vector<Bounds> bounds(view.root->output.size());
  for (const Expression* conjunct : found) note(*conjunct, columns, bounds);

  KeyPart part;
  KeyRange& range = part.range;
  std::vector<Value> key;
  for (const std::size_t column : view.key_columns) {
    const Bounds& bound = bounds[column];
    if (bound.equal) {
      key.push_back(*bound.equal);
      continue;
    }
    const auto with = [&](Value value) {
      std::vector<Value> values = key;
      values.push_back(std::move(value));
      return reader.encode_key(values);
    };
    if (bound.from) {
      KAPPA_TRY(std::string from, with(*bound.from));
      narrow(range, std::move(from), {});
    }
    if (bound.to) {
      KAPPA_TRY(const std::string to, with(*bound.to));
      narrow(range, {}, after_prefix(to));
    }
    if (bound.begins && !bound.begins->empty()) {
      KAPPA_TRY(std::string from, with(Value::text(*bound.begins)));
      narrow(range, std::move(from), {});
      if (auto next = after_prefix(*bound.begins)) {
        KAPPA_TRY(std::string to, with(Value::text(std::move(*next))));
        narrow(range, {}, std::move(to));
      }
    }
    break;
  }
  KAPPA_TRY(std::string prefix, reader.encode_key(key));
  if (!view.key_columns.empty() && key.size() == view.key_columns.size()) part.point = prefix;
  auto after = after_prefix(prefix);
  narrow(range, std::move(prefix), std::move(after));
  // Contradictions (k > 5 AND k < 3) make an empty range, not a backward one.
  if (range.to && *range.to < range.from) range.to = range.from;
  return part;
}

}  // namespace kappa::processor
