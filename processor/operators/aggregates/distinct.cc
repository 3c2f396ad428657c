// DISTINCT: another aggregate over each value once. A side table counts the values of each group; the
// inner aggregate sees +1 when a value comes for the first time and -1 when its last copy goes.
#include "processor/operators/aggregates/multiset.h"

namespace kappa::processor {
namespace {

class Distinct final : public AggregateFunction {
 public:
  Distinct(MultisetTable values, std::unique_ptr<AggregateFunction> inner)
      : values_(std::move(values)), inner_(std::move(inner)) {}

  [[nodiscard]] std::size_t fixed_bytes() const override { return inner_->fixed_bytes(); }
  [[nodiscard]] bool has_variable() const override { return inner_->has_variable(); }
  [[nodiscard]] Status prepare(const AggregateRows& rows) override { return values_.prepare(rows); }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    rows_.clear();
    weights_.resize(rows.group_of.size());
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      StateEntry* const entry = values_.entry(i);
      if (entry == nullptr) continue;
      const std::uint32_t row = rows.rows[i];
      const MultisetTable::Change change = values_.add(*entry, rows.weight(row));
      if (change == MultisetTable::Change::kNone) continue;
      weights_[row] = change == MultisetTable::Change::kCame ? 1 : -1;
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
  MultisetTable values_;
  std::unique_ptr<AggregateFunction> inner_;
  Selection rows_;
  std::vector<std::int64_t> weights_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_distinct(const AggregateContext& context,
                                                 std::unique_ptr<AggregateFunction> inner) {
  return std::make_unique<Distinct>(MultisetTable(context.store, context.next_table++, context.input),
                                    std::move(inner));
}

}  // namespace kappa::processor
