// The operators of a materialized view. See build.h.
//
// Each node of the plan becomes an operator that gives its changes on (plan_builder.h). A view that ends in an
// aggregate keeps its groups only: what lies above it (HAVING and the SELECT list) is not run as events come but
// when a row is read, and of panes the windows too. Every other view keeps its rows. A derived stream keeps neither.
#include "processor/operators/build.h"
#include "processor/operators/pane_reader.h"
#include "processor/operators/plan_builder.h"
#include "processor/operators/rows.h"
#include "processor/operators/view_reader.h"

namespace kappa::processor {

Expected<BuiltView> build_view(const ViewPlan& plan, InputKind input, StateStore& store,
                               std::uint64_t& row_count, Operator* sink) {
  BuiltView built;
  PlanBuilder builder(built.flow, store, {.scans_take_back = input == InputKind::kRetracting});
  if (sink != nullptr) {
    KAPPA_CHECK_OK(builder.build(*plan.root, *sink));
    return built;
  }
  std::vector<PlanPtr> above;  // The last aggregate, from the bottom up.
  PlanPtr last = plan.root;
  for (; last->kind == PlanKind::kFilter || last->kind == PlanKind::kProject; last = last->input)
    above.insert(above.begin(), last);
  // Sessions are found by where they start: their groups have one key more than the view.
  if (last->kind == PlanKind::kAggregate && last->group_keys.size() == plan.key_columns.size()) {
    TableId reading = builder.next_table();
    KAPPA_TRY(auto aggregates, AggregateSet::make(*last, builder.kind(*last->input), nullptr, reading));
    auto reader = std::make_unique<AggregateReader>(
        std::move(aggregates), kRowsTable, std::make_unique<RowFinisher>(std::move(above), last->output));
    if (auto panes = builder.panes(*last); panes && panes->in_order) {
      built.reader = std::make_shared<PaneReader>(*panes, std::move(reader));
      KAPPA_CHECK_OK(builder.build_last_panes(*last, std::move(*panes), kRowsTable, row_count));
      return built;
    }
    built.reader = std::move(reader);
    KAPPA_CHECK_OK(builder.build_last_aggregate(*last, kRowsTable, row_count));
    return built;
  }
  RowsOperator::Options options;
  options.table = kRowsTable;
  options.key_columns = plan.key_columns;
  options.row_count = &row_count;
  options.unique = plan.append_only_key && builder.kind(*plan.root) == InputKind::kAppendOnly;
  built.reader = std::make_shared<RowsReader>(plan.root->output, plan.key_columns, kRowsTable);
  auto rows = std::make_unique<RowsOperator>(store, std::move(options));
  KAPPA_CHECK_OK(builder.build(*plan.root, *rows));
  built.flow.adopt(std::move(rows));
  return built;
}

}  // namespace kappa::processor
