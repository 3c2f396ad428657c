// A bounded query: rows stream through its operators, aggregates and what takes rows back gather in memory, a
// sort ends it. See build.h.
#include "processor/operators/build.h"
#include "processor/operators/plan_builder.h"
#include "processor/operators/rows.h"
#include "processor/operators/sort.h"
#include "processor/operators/view_reader.h"

namespace kappa::processor {
namespace {

class DataflowRun final : public QueryRun {
 public:
  explicit DataflowRun(std::size_t memory_bytes_max)
      : memory_bytes_max_(memory_bytes_max), state_(make_memory_state()) {}

  [[nodiscard]] Status build(const PlanPtr& root, InputKind input, std::function<bool(std::vector<Row>)> emit) {
    OutputOperator::Options output;
    output.columns = root->output.size();
    plan_ = root->kind == PlanKind::kSort ? root->input : root;
    if (root->kind == PlanKind::kSort) {
      output.limit = root->limit;
      output.offset = root->offset;
    }
    output_ = &ends_.add<OutputOperator>(output, std::move(emit));
    end_ = output_;
    if (root->kind == PlanKind::kSort && !root->sort_keys.empty()) {
      sort_ = &ends_.add<SortOperator>(*root, memory_bytes_max_, *output_);  // Rows reach it on finish().
      end_ = sort_;
    }
    // What is looked up as it was has to be there when its time comes, not at the end.
    ViewPlan whole;
    whole.root = plan_;
    const bool at_end = granularity_of(whole) == Granularity::kChunk;
    PlanBuilder builder(flow_, *state_,
                        {.scans_take_back = input == InputKind::kRetracting, .aggregates_at_end = at_end});
    Operator* into = end_;
    if (builder.kind(*plan_) == InputKind::kRetracting) {
      // A row that was given cannot be taken back, so all of them wait for the end.
      RowsOperator::Options options;
      options.table = kRowsTable;
      for (std::size_t i = 0; i < plan_->output.size(); ++i) options.key_columns.push_back(i);
      into = &ends_.add<RowsOperator>(*state_, std::move(options));
      collects_ = true;
    }
    KAPPA_CHECK_OK(builder.build(*plan_, *into));
    gathering_ = builder.gathering();
    return flow_.start();
  }

  [[nodiscard]] Expected<bool> push(std::size_t head, const ChangeBatch& batch) override {
    if (output_->full()) return false;
    KAPPA_CHECK_OK(flow_.heads()[head].in->push(batch));
    KAPPA_CHECK_OK(check_memory());
    output_->flush_if_old();
    return sort_ != nullptr || collects_ || !gathering_.empty() || !output_->full();
  }

  [[nodiscard]] Status finish() override {
    for (AggregateOperator* const aggregate : gathering_) {
      publish();
      KAPPA_CHECK_OK(aggregate->give_groups());
      KAPPA_CHECK_OK(check_memory());
    }
    publish();
    if (collects_) KAPPA_CHECK_OK(give_collected());
    if (sort_ != nullptr) sort_->finish();
    output_->flush();
    return {};
  }

 private:

  // Snapshots see what was published.
  void publish() {
    state_->begin_publish();
    state_->end_publish({});
  }
  [[nodiscard]] Status check_memory() const {
    // Handing the groups on copies them once.
    if (2 * state_->active_bytes() <= memory_bytes_max_) return {};
    return fail(ErrorCode::kTooLarge, 4010,
                "what the query's operators keep needs more than " + std::to_string(memory_bytes_max_) + " bytes",
                "group by fewer values, filter more, or make it a materialized view");
  }
  [[nodiscard]] Status give_collected() {
    std::vector<Type> types;
    for (const Column& column : plan_->output) types.push_back(column.type);
    BatchBuilder out(plan_->output);
    KAPPA_TRY(const std::shared_ptr<StateSnapshot> snapshot, state_->snapshot());
    const std::unique_ptr<StateCursor> cursor = snapshot->scan(kRowsTable, {}, false);
    while (sort_ != nullptr || !output_->full()) {
      KAPPA_TRY(const auto entry, cursor->next());
      if (!entry) break;
      KAPPA_TRY(const auto stored, read_stored_row(entry->value, types));
      if (stored) KAPPA_CHECK_OK(out.add(stored->row, stored->weight, end_));
    }
    return out.give_to(end_);
  }

  const std::size_t memory_bytes_max_;
  const std::unique_ptr<StateStore> state_;
  PlanPtr plan_;  // Without the sort.
  Dataflow ends_;
  Dataflow flow_;  // After the state and the ends that it refers to: destroyed first.
  std::vector<AggregateOperator*> gathering_;
  OutputOperator* output_ = nullptr;
  SortOperator* sort_ = nullptr;
  Operator* end_ = nullptr;  // The sort, else the output.
  bool collects_ = false;
};

}  // namespace

Expected<std::unique_ptr<QueryRun>> build_query(const PlanPtr& plan, InputKind input,
                                                std::size_t memory_bytes_max,
                                                std::function<bool(std::vector<Row>)> emit) {
  auto run = std::make_unique<DataflowRun>(memory_bytes_max);
  KAPPA_CHECK_OK(run->build(plan, input, std::move(emit)));
  return run;
}

}  // namespace kappa::processor
