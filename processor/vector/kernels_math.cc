// abs, sign, round, trunc, floor, ceil, power, sqrt, cbrt, ln, log, exp, pi. round goes half away from zero
// for every type; results that are not finite are NULL.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

template <class Compute>
void real_function(KernelCall& call, Compute&& compute) {
  unary_or_null<double, double>(call, [&](double a, double& out) {
    out = compute(a);
    return std::isfinite(out);
  });
}

void sqrt_kernel(KernelCall& call) {
  real_function(call, [](double a) { return std::sqrt(a); });
}
void ln_kernel(KernelCall& call) {
  real_function(call, [](double a) { return std::log(a); });
}
void cbrt_kernel(KernelCall& call) {
  // The library's root of 27 is not 3: whole roots are taken back to what they are.
  real_function(call, [](double a) {
    const double root = std::cbrt(a);
    const double whole = std::nearbyint(root);
    return whole * whole * whole == a ? whole : root;
  });
}
// log(x) to base 10, log(base, x).
void log_kernel(KernelCall& call) {
  if (call.arguments.size() == 1) return real_function(call, [](double a) { return std::log10(a); });
  binary_or_null<double, double, double>(call, [](double base, double a, double& out) {
    out = std::log(a) / std::log(base);
    return std::isfinite(out);
  });
}
void pi_kernel(KernelCall& call) {
  for_cheap_rows(call.batch, [&](std::uint32_t row) {
    call.result.data<double>()[row] = std::numbers::pi;
    call.result.valid()[row] = 1;
  });
}
void exp_kernel(KernelCall& call) {
  real_function(call, [](double a) { return std::exp(a); });
}
void power_kernel(KernelCall& call) {
  binary_or_null<double, double, double>(call, [](double a, double b, double& out) {
    out = std::pow(a, b);
    return std::isfinite(out);
  });
}

void abs_kernel(KernelCall& call) {
  switch (physical_of(call.expression.type.id)) {
    case Physical::kDouble: return unary<double, double>(call, [](double a) { return std::fabs(a); });
    case Physical::kInt128: return unary<Int128, Int128>(call, [](Int128 a) { return a < 0 ? -a : a; });
    default:
      return unary_or_null<std::int64_t, std::int64_t>(call, [](std::int64_t a, std::int64_t& out) {
        out = a;
        return a >= 0 || !__builtin_sub_overflow(std::int64_t{0}, a, &out);
      });
  }
}

void sign_kernel(KernelCall& call) {
  switch (physical_of(call.arguments[0]->type().id)) {
    case Physical::kDouble:
      return unary<std::int64_t, double>(call, [](double a) { return std::int64_t{(a > 0) - (a < 0)}; });
    case Physical::kInt128:
      return unary<std::int64_t, Int128>(call, [](Int128 a) { return std::int64_t{(a > 0) - (a < 0)}; });
    default:
      return unary<std::int64_t, std::int64_t>(
          call, [](std::int64_t a) { return std::int64_t{(a > 0) - (a < 0)}; });
  }
}

enum class Toward { kNearest, kFloor, kCeil, kZero };

// To `digits` places of a number scaled by 10^scale, as an integer scaled by 10^digits.
Int128 round_scaled(Int128 v, int scale, int digits, Toward toward) {
  const int drop = scale - digits;
  if (drop <= 0) return v;
  if (drop > 38) return 0;
  const Int128 unit = power_of_ten(static_cast<std::uint8_t>(drop));
  const Int128 rest = v % unit;
  Int128 whole = v / unit;
  const Int128 size = rest < 0 ? -rest : rest;
  switch (toward) {
    case Toward::kNearest:
      if (size >= unit - size) whole += v < 0 ? -1 : 1;
      break;
    case Toward::kFloor:
      if (rest < 0) --whole;
      break;
    case Toward::kCeil:
      if (rest > 0) ++whole;
      break;
    case Toward::kZero: break;
  }
  return whole;
}

template <Toward toward>
double round_real(double a) {
  if constexpr (toward == Toward::kNearest) return std::round(a);
  if constexpr (toward == Toward::kFloor) return std::floor(a);
  if constexpr (toward == Toward::kZero) return std::trunc(a);
  return std::ceil(a);
}

