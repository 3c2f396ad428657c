// approx_count_distinct: a HyperLogLog sketch (hyperloglog.h) of the XXH3 hashes of the values' key bytes.
//
//   u32 length | variable: the sketch; empty: no value
//
// A sketch cannot forget: on input that takes rows back the aggregate is refused.
#include <cmath>

#include "processor/operators/aggregates/aggregate.h"
#include "processor/operators/aggregates/hyperloglog.h"
#include "processor/state/hash.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "the sketch of a group is damaged",
              "the view is rebuilt from the log");
}

class ApproxCountDistinct final : public AggregateFunction {
 public:
  [[nodiscard]] std::size_t fixed_bytes() const override { return 4; }
  [[nodiscard]] bool has_variable() const override { return true; }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    const Vector& argument = *rows.arguments[0];
    for (const std::uint32_t row : rows.rows) {
      if (!argument.valid()[row]) continue;
      key_.clear();
      append_key(argument, row, key_);
      const hyperloglog::Rank value = hyperloglog::rank_of(XXH3_64bits(key_.data(), key_.size()));
      EntryValue& group = rows.group(row).value;
      const std::string_view sketch = layout().variable(group, number());
      char* const at = group.data() + (sketch.data() - group.view().data());
      if (hyperloglog::add_in_place(at, sketch.size(), value) != hyperloglog::Added::kNeedsRoom) continue;
      layout().set_variable(group, number(), hyperloglog::with(sketch, value));
    }
    return {};
  }

  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    const auto both =
        hyperloglog::merged(layout().variable(into, number()), layout().variable(from, number()));
    if (!both) return damaged();
    layout().set_variable(into, number(), *both);
    return {};
  }

  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    const std::string_view sketch = layout().variable(group, number());
    if (sketch.empty()) return Value::bigint(0);
    const std::optional<double> estimate = hyperloglog::estimate(sketch);
    if (!estimate) return damaged();
    return Value::bigint(std::llround(*estimate));
  }

 private:
  std::string key_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_approx_count_distinct(const AggregateContext&) {
  return std::make_unique<ApproxCountDistinct>();
}

}  // namespace kappa::processor
