// approx_quantile(x, p): a DDSketch (ddsketch.h) of the values as doubles; the one at p (n - 1), rounded
// down.
//
//   u32 length | i64 values | variable: the sketch; empty: no value
#include "processor/operators/aggregates/aggregate.h"
#include "processor/operators/aggregates/ddsketch.h"
#include "processor/operators/aggregates/fraction.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "the sketch of a group is damaged",
              "the view is rebuilt from the log");
}

class ApproxQuantile final : public AggregateFunction {
 public:
  ApproxQuantile(Type argument, double p) : argument_(argument), fraction_(p) {
    for (unsigned i = 0; i < argument.scale; ++i) scale_ *= 10;
  }
  [[nodiscard]] std::size_t fixed_bytes() const override { return 12; }
  [[nodiscard]] bool has_variable() const override { return true; }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    const Vector& argument = *rows.arguments[0];
    for (const std::uint32_t row : rows.rows) {
      if (!argument.valid()[row]) continue;
      StateEntry& group = rows.group(row);
      add_raw(block(group) + 4, rows.weight(row));
      add(group.value, ddsketch::bucket_of(number_at(argument, row)), rows.weight(row));
    }
    return {};
  }

  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    const auto both = ddsketch::merged(layout().variable(into, number()), layout().variable(from, number()));
    if (!both) return damaged();
    add_raw(block(into) + 4, load_raw<std::int64_t>(block(from) + 4));
    layout().set_variable(into, number(), *both);
    return {};
  }

  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    const auto count = load_raw<std::int64_t>(block(group) + 4);
    if (count <= 0) return Value::null(kDoubleType);
    const auto value = ddsketch::value_at(layout().variable(group, number()), fraction_.of(count - 1).whole);
    return value ? Value::real(*value) : Value::null(kDoubleType);
  }

 private:
  [[nodiscard]] double number_at(const Vector& argument, std::uint32_t row) const {
    switch (argument_.id) {
      case TypeId::kDouble: return argument.data<double>()[row];
      case TypeId::kNumeric: return static_cast<double>(argument.data<Int128>()[row]) / scale_;
      default: return static_cast<double>(argument.data<std::int64_t>()[row]);
    }
  }
  void add(EntryValue& group, std::int32_t bucket, std::int64_t weight) const {
    const std::string_view sketch = layout().variable(group, number());
    const ddsketch::Place place = ddsketch::find(sketch, bucket);
    if (place.found) {
      char* const count = group.data() + (sketch.data() - group.view().data()) + place.at + 4;
      add_raw(count, weight);
      if (load_raw<std::int64_t>(count) != 0) return;
    }
    std::string changed(sketch.substr(0, place.at));
    if (!place.found) ddsketch::append(changed, bucket, weight);
    changed += sketch.substr(place.at + (place.found ? ddsketch::kBucketBytes : 0));
    layout().set_variable(group, number(), changed);
  }

  Type argument_;
  Fraction fraction_;
  double scale_ = 1;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_approx_quantile(const AggregateContext& context) {
  return std::make_unique<ApproxQuantile>(context.aggregate.arguments.at(0)->type,
                                          context.aggregate.parameters.at(0).as_double());
}

}  // namespace kappa::processor
