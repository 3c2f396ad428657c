// Windows in time (TUMBLE, HOP, SESSION) and ranks (ROW_NUMBER, RANK, DENSE_RANK) with the condition that bounds
// them.
#include <algorithm>

#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/sql/planner_impl.h"
#include "processor/vector/functions.h"

namespace kappa::processor::sql {

Expected<std::int64_t> Planner::window_interval(const NodePtr& node, const char* what) {
  const Scope nothing;
  ExpressionBinder binder(nothing, context_, {"a window", nullptr, nullptr, nullptr});
  KAPPA_TRY(const ExpressionPtr bound, binder.bind(node));
  if (bound->kind != ExpressionKind::kConstant || bound->type.id != TypeId::kInterval || bound->constant.is_null()) {
    return fail_at(node->place, ErrorCode::kInvalid, 2002, std::string("the ") + what + " of a window is an INTERVAL constant",
                   "for example INTERVAL '1 minute'");
  }
  const std::int64_t micros = bound->constant.as_int64();
  if (micros <= 0) {
    return fail_at(node->place, ErrorCode::kInvalid, 2005, std::string("the ") + what + " of a window must be above zero");
  }
  return micros;
}

Expected<Relation> Planner::windowed(Relation input, const std::string& function, const std::vector<NodePtr>& arguments,
                                     SourcePlace place, std::vector<ExpressionPtr> partition) {
  const std::size_t wanted = function == "hop" ? 3 : 2;
  if (arguments.size() != wanted) {
    const char* const usage = function == "tumble" ? "TUMBLE(time, INTERVAL 'size')"
                              : function == "hop"  ? "HOP(time, INTERVAL 'slide', INTERVAL 'size')"
                                                   : "SESSION(time, INTERVAL 'gap')";
    return fail_at(place, ErrorCode::kInvalid, 2002,
                   function + " takes " + std::to_string(wanted) + " arguments, found " + std::to_string(arguments.size()),
                   std::string("usage: ") + usage + "; in FROM the stream comes first");
  }
  ExpressionBinder binder(input.scope, context_, {"a window", nullptr, nullptr, nullptr});
  KAPPA_TRY(const ExpressionPtr time, binder.bind(arguments[0]));
  if (time->type.id != TypeId::kTimestamp) {
    return fail_at(arguments[0]->place, ErrorCode::kInvalid, 2002,
                   "a window needs an event time: its first argument is a TIMESTAMP, not " + to_string(time->type),
                   "declare the column as TIMESTAMP, or CAST it: BIGINT reads as epoch milliseconds");
  }
  WindowColumns window;
  if (function == "tumble") {
    KAPPA_TRY(window.size_micros, window_interval(arguments[1], "size"));
    window.step_micros = window.size_micros;
    const ExpressionPtr size = make_constant(Value::interval(window.size_micros));
    KAPPA_TRY(window.start, make_call("date_bin", {size, time}));
    KAPPA_TRY(window.end, make_call("+", {window.start, size}));
    std::vector<ExpressionPtr> conjuncts;
    split_conjuncts(input.predicate, conjuncts);
    KAPPA_TRY(ExpressionPtr in_time, make_call("is not null", {time}));
    conjuncts.push_back(std::move(in_time));
    input.predicate = conjunction(conjuncts);
  } else {
    auto plan = make_node(PlanKind::kWindow, filtered(input.base, input.predicate));
    plan->window.time = time;
    if (function == "hop") {
      plan->window.kind = Window::Kind::kHop;
      KAPPA_TRY(plan->window.slide_micros, window_interval(arguments[1], "slide"));
      KAPPA_TRY(plan->window.size_micros, window_interval(arguments[2], "size"));
      if (plan->window.slide_micros > plan->window.size_micros) {
        return fail_at(place, ErrorCode::kInvalid, 2005, "the slide of HOP is longer than its size",
                       "the slide comes first: HOP(ts, INTERVAL '1 minute', INTERVAL '1 hour')");
      }
      if (plan->window.size_micros / plan->window.slide_micros > 100'000) {
        return fail_at(place, ErrorCode::kTooLarge, 2009, "an event would be in more than 100000 windows",
                       "use a longer slide");
      }
      window.size_micros = plan->window.size_micros;
      window.step_micros = plan->window.slide_micros;
    } else {
      plan->window.kind = Window::Kind::kSession;
      KAPPA_TRY(plan->window.gap_micros, window_interval(arguments[1], "gap"));
      plan->window.partition = std::move(partition);
    }
    const std::size_t width = plan->output.size();
    plan->output.push_back({"window_start", kTimestampType});
    plan->output.push_back({"window_end", kTimestampType});
    window.start = make_column(width, kTimestampType);
    window.end = make_column(width + 1, kTimestampType);
    if (function == "hop") {
      // Where the start is a group's key, the end follows from it.
      KAPPA_TRY(window.end, make_call("+", {window.start, make_constant(Value::interval(window.size_micros))}));
      // One row an event and window; which event it was does not identify it any more.
      if (input.identity != Identity::kOther) {
        input.identity = Identity::kKeyed;
        input.key.push_back(window.start);
        input.key_names.emplace_back("window_start");
      }
    } else if (input.identity == Identity::kEvent) {
      input.identity = Identity::kKeyed;  // A session that grows replaces its rows.
    }
    input.base = std::move(plan);
    input.predicate = nullptr;
  }
  std::string qualifier = input.scope.columns.empty() ? std::string() : input.scope.columns.front().qualifier;
  for (const ScopeColumn& column : input.scope.columns) {
    if (column.qualifier != qualifier) qualifier.clear();
  }
  std::erase_if(input.scope.columns, [](const ScopeColumn& column) {
    return column.name == "window_start" || column.name == "window_end";
  });
  const auto hidden = std::ranges::find_if(input.scope.columns, [](const ScopeColumn& c) { return c.hidden; });
  input.scope.columns.insert(hidden, {ScopeColumn{"window_start", window.start, false, 3, qualifier},
                                      ScopeColumn{"window_end", window.end, false, 5, qualifier}});
  input.window = std::move(window);
  input.history.reset();
  return input;
}

std::vector<SortKey> Planner::complete_order(std::vector<SortKey> order, const Relation& relation,
                                             const std::vector<ExpressionPtr>& row) const {
  const auto add = [&](const ExpressionPtr& e) {
    const bool known =
        std::ranges::any_of(order, [&](const SortKey& key) { return equal(*key.expression, *e); });
    if (!known && e->kind != ExpressionKind::kConstant) order.push_back({e, false, false});
  };
  for (const ExpressionPtr& e : relation.scope.tie_break) add(e);
  // What the offsets decide alone needs no more.
  if (relation.identity != Identity::kEvent || relation.scope.tie_break.empty()) {
    for (const ExpressionPtr& e : row) add(typed(e));
    for (const ExpressionPtr& e : relation.key) add(e);
  }
  return order;
}

Relation Planner::ranked(Relation relation, const RankCall& call, const std::vector<ExpressionPtr>& row) {
  auto plan = make_node(PlanKind::kTopK, filtered(relation.base, relation.predicate));
  plan->top_k.partition = call.partition;
  plan->top_k.rank_keys = call.order.size();
  plan->top_k.order = complete_order(call.order, relation, row);
  plan->top_k.function = call.function;
  plan->top_k.limit = UINT64_MAX;
  plan->top_k.gives_rank = true;
  const ExpressionPtr rank = make_column(plan->output.size(), kBigintType);
  plan->output.push_back({"rank", kBigintType});
  relation.predicate = nullptr;
  relation.open_rank = call.place;
  // The rank identifies a row of its partition; with ties the row's own key does.
  std::vector<ExpressionPtr> key = call.partition;
  std::vector<std::string> names;
  std::vector<std::string> columns;
  for (const Column& column : relation.base->output) columns.push_back(column.name);
  for (const ExpressionPtr& e : call.partition) names.push_back(to_string(*e, columns));
  key.push_back(rank);
  names.emplace_back("rank");
  if (call.function == RankFunction::kRowNumber) {
    relation.key = std::move(key);
    relation.key_names = std::move(names);
    relation.identity = Identity::kKeyed;
  } else if (relation.identity != Identity::kOther) {
    relation.identity = Identity::kKeyed;
    for (std::size_t i = 0; i < relation.key.size(); ++i) {
      if (std::ranges::any_of(key, [&](const ExpressionPtr& k) { return equal(*k, *relation.key[i]); })) continue;
      key.push_back(relation.key[i]);
      names.push_back(relation.key_names[i]);
    }
    relation.key = std::move(key);
    relation.key_names = std::move(names);
  }
  relation.base = std::move(plan);
  return relation;
}

void Planner::close_rank(Relation& relation, ExpressionPtr& condition) const {
  if (!relation.open_rank) return;
  const std::size_t rank = relation.base->output.size() - 1;
  std::vector<ExpressionPtr> conjuncts;
  split_conjuncts(condition, conjuncts);
  std::vector<ExpressionPtr> rest;
  std::optional<std::uint64_t> limit;
  for (const ExpressionPtr& conjunct : conjuncts) {
    const auto bound = [&]() -> std::optional<std::uint64_t> {
      if (conjunct->kind != ExpressionKind::kCall || conjunct->arguments.size() != 2) return std::nullopt;
      std::string_view op = name_of(*conjunct->function);
      const Expression* column = conjunct->arguments[0].get();
      const Expression* constant = conjunct->arguments[1].get();
      if (column->kind == ExpressionKind::kConstant) {
        std::swap(column, constant);
        op = op == "<" ? ">" : op == "<=" ? ">=" : op == ">" ? "<" : op == ">=" ? "<=" : op;
      }
      if (column->kind != ExpressionKind::kColumn || column->column != rank) return std::nullopt;
      if (constant->kind != ExpressionKind::kConstant || constant->constant.is_null() ||
          constant->type.id != TypeId::kBigint) {
        return std::nullopt;
      }
      const std::int64_t value = constant->constant.as_int64();
      if (op == "<=" || op == "=") return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
      if (op == "<") return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1) - 1);
      return std::nullopt;
    }();
    // Stays where the limit says less than it: = 3, and what no rank can be.
    const bool says_all = bound && *bound >= 1 && (name_of(*conjunct->function) != "=" || *bound == 1);
    if (bound) limit = limit ? std::min(*limit, *bound) : *bound;
    if (!says_all) rest.push_back(conjunct);
  }
  if (!limit) return;
  auto plan = std::make_shared<Plan>(*relation.base);
  plan->top_k.limit = std::max<std::uint64_t>(*limit, 1);
  if (plan->top_k.limit == 1 && plan->top_k.function == RankFunction::kRowNumber) {
    // One row a partition: the partition is the key.
    relation.key.resize(plan->top_k.partition.size());
    relation.key_names.resize(plan->top_k.partition.size());
    if (relation.key.empty()) relation.identity = Identity::kOther;
  }
  relation.base = std::move(plan);
  relation.open_rank.reset();
  condition = conjunction(rest);
}

Status Planner::check_rank(const Relation& relation) const {
  if (!relation.open_rank) return {};
  return fail_at(*relation.open_rank, ErrorCode::kInvalid, 2005,
                 "a rank needs a condition that bounds it, in the WHERE around its subquery",
                 "for example SELECT ... FROM (SELECT ..., ROW_NUMBER() OVER (...) AS rank ...) WHERE rank <= 10");
}

}  // namespace kappa::processor::sql