template <Toward toward>
void whole_kernel(KernelCall& call) {
  const Type from = call.arguments[0]->type();
  switch (physical_of(from.id)) {
    case Physical::kDouble: return unary<double, double>(call, round_real<toward>);
    case Physical::kInt128:
      return unary<Int128, Int128>(call, [from](Int128 a) { return round_scaled(a, from.scale, 0, toward); });
    default: return unary<std::int64_t, std::int64_t>(call, [](std::int64_t a) { return a; });
  }
}

// Cuts a double behind `moved`, which is it with the point moved, and may be rounded to the next whole
// number.
double cut_moved(double a, double moved, const auto& back) {
  const double whole = std::trunc(moved);
  const double one = a < 0 ? -1 : 1;
  if (std::fabs(back(whole + one)) <= std::fabs(a)) return back(whole + one);
  return back(std::fabs(back(whole)) > std::fabs(a) ? whole - one : whole);
}

// Rounds the shortest decimal text of `a`, half away from zero; `back` moves the point back.
double round_decimal(double a, std::int64_t digits, const auto& back) {
  char buffer[32];
  const char* const end =
      std::to_chars(buffer, buffer + sizeof buffer, std::fabs(a), std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));  // d.ddde+xx
  const std::size_t mark = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + mark + (text[mark + 1] == '+' ? 2 : 1), end, exponent);
  const std::int64_t kept = exponent + digits + 1;  // Digits in front of the place.
  if (kept < 0) return 0;
  std::int64_t whole = 0;
  std::int64_t number = 0;
  for (std::size_t i = 0; i < mark; ++i) {
    if (text[i] == '.') continue;
    if (number++ == kept)
      return std::copysign(back(static_cast<double>(whole + (text[i] >= '5' ? 1 : 0))), a);
    whole = whole * 10 + (text[i] - '0');
  }
  return a;  // Nothing behind the place.
}

// Rounds what `a` is written as, half away from zero: 1.005 to two digits is 1.01, though the double is a
// little less. `moved` is `a` with the point moved, rounded to a double: only near a half is that too rough.
double round_moved(double a, double moved, std::int64_t digits, const auto& back) {
  const double size = std::fabs(moved);
  const double whole = std::trunc(size);
  const double part = size - whole;
  if (std::fabs(part - 0.5) <= 4 * size * 0x1p-52) return round_decimal(a, digits, back);
  return std::copysign(back(part > 0.5 ? whole + 1 : whole), moved);
}

// round(value, digits), trunc(value, digits); digits below zero stand for tens, hundreds...
template <Toward toward>
void digits_kernel(KernelCall& call) {
  const Type from = call.arguments[0]->type();
  if (physical_of(from.id) == Physical::kDouble) {
    return binary_or_null<double, double, std::int64_t>(call, [](double a, std::int64_t digits, double& out) {
      out = a;
      if (digits > 308 || digits < -308) return digits > 0 || (out = 0, true);
      const double unit = std::pow(10.0, static_cast<double>(digits < 0 ? -digits : digits));
      const double moved = digits < 0 ? a / unit : a * unit;
      // Doubles from 2^52 on have no fraction: nothing to round.
      if (!(std::fabs(moved) < 0x1p52)) return true;
      const auto back = [&](double whole) { return digits < 0 ? whole * unit : whole / unit; };
      out = toward == Toward::kZero ? cut_moved(a, moved, back) : round_moved(a, moved, digits, back);
      return std::isfinite(out);
    });
  }
  const auto rounded = [](Int128 a, int scale, std::int64_t digits, int result_scale) {
    const int at = static_cast<int>(std::clamp<std::int64_t>(digits, -38, scale));
    const Int128 whole = round_scaled(a, scale, at, toward);
    const int up = result_scale - at;
    return up > 0 ? whole * power_of_ten(static_cast<std::uint8_t>(std::min(up, 38))) : whole;
  };
  if (physical_of(from.id) == Physical::kInt128) {
    return binary_or_null<Int128, Int128, std::int64_t>(
        call, [&](Int128 a, std::int64_t digits, Int128& out) {
          if (digits < -37) return true;  // Zero.
          out = rounded(a, from.scale, digits, from.scale);
          return out < power_of_ten(38) && out > -power_of_ten(38);
        });
  }
  binary_or_null<std::int64_t, std::int64_t, std::int64_t>(
      call, [&](std::int64_t a, std::int64_t digits, std::int64_t& out) {
        out = a;
        if (digits >= 0) return true;
        out = 0;
        if (digits < -19) return true;
        const Int128 wide = rounded(a, 0, digits, 0);
        if (wide > INT64_MAX || wide < INT64_MIN) return false;
        out = static_cast<std::int64_t>(wide);
        return true;
      });
}

