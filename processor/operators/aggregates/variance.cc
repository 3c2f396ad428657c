// var_samp, var_pop, stddev_samp, stddev_pop: the exact sums of x and x^2, so that order, batches and rows
// taken back leave no trace, and the one rounding is that of the result: (n sum(x^2) - sum(x)^2) / n / (n or
// n - 1), or its root.
//
//   BIGINT             i64 count | Int128 sum | 256 bits of the sum of squares: 2^63 rows of 2^63 fit
//   NUMERIC, DOUBLE    u32 length | i64 count | variable: u16 bytes of the sum | the sum | the sum of
//   squares,
//                      as WideInteger stores them, in units of the scale or 2^-1074 and of their squares;
//                      empty: both are zero
//
// The population's variance of one value is 0, a sample's is NULL.
#include <optional>

#include "processor/operators/aggregates/aggregate.h"
#include "processor/operators/aggregates/wide_integer.h"
#include "proto/error.h"

namespace kappa::processor {
namespace {

__extension__ typedef unsigned __int128 Wide;

struct Form {
  bool sample = false;
  bool root = false;
};

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "the sums of a group are damaged",
              "the view is rebuilt from the log");
}

// `decimals`: of the squares' unit.
Value spread(std::int64_t count, const Magnitude& sum, const Magnitude& squares, unsigned decimals,
             Form form) {
  if (count < (form.sample ? 2 : 1)) return Value::null(kDoubleType);
  const auto n = static_cast<std::uint64_t>(count);
  const std::optional<Magnitude> difference = subtract(multiply(squares, n), square(sum));
  // Never below zero over real rows; while some are taken back before they came it can be.
  if (!difference) return Value::null(kDoubleType);
  const std::uint64_t divisors[] = {n, form.sample ? n - 1 : n};
  const std::optional<double> result = form.root ? root_to_double(*difference, divisors, decimals)
                                                 : to_double(*difference, divisors, decimals);
  return result ? Value::real(*result) : Value::null(kDoubleType);
}

class IntegerVariance final : public AggregateFunction {
 public:
  explicit IntegerVariance(Form form) : form_(form) {}
  [[nodiscard]] std::size_t fixed_bytes() const override { return 56; }
  [[nodiscard]] Status update(const AggregateRows& rows) override {
    const Vector& argument = *rows.arguments[0];
    const std::uint8_t* const valid = argument.valid();
    const std::int64_t* const values = argument.data<std::int64_t>();
    for (const std::uint32_t row : rows.rows) {
      if (!valid[row]) continue;
      const std::int64_t weight = rows.weight(row);
      const Int128 value = values[row];
      char* const at = block(rows.group(row));
      add_raw(at, weight);
      add_raw<Int128>(at + 8, value * weight);
      // At most 2^126 times the weight, in halves of 64 bits.
      const auto square = static_cast<Wide>(value * value);
      add_256(at + 24, static_cast<Int128>(static_cast<std::uint64_t>(square)) * weight,
              static_cast<Int128>(static_cast<std::uint64_t>(square >> 64)) * weight);
    }
    return {};
  }
  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    add_raw(block(into), load_raw<std::int64_t>(block(from)));
    add_raw(block(into) + 8, load_raw<Int128>(block(from) + 8));
    std::uint64_t carry = 0;
    for (std::size_t i = 24; i < 56; i += 8) {
      const Wide total = static_cast<Wide>(load_raw<std::uint64_t>(block(into) + i)) +
                         load_raw<std::uint64_t>(block(from) + i) + carry;
      store_raw(block(into) + i, static_cast<std::uint64_t>(total));
      carry = static_cast<std::uint64_t>(total >> 64);
    }
    return {};
  }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    const char* const at = block(group);
    WideInteger sum;
    sum.add(load_raw<Int128>(at + 8), 0);
    Magnitude squares;
    for (std::size_t i = 24; i < 56; i += 8) squares.limbs.push_back(load_raw<std::uint64_t>(at + i));
    if ((squares.limbs.back() >> 63) != 0) return Value::null(kDoubleType);
    return spread(load_raw<std::int64_t>(at), sum.magnitude(0), squares, 0, form_);
  }

 private:
  // Adds low + high * 2^64 to four limbs.
  static void add_256(char* at, Int128 low, Int128 high) {
    const Int128 middle = (low >> 64) + high;  // Both are below 2^127 in magnitude, and their sum is.
    const std::uint64_t sign = middle < 0 ? ~std::uint64_t{0} : 0;
    const std::uint64_t added[] = {static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(middle),
                                   static_cast<std::uint64_t>(middle >> 64), sign};
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const Wide total = static_cast<Wide>(load_raw<std::uint64_t>(at + 8 * i)) + added[i] + carry;
      store_raw(at + 8 * i, static_cast<std::uint64_t>(total));
      carry = static_cast<std::uint64_t>(total >> 64);
    }
  }

  Form form_;
};

