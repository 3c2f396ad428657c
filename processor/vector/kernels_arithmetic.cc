// + - * / % and unary minus. BIGINT overflow, / 0, % 0, NUMERIC past 38 digits and results that are
// not finite are NULL. BIGINT division truncates toward zero; the remainder has the dividend's sign.
#include <cmath>
#include <limits>

#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

using Unsigned128 = unsigned __int128;

const Int128 kNumericBound = power_of_ten(38);

bool fits_numeric(Int128 v) {
  return v < kNumericBound && v > -kNumericBound;
}

// --- one pair of operands; false: no result ---

struct Add {
  static bool integer(std::int64_t a, std::int64_t b, std::int64_t& out) {
    return !__builtin_add_overflow(a, b, &out);
  }
  static double real(double a, double b) { return a + b; }
  static bool numeric(Int128 a, Int128 b, Int128& out) {
    return !__builtin_add_overflow(a, b, &out) && fits_numeric(out);
  }
};
struct Subtract {
  static bool integer(std::int64_t a, std::int64_t b, std::int64_t& out) {
    return !__builtin_sub_overflow(a, b, &out);
  }
  static double real(double a, double b) { return a - b; }
  static bool numeric(Int128 a, Int128 b, Int128& out) {
    return !__builtin_sub_overflow(a, b, &out) && fits_numeric(out);
  }
};
struct Multiply {
  static bool integer(std::int64_t a, std::int64_t b, std::int64_t& out) {
    return !__builtin_mul_overflow(a, b, &out);
  }
  static double real(double a, double b) { return a * b; }
  static bool numeric(Int128 a, Int128 b, Int128& out) {
    return !__builtin_mul_overflow(a, b, &out) && fits_numeric(out);
  }
};

bool divide_integer(std::int64_t a, std::int64_t b, std::int64_t& out) {
  if (b == 0 || (a == std::numeric_limits<std::int64_t>::min() && b == -1)) return false;
  out = a / b;
  return true;
}
bool modulo_integer(std::int64_t a, std::int64_t b, std::int64_t& out) {
  if (b == 0) return false;
  out = b == -1 ? 0 : a % b;  // INT64_MIN % -1 traps on some machines.
  return true;
}

// a / b with `digits` decimal digits after the integer quotient, rounded half away from zero. Long
// division by hand: 10 * remainder may pass 128 bits, adding the remainder ten times does not.
bool divide_numeric(Int128 a, Int128 b, int digits, Int128& out) {
  if (b == 0) return false;
  const bool negative = (a < 0) != (b < 0);
  const Unsigned128 dividend =
      a < 0 ? Unsigned128{0} - static_cast<Unsigned128>(a) : static_cast<Unsigned128>(a);
  const Unsigned128 divisor =
      b < 0 ? Unsigned128{0} - static_cast<Unsigned128>(b) : static_cast<Unsigned128>(b);
  const auto bound = static_cast<Unsigned128>(kNumericBound);
  Unsigned128 quotient = dividend / divisor;
  Unsigned128 rest = dividend % divisor;
  for (int i = 0; i < digits; ++i) {
    unsigned digit = 0;
    Unsigned128 sum = 0;
    for (int k = 0; k < 10; ++k) {
      sum += rest;
      if (sum >= divisor) {
        sum -= divisor;
        ++digit;
      }
    }
    rest = sum;
    if (quotient >= bound / 10) return false;
    quotient = quotient * 10 + digit;
  }
  if (rest >= divisor - rest) ++quotient;
  if (quotient >= bound) return false;
  out = negative ? -static_cast<Int128>(quotient) : static_cast<Int128>(quotient);
  return true;
}

// --- loops ---

template <class T, class Compute>
void loop(KernelCall& call, Compute&& compute) {
  const T* a = data_of<T>(call, 0);
  const T* b = data_of<T>(call, 1);
  const std::uint8_t* a_valid = valid_of(call, 0);
  const std::uint8_t* b_valid = valid_of(call, 1);
  T* out = call.result.data<T>();
  std::uint8_t* valid = call.result.valid();
  for_cheap_rows(call.batch, [&](std::uint32_t row) {
    T value{};
    const bool ok = compute(a[row], b[row], value);
    out[row] = value;
    valid[row] = static_cast<std::uint8_t>(a_valid[row] & b_valid[row] & static_cast<std::uint8_t>(ok));
  });
}

template <class Op>
void real_loop(KernelCall& call) {
  loop<double>(call, [](double a, double b, double& out) {
    out = Op::real(a, b);
    return std::isfinite(out);
  });
}

