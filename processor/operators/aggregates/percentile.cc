// PERCENTILE_DISC and PERCENTILE_CONT WITHIN GROUP (ORDER BY x), exact. A side table holds the values of each
// group in ascending order with their multiplicities (multiset.h); the group's block holds a cursor: the
// value at the wanted place, and how many lie below it.
//
//   u32 length | i64 values | i64 below the cursor | i64 equal to it | [CONT: f64 result] | variable: the
//   cursor's value, as key bytes
//
// A row moves the wanted place by at most one value, so the cursor follows with a step or none a row, however
// large the group is; the block is a function of the rows alone. DESC counts from the other end.
//
// DISC is the ceil(p n)-th value, the first for p = 0. CONT is at p (n - 1), linear between two neighbours,
// rounded once. p is the decimal that was written (fraction.h). NULL has no place.
#include <algorithm>

#include "processor/operators/aggregates/fraction.h"
#include "processor/operators/aggregates/multiset.h"
#include "processor/operators/aggregates/wide_integer.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "the cursor of a percentile is damaged",
              "the view is rebuilt from the log");
}

class Percentile final : public AggregateFunction {
 public:
  Percentile(const Aggregate& aggregate, MultisetTable::Use values)
      : type_(aggregate.order_by.at(0).expression->type),
        continuous_(aggregate.function == "percentile_cont"),
        descending_(aggregate.order_by[0].descending),
        fraction_(aggregate.parameters.at(0).as_double()),
        values_(values) {}

  [[nodiscard]] std::size_t fixed_bytes() const override { return continuous_ ? 36 : 28; }
  [[nodiscard]] bool has_variable() const override { return true; }

  [[nodiscard]] Status prepare(const AggregateRows& rows) override {
    if (!values_.owner) return {};
    const Vector& value = *rows.order[0];
    return values_.table->prepare(values_.slot, rows, [&](std::uint32_t row, std::string& key) {
      if (!value.valid()[row]) return false;
      append_key(value, row, key);
      return true;
    });
  }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    if (values_.owner) values_.table->update(values_.slot, rows);
    const std::vector<MultisetTable::Step>& steps = values_.table->steps(values_.slot);
    touched_.clear();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const MultisetTable::Step& step = steps[i];
      if (step.entry == nullptr) continue;
      const std::int64_t more = step.more();
      if (more == 0) continue;
      StateEntry& group = rows.group(rows.rows[i]);
      char* const at = block(group);
      add_raw(at + kCount, more);
      const std::string_view cursor = layout().variable(group.value, number());
      const std::string_view key = step.entry->key.substr(group.key.size());
      if (!cursor.empty() && key <= cursor) add_raw(at + (key < cursor ? kBelow : kEqual), more);
      if (touched_.empty() || touched_.back() != &group) touched_.push_back(&group);
    }
    std::ranges::sort(touched_);
    touched_.erase(std::ranges::unique(touched_).begin(), touched_.end());
    for (StateEntry* const group : touched_) KAPPA_CHECK_OK(follow(*group));
    return {};
  }

  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    if (load_raw<std::int64_t>(block(group) + kCount) <= 0)
      return Value::null(continuous_ ? kDoubleType : type_);
    if (continuous_) {
      const auto result = load_raw<double>(block(group) + kResult);
      return Value::real(result);
    }
    std::string_view key = layout().variable(group, number());
    if (key.empty()) return damaged();
    return read_key(key, type_);
  }

 private:
  static constexpr std::size_t kCount = 4;
  static constexpr std::size_t kBelow = 12;
  static constexpr std::size_t kEqual = 20;
  static constexpr std::size_t kResult = 28;

  // The place that is asked for, from 0, ascending, and how far it is on to the next one in units of 10^-18.
  [[nodiscard]] Fraction::Position wanted(std::int64_t count) const {
    Fraction::Position at = fraction_.of(continuous_ ? count - 1 : count);
    if (!continuous_) {
      // The ceil(p n)-th, counted from 1.
      const std::int64_t place = std::max<std::int64_t>(at.rest > 0 ? at.whole : at.whole - 1, 0);
      return {descending_ ? count - 1 - place : place, 0};
    }
    if (!descending_) return at;
    if (at.rest == 0) return {count - 1 - at.whole, 0};
    return {count - 2 - at.whole, Fraction::unit() - at.rest};
  }

  // Moves the cursor to the wanted place.
  [[nodiscard]] Status follow(StateEntry& group) {
    MultisetTable& values = *values_.table;
    const auto count = load_raw<std::int64_t>(block(group) + kCount);
    if (count == 0) {
      layout().set_variable(group.value, number(), {});
      std::memset(block(group), 0, fixed_bytes());
      return {};
    }
    const Fraction::Position want = wanted(count);
    auto below = load_raw<std::int64_t>(block(group) + kBelow);
    auto equal = load_raw<std::int64_t>(block(group) + kEqual);
    std::string cursor(layout().variable(group.value, number()));
    if (want.whole < below || want.whole >= below + equal) {
      const bool back = want.whole < below;
      KAPPA_TRY(MultisetTable::Walk walk,
                values.walk(group.key, back ? std::string_view() : std::string_view(cursor),
                            back ? std::string_view(cursor) : std::string_view(), back));
      do {
        KAPPA_TRY(auto next, walk.next());
        if (!next) return damaged();
        below = back ? below - next->count : below + equal;
        equal = next->count;
        cursor = std::move(next->key);
      } while (want.whole < below || want.whole >= below + equal);
      layout().set_variable(group.value, number(), cursor);
    }
    store_raw(block(group) + kBelow, below);
    store_raw(block(group) + kEqual, equal);
    if (!continuous_) return {};
    std::string above = cursor;
    if (want.rest != 0 && want.whole + 1 >= below + equal) {
      KAPPA_TRY(auto next, values.first(group.key, cursor, {}, false));
      if (!next) return damaged();
      above = std::move(next->key);
    }
    KAPPA_TRY(const double result, between(cursor, above, want.rest));
    store_raw(block(group) + kResult, result);
    return {};
  }

  [[nodiscard]] Expected<double> between(std::string_view low, std::string_view high,
                                         std::int64_t rest) const {
    KAPPA_TRY(const Value a, read_key(low, type_));
    KAPPA_TRY(const Value b, read_key(high, type_));
    WideInteger sum;
    add(sum, a, Fraction::unit() - rest);
    add(sum, b, rest);
    const bool real = type_.id == TypeId::kDouble;
    // Between two doubles there is always one.
    return sum.to_double(real ? -1074 : 0, 1, Fraction::kDecimals + (real ? 0U : type_.scale)).value_or(0);
  }
  static void add(WideInteger& sum, const Value& value, std::int64_t weight) {
    switch (value.type().id) {
      case TypeId::kDouble: sum.add(value.as_double(), weight); return;
      case TypeId::kNumeric: sum.add_product(value.as_int128(), weight); return;
      default: sum.add_product(value.as_int64(), weight); return;
    }
  }

  Type type_;
  bool continuous_;
  bool descending_;
  Fraction fraction_;
  MultisetTable::Use values_;
  std::vector<StateEntry*> touched_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_percentile(const AggregateContext& context) {
  const ExpressionPtr& value = context.aggregate.order_by.at(0).expression;
  return std::make_unique<Percentile>(context.aggregate,
                                      context.multisets.use(context, {{{value}}, true, true, value}));
}

}  // namespace kappa::processor
