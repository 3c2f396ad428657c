// DISTINCT: another aggregate over each value once. A side table counts the values of each group; the
// inner aggregate sees +1 when a value comes for the first time and -1 when its last copy goes.
#include "processor/operators/aggregates/multiset.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

class Distinct final : public AggregateFunction {
 public:
  Distinct(MultisetTable::Use values, std::unique_ptr<AggregateFunction> inner)
      : values_(values), inner_(std::move(inner)) {}

  [[nodiscard]] std::size_t fixed_bytes() const override { return inner_->fixed_bytes(); }
  [[nodiscard]] bool has_variable() const override { return inner_->has_variable(); }

  [[nodiscard]] Status prepare(const AggregateRows& rows) override {
    if (!values_.owner) return {};
    const Vector& argument = *rows.arguments[0];
    return values_.table->prepare(values_.slot, rows, [&](std::uint32_t row, std::string& key) {
      if (!argument.valid()[row]) return false;
      append_key(argument, row, key);
      return true;
    });
  }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    if (values_.owner) values_.table->update(values_.slot, rows);
    const std::vector<MultisetTable::Step>& steps = values_.table->steps(values_.slot);
    rows_.clear();
    weights_.resize(rows.group_of.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const MultisetTable::Step& step = steps[i];
      if (!step.came() && !step.went()) continue;
      const std::uint32_t row = rows.rows[i];
      weights_[row] = step.came() ? 1 : -1;
      rows_.push_back(row);
    }
    AggregateRows once = rows;
    once.rows = rows_;
    once.weights = weights_;
    return inner_->update(once);
  }

  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    return inner_->result(group);
  }

 protected:
  void placed() override { inner_->place(layout(), number()); }

 private:
  MultisetTable::Use values_;
  std::unique_ptr<AggregateFunction> inner_;
  Selection rows_;
  std::vector<std::int64_t> weights_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_distinct(const AggregateContext& context,
                                                 std::unique_ptr<AggregateFunction> inner) {
  MultisetTable::Spec spec;
  spec.key = {{context.aggregate.arguments.at(0)}};
  spec.left_out = context.aggregate.arguments[0];
  spec.counted = context.input == InputKind::kRetracting;
  return std::make_unique<Distinct>(context.multisets.use(context, std::move(spec)), std::move(inner));
}

}  // namespace kappa::processor