template <class Op>
void arithmetic_kernel(KernelCall& call) {
  switch (physical_of(call.expression.type.id)) {
    case Physical::kDouble: return real_loop<Op>(call);
    case Physical::kInt128: return loop<Int128>(call, Op::numeric);
    default: break;
  }
  // Also TIMESTAMP and INTERVAL, which are 64-bit microseconds.
  return loop<std::int64_t>(call, Op::integer);
}

void scale_interval(KernelCall& call) {
  binary_or_null<std::int64_t, std::int64_t, double>(call, [](std::int64_t a, double b, std::int64_t& out) {
    const double product = static_cast<double>(a) * b;
    if (!(std::abs(product) < 0x1p63)) return false;
    out = static_cast<std::int64_t>(std::llround(product));
    return true;
  });
}

void multiply_kernel(KernelCall& call) {
  if (call.expression.type.id == TypeId::kInterval && call.arguments[1]->type().id == TypeId::kDouble) {
    return scale_interval(call);
  }
  arithmetic_kernel<Multiply>(call);
}

void divide_kernel(KernelCall& call) {
  switch (physical_of(call.expression.type.id)) {
    case Physical::kDouble:
      return loop<double>(call, [](double a, double b, double& out) {
        out = a / b;
        return std::isfinite(out);  // Also false for b = 0.
      });
    case Physical::kInt128: {
      const int digits =
          call.expression.type.scale + call.arguments[1]->type().scale - call.arguments[0]->type().scale;
      return binary_or_null<Int128, Int128, Int128>(
          call, [digits](Int128 a, Int128 b, Int128& out) { return divide_numeric(a, b, digits, out); });
    }
    default: return loop<std::int64_t>(call, divide_integer);
  }
}

void modulo_kernel(KernelCall& call) {
  switch (physical_of(call.expression.type.id)) {
    case Physical::kDouble:
      return loop<double>(call, [](double a, double b, double& out) {
        out = std::fmod(a, b);
        return std::isfinite(out);
      });
    case Physical::kInt128:
      return loop<Int128>(call, [](Int128 a, Int128 b, Int128& out) {
        if (b == 0) return false;
        out = a % b;
        return true;
      });
    default: return loop<std::int64_t>(call, modulo_integer);
  }
}

void negate_kernel(KernelCall& call) {
  switch (physical_of(call.expression.type.id)) {
    case Physical::kDouble: return unary<double, double>(call, [](double a) { return -a; });
    case Physical::kInt128: return unary<Int128, Int128>(call, [](Int128 a) { return -a; });
    default:
      return unary_or_null<std::int64_t, std::int64_t>(call, [](std::int64_t a, std::int64_t& out) {
        return !__builtin_sub_overflow(std::int64_t{0}, a, &out);
      });
  }
}

// --- types ---

enum class Operation { kAdd, kSubtract, kMultiply, kDivide, kModulo };

Type rescaled(Type type, int scale) {
  if (type.scale == scale) return type;
  return {TypeId::kNumeric, static_cast<std::uint8_t>(std::min(38, type.precision + scale - type.scale)),
          static_cast<std::uint8_t>(scale)};
}

Expected<Signature> numeric_signature(Operation operation, Type a, Type b) {
  const auto type = [](int precision, int scale) {
    return Type{TypeId::kNumeric, static_cast<std::uint8_t>(std::min(38, precision)),
                static_cast<std::uint8_t>(scale)};
  };
  const int scale = std::max(a.scale, b.scale);
  const int whole = std::max(a.precision - a.scale, b.precision - b.scale);
  switch (operation) {
    case Operation::kAdd:
    case Operation::kSubtract:
      return Signature{{rescaled(a, scale), rescaled(b, scale)}, type(whole + scale + 1, scale)};
    case Operation::kModulo:
      return Signature{{rescaled(a, scale), rescaled(b, scale)}, type(whole + scale, scale)};
    case Operation::kMultiply:
      if (a.scale + b.scale > 38) break;
      return Signature{{a, b}, type(a.precision + b.precision, a.scale + b.scale)};
    case Operation::kDivide:
      // At least six digits after the point, as many as the operands have.
      return Signature{{a, b}, type(38, std::max(scale, 6))};
  }
  return fail(
      ErrorCode::kInvalid, 2002,
      "the product of " + to_string(a) + " and " + to_string(b) + " has more than 38 digits after the point",
      "cast one of them to a smaller scale");
}

