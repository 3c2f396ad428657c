// EXPLAIN: the plan as an indented tree, root first; what each operator keeps and what that grows with.
#include "processor/sql/expression_tools.h"
#include "processor/sql/plan.h"

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

std::string aggregate_text(const Plan& plan) {
  const Names input = names_of(plan.input->output);
  Names keys;
  for (const ExpressionPtr& key : plan.group_keys) keys.push_back(to_string(*key, input));
  Names aggregates;
  bool distinct = false;
  bool extreme = false;
  for (const Aggregate& aggregate : plan.aggregates) {
    aggregates.push_back(sql::to_string(aggregate, input));
    distinct = distinct || aggregate.distinct;
    extreme = extreme || aggregate.function == "min" || aggregate.function == "max";
  }
  std::string text = "aggregate: ";
  text += keys.empty() ? "one row" : "group by " + join(keys);
  if (!aggregates.empty()) text += "; " + join(aggregates);
  text += keys.empty() ? "; state: one row, does not grow"
                       : "; state: one row a group, grows with the number of groups";
  if (distinct) text += "; one entry a distinct value and group, grows with the number of distinct values";
  if (extreme)
    text += "; min and max: one value a group over append-only input, every value where rows are taken back";
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

std::string node_text(const Plan& plan) {
  switch (plan.kind) {
    case PlanKind::kStreamScan: return scan_text(plan);
    case PlanKind::kViewScan:
      return "view scan " + plan.view + ": " + join(names_of(plan.output)) + "; no state";
    case PlanKind::kFilter:
      return "filter: " + to_string(*plan.predicate, names_of(plan.input->output)) + "; no state";
    case PlanKind::kProject: return project_text(plan);
    case PlanKind::kAggregate: return aggregate_text(plan);
    case PlanKind::kSort: return sort_text(plan);
    case PlanKind::kValues: return "values: one row";
    case PlanKind::kWindow: return "window";
    case PlanKind::kJoin: return "join";
    case PlanKind::kTopK: return "top-k";
    case PlanKind::kUnion: return "union all";
  }
  return {};
}

}  // namespace

std::string explain(const Plan& plan) {
  std::string text;
  std::string indent;
  for (const Plan* node = &plan; node != nullptr; node = node->input.get()) {
    text += indent + node_text(*node) + "\n";
    indent += "  ";
  }
  return text;
}

}  // namespace kappa::processor
