// = <> < <= > >= and IS [NOT] DISTINCT FROM. BIGINT against DOUBLE and NUMERIC against either compare
// exactly, without rounding one side. Text compares by bytes.
#include <algorithm>
#include <functional>

#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

int sign_of(std::strong_ordering order) {
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

template <class Op, class A, class B, class Test>
void loop(KernelCall& call, Test&& test) {
  const A* a = data_of<A>(call, 0);
  const B* b = data_of<B>(call, 1);
  const std::uint8_t* a_valid = valid_of(call, 0);
  const std::uint8_t* b_valid = valid_of(call, 1);
  std::uint8_t* out = call.result.data<std::uint8_t>();
  std::uint8_t* valid = call.result.valid();
  const auto body = [&](std::uint32_t row) {
    const bool both = (a_valid[row] & b_valid[row]) != 0;
    if constexpr (Op::kNullSafe) {
      out[row] =
          static_cast<std::uint8_t>(both ? test(a[row], b[row]) : Op::of_nulls(a_valid[row] == b_valid[row]));
      valid[row] = 1;
    } else if constexpr (std::is_same_v<A, std::string_view> || !std::is_same_v<A, B>) {
      // Text and doubles at invalid positions are not to be looked at: gone, or not finite.
      out[row] = static_cast<std::uint8_t>(both && test(a[row], b[row]));
      valid[row] = static_cast<std::uint8_t>(both);
    } else {
      out[row] = static_cast<std::uint8_t>(test(a[row], b[row]));
      valid[row] = static_cast<std::uint8_t>(both);
    }
  };
  if constexpr (std::is_same_v<A, std::string_view>) {
    for_each_row(call.batch, body);
  } else {
    for_cheap_rows(call.batch, body);
  }
}

// The six operators as functors over any ordered pair.
template <class Compare>
struct Plain {
  static constexpr bool kNullSafe = false;
  static bool of_nulls(bool) { return false; }
  template <class T>
  static bool test(const T& a, const T& b) {
    return Compare{}(a, b);
  }
};
template <bool kNot>
struct Distinct {
  static constexpr bool kNullSafe = true;
  // Both NULL (or, which does not get here, both not): not distinct.
  static bool of_nulls(bool same) { return same == kNot; }
  template <class T>
  static bool test(const T& a, const T& b) {
    return (a == b) == kNot;
  }
};

template <class Op>
void compare_kernel(KernelCall& call) {
  const Type left = call.arguments[0]->type();
  const Type right = call.arguments[1]->type();
  const Physical a = physical_of(left.id);
  const Physical b = physical_of(right.id);
  const auto same = [](const auto& x, const auto& y) { return Op::test(x, y); };
  const auto by_sign = [](int sign) { return Op::test(sign, 0); };
  if (a == Physical::kBool) return loop<Op, std::uint8_t, std::uint8_t>(call, same);
  if (a == Physical::kText) return loop<Op, std::string_view, std::string_view>(call, same);
  if (a == Physical::kInt64 && b == Physical::kInt64) return loop<Op, std::int64_t, std::int64_t>(call, same);
  if (a == Physical::kDouble && b == Physical::kDouble) return loop<Op, double, double>(call, same);
  if (a == Physical::kInt64 && b == Physical::kDouble) {
    return loop<Op, std::int64_t, double>(
        call, [&](std::int64_t x, double y) { return by_sign(sign_of(compare_numbers(x, y))); });
  }
  if (a == Physical::kDouble && b == Physical::kInt64) {
    return loop<Op, double, std::int64_t>(
        call, [&](double x, std::int64_t y) { return by_sign(-sign_of(compare_numbers(y, x))); });
  }
  if (a == Physical::kInt128 && b == Physical::kInt128) {
    if (left.scale == right.scale) return loop<Op, Int128, Int128>(call, same);
    return loop<Op, Int128, Int128>(call, [&](Int128 x, Int128 y) {
      return by_sign(sign_of(compare_numbers(x, left.scale, y, right.scale)));
    });
  }
  if (a == Physical::kInt128) {
    return loop<Op, Int128, double>(
        call, [&](Int128 x, double y) { return by_sign(sign_of(compare_numbers(x, left.scale, y))); });
  }
  return loop<Op, double, Int128>(
      call, [&](double x, Int128 y) { return by_sign(-sign_of(compare_numbers(y, right.scale, x))); });
}

Expected<Signature> compare_types(std::span<const ExpressionPtr> arguments) {
  Type a = arguments[0]->type;
  Type b = arguments[1]->type;
  if (is_numeric_type(a.id) && is_numeric_type(b.id)) {
    // BIGINT goes to NUMERIC, where it stays exact; every other pair is compared as it is.
    if (a.id == TypeId::kBigint && b.id == TypeId::kNumeric) a = kBigintAsNumeric;
    if (b.id == TypeId::kBigint && a.id == TypeId::kNumeric) b = kBigintAsNumeric;
    return Signature{{a, b}, kBooleanType};
  }
  // A text constant against a number keeps the number's class but not its scale: '1.25' with
  // NUMERIC(10,1) must not be rounded to 1.3.
  const auto literal_type = [](const Expression& text, Type other) {
    if (!is_text_constant(text) || other.id != TypeId::kNumeric) return other;
    const std::string& digits = text.constant.as_text();
    const std::size_t point = digits.find('.');
    const std::size_t after = point == std::string::npos ? 0 : digits.size() - point - 1;
    if (after <= other.scale || after > 19) return other;
    return Type{TypeId::kNumeric, 38, static_cast<std::uint8_t>(after)};
  };
  auto common = common_type(arguments);
  if (!common) {
    Error error = common.error();
    error.message = "cannot compare " + to_string(a) + " with " + to_string(b);
    if (a.id == TypeId::kJson || b.id == TypeId::kJson) error.hint = "->> opens JSON as TEXT";
    return std::unexpected(std::move(error));
  }
  Type type = *common;
  if (type.id == TypeId::kNull) type = kTextType;
  if (type.id == TypeId::kJson) return no_signature("a comparison", arguments);
  return Signature{{literal_type(*arguments[0], type), literal_type(*arguments[1], type)}, kBooleanType};
}

constexpr ScalarFunction infix(std::string_view name, void (*kernel)(KernelCall&)) {
  return {name,
          "two values of comparable types",
          ScalarFunction::Form::kInfix,
          2,
          2,
          compare_types,
          kernel,
          nullptr,
          false};
}
constexpr ScalarFunction kFunctions[] = {
    infix("=", compare_kernel<Plain<std::equal_to<>>>),
    infix("<>", compare_kernel<Plain<std::not_equal_to<>>>),
    infix("<", compare_kernel<Plain<std::less<>>>),
    infix("<=", compare_kernel<Plain<std::less_equal<>>>),
    infix(">", compare_kernel<Plain<std::greater<>>>),
    infix(">=", compare_kernel<Plain<std::greater_equal<>>>),
    infix("is distinct from", compare_kernel<Distinct<false>>),
    infix("is not distinct from", compare_kernel<Distinct<true>>),
};

}  // namespace

std::span<const ScalarFunction> comparison_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