template <Operation operation>
Expected<Signature> arithmetic_types(std::span<const ExpressionPtr> arguments) {
  static constexpr std::string_view kNames[] = {"+", "-", "*", "/", "%"};
  const std::string_view name = kNames[static_cast<int>(operation)];
  Type a = arguments[0]->type;
  Type b = arguments[1]->type;
  // A bare NULL and a text constant take the other side's type.
  const auto open = [](const Expression& e) { return e.type.id == TypeId::kNull || is_text_constant(e); };
  constexpr bool kSum = operation == Operation::kAdd || operation == Operation::kSubtract;
  if (open(*arguments[0]) && open(*arguments[1])) {
    if (a.id != TypeId::kNull || b.id != TypeId::kNull) return no_signature(name, arguments);
    return Signature{{kBigintType, kBigintType}, kBigintType};
  }
  if (open(*arguments[0])) {
    a = b.id == TypeId::kTimestamp && operation == Operation::kAdd ? kIntervalType : b;
  } else if (open(*arguments[1])) {
    b = a.id == TypeId::kTimestamp && kSum && b.id != TypeId::kNull ? kIntervalType : a;
  }
  if (is_numeric_type(a.id) && is_numeric_type(b.id)) {
    if (a.id == TypeId::kBigint && b.id == TypeId::kBigint) return Signature{{a, b}, kBigintType};
    if (a.id == TypeId::kDouble || b.id == TypeId::kDouble)
      return Signature{{kDoubleType, kDoubleType}, kDoubleType};
    return numeric_signature(operation, as_numeric(a), as_numeric(b));
  }
  const bool a_time = a.id == TypeId::kTimestamp;
  const bool b_time = b.id == TypeId::kTimestamp;
  const bool a_span = a.id == TypeId::kInterval;
  const bool b_span = b.id == TypeId::kInterval;
  if constexpr (kSum) {
    if (a_time && b_span) return Signature{{a, b}, kTimestampType};
    if (a_span && b_span) return Signature{{a, b}, kIntervalType};
    if (operation == Operation::kAdd && a_span && b_time) return Signature{{a, b}, kTimestampType};
    if (operation == Operation::kSubtract && a_time && b_time) return Signature{{a, b}, kIntervalType};
  }
  if constexpr (operation == Operation::kMultiply) {
    if (a_span && b.id == TypeId::kBigint) return Signature{{a, b}, kIntervalType};
    if (b_span && a.id == TypeId::kBigint) return Signature{{a, b}, kIntervalType};
    if (a_span && is_numeric_type(b.id)) return Signature{{a, kDoubleType}, kIntervalType};
  }
  if constexpr (operation == Operation::kDivide) {
    if (a_span && b.id == TypeId::kBigint) return Signature{{a, b}, kIntervalType};
  }
  return no_signature(name, arguments);
}

Expected<Signature> negate_types(std::span<const ExpressionPtr> arguments) {
  const Type type = arguments[0]->type.id == TypeId::kNull ? kBigintType : arguments[0]->type;
  if (!is_numeric_type(type.id) && type.id != TypeId::kInterval) return no_signature("-", arguments);
  return Signature{{type}, type};
}

using Form = ScalarFunction::Form;
constexpr ScalarFunction kFunctions[] = {
    {"+", "number + number, TIMESTAMP + INTERVAL, INTERVAL + INTERVAL", Form::kInfix, 2, 2,
     arithmetic_types<Operation::kAdd>, arithmetic_kernel<Add>, nullptr, true},
    {"-", "number - number, TIMESTAMP - INTERVAL, TIMESTAMP - TIMESTAMP, INTERVAL - INTERVAL", Form::kInfix,
     2, 2, arithmetic_types<Operation::kSubtract>, arithmetic_kernel<Subtract>, nullptr, true},
    {"*", "number * number, INTERVAL * number", Form::kInfix, 2, 2, arithmetic_types<Operation::kMultiply>,
     multiply_kernel, nullptr, true},
    {"/", "number / number, INTERVAL / BIGINT", Form::kInfix, 2, 2, arithmetic_types<Operation::kDivide>,
     divide_kernel, nullptr, true},
    {"%", "number % number", Form::kInfix, 2, 2, arithmetic_types<Operation::kModulo>, modulo_kernel, nullptr,
     true},
    {"mod", "mod(number, number)", Form::kCall, 2, 2, arithmetic_types<Operation::kModulo>, modulo_kernel,
     nullptr, true},
    {"negate", "- number, - INTERVAL", Form::kPrefix, 1, 1, negate_types, negate_kernel, nullptr, true},
};

}  // namespace

std::span<const ScalarFunction> arithmetic_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