// `Number` is double or Int128.
template <class Number>
class WideVariance final : public AggregateFunction {
 public:
  WideVariance(Type argument, Form form) : argument_(argument), form_(form) {}
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
      add_raw(block(group) + 4, weight);
      Sums sums;
      if (!load(group.value, sums)) return damaged();
      if constexpr (std::is_same_v<Number, double>)
        sums.sum.add(values[row], weight);
      else
        sums.sum.add_product(values[row], weight);
      sums.squares.add_square(values[row], weight);
      store(group.value, sums);
    }
    return {};
  }
  [[nodiscard]] bool mergeable() const override { return true; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    Sums sums;
    Sums added;
    if (!load(into, sums) || !load(from, added)) return damaged();
    add_raw(block(into) + 4, load_raw<std::int64_t>(block(from) + 4));
    sums.sum.add(added.sum);
    sums.squares.add(added.squares);
    store(into, sums);
    return {};
  }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    Sums sums;
    if (!load(group, sums)) return damaged();
    if (sums.squares.is_negative()) return Value::null(kDoubleType);
    const int unit = std::is_same_v<Number, double> ? -1074 : 0;
    // Limbs of both numbers lie at multiples of 64 from 2^(2 * unit).
    return spread(load_raw<std::int64_t>(block(group) + 4), sums.sum.magnitude(unit),
                  sums.squares.magnitude(2 * unit), 2U * argument_.scale, form_);
  }

 private:
  struct Sums {
    WideInteger sum;
    WideSquares squares;
  };
  [[nodiscard]] bool load(std::string_view group, Sums& sums) const {
    const std::string_view stored = layout().variable(group, number());
    if (stored.empty()) return true;
    if (stored.size() < 2) return false;
    const std::size_t bytes = load_raw<std::uint16_t>(stored.data());
    if (bytes > stored.size() - 2) return false;
    return sums.sum.load(stored.substr(2, bytes)) && sums.squares.load(stored.substr(2 + bytes));
  }
  void store(EntryValue& group, const Sums& sums) const {
    char stored[2 + WideInteger::kBytesMax + WideSquares::kBytesMax];
    const std::size_t bytes = sums.sum.stored_bytes();
    store_raw(stored, static_cast<std::uint16_t>(bytes));
    sums.sum.store(stored + 2);
    sums.squares.store(stored + 2 + bytes);
    const std::size_t all = bytes + sums.squares.stored_bytes();
    layout().set_variable(group, number(), {stored, all == 0 ? 0 : 2 + all});
  }

  Type argument_;
  Form form_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_variance(const AggregateContext& context) {
  const Type argument = context.aggregate.arguments.at(0)->type;
  const std::string_view name = context.aggregate.function;
  const Form form{name.ends_with("_samp"), name.starts_with("stddev")};
  if (argument.id == TypeId::kDouble) return std::make_unique<WideVariance<double>>(argument, form);
  if (argument.id == TypeId::kNumeric) return std::make_unique<WideVariance<Int128>>(argument, form);
  return std::make_unique<IntegerVariance>(form);
}

}  // namespace kappa::processor
