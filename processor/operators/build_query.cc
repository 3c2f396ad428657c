// A bounded query: filters and projections stream, aggregates gather in memory, a sort ends it.
// See build.h.
#include "processor/operators/aggregate.h"
#include "processor/operators/build.h"
#include "processor/operators/filter.h"
#include "processor/operators/sort.h"

namespace kappa::processor {
namespace {

class ChainRun final : public QueryRun {
 public:
  explicit ChainRun(std::size_t memory_bytes_max) : memory_bytes_max_(memory_bytes_max) {}

  [[nodiscard]] Status build(const PlanPtr& root, InputKind input,
                             std::function<bool(std::vector<Row>)> emit) {
    OutputOperator::Options output;
    output.columns = root->output.size();
    PlanPtr at = root;
    const Plan* sort = nullptr;
    if (at->kind == PlanKind::kSort) {
      output.limit = at->limit;
      output.offset = at->offset;
      if (!at->sort_keys.empty()) sort = at.get();
      at = at->input;
    }
    output_ = &flow_.add<OutputOperator>(output, std::move(emit));
    head_ = output_;
    if (sort != nullptr) {
      sort_ = &flow_.add<SortOperator>(*sort, memory_bytes_max_, *output_);  // Rows reach it on finish().
      head_ = sort_;
    }
    // From the top down, each in front of what there is.
    std::vector<const Plan*> nodes;
    for (; at->input != nullptr; at = at->input) nodes.push_back(at.get());
    std::vector<InputKind> kinds(nodes.size(), input);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      // What a finished aggregate gives is never taken back.
      for (std::size_t below = i + 1; below < nodes.size(); ++below) {
        if (nodes[below]->kind == PlanKind::kAggregate) kinds[i] = InputKind::kAppendOnly;
      }
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const Plan& node = *nodes[i];
      Operator* made = nullptr;
      switch (node.kind) {
        case PlanKind::kFilter: made = &flow_.add<FilterOperator>(node.predicate); break;
        case PlanKind::kProject: made = &flow_.add<ProjectOperator>(node.expressions); break;
        case PlanKind::kAggregate: {
          Gathering& gathering = gatherings_.emplace_back();
          gathering.state = make_memory_state();
          TableId next_table = 1;
          KAPPA_TRY(auto aggregates, AggregateSet::make(node, kinds[i], gathering.state.get(), next_table));
          gathering.aggregate = &flow_.add<AggregateOperator>(node, std::move(aggregates), *gathering.state,
                                                              AggregateOperator::Options{});
          made = gathering.aggregate;
          break;
        }
        case PlanKind::kSort:
        case PlanKind::kWindow:
        case PlanKind::kJoin:
        case PlanKind::kTopK:
        case PlanKind::kUnion: return fail(ErrorCode::kUnsupported, 2008, "the query's shape is not in this version");
        case PlanKind::kStreamScan:
        case PlanKind::kViewScan:
        case PlanKind::kValues: break;
      }
      made->set_next(head_);
      head_ = made;
    }
    for (Gathering& gathering : gatherings_) KAPPA_CHECK_OK(gathering.aggregate->start());
    return {};
  }

  [[nodiscard]] Expected<bool> push(const ChangeBatch& batch) override {
    if (output_->full()) return false;
    KAPPA_CHECK_OK(head_->push(batch));
    KAPPA_CHECK_OK(check_memory());
    return !(sort_ == nullptr && gatherings_.empty() && output_->full());
  }

  [[nodiscard]] Status finish() override {
    // From the bottom up: the last made is the lowest.
    while (!gatherings_.empty()) {
      KAPPA_CHECK_OK(gatherings_.back().aggregate->give_groups());
      done_.push_back(std::move(gatherings_.back()));
      gatherings_.pop_back();
      KAPPA_CHECK_OK(check_memory());
    }
    if (sort_ != nullptr) sort_->finish();
    output_->flush();
    return {};
  }

 private:
  struct Gathering {
    std::unique_ptr<StateStore> state;
    AggregateOperator* aggregate = nullptr;
  };
  [[nodiscard]] Status check_memory() const {
    std::size_t bytes = 0;
    // Handing the groups on copies them once.
    for (const Gathering& gathering : gatherings_) bytes += 2 * gathering.state->active_bytes();
    if (bytes <= memory_bytes_max_) return {};
    return fail(ErrorCode::kTooLarge, 4010,
                "the query's groups need more than " + std::to_string(memory_bytes_max_) + " bytes",
                "group by fewer values, filter more, or make it a materialized view");
  }

  std::size_t memory_bytes_max_;
  std::vector<Gathering> gatherings_;  // From the top of the plan down.
  std::vector<Gathering> done_;
  Dataflow flow_;  // After the states that it refers to: destroyed first.
  Operator* head_ = nullptr;
  OutputOperator* output_ = nullptr;
  SortOperator* sort_ = nullptr;
};

}  // namespace

Expected<std::unique_ptr<QueryRun>> build_query(const PlanPtr& plan, InputKind input,
                                                std::size_t memory_bytes_max,
                                                std::function<bool(std::vector<Row>)> emit) {
  auto run = std::make_unique<ChainRun>(memory_bytes_max);
  KAPPA_CHECK_OK(run->build(plan, input, std::move(emit)));
  return run;
}

}  // namespace kappa::processor
