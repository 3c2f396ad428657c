// Whole statements: SELECT, CREATE MATERIALIZED VIEW, CREATE TABLE AS LATEST and CREATE STREAM AS to plans.
#include "processor/sql/planner.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "processor/sql/expression_tools.h"
#include "processor/sql/lexer.h"
#include "processor/sql/plan_properties.h"
#include "processor/sql/planner_impl.h"
#include "processor/sql/suggest.h"
#include "processor/vector/functions.h"
#include "proto/limits.h"

namespace kappa::processor::sql {
namespace {

// The relation as a plan: filter, project, sort and limit.
PlanPtr finish(const Relation& relation) {
  std::vector<ExpressionPtr> expressions;
  std::vector<std::string> names;
  for (const ScopeColumn& column : relation.scope.columns) {
    expressions.push_back(column.expression);
    names.push_back(column.name);
  }
  const std::size_t visible = expressions.size();
  std::vector<SortKey> keys = relation.order;
  for (SortKey& key : keys) {
    std::size_t at = 0;
    while (at < expressions.size() && !equal(*expressions[at], *typed(key.expression))) ++at;
    if (at == expressions.size()) {
      expressions.push_back(typed(key.expression));
      names.push_back("order by " + std::to_string(at - visible + 1));
    }
    key.expression = make_column(at, expressions[at]->type);
  }
  PlanPtr plan = projected(filtered(relation.base, relation.predicate), expressions, names);
  if (!relation.ordered) return plan;
  auto sort = make_node(PlanKind::kSort, plan);
  sort->sort_keys = std::move(keys);
  sort->limit = relation.limit;
  sort->offset = relation.offset;
  sort->output.resize(visible);  // Columns that only ORDER BY needed leave again.
  return sort;
}

// The plan and the key of a view over a relation.
Expected<ViewPlan> view_plan(const Relation& relation, SourcePlace place) {
  ViewPlan view;
  std::vector<ExpressionPtr> expressions;
  std::vector<std::string> names;
  for (const ScopeColumn& column : relation.scope.columns) {
    if (column.hidden) continue;
    if (std::ranges::find(names, column.name) != names.end()) {
      return fail_at(place, ErrorCode::kExists, 2007, "two columns are named \"" + column.name + "\"",
                     "name one of them with AS");
    }
    expressions.push_back(column.expression);
    names.push_back(column.name);
  }
  view.visible_columns = expressions.size();
  if (relation.identity == Identity::kOther) {
    for (std::size_t i = 0; i < expressions.size(); ++i) view.key_columns.push_back(i);
  }
  for (std::size_t i = 0; relation.identity != Identity::kOther && i < relation.key.size(); ++i) {
    std::size_t at = 0;
    while (at < expressions.size() && !equal(*typed(expressions[at]), *relation.key[i])) ++at;
    if (at == expressions.size()) {
      expressions.push_back(relation.key[i]);
      names.push_back(relation.key_names[i]);
    }
    view.key_columns.push_back(at);
  }
  view.single_row = relation.identity == Identity::kSingleRow;
  view.append_only_key = relation.identity == Identity::kEvent;
  view.root = prune(optimize(projected(filtered(relation.base, relation.predicate), expressions, names)));
  return view;
}

// The first windowed aggregate below `plan`, reached through filters and projections (and, if `through` says so,
// ranks), changed by `change`; null if there is none.
PlanPtr with_window_aggregate(const PlanPtr& plan, bool through_ranks, const std::function<void(Plan&)>& change) {
  if (plan->kind == PlanKind::kAggregate && plan->window_key) {
    auto changed = std::make_shared<Plan>(*plan);
    change(*changed);
    return changed;
  }
  const bool passes = plan->kind == PlanKind::kFilter || plan->kind == PlanKind::kProject ||
                      (through_ranks && (plan->kind == PlanKind::kTopK || plan->kind == PlanKind::kAggregate));
  if (!passes) return nullptr;
  const PlanPtr below = with_window_aggregate(plan->input, through_ranks, change);
  if (!below) return nullptr;
  auto copy = std::make_shared<Plan>(*plan);
  copy->input = below;
  return copy;
}

// What a window that closes or expires needs: a watermark, and so an event time in every stream.
Status check_event_times(const Plan& plan, SourcePlace place, const std::string& what) {
  for (const Plan* scan : scans_of(plan)) {
    if (scan->kind != PlanKind::kStreamScan || scan->stream->event_time) continue;
    return fail_at(place, ErrorCode::kInvalid, 2005,
                   what + " needs event time: stream \"" + scan->stream->name + "\" has none",
                   "create it WITH (event_time = 'column')");
  }
  return {};
}

bool one_row(const Plan& plan) {
  if (plan.kind == PlanKind::kAggregate) return plan.group_keys.empty();
  if (plan.kind == PlanKind::kTopK) return plan.top_k.partition.empty() && plan.top_k.limit <= 1;
  if (plan.kind == PlanKind::kFilter || plan.kind == PlanKind::kProject) return one_row(*plan.input);
  return plan.kind == PlanKind::kValues;
}

// A join that compares everything with everything keeps all and answers with a product.
Status check_joins(const Plan& plan, SourcePlace place) {
  if (plan.kind == PlanKind::kJoin && plan.join.match == Join::Match::kCurrent && plan.join.left_keys.empty() &&
      !plan.join.equated && !plan.join.left_time && !one_row(*plan.input) && !one_row(*plan.right)) {
    return fail_at(place, ErrorCode::kInvalid, 2005,
                   "a join without an equality or a bound on time grows with the product of its sides",
                   "add ON a.key = b.key, or bound the times: b.ts BETWEEN a.ts - INTERVAL '1 minute' AND a.ts; "
                   "WITH (unbounded_join = 'allow') insists");
  }
  if (plan.input) KAPPA_CHECK_OK(check_joins(*plan.input, place));
  if (plan.right) KAPPA_CHECK_OK(check_joins(*plan.right, place));
  return {};
}

// Options of what a SELECT makes.
struct ViewOptions {
  const Option* retain = nullptr;
  std::int64_t retain_micros = 0;
  bool allow_unbounded_join = false;
  ReplaceOptions replace;
  // Of a derived stream.
  const Option* topic = nullptr;
  const Option* event_time = nullptr;
  const Option* delay = nullptr;
};

}  // namespace

bool is_replace_option(std::string_view name) { return name == "cutover" || name == "keep_old"; }

Status read_replace_option(const Option& option, ReplaceOptions& options) {
  if (option.name.text == "cutover") {
    if (option.value != "auto" && option.value != "manual") {
      return fail_at(option.value_place, ErrorCode::kInvalid, 2005,
                     "cutover is 'auto' or 'manual', not '" + option.value + "'",
                     did_you_mean(option.value, {"auto", "manual"}));
    }
    options.manual = option.value == "manual";
    return {};
  }
  const auto keep = parse_interval(option.value);
  if (!keep || *keep < 0) {
    return fail_at(option.value_place, ErrorCode::kInvalid, 2002,
                   "'" + option.value + "' is not a valid time to keep the old version",
                   "for example keep_old = '24 hours'; '0 seconds' drops it at the cutover");
  }
  options.keep_micros = *keep;
  return {};
}

namespace {

Expected<ViewOptions> view_options(const std::vector<Option>& options, const char* what,
                                   const std::vector<std::string>& known) {
  ViewOptions result;
  std::vector<std::string> seen;
  for (const Option& option : options) {
    const std::string& name = option.name.text;
    if (std::ranges::find(known, name) == known.end()) {
      std::string hint = did_you_mean(name, known);
      if (hint.empty()) {
        for (const std::string& one : known) hint += (hint.empty() ? "options: " : ", ") + one;
      }
      return fail_at(option.name.place, ErrorCode::kInvalid, 2005,
                     std::string(what) + " has no option \"" + name + "\"", std::move(hint));
    }
    if (std::ranges::find(seen, name) != seen.end()) {
      return fail_at(option.name.place, ErrorCode::kInvalid, 2005, "the option " + name + " is given twice");
    }
    seen.push_back(name);
    if (name == "retain") {
      const auto retain = parse_interval(option.value);
      if (!retain || *retain < 0) {
        return fail_at(option.value_place, ErrorCode::kInvalid, 2002,
                       "'" + option.value + "' is not a valid retention", "for example retain = '30 days'");
      }
      result.retain = &option;
      result.retain_micros = *retain;
    } else if (name == "unbounded_join") {
      if (option.value != "allow" && option.value != "refuse") {
        return fail_at(option.value_place, ErrorCode::kInvalid, 2005,
                       "unbounded_join is 'refuse' or 'allow', not '" + option.value + "'");
      }
      result.allow_unbounded_join = option.value == "allow";
    } else if (name == "topic") {
      result.topic = &option;
    } else if (name == "event_time") {
      result.event_time = &option;
    } else if (name == "delay") {
      result.delay = &option;
    } else {
      KAPPA_CHECK_OK(read_replace_option(option, result.replace));
    }
  }
  return result;
}

// What follows for every plan that is kept: retention, and joins that would grow without bound.
Status apply_options(ViewPlan& view, const ViewOptions& options, SourcePlace place) {
  if (!options.allow_unbounded_join) KAPPA_CHECK_OK(check_joins(*view.root, place));
  if (options.retain == nullptr) return {};
  const PlanPtr retained = with_window_aggregate(
      view.root, true, [&](Plan& aggregate) { aggregate.retain_micros = options.retain_micros; });
  if (!retained) {
    return fail_at(options.retain->name.place, ErrorCode::kInvalid, 2005, "retain needs a window to go by",
                   "GROUP BY TUMBLE, HOP or SESSION");
  }
  KAPPA_CHECK_OK(check_event_times(*retained, options.retain->name.place, "retain"));
  view.root = retained;
  return {};
}

std::vector<std::string> reads_of(const Planner& planner) {
  std::vector<std::string> reads = planner.streams;
  reads.insert(reads.end(), planner.views.begin(), planner.views.end());
  return reads;
}

Expected<Relation> relation_of_view(Planner& planner, const Query& query) {
  KAPPA_TRY(Relation relation, planner.query(query));
  KAPPA_CHECK_OK(planner.check_rank(relation));
  if (planner.as_of_offset) {
    return fail_at(query.place, ErrorCode::kInvalid, 2005, "AS OF OFFSET is not allowed in a view",
                   "a view follows the log; WHERE _offset < N cuts it");
  }
  return planner.limited(std::move(relation));
}

}  // namespace

Planner::Planner(const CatalogReader& catalog, bool in_view) : catalog_(catalog) {
  context_.in_view = in_view;
  context_.now_micros = std::chrono::duration_cast<std::chrono::microseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
}

Expected<Relation> Planner::latest_relation(const CreateTableSyntax& syntax) {
  auto stream = catalog_.stream(syntax.source.text);
  if (!stream) {
    if (!catalog_.view(syntax.source.text)) return unknown_relation(syntax.source, catalog_);
    return fail_at(syntax.source.place, ErrorCode::kInvalid, 2005,
                   "LATEST reads a stream, \"" + syntax.source.text + "\" is a view or table",
                   "a view has one row a key already: join it as it is");
  }
  KAPPA_TRY(Relation relation, stream_relation({}, stream));
  ExpressionBinder binder(relation.scope, context_, {"BY", nullptr, nullptr, nullptr});
  auto plan = make_node(PlanKind::kTopK, relation.base);
  std::vector<std::string> names;
  for (const Column& column : relation.base->output) names.push_back(column.name);
  std::vector<std::string> key_names;
  for (const NodePtr& key : syntax.keys) {
    KAPPA_TRY(ExpressionPtr bound, binder.bind(key));
    if (bound->type.id == TypeId::kJson) {
      return fail_at(key->place, ErrorCode::kInvalid, 2002, "JSON cannot be a key", "->> opens JSON as TEXT");
    }
    key_names.push_back(to_string(*bound, names));
    plan->top_k.partition.push_back(typed(bound));
  }
  plan->top_k.order = {{relation.key.front(), true, true}};
  plan->top_k.rank_keys = 1;
  plan->top_k.limit = 1;
  if (syntax.delete_when) {
    ExpressionBinder condition(relation.scope, context_, {"DELETE WHEN", nullptr, nullptr, nullptr});
    KAPPA_TRY(ExpressionPtr deleted, condition.bind_condition(syntax.delete_when));
    KAPPA_TRY(relation.predicate, make_call("is not true", {deleted}));
    relation.history_deleted = std::move(deleted);
  }
  relation.key = plan->top_k.partition;
  relation.key_names = std::move(key_names);
  relation.identity = Identity::kKeyed;
  std::erase_if(relation.scope.columns, [](const ScopeColumn& column) { return column.hidden; });
  relation.scope.tie_break.clear();
  relation.base = std::move(plan);
  return relation;
}

std::unexpected<Error> unknown_relation(const Name& name, const CatalogReader& catalog) {
  return fail_at(name.place, ErrorCode::kNotFound, 2003, "no view or stream \"" + name.text + "\"",
                 did_you_mean(name.text, catalog.names()));
}

Status check_new_name(const Name& name, bool may_exist, const CatalogReader& catalog) {
  if (name.text.size() > limits::kTopicNameBytesMax) {
    return fail_at(name.place, ErrorCode::kTooLarge, 2009,
                   "a name has at most " + std::to_string(limits::kTopicNameBytesMax) + " bytes");
  }
  if (may_exist) return {};
  const bool stream = catalog.stream(name.text) != nullptr;
  const auto view = catalog.view(name.text);
  if (!stream && !view) return {};
  const char* const what = stream ? "stream" : view->table ? "table" : "view";
  return fail_at(name.place, ErrorCode::kExists, 2007,
                 std::string("a ") + what + " \"" + name.text + "\" exists already",
                 "IF NOT EXISTS leaves it as it is");
}

Expected<Select> plan_select(const Query& query, const CatalogReader& catalog) {
  Planner planner(catalog, false);
  KAPPA_TRY(const Relation relation, planner.query(query));
  Select select;
  select.plan = prune(optimize(finish(relation)));
  select.views = std::move(planner.views);
  select.streams = std::move(planner.streams);
  select.as_of_offset = planner.as_of_offset;
  return select;
}

Expected<CreateView> plan_view(const CreateViewSyntax& syntax, const CatalogReader& catalog) {
  KAPPA_CHECK_OK(check_new_name(syntax.name, syntax.if_not_exists || syntax.or_replace, catalog));
  KAPPA_TRY(const ViewOptions options,
            view_options(syntax.options, "a view", {"retain", "unbounded_join", "cutover", "keep_old"}));
  if (syntax.emit == EmitSyntax::kOnWindowClose) {
    return fail_at(syntax.emit_place, ErrorCode::kInvalid, 2005,
                   "EMIT ON WINDOW CLOSE belongs to a stream: the rows of a view are always current",
                   "CREATE STREAM ... AS SELECT ... EMIT ON WINDOW CLOSE writes them to the log");
  }
  CreateView view;
  view.name = syntax.name.text;
  view.if_not_exists = syntax.if_not_exists;
  view.or_replace = syntax.or_replace;
  view.replace = options.replace;
  Planner planner(catalog, true);
  KAPPA_TRY(const Relation relation, relation_of_view(planner, *syntax.query));
  KAPPA_TRY(view.plan, view_plan(relation, syntax.query->place));
  KAPPA_CHECK_OK(apply_options(view.plan, options, syntax.query->place));
  view.reads = reads_of(planner);
  return view;
}

Expected<CreateView> plan_table(const CreateTableSyntax& syntax, const CatalogReader& catalog) {
  KAPPA_CHECK_OK(check_new_name(syntax.name, syntax.if_not_exists || syntax.or_replace, catalog));
  KAPPA_TRY(const ViewOptions options, view_options(syntax.options, "a table", {"cutover", "keep_old"}));
  CreateView table;
  table.name = syntax.name.text;
  table.if_not_exists = syntax.if_not_exists;
  table.or_replace = syntax.or_replace;
  table.replace = options.replace;
  Planner planner(catalog, true);
  KAPPA_TRY(const Relation relation, planner.latest_relation(syntax));
  KAPPA_TRY(table.plan, view_plan(relation, syntax.source.place));
  auto definition = std::make_shared<TableDefinition>();
  definition->stream = catalog.stream(syntax.source.text);
  definition->delete_when = relation.history_deleted;
  table.table = std::move(definition);
  table.reads = reads_of(planner);
  return table;
}

Expected<CreateStream> plan_derived(const CreateStreamSyntax& syntax, const CatalogReader& catalog) {
  KAPPA_CHECK_OK(check_new_name(syntax.name, syntax.if_not_exists || syntax.or_replace, catalog));
  KAPPA_TRY(const ViewOptions options,
            view_options(syntax.options, "a derived stream", {"topic", "event_time", "delay", "unbounded_join", "cutover", "keep_old"}));
  CreateStream stream;
  stream.if_not_exists = syntax.if_not_exists;
  stream.or_replace = syntax.or_replace;
  stream.replace = options.replace;
  Planner planner(catalog, true);
  KAPPA_TRY(const Relation relation, relation_of_view(planner, *syntax.query));
  KAPPA_TRY(ViewPlan plan, view_plan(relation, syntax.query->place));
  KAPPA_CHECK_OK(apply_options(plan, options, syntax.query->place));
  plan.emit = ViewPlan::Emit::kChanges;
  if (syntax.emit == EmitSyntax::kOnWindowClose) {
    const PlanPtr closing =
        with_window_aggregate(plan.root, false, [](Plan& aggregate) { aggregate.emit_on_close = true; });
    if (!closing) {
      return fail_at(syntax.emit_place, ErrorCode::kInvalid, 2005,
                     "EMIT ON WINDOW CLOSE needs a window that closes",
                     "GROUP BY TUMBLE, HOP or SESSION; EMIT CHANGES gives every change");
    }
    KAPPA_CHECK_OK(check_event_times(*closing, syntax.emit_place, "EMIT ON WINDOW CLOSE"));
    plan.root = closing;
    plan.emit = ViewPlan::Emit::kOnWindowClose;
  }
  auto definition = std::make_shared<StreamDefinition>();
  definition->name = syntax.name.text;
  definition->topic = options.topic != nullptr ? options.topic->value : syntax.name.text;
  if (definition->topic.empty() || definition->topic.size() > limits::kTopicNameBytesMax) {
    return fail_at(options.topic->value_place, ErrorCode::kInvalid, 2005,
                   "a topic's name has 1 to " + std::to_string(limits::kTopicNameBytesMax) + " bytes");
  }
  for (std::size_t i = 0; i < plan.visible_columns; ++i) {
    StreamColumn column;
    column.name = plan.root->output[i].name;
    column.type = plan.root->output[i].type;
    column.path.push_back({column.name, 0});
    definition->columns.push_back(std::move(column));
  }
  // A topic that feeds the stream must not be the one that it writes.
  for (const Plan* scan : scans_of(*plan.root)) {
    if (scan->kind != PlanKind::kStreamScan || scan->stream->topic != definition->topic) continue;
    return fail_at(syntax.name.place, ErrorCode::kInvalid, 2005,
                   "the stream would read what it writes: topic \"" + definition->topic + "\"",
                   "write to another topic: WITH (topic = '...')");
  }
  if (options.event_time != nullptr) {
    for (std::size_t i = 0; i < definition->columns.size(); ++i) {
      if (definition->columns[i].name == options.event_time->value) definition->event_time = i;
    }
    if (!definition->event_time || definition->columns[*definition->event_time].type.id != TypeId::kTimestamp) {
      return fail_at(options.event_time->value_place, ErrorCode::kNotFound, 2006,
                     "event_time names no TIMESTAMP column: \"" + options.event_time->value + "\"");
    }
  }
  if (options.delay != nullptr) {
    const auto delay = parse_interval(options.delay->value);
    if (!delay || *delay < 0) {
      return fail_at(options.delay->value_place, ErrorCode::kInvalid, 2002,
                     "'" + options.delay->value + "' is not a valid delay", "for example delay = '5 seconds'");
    }
    definition->delay_micros = *delay;
  }
  stream.definition = std::move(definition);
  stream.plan = std::make_shared<const ViewPlan>(std::move(plan));
  stream.reads = reads_of(planner);
  return stream;
}

}  // namespace kappa::processor::sql
