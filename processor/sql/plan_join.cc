// JOIN: the scope of both sides, and a condition taken apart into what a join operator can use: equal keys, bounds
// on the distance of two times, filters of one side, and a residual.
#include <algorithm>
#include <limits>

#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/sql/planner_impl.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {
namespace {

enum class Side { kNone, kLeft, kRight, kBoth };

// The side that an expression over both sides' columns reads.
Side side_of(const Expression& e, std::size_t left_width) {
  bool left = false;
  bool right = false;
  for_each_column(e, [&](std::size_t column) { (column < left_width ? left : right) = true; });
  if (left && right) return Side::kBoth;
  return left ? Side::kLeft : right ? Side::kRight : Side::kNone;
}

ExpressionPtr right_only(const ExpressionPtr& e, std::size_t left_width) {
  return rewrite(e, [left_width](const ExpressionPtr& part) -> ExpressionPtr {
    return part->kind == ExpressionKind::kColumn ? make_column(part->column - left_width, part->type) : nullptr;
  });
}

// A comparison of one side's expression with the other's, turned so that the left side's stands first.
struct Comparison {
  std::string_view op;
  ExpressionPtr left;   // Over the left columns.
  ExpressionPtr right;  // Over the right columns.
};

std::optional<Comparison> comparison_of(const Expression& conjunct, std::size_t left_width) {
  if (conjunct.kind != ExpressionKind::kCall || conjunct.arguments.size() != 2) return std::nullopt;
  std::string_view op = name_of(*conjunct.function);
  if (op != "=" && op != "<" && op != "<=" && op != ">" && op != ">=") return std::nullopt;
  ExpressionPtr a = conjunct.arguments[0];
  ExpressionPtr b = conjunct.arguments[1];
  if (side_of(*a, left_width) == Side::kRight) {
    std::swap(a, b);
    op = op == "<" ? ">" : op == "<=" ? ">=" : op == ">" ? "<" : op == ">=" ? "<=" : op;
  }
  if (side_of(*a, left_width) != Side::kLeft || side_of(*b, left_width) != Side::kRight) return std::nullopt;
  if (a->type != b->type) return std::nullopt;
  return Comparison{op, std::move(a), right_only(b, left_width)};
}

// time + constant, the constant in microseconds.
struct Moment {
  ExpressionPtr time;
  std::int64_t plus = 0;
};

Moment moment_of(const ExpressionPtr& e) {
  Moment moment{e, 0};
  while (moment.time->kind == ExpressionKind::kCall && moment.time->arguments.size() == 2) {
    const std::string_view name = name_of(*moment.time->function);
    const ExpressionPtr& by = moment.time->arguments[1];
    const bool constant = by->kind == ExpressionKind::kConstant && by->type.id == TypeId::kInterval &&
                          !by->constant.is_null();
    if ((name != "+" && name != "-") || !constant) break;
    std::int64_t sum = 0;
    const std::int64_t step = by->constant.as_int64();
    const bool overflow = name == "+" ? __builtin_add_overflow(moment.plus, step, &sum)
                                      : __builtin_sub_overflow(moment.plus, step, &sum);
    if (overflow) break;
    moment.plus = sum;
    moment.time = moment.time->arguments[0];
  }
  return moment;
}

// Takes lower <= right - left <= upper out of a comparison of times; false: it says something else.
bool take_bound(Join& join, const Comparison& comparison) {
  if (comparison.op == "=" || comparison.left->type.id != TypeId::kTimestamp) return false;
  const Moment left = moment_of(comparison.left);
  const Moment right = moment_of(comparison.right);
  if (join.left_time && (!equal(*join.left_time, *left.time) || !equal(*join.right_time, *right.time))) return false;
  // left + a OP right + b: right - left is compared with a - b.
  std::int64_t distance = 0;
  if (__builtin_sub_overflow(left.plus, right.plus, &distance)) return false;
  constexpr std::int64_t kRoom = std::numeric_limits<std::int64_t>::max() / 4;
  if (distance > kRoom || distance < -kRoom) return false;
  join.left_time = left.time;
  join.right_time = right.time;
  if (comparison.op == "<" || comparison.op == "<=") {
    const std::int64_t bound = comparison.op == "<" ? distance + 1 : distance;
    join.lower = join.lower ? std::max(*join.lower, bound) : bound;
  } else {
    const std::int64_t bound = comparison.op == ">" ? distance - 1 : distance;
    join.upper = join.upper ? std::min(*join.upper, bound) : bound;
  }
  return true;
}

bool key_type(Type type) { return type.id != TypeId::kJson && type.id != TypeId::kNull; }

// A relation whose columns are plain columns of its base, so that an outer join can make them NULL.
Relation with_plain_columns(Relation relation) {
  const bool plain = std::ranges::all_of(relation.scope.columns, [](const ScopeColumn& column) {
    return column.expression->kind == ExpressionKind::kColumn;
  });
  if (plain) return relation;
  std::vector<ExpressionPtr> expressions;
  std::vector<std::string> names;
  const auto add = [&](ExpressionPtr& e, const std::string& name) {
    expressions.push_back(typed(e));
    names.push_back(name);
    e = make_column(expressions.size() - 1, expressions.back()->type);
  };
  const PlanPtr below = filtered(relation.base, relation.predicate);
  for (ScopeColumn& column : relation.scope.columns) add(column.expression, column.name);
  for (std::size_t i = 0; i < relation.key.size(); ++i) add(relation.key[i], relation.key_names[i]);
  for (ExpressionPtr& e : relation.scope.tie_break) add(e, "order");
  relation.base = projected(below, expressions, names);
  relation.predicate = nullptr;
  relation.window.reset();
  return relation;
}

bool reads_one_of(const Node& node, const Scope& scope) {
  if (node.kind == NodeKind::kColumn) return resolve_column(scope, node).has_value();
  const auto reads = [&](const NodePtr& part) { return part && reads_one_of(*part, scope); };
  return reads(node.operand) || std::ranges::any_of(node.arguments, reads);
}

// Whether a condition, as it is written, has a part that equates something of one side with something of the other.
bool equates_sides(const Node& condition, const Scope& left, const Scope& right) {
  if (condition.kind != NodeKind::kCall || condition.arguments.size() != 2) return false;
  const Node& a = *condition.arguments[0];
  const Node& b = *condition.arguments[1];
  if (condition.function == "and") return equates_sides(a, left, right) || equates_sides(b, left, right);
  if (condition.function != "=") return false;
  return (reads_one_of(a, left) && reads_one_of(b, right)) || (reads_one_of(a, right) && reads_one_of(b, left));
}

}  // namespace

