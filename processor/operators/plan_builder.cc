// See plan_builder.h.
#include "processor/operators/plan_builder.h"

#include "processor/operators/asof_join.h"
#include "processor/operators/filter.h"
#include "processor/operators/hop.h"
#include "processor/operators/join.h"
#include "processor/operators/pane.h"
#include "processor/operators/pane_windows.h"
#include "processor/operators/session.h"
#include "processor/operators/session_aggregate.h"
#include "processor/operators/top_k.h"
#include "processor/operators/union.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> not_yet(const char* what) {
  return fail(ErrorCode::kUnsupported, 2008, std::string(what) + " is not in this version");
}

}  // namespace

Expected<TableId> PlanBuilder::new_table() {
  // The rest is kept for what a view stores beside its operators.
  static constexpr TableId kTablesMax = 200;
  if (next_table_ >= kTablesMax) {
    return fail(ErrorCode::kTooLarge, 2009, "the view needs too many tables of state", "split it into several views");
  }
  return next_table_++;
}

template <class T>
Status PlanBuilder::add_join(std::unique_ptr<T> made, const Plan& plan, Operator& out) {
  made->set_next(&out);
  KAPPA_CHECK_OK(build(*plan.input, *made));
  KAPPA_CHECK_OK(build(*plan.right, made->right()));
  flow_.adopt(std::move(made));
  return {};
}

template <class T>
Status PlanBuilder::add(std::unique_ptr<T> made, const Plan& input, Operator& out) {
  made->set_next(&out);
  KAPPA_CHECK_OK(build(input, *made));
  if (is_stateless(input)) flow_.count_failures_of(*made);
  flow_.adopt(std::move(made));
  return {};
}

Status PlanBuilder::build(const Plan& plan, Operator& out) {
  switch (plan.kind) {
    case PlanKind::kStreamScan:
    case PlanKind::kViewScan:
    case PlanKind::kValues: flow_.add_head(plan, out); return {};
    case PlanKind::kFilter: return add(std::make_unique<FilterOperator>(plan.predicate), *plan.input, out);
    case PlanKind::kProject: return add(std::make_unique<ProjectOperator>(plan.expressions), *plan.input, out);
    case PlanKind::kAggregate: {
      if (folds_sessions(plan)) return build_session_aggregate(plan, out);
      if (plan.emit_on_close && plan.input->kind == PlanKind::kWindow &&
          plan.input->window.kind == Window::Kind::kSession) {
        // The rows of a session that was closed would have to be forgotten below the groups.
        return fail(ErrorCode::kUnsupported, 2008, "EMIT ON WINDOW CLOSE of these sessions is not in this version",
                    "group by the session and its partition only, with aggregates that keep one value a group, over "
                    "rows that are never taken back");
      }
      AggregateOperator::Options options;
      KAPPA_TRY(options.table, new_table());
      options.gives_changes = !setting_.aggregates_at_end;
      if (auto by_pane = panes(plan)) return build_panes(plan, std::move(*by_pane), &out, options);
      return build_aggregate(plan, &out, options);
    }
    case PlanKind::kWindow:
      if (plan.window.kind == Window::Kind::kHop) return add(std::make_unique<HopOperator>(plan), *plan.input, out);
      {
        KAPPA_TRY(const TableId table, new_table());
        return add(std::make_unique<SessionOperator>(plan, store_, table), *plan.input, out);
      }
    case PlanKind::kUnion: {
      auto made = std::make_unique<UnionOperator>();
      made->set_next(&out);
      KAPPA_CHECK_OK(build(*plan.input, *made));
      KAPPA_CHECK_OK(build(*plan.right, *made));
      flow_.adopt(std::move(made));
      return {};
    }
    case PlanKind::kSort: return not_yet("ORDER BY here");
    case PlanKind::kJoin: return build_join(plan, out);
    case PlanKind::kTopK: {
      const bool append_only = properties(*plan.input).append_only;
      KAPPA_TRY(const TableId table, new_table());
      if (TopKListOperator::fits(plan, append_only))
        return add(std::make_unique<TopKListOperator>(plan, store_, table), *plan.input, out);
      return add(std::make_unique<TopKTableOperator>(plan, append_only, store_, table), *plan.input, out);
    }
  }
  return {};
}

