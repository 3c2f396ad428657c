// sum and avg: the exact sum and how many values it has, so that both forms of input, any order and
// any batches give the same bytes, and the division of avg is rounded once.
//
//   BIGINT, INTERVAL   i64 count | Int128 sum: 2^63 rows of 2^63 fit
//   NUMERIC, DOUBLE    u32 length | i64 count | variable: WideInteger, in units of the scale or 2^-1074
//
// sum is NULL when it does not fit its type (DOUBLE: not finite; NUMERIC: over 38 digits).
#include <optional>

#include "processor/operators/aggregates/aggregate.h"
#include "processor/operators/aggregates/wide_integer.h"
#include "proto/error.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "the sum of a group is damaged", "the view is rebuilt from the log");
}

Int128 power_of_ten(unsigned exponent) {
  Int128 power = 1;
  for (unsigned i = 0; i < exponent; ++i) power *= 10;
  return power;
}

// An exact integral result in the plan's type.
Value integral_result(Int128 sum, Type type) {
  if (type.id == TypeId::kNumeric) {
    const Int128 bound = power_of_ten(type.precision);
    if (sum >= bound || sum <= -bound) return Value::null(type);
    return Value::numeric(sum, type.precision, type.scale);
  }
  if (sum > INT64_MAX || sum < INT64_MIN) return Value::null(type);
  const auto narrow = static_cast<std::int64_t>(sum);
  return type.id == TypeId::kInterval ? Value::interval(narrow) : Value::bigint(narrow);
}

Value average_result(const WideInteger& sum, int exponent, std::int64_t count, unsigned decimals) {
  if (count <= 0) return Value::null(kDoubleType);
  const std::optional<double> average = sum.to_double(exponent, static_cast<std::uint64_t>(count), decimals);
  return average ? Value::real(*average) : Value::null(kDoubleType);
}

class IntegerSum final : public AggregateFunction {
 public:
  IntegerSum(Type result, bool average) : type_(result), average_(average) {}
  [[nodiscard]] std::size_t fixed_bytes() const override { return 24; }
  [[nodiscard]] Status update(const AggregateRows& rows) override {
    const Vector& argument = *rows.arguments[0];
    const std::uint8_t* const valid = argument.valid();
    const std::int64_t* const values = argument.data<std::int64_t>();
    for (const std::uint32_t row : rows.rows) {
      if (!valid[row]) continue;
      const std::int64_t weight = rows.weight(row);
      char* const at = block(rows.group(row));
      store_raw(at, load_raw<std::int64_t>(at) + weight);
      store_raw(at + 8, load_raw<Int128>(at + 8) + static_cast<Int128>(values[row]) * weight);
    }
    return {};
  }
  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    add_raw(block(into), load_raw<std::int64_t>(block(from)));
    add_raw(block(into) + 8, load_raw<Int128>(block(from) + 8));
    return {};
  }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    const auto count = load_raw<std::int64_t>(block(group));
    const auto sum = load_raw<Int128>(block(group) + 8);
    if (count == 0) return Value::null(type_);
    if (!average_) return integral_result(sum, type_);
    WideInteger wide;
    wide.add(sum, 0);
    return average_result(wide, 0, count, 0);
  }

 private:
  Type type_;
  bool average_;
};

// A sum in a WideInteger; `Number` is double or Int128.
template <class Number>
class WideSum final : public AggregateFunction {
 public:
  WideSum(Type argument, Type result, bool average) : argument_(argument), type_(result), average_(average) {}
  [[nodiscard]] std::size_t fixed_bytes() const override { return 12; }
  [[nodiscard]] bool has_variable() const override { return true; }
  [[nodiscard]] Status update(const AggregateRows& rows) override {
    const Vector& argument = *rows.arguments[0];
    const std::uint8_t* const valid = argument.valid();
    const Number* const values = argument.data<Number>();
    for (const std::uint32_t row : rows.rows) {
      if (!valid[row]) continue;
      const std::int64_t weight = rows.weight(row);
      StateEntry& group = rows.group(row);
      char* const at = block(group) + 4;
      store_raw(at, load_raw<std::int64_t>(at) + weight);
      const std::string_view held = layout().variable(group.value, number());
      if constexpr (std::is_same_v<Number, double>) {
        char* const bytes = group.value.data() + (held.data() - group.value.data());
        if (weight == 1 && WideInteger::add_in_place(bytes, held.size(), values[row])) continue;
      }
      WideInteger sum;
      if (!sum.load(held)) return damaged();
      add(sum, values[row], weight);
      char stored[WideInteger::kBytesMax];
      sum.store(stored);
      layout().set_variable(group.value, number(), {stored, sum.stored_bytes()});
    }
    return {};
  }
  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    WideInteger sum;
    WideInteger added;
    if (!sum.load(layout().variable(into, number())) || !added.load(layout().variable(from, number())))
      return damaged();
    add_raw(block(into) + 4, load_raw<std::int64_t>(block(from) + 4));
    sum.add(added);
    char stored[WideInteger::kBytesMax];
    sum.store(stored);
    layout().set_variable(into, number(), {stored, sum.stored_bytes()});
    return {};
  }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    const auto count = load_raw<std::int64_t>(block(group) + 4);
    WideInteger sum;
    if (!sum.load(layout().variable(group, number()))) return damaged();
    if (count == 0) return Value::null(type_);
    if constexpr (std::is_same_v<Number, double>) {
      if (average_) return average_result(sum, -1074, count, 0);
      const std::optional<double> rounded = sum.to_double(-1074, 1, 0);
      return rounded ? Value::real(*rounded) : Value::null(type_);
    } else {
      if (average_) return average_result(sum, 0, count, argument_.scale);
      const std::optional<Int128> exact = sum.to_int128();
      return exact ? integral_result(*exact, type_) : Value::null(type_);
    }
  }

 private:
  static void add(WideInteger& sum, double value, std::int64_t weight) { sum.add(value, weight); }
  static void add(WideInteger& sum, Int128 value, std::int64_t weight) { sum.add_product(value, weight); }

  Type argument_;
  Type type_;
  bool average_;
};

std::unique_ptr<AggregateFunction> make(const AggregateContext& context, bool average) {
  const Type argument = context.aggregate.arguments.at(0)->type;
  const Type result = context.aggregate.type;
  if (argument.id == TypeId::kDouble) return std::make_unique<WideSum<double>>(argument, result, average);
  if (argument.id == TypeId::kNumeric) return std::make_unique<WideSum<Int128>>(argument, result, average);
  return std::make_unique<IntegerSum>(result, average);
}

}  // namespace

std::unique_ptr<AggregateFunction> make_sum(const AggregateContext& context) {
  return make(context, false);
}
std::unique_ptr<AggregateFunction> make_average(const AggregateContext& context) {
  return make(context, true);
}

}  // namespace kappa::processor