template <Toward toward>
void round_kernel(KernelCall& call) {
  if (call.arguments.size() == 2) return digits_kernel<toward>(call);
  whole_kernel<toward>(call);
}

Expected<Type> number_type(std::span<const ExpressionPtr> arguments) {
  const Type type = arguments[0]->type;
  if (type.id == TypeId::kNull) return kDoubleType;
  if (!is_numeric_type(type.id)) {
    return fail(ErrorCode::kInvalid, 2002, "expected a number, found " + to_string(type));
  }
  return type;
}

Expected<Signature> abs_types(std::span<const ExpressionPtr> arguments) {
  if (arguments[0]->type.id == TypeId::kInterval) return Signature{{kIntervalType}, kIntervalType};
  KAPPA_TRY(const Type type, number_type(arguments));
  return Signature{{type}, type};
}
Expected<Signature> sign_types(std::span<const ExpressionPtr> arguments) {
  KAPPA_TRY(const Type type, number_type(arguments));
  return Signature{{type}, kBigintType};
}
Type whole_type(Type type) {
  if (type.id != TypeId::kNumeric) return type;
  const int precision = std::clamp(type.precision - type.scale + 1, 1, 38);
  return {TypeId::kNumeric, static_cast<std::uint8_t>(precision), 0};
}
Expected<Signature> whole_types(std::span<const ExpressionPtr> arguments) {
  KAPPA_TRY(const Type type, number_type(arguments));
  return Signature{{type}, whole_type(type)};
}
Expected<Signature> round_types(std::span<const ExpressionPtr> arguments) {
  KAPPA_TRY(const Type type, number_type(arguments));
  if (arguments.size() == 1) return Signature{{type}, whole_type(type)};
  if (type.id != TypeId::kNumeric) return Signature{{type, kBigintType}, type};
  const int precision = std::min(38, type.precision + 1);
  return Signature{{type, kBigintType}, {TypeId::kNumeric, static_cast<std::uint8_t>(precision), type.scale}};
}

using Form = ScalarFunction::Form;
constexpr auto kReal = takes<"DD", kDoubleType>;
constexpr ScalarFunction kFunctions[] = {
    {"abs", "abs(number)", Form::kCall, 1, 1, abs_types, abs_kernel, nullptr, true},
    {"sign", "sign(number)", Form::kCall, 1, 1, sign_types, sign_kernel, nullptr, false},
    {"round", "round(number[, digits])", Form::kCall, 1, 2, round_types, round_kernel<Toward::kNearest>,
     nullptr, true},
    {"trunc", "trunc(number[, digits])", Form::kCall, 1, 2, round_types, round_kernel<Toward::kZero>, nullptr,
     true},
    {"floor", "floor(number)", Form::kCall, 1, 1, whole_types, whole_kernel<Toward::kFloor>, nullptr, false},
    {"ceil", "ceil(number)", Form::kCall, 1, 1, whole_types, whole_kernel<Toward::kCeil>, nullptr, false},
    {"power", "power(number, number)", Form::kCall, 2, 2, kReal, power_kernel, nullptr, true},
    {"sqrt", "sqrt(number)", Form::kCall, 1, 1, kReal, sqrt_kernel, nullptr, true},
    {"ln", "ln(number)", Form::kCall, 1, 1, kReal, ln_kernel, nullptr, true},
    {"cbrt", "cbrt(number)", Form::kCall, 1, 1, kReal, cbrt_kernel, nullptr, true},
    {"log", "log(number), log(base, number)", Form::kCall, 1, 2, kReal, log_kernel, nullptr, true},
    {"log10", "log10(number)", Form::kCall, 1, 1, kReal, log_kernel, nullptr, true},
    {"pi", "pi()", Form::kCall, 0, 0, kReal, pi_kernel},
    {"exp", "exp(number)", Form::kCall, 1, 1, kReal, exp_kernel, nullptr, true},
};

}  // namespace

std::span<const ScalarFunction> math_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