Status PlanBuilder::build_join(const Plan& plan, Operator& out) {
  const PlanProperties left = properties(*plan.input);
  const PlanProperties right = properties(*plan.right);
  if (plan.join.match == Join::Match::kAsOfTime) {
    AsOfJoinOperator::Tables tables;
    KAPPA_TRY(tables.left, new_table());
    KAPPA_TRY(tables.right, new_table());
    return add_join(std::make_unique<AsOfJoinOperator>(plan, store_, tables), plan, out);
  }
  if (plan.join.match == Join::Match::kAsOfOffset && !left.append_only) {
    return fail(ErrorCode::kUnsupported, 2008, "FOR SYSTEM_TIME AS OF _offset needs a left input that is never taken back",
                "join the stream itself, then aggregate");
  }
  const bool timed = JoinOperator::is_timed(plan);
  const auto form = [&](const Plan& input, PlanProperties properties, const std::vector<ExpressionPtr>& keys) {
    if (timed) return JoinSide::Form::kOrdered;
    if (properties.append_only && properties.log_ordered) return JoinSide::Form::kList;
    return is_unique_on(input, keys) ? JoinSide::Form::kUnique : JoinSide::Form::kOrdered;
  };
  JoinOperator::Tables tables;
  KAPPA_TRY(tables.left, new_table());
  KAPPA_TRY(tables.right, new_table());
  KAPPA_TRY(tables.matches, new_table());
  const JoinOperator::Forms forms{form(*plan.input, left, plan.join.left_keys),
                                  form(*plan.right, right, plan.join.right_keys)};
  return add_join(std::make_unique<JoinOperator>(plan, forms, store_, tables), plan, out);
}

bool PlanBuilder::folds_sessions(const Plan& plan) const {
  if (setting_.aggregates_at_end) return false;
  if (plan.kind != PlanKind::kAggregate || plan.input->kind != PlanKind::kWindow) return false;
  if (!SessionAggregateOperator::fits(plan, properties(*plan.input->input).append_only)) return false;
  TableId none = 0;
  const auto aggregates = AggregateSet::make(plan, InputKind::kAppendOnly, nullptr, none);
  return aggregates && (*aggregates)->mergeable();
}

Status PlanBuilder::build_session_aggregate(const Plan& plan, Operator& out) {
  SessionAggregateOperator::Tables tables;
  KAPPA_TRY(tables.sessions, new_table());
  KAPPA_TRY(tables.expiry, new_table());
  KAPPA_TRY(auto aggregates, AggregateSet::make(plan, InputKind::kAppendOnly, &store_, next_table_));
  auto made = std::make_unique<SessionAggregateOperator>(plan, std::move(aggregates), store_, tables);
  return add(std::move(made), *plan.input->input, out);
}

Status PlanBuilder::build_panes(const Plan& plan, Panes panes, Operator* out, AggregateOperator::Options options) {
  KAPPA_TRY(auto by_pane, AggregateSet::make(panes.by_pane, InputKind::kAppendOnly, &store_, next_table_));
  KAPPA_TRY(auto by_window, AggregateSet::make(plan, InputKind::kAppendOnly, nullptr, next_table_));
  auto windows = std::make_unique<PaneWindows>(panes, std::move(by_window), store_, options.table);
  auto made = std::make_unique<AggregateOperator>(panes.by_pane, std::move(by_pane), store_, options, std::move(windows));
  made->set_next(out);
  std::vector<std::unique_ptr<Operator>> between;
  Operator* next = made.get();
  for (const Plan* const node : panes.between) {
    if (node->kind == PlanKind::kFilter)
      between.push_back(std::make_unique<FilterOperator>(node->predicate));
    else
      between.push_back(std::make_unique<ProjectOperator>(node->expressions));
    between.back()->set_next(next);
    next = between.back().get();
  }
  KAPPA_CHECK_OK(add(std::make_unique<PaneOperator>(panes), *panes.window->input, *next));
  for (auto one = between.rbegin(); one != between.rend(); ++one) flow_.adopt(std::move(*one));
  flow_.adopt(std::move(made));
  return {};
}

Status PlanBuilder::build_last_panes(const Plan& plan, Panes panes, TableId table, std::uint64_t& row_count) {
  AggregateOperator::Options options;
  options.table = table;
  options.row_count = &row_count;
  return build_panes(plan, std::move(panes), nullptr, options);
}

Status PlanBuilder::build_aggregate(const Plan& plan, Operator* out, AggregateOperator::Options options) {
  options.side_tables_begin = next_table_;
  KAPPA_TRY(auto aggregates, AggregateSet::make(plan, kind(*plan.input), &store_, next_table_));
  options.side_tables_end = next_table_;
  if (WindowExpiry::wanted(plan)) {
    KAPPA_TRY(options.expiry_table, new_table());
    if (plan.emit_on_close) options.gives_changes = false;
  }
  auto made = std::make_unique<AggregateOperator>(plan, std::move(aggregates), store_, options);
  made->set_next(out);
  KAPPA_CHECK_OK(build(*plan.input, *made));
  if (setting_.aggregates_at_end) gathering_.push_back(made.get());
  // Which rows `retain` leaves out depends on how the log was cut, and so would their failures.
  if (is_stateless(*plan.input) && !plan.retain_micros) flow_.count_failures_of(*made);
  flow_.adopt(std::move(made));
  return {};
}

Status PlanBuilder::build_last_aggregate(const Plan& plan, TableId table, std::uint64_t& row_count) {
  AggregateOperator::Options options;
  options.table = table;
  options.row_count = &row_count;
  return build_aggregate(plan, nullptr, options);
}

}  // namespace kappa::processor