void classify_join(Plan& plan) {
  Join& join = plan.join;
  if (join.match == Join::Match::kAsOfTime) return;
  const std::size_t left_width = plan.input->output.size();
  std::vector<ExpressionPtr> conjuncts;
  split_conjuncts(join.residual, conjuncts);
  std::vector<ExpressionPtr> rest;
  std::vector<ExpressionPtr> left_filter;
  std::vector<ExpressionPtr> right_filter;
  for (const ExpressionPtr& conjunct : conjuncts) {
    switch (side_of(*conjunct, left_width)) {
      case Side::kNone: rest.push_back(conjunct); continue;
      case Side::kLeft: (join.left_outer ? rest : left_filter).push_back(conjunct); continue;
      case Side::kRight: right_filter.push_back(right_only(conjunct, left_width)); continue;
      case Side::kBoth: break;
    }
    auto comparison = comparison_of(*conjunct, left_width);
    if (comparison && comparison->op == "=" && key_type(comparison->left->type)) {
      join.left_keys.push_back(std::move(comparison->left));
      join.right_keys.push_back(std::move(comparison->right));
    } else if (!comparison || join.match != Join::Match::kCurrent || !take_bound(join, *comparison)) {
      rest.push_back(conjunct);
    }
  }
  join.residual = conjunction(rest);
  if (!left_filter.empty()) plan.input = filtered(plan.input, conjunction(left_filter));
  if (!right_filter.empty()) plan.right = filtered(plan.right, conjunction(right_filter));
}

