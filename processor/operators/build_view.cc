// The operators of a materialized view. See build.h.
//
// From the scan up, each filter and projection becomes an operator and each aggregate an
// AggregateOperator that gives its changes on; what lies above the last aggregate (HAVING and the
// SELECT list) is not run as events come but when a row is read. Input that takes rows back, and
// everything after an aggregate, makes aggregates keep what they need for that.
#include "processor/operators/aggregate.h"
#include "processor/operators/build.h"
#include "processor/operators/filter.h"
#include "processor/operators/rows.h"
#include "processor/operators/view_reader.h"

namespace kappa::processor {
namespace {

// Appends operators to a chain.
class Chain {
 public:
  explicit Chain(Dataflow& flow) : flow_(flow) {}
  template <class T, class... Arguments>
  void add(Arguments&&... arguments) {
    T& added = flow_.add<T>(std::forward<Arguments>(arguments)...);
    if (tail_ == nullptr)
      head_ = &added;
    else
      tail_->set_next(&added);
    tail_ = &added;
  }
  [[nodiscard]] Operator& head() { return *head_; }

 private:
  Dataflow& flow_;
  Operator* head_ = nullptr;
  Operator* tail_ = nullptr;
};

bool is_scan(const Plan& plan) {
  return plan.kind == PlanKind::kStreamScan || plan.kind == PlanKind::kViewScan ||
         plan.kind == PlanKind::kValues;
}

std::unexpected<Error> not_in_a_view(const char* what) {
  return fail(ErrorCode::kUnsupported, 2008, std::string(what) + " in a view is not in this version");
}

}  // namespace

const Plan& scan_of(const Plan& plan) {
  const Plan* at = &plan;
  while (!is_scan(*at)) at = at->input.get();
  return *at;
}

Expected<BuiltView> build_view(const ViewPlan& plan, InputKind input, StateStore& store,
                               std::uint64_t& row_count) {
  std::vector<PlanPtr> nodes;  // From the bottom up, without the scan.
  for (PlanPtr at = plan.root; !is_scan(*at); at = at->input) nodes.insert(nodes.begin(), at);
  std::size_t last = nodes.size();  // The last aggregate.
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i]->kind == PlanKind::kAggregate) last = i;
    if (nodes[i]->kind == PlanKind::kSort) return not_in_a_view("ORDER BY or LIMIT");
  }

  BuiltView built;
  Chain chain(built.flow);
  // Table 0 is the view's rows; inner aggregates and side tables follow.
  TableId next_table = 1;
  InputKind kind = input;
  for (std::size_t i = 0; i < nodes.size() && i <= last; ++i) {
    const Plan& node = *nodes[i];
    if (node.kind == PlanKind::kFilter) {
      chain.add<FilterOperator>(node.predicate);
    } else if (node.kind == PlanKind::kProject) {
      chain.add<ProjectOperator>(node.expressions);
    } else {
      AggregateOperator::Options options;
      const bool final = i == last;
      options.table = final ? TableId{0} : next_table++;
      options.row_count = final ? &row_count : nullptr;
      options.gives_changes = !final;
      if (final) {
        TableId same = next_table;
        KAPPA_TRY(auto reading, AggregateSet::make(node, kind, nullptr, same));
        built.reader = std::make_shared<AggregateReader>(
            std::move(reading), options.table,
            std::make_unique<RowFinisher>(
                std::vector(nodes.begin() + static_cast<std::ptrdiff_t>(i) + 1, nodes.end()), node.output));
      }
      KAPPA_TRY(auto aggregates, AggregateSet::make(node, kind, &store, next_table));
      chain.add<AggregateOperator>(node, std::move(aggregates), store, options);
      kind = InputKind::kRetracting;  // What follows sees rows replaced.
    }
  }
  if (!built.reader) {
    RowsOperator::Options options;
    options.key_columns = plan.key_columns;
    options.row_count = &row_count;
    options.unique = plan.append_only_key && kind == InputKind::kAppendOnly;
    built.reader = std::make_shared<RowsReader>(plan.root->output, plan.key_columns, options.table);
    chain.add<RowsOperator>(store, std::move(options));
  }
  built.flow.add_head(scan_of(*plan.root), chain.head());
  return built;
}

}  // namespace kappa::processor
