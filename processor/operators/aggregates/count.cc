// count(*) and count(x): an i64. count(*) without FILTER is the group's row weight and keeps nothing.
#include "processor/operators/aggregates/aggregate.h"

namespace kappa::processor {
namespace {

class RowCount final : public AggregateFunction {
 public:
  [[nodiscard]] std::size_t fixed_bytes() const override { return 0; }
  [[nodiscard]] Status update(const AggregateRows&) override { return {}; }
  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue&, std::string_view) const override { return {}; }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    return Value::bigint(GroupLayout::weight(group));
  }
};

class Count final : public AggregateFunction {
 public:
  [[nodiscard]] std::size_t fixed_bytes() const override { return 8; }
  [[nodiscard]] Status update(const AggregateRows& rows) override {
    const std::uint8_t* const valid = rows.arguments.empty() ? nullptr : rows.arguments[0]->valid();
    for (const std::uint32_t row : rows.rows) {
      if (valid != nullptr && !valid[row]) continue;
      char* const at = block(rows.group(row));
      store_raw(at, load_raw<std::int64_t>(at) + rows.weight(row));
    }
    return {};
  }
  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    add_raw<std::int64_t>(block(into), load_raw<std::int64_t>(block(from)));
    return {};
  }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    return Value::bigint(load_raw<std::int64_t>(block(group)));
  }
};

}  // namespace

std::unique_ptr<AggregateFunction> make_count(const AggregateContext& context) {
  const Aggregate& aggregate = context.aggregate;
  if (aggregate.arguments.empty() && !aggregate.filter && !aggregate.distinct)
    return std::make_unique<RowCount>();
  return std::make_unique<Count>();
}

}  // namespace kappa::processor