Expected<ExpressionPtr> Planner::join_condition(const JoinSyntax& syntax, const Scope& both, const Relation& left,
                                                const Relation& right, std::size_t left_width) {
  if (syntax.on) {
    ExpressionBinder binder(both, context_, {"ON", nullptr, nullptr, nullptr});
    return binder.bind_condition(syntax.on);
  }
  std::vector<ExpressionPtr> equalities;
  for (const Name& name : syntax.using_) {
    Node column;
    column.kind = NodeKind::kColumn;
    column.place = name.place;
    column.names = {name};
    KAPPA_TRY(const ScopeColumn* const of_left, resolve_column(left.scope, column));
    KAPPA_TRY(const ScopeColumn* const of_right, resolve_column(right.scope, column));
    auto equality = make_call("=", {of_left->expression, shifted(of_right->expression, left_width)});
    if (!equality) {
      equality.error().place = name.place;
      return equality;
    }
    equalities.push_back(std::move(*equality));
  }
  return conjunction(equalities);
}

Status Planner::make_asof(Plan& plan, const Relation& right, const JoinSyntax& syntax) {
  Join& join = plan.join;
  join.match = Join::Match::kAsOfTime;
  const std::size_t left_width = plan.input->output.size();
  std::vector<ExpressionPtr> conjuncts;
  split_conjuncts(join.residual, conjuncts);
  join.residual = nullptr;
  const SourcePlace place = syntax.on ? syntax.on->place : syntax.place;
  const auto refuse = [&](const char* what) {
    return fail_at(place, ErrorCode::kInvalid, 2005, std::string("ASOF JOIN ") + what,
                   "for example ON a.k = t.k AND t.ts <= a.ts");
  };
  for (const ExpressionPtr& conjunct : conjuncts) {
    const Side side = side_of(*conjunct, left_width);
    if (side == Side::kRight) {
      plan.right = filtered(plan.right, right_only(conjunct, left_width));
      continue;
    }
    if (side == Side::kLeft && !join.left_outer) {
      plan.input = filtered(plan.input, conjunct);
      continue;
    }
    auto comparison = comparison_of(*conjunct, left_width);
    if (!comparison) return refuse("takes equalities and one inequality of times of the same type");
    if (comparison->op == "=") {
      if (!key_type(comparison->left->type)) return refuse("cannot compare JSON");
      join.left_keys.push_back(std::move(comparison->left));
      join.right_keys.push_back(std::move(comparison->right));
      continue;
    }
    const TypeId type = comparison->left->type.id;
    if (type != TypeId::kTimestamp && type != TypeId::kBigint) return refuse("compares TIMESTAMP or BIGINT");
    if (comparison->op == "<" || comparison->op == "<=") return refuse("looks back: the right side's time is the earlier one");
    if (join.left_time) return refuse("takes one inequality");
    join.left_time = std::move(comparison->left);
    join.right_time = std::move(comparison->right);
    join.strict = comparison->op == ">";
  }
  if (!join.left_time) return refuse("needs an inequality of times");
  join.right_order = right.scope.tie_break;
  return {};
}

