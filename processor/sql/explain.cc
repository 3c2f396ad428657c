// EXPLAIN: the plan as an indented tree, root first; what each operator keeps and what that grows with.
#include <algorithm>

#include "processor/operators/aggregates/registry.h"
#include "processor/operators/pane_windows.h"
#include "processor/sql/expression_tools.h"
#include "processor/sql/plan.h"
#include "processor/sql/plan_properties.h"

namespace kappa::processor {
namespace {

using Names = std::vector<std::string>;

Names names_of(const std::vector<Column>& columns) {
  Names names;
  for (const Column& column : columns) names.push_back(column.name);
  return names;
}

std::string join(const Names& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += (text.empty() ? "" : ", ") + piece;
  return text;
}

std::string path_text(const std::vector<StreamColumn::Step>& path) {
  std::string text = "$";
  for (const StreamColumn::Step& step : path) {
    text += step.member ? "." + sql::quote_name(*step.member) : "[" + std::to_string(step.index) + "]";
  }
  return text;
}

std::string scan_text(const Plan& plan) {
  const StreamDefinition& stream = *plan.stream;
  Names decoded;
  Names all;
  for (const auto* group : {&stream.columns, &stream.hidden}) {
    for (const StreamColumn& column : *group) all.push_back(column.name);
  }
  for (std::size_t i = 0; i < plan.stream_columns.size(); ++i) {
    const std::size_t at = plan.stream_columns[i];
    if (at >= all.size()) {
      decoded.push_back(plan.output[i].name);
    } else {
      const StreamColumn& column =
          at < stream.columns.size() ? stream.columns[at] : stream.hidden[at - stream.columns.size()];
      decoded.push_back(column.name + " " + to_string(column.type) + " " + path_text(column.path));
    }
  }
  std::string text = "stream scan " + stream.name + ": topic \"" + stream.topic + "\"; ";
  text += decoded.empty() ? "decodes nothing" : "decodes " + join(decoded);
  if (stream.where) text += "; where " + to_string(*stream.where, all);
  return text + "; no state";
}

std::string span_text(std::int64_t micros) { return display(Value::interval(micros)); }

// `ends` a view: then its rows are read from what it keeps.
std::string aggregate_text(const Plan& plan, bool ends) {
  const Names input = names_of(plan.input->output);
  Names keys;
  for (const ExpressionPtr& key : plan.group_keys) keys.push_back(to_string(*key, input));
  Names aggregates;
  bool distinct = false;
  Names kept;  // What some kinds of aggregates keep, each kind once.
  bool grows = false;
  const bool rows_stay = properties_of(*plan.input).append_only;
  for (const Aggregate& aggregate : plan.aggregates) {
    aggregates.push_back(sql::to_string(aggregate, input));
    distinct = distinct || aggregate.distinct;
    const AggregateKind* const kind = find_aggregate(aggregate.function);
    const std::string_view keeps = kind == nullptr ? "" : rows_stay ? kind->keeps.rows_stay : kind->keeps.rows_go;
    if (keeps.empty() || std::ranges::find(kept, keeps) != kept.end()) continue;
    kept.emplace_back(keeps);
    grows = true;
  }
  std::string text = "aggregate: ";
  text += keys.empty() ? "one row" : "group by " + join(keys);
  if (!aggregates.empty()) text += "; " + join(aggregates);
  if (const auto panes = panes_in_use(plan, {}); panes && (panes->in_order || !ends)) {
    const PaneGrid& grid = panes->grid;
    text += std::string("; state: per pane, ") + (grid.size() % grid.slide() == 0 ? "one" : "two") + " every " +
            span_text(grid.slide()) + ", one row a group and pane that has rows, merged into windows; grows with their number";
  } else {
    text += keys.empty() ? (grows || distinct ? "; state: one row" : "; state: one row, does not grow")
                         : "; state: one row a group, grows with the number of groups";
  }
  if (distinct) text += "; one entry a distinct value and group, grows with the number of distinct values";
  for (const std::string& one : kept) text += "; " + one;
  return text;
}

std::string project_text(const Plan& plan) {
  const Names input = names_of(plan.input->output);
  Names columns;
  for (std::size_t i = 0; i < plan.expressions.size(); ++i) {
    std::string text = to_string(*plan.expressions[i], input);
    if (text != plan.output[i].name) text += " AS " + sql::quote_name(plan.output[i].name);
    columns.push_back(std::move(text));
  }
  return "project: " + join(columns) + "; no state";
}

std::string sort_text(const Plan& plan) {
  const Names input = names_of(plan.input->output);
  Names keys;
  for (const SortKey& key : plan.sort_keys) {
    keys.push_back(to_string(*key.expression, input) + (key.descending ? " DESC" : " ASC") +
                   (key.nulls_first ? " NULLS FIRST" : " NULLS LAST"));
  }
  std::string text = keys.empty() ? "limit" : "sort: " + join(keys);
  if (plan.limit) text += (keys.empty() ? ": " : "; limit ") + std::to_string(*plan.limit);
  if (plan.offset != 0) text += "; offset " + std::to_string(plan.offset);
  if (keys.empty()) return text + "; no state";
  return text + (plan.limit ? "; memory: limit and offset rows"
                            : "; memory: every row of the result, for the query only");
}

std::string order_text(const std::vector<SortKey>& keys, const Names& input) {
  Names texts;
  for (const SortKey& key : keys) {
    texts.push_back(to_string(*key.expression, input) + (key.descending ? " DESC" : " ASC") +
                    (key.nulls_first ? " NULLS FIRST" : " NULLS LAST"));
  }
  return join(texts);
}

std::string window_text(const Plan& plan) {
  const Names input = names_of(plan.input->output);
  const Window& window = plan.window;
  const std::string time = to_string(*window.time, input);
  if (window.kind == Window::Kind::kHop) {
    return "hop: " + time + ", every " + span_text(window.slide_micros) + " for " + span_text(window.size_micros) +
           "; no state";
  }
  Names keys;
  for (const ExpressionPtr& key : window.partition) keys.push_back(to_string(*key, input));
  std::string text = "session: " + time + ", gap " + span_text(window.gap_micros);
  if (!keys.empty()) text += " for each " + join(keys);
  return text + "; state: the sessions, grows with their number (with the rows, where the aggregates above cannot be merged)";
}

std::string join_text(const Plan& plan) {
  const Names left = names_of(plan.input->output);
  const Names right = names_of(plan.right->output);
  const Join& how = plan.join;
  std::string text = how.left_outer ? "left join" : "inner join";
  if (how.match == Join::Match::kAsOfTime) text = how.left_outer ? "asof left join" : "asof join";
  if (how.match == Join::Match::kAsOfOffset) text += " as of _offset";
  Names conditions;
  for (std::size_t i = 0; i < how.left_keys.size(); ++i) {
    conditions.push_back(to_string(*how.left_keys[i], left) + " = " + to_string(*how.right_keys[i], right));
  }
  if (how.left_time && how.match == Join::Match::kAsOfTime) {
    conditions.push_back(to_string(*how.right_time, right) + (how.strict ? " < " : " <= ") +
                         to_string(*how.left_time, left));
  } else if (how.left_time) {
    const std::string distance = to_string(*how.right_time, right) + " - " + to_string(*how.left_time, left);
    if (how.lower) conditions.push_back(distance + " >= " + span_text(*how.lower));
    if (how.upper) conditions.push_back(distance + " <= " + span_text(*how.upper));
  }
  if (how.residual) conditions.push_back(to_string(*how.residual, names_of(plan.output)));
  text += ": " + (conditions.empty() ? "every row with every row" : join(conditions));
  if (how.match == Join::Match::kAsOfOffset) return text + "; state: the right rows, grows with what they are";
  if (how.match == Join::Match::kAsOfTime) return text + "; state: the rows of both sides, grows with both";
  text += "; state: the rows of both sides, ";
  const bool streams = properties_of(*plan.input).append_only && properties_of(*plan.right).append_only;
  if (!streams) return text + "grows with both as they are now";
  return text + (how.left_time ? "grows with both: events count however late they come"
                               : "grows without bound: no time limits which events meet");
}

std::string top_k_text(const Plan& plan) {
  const Names input = names_of(plan.input->output);
  const TopK& top = plan.top_k;
  Names keys;
  for (const ExpressionPtr& key : top.partition) keys.push_back(to_string(*key, input));
  const char* const function = top.function == RankFunction::kRowNumber ? "row_number"
                               : top.function == RankFunction::kRank    ? "rank"
                                                                        : "dense_rank";
  std::string text = std::string("top-k: ") + function;
  if (top.limit != UINT64_MAX) text += " <= " + std::to_string(top.offset + top.limit);
  if (top.offset != 0) text += " and > " + std::to_string(top.offset);
  if (!keys.empty()) text += " for each " + join(keys);
  if (!top.order.empty()) text += ", by " + order_text(top.order, input);
  return text + (properties_of(*plan.input).append_only && top.limit != UINT64_MAX
                     ? "; state: the rows that are in, grows with the number of partitions"
                     : "; state: every row, because rows may leave; grows with the rows");
}

std::string node_text(const Plan& plan, bool ends) {
  switch (plan.kind) {
    case PlanKind::kStreamScan: return scan_text(plan);
    case PlanKind::kViewScan:
      return "view scan " + plan.view + ": " + join(names_of(plan.output)) + "; no state";
    case PlanKind::kFilter:
      return "filter: " + to_string(*plan.predicate, names_of(plan.input->output)) + "; no state";
    case PlanKind::kProject: return project_text(plan);
    case PlanKind::kAggregate: return aggregate_text(plan, ends);
    case PlanKind::kSort: return sort_text(plan);
    case PlanKind::kValues: return "values: one row";
    case PlanKind::kWindow: return window_text(plan);
    case PlanKind::kJoin: return join_text(plan);
    case PlanKind::kTopK: return top_k_text(plan);
    case PlanKind::kUnion: return "union all; no state";
  }
  return {};
}

}  // namespace

namespace {

void explain_node(const Plan& plan, bool ends, const std::string& indent, std::string& text) {
  text += indent + node_text(plan, ends) + "\n";
  const bool row_by_row = plan.kind == PlanKind::kFilter || plan.kind == PlanKind::kProject;
  if (plan.input) explain_node(*plan.input, ends && row_by_row, indent + "  ", text);
  if (plan.right) explain_node(*plan.right, false, indent + "  ", text);
}

// Why a plan needs its events one after the other; empty if it does not.
std::string needs_order(const Plan& plan) {
  if (plan.kind == PlanKind::kJoin) return "a join meets what came before";
  if (plan.kind == PlanKind::kTopK) return "ranks are kept up to date row by row";
  if (plan.kind == PlanKind::kWindow && plan.window.kind == Window::Kind::kSession)
    return "sessions may reach over the ends of segments";
  if (plan.kind == PlanKind::kAggregate) {
    if (!properties_of(*plan.input).append_only) return "groups of groups take rows back";
    if (plan.retain_micros || plan.emit_on_close) return "windows close in the order of the log";
    for (const Aggregate& aggregate : plan.aggregates) {
      if (aggregate.distinct || aggregate.function.starts_with("percentile"))
        return aggregate.function + " keeps its values in a table of their own";
    }
  }
  std::string why;
  if (plan.input) why = needs_order(*plan.input);
  if (why.empty() && plan.right) why = needs_order(*plan.right);
  return why;
}

}  // namespace

std::string explain_replay(const ViewPlan& plan) {
  if (plan.emit != ViewPlan::Emit::kNone) return "replay: on one thread: its events are written in the order of the log\n";
  const std::string why = needs_order(*plan.root);
  return "replay: decoded in parallel, applied in the order of the log" + (why.empty() ? "" : ", which counts: " + why) + "\n";
}

std::string explain(const Plan& plan, bool read) {
  std::string text;
  explain_node(plan, read, {}, text);
  return text;
}

}  // namespace kappa::processor
