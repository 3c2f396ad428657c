// Functions of angles, in radians; what is not finite is NULL.
#include <cmath>
#include <numbers>

#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

template <double (*compute)(double)>
void real_kernel(KernelCall& call) {
  unary_or_null<double, double>(call, [](double a, double& out) {
    out = compute(a);
    return std::isfinite(out);
  });
}
double to_radians(double degrees) {
  return degrees * (std::numbers::pi / 180);
}
double to_degrees(double radians) {
  return radians * (180 / std::numbers::pi);
}
void atan2_kernel(KernelCall& call) {
  binary_or_null<double, double, double>(call, [](double y, double x, double& out) {
    out = std::atan2(y, x);
    return true;
  });
}

template <double (*compute)(double)>
constexpr ScalarFunction row(std::string_view name, std::string_view usage) {
  return {name,    usage, ScalarFunction::Form::kCall, 1, 1, takes<"D", kDoubleType>, real_kernel<compute>,
          nullptr, true};
}
constexpr ScalarFunction kFunctions[] = {
    row<std::sin>("sin", "sin(radians)"),
    row<std::cos>("cos", "cos(radians)"),
    row<std::tan>("tan", "tan(radians)"),
    row<std::asin>("asin", "asin(number)"),
    row<std::acos>("acos", "acos(number)"),
    row<std::atan>("atan", "atan(number)"),
    row<to_radians>("radians", "radians(degrees)"),
    row<to_degrees>("degrees", "degrees(radians)"),
    {"atan2", "atan2(y, x)", ScalarFunction::Form::kCall, 2, 2, takes<"DD", kDoubleType>, atan2_kernel},
};

}  // namespace

std::span<const ScalarFunction> trigonometry_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