Expected<Relation> Planner::joined(Relation left, Relation right, const JoinSyntax& syntax) {
  KAPPA_CHECK_OK(check_rank(left));
  KAPPA_CHECK_OK(check_rank(right));
  const bool swapped = syntax.kind == JoinSyntax::Kind::kRight;
  const bool outer = swapped || syntax.kind == JoinSyntax::Kind::kLeft;
  if (swapped && (syntax.asof || syntax.table.system_time)) {
    return fail_at(syntax.place, ErrorCode::kInvalid, 2005, "RIGHT does not go with ASOF and FOR SYSTEM_TIME",
                   "the table that is looked up stands on the right side");
  }
  ExpressionPtr deleted;
  if (syntax.asof && right.history) {
    deleted = right.history_deleted;
    right = *right.history;
  }
  if (outer) (swapped ? left : right) = with_plain_columns(std::move(swapped ? left : right));
  const std::size_t written_left = left.scope.columns.size();
  if (swapped) std::swap(left, right);

  auto join = make_node(PlanKind::kJoin, filtered(left.base, left.predicate));
  join->right = filtered(right.base, right.predicate);
  const std::size_t left_width = join->output.size();
  join->output.insert(join->output.end(), join->right->output.begin(), join->right->output.end());
  join->join.left_outer = outer;
  join->join.right_deleted = deleted;

  Relation result;
  result.scope.what = "FROM";
  result.scope.columns = left.scope.columns;
  for (ScopeColumn column : right.scope.columns) {
    column.expression = shifted(column.expression, left_width);
    result.scope.columns.push_back(std::move(column));
  }
  KAPPA_TRY(join->join.residual, join_condition(syntax, result.scope, left, right, left_width));
  for (const Name& name : syntax.using_) {  // The column of USING is one column.
    const ScopeColumn* const twin = find_column(right.scope, name);
    for (ScopeColumn& column : result.scope.columns) {
      const bool of_right = twin != nullptr && equal(*column.expression, *shifted(twin->expression, left_width));
      if (of_right) column.name.clear(), column.hidden = true;
    }
  }
  std::erase_if(result.scope.columns, [](const ScopeColumn& column) { return column.name.empty(); });

  if (syntax.asof) {
    KAPPA_CHECK_OK(make_asof(*join, right, syntax));
  } else {
    if (syntax.table.system_time) {
      ExpressionBinder binder(left.scope, context_, {"FOR SYSTEM_TIME AS OF", nullptr, nullptr, nullptr});
      KAPPA_TRY(const ExpressionPtr moment, binder.bind(syntax.table.system_time));
      const bool is_offset = left.identity == Identity::kEvent && left.key.size() == 1 && equal(*moment, *left.key[0]);
      if (!is_offset) {
        return fail_at(syntax.table.system_time->place, ErrorCode::kInvalid, 2005,
                       "FOR SYSTEM_TIME AS OF takes the _offset of the stream on the left",
                       "ASOF JOIN ... ON ... AND t.ts <= a.ts finds the row by a time");
      }
      join->join.match = Join::Match::kAsOfOffset;
    }
    join->join.equated =
        syntax.on ? equates_sides(*syntax.on, left.scope, right.scope) : !syntax.using_.empty();
    classify_join(*join);
  }

  // What identifies a row: the left row, and the right one unless the keys leave only one.
  const bool one_match = syntax.asof || std::ranges::all_of(right.key, [&](const ExpressionPtr& key) {
    return std::ranges::any_of(join->join.right_keys, [&](const ExpressionPtr& k) { return equal(*k, *key); });
  });
  const bool right_known = right.identity != Identity::kOther;
  result.key = left.key;
  result.key_names = left.key_names;
  if (left.identity == Identity::kOther || (!right_known && !syntax.asof)) {
    result.identity = Identity::kOther;
    result.key.clear();
    result.key_names.clear();
  } else {
    result.identity = Identity::kKeyed;
    if (!one_match && right.identity != Identity::kSingleRow) {
      for (std::size_t i = 0; i < right.key.size(); ++i) {
        result.key.push_back(shifted(right.key[i], left_width));
        result.key_names.push_back(right.key_names[i]);
      }
    }
    if (left.identity == Identity::kSingleRow && result.key.empty()) result.identity = Identity::kSingleRow;
    if (result.identity == Identity::kSingleRow) result.identity = Identity::kOther;  // An inner join may have no row.
    if (join->join.match == Join::Match::kAsOfOffset && one_match && left.identity == Identity::kEvent)
      result.identity = Identity::kEvent;
  }
  for (const ExpressionPtr& e : left.scope.tie_break) result.scope.tie_break.push_back(e);
  for (const ExpressionPtr& e : right.scope.tie_break) result.scope.tie_break.push_back(shifted(e, left_width));
  result.window = left.window;
  if (!result.window && right.window && !outer) {
    result.window = right.window;
    result.window->start = shifted(result.window->start, left_width);
    result.window->end = shifted(result.window->end, left_width);
  }
  if (swapped) {
    // The columns keep the order in which the tables are written.
    std::rotate(result.scope.columns.begin(),
                result.scope.columns.end() - static_cast<std::ptrdiff_t>(std::min(written_left, result.scope.columns.size())),
                result.scope.columns.end());
  }
  result.base = std::move(join);
  return result;
}

}  // namespace kappa::processor::sql
