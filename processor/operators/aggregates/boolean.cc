// bool_and and bool_or: how many values there are and how many of them are true, so that both take back.
//
//   i64 values | i64 true ones
#include "processor/operators/aggregates/aggregate.h"

namespace kappa::processor {
namespace {

class Boolean final : public AggregateFunction {
 public:
  explicit Boolean(bool all) : all_(all) {}
  [[nodiscard]] std::size_t fixed_bytes() const override { return 16; }
  [[nodiscard]] Status update(const AggregateRows& rows) override {
    const std::uint8_t* const valid = rows.arguments[0]->valid();
    const std::uint8_t* const values = rows.arguments[0]->data<std::uint8_t>();
    for (const std::uint32_t row : rows.rows) {
      if (!valid[row]) continue;
      const std::int64_t weight = rows.weight(row);
      char* const at = block(rows.group(row));
      add_raw(at, weight);
      if (values[row] != 0) add_raw(at + 8, weight);
    }
    return {};
  }
  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    add_raw(block(into), load_raw<std::int64_t>(block(from)));
    add_raw(block(into) + 8, load_raw<std::int64_t>(block(from) + 8));
    return {};
  }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    const auto values = load_raw<std::int64_t>(block(group));
    const auto true_ones = load_raw<std::int64_t>(block(group) + 8);
    if (values == 0) return Value::null(kBooleanType);
    return Value::boolean(all_ ? true_ones == values : true_ones > 0);
  }

 private:
  bool all_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_boolean(const AggregateContext& context) {
  return std::make_unique<Boolean>(context.aggregate.function == "bool_and");
}

}  // namespace kappa::processor
