// Three-valued logic: AND, OR, NOT, IS [NOT] NULL, IS [NOT] TRUE, IS [NOT] FALSE.
#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

// AND is false when one side is false, OR true when one side is true, whatever the other is; else
// NULL when one side is NULL.
template <bool kDecisive>
void connective_kernel(KernelCall& call) {
  const std::uint8_t* a = data_of<std::uint8_t>(call, 0);
  const std::uint8_t* b = data_of<std::uint8_t>(call, 1);
  const std::uint8_t* a_valid = valid_of(call, 0);
  const std::uint8_t* b_valid = valid_of(call, 1);
  std::uint8_t* out = call.result.data<std::uint8_t>();
  std::uint8_t* valid = call.result.valid();
  for_cheap_rows(call.batch, [&](std::uint32_t row) {
    const bool decided = (a_valid[row] != 0 && (a[row] != 0) == kDecisive) ||
                         (b_valid[row] != 0 && (b[row] != 0) == kDecisive);
    out[row] = static_cast<std::uint8_t>(decided == kDecisive);
    valid[row] = static_cast<std::uint8_t>(decided || (a_valid[row] & b_valid[row]) != 0);
  });
}

void not_kernel(KernelCall& call) {
  unary<std::uint8_t, std::uint8_t>(call, [](std::uint8_t a) { return static_cast<std::uint8_t>(a == 0); });
}

template <bool kNull>
void null_kernel(KernelCall& call) {
  const std::uint8_t* a_valid = valid_of(call, 0);
  std::uint8_t* out = call.result.data<std::uint8_t>();
  std::uint8_t* valid = call.result.valid();
  for_cheap_rows(call.batch, [&](std::uint32_t row) {
    out[row] = static_cast<std::uint8_t>((a_valid[row] == 0) == kNull);
    valid[row] = 1;
  });
}

// IS TRUE, IS FALSE and their negations.
template <bool kTruth, bool kNot>
void truth_kernel(KernelCall& call) {
  const std::uint8_t* a = data_of<std::uint8_t>(call, 0);
  const std::uint8_t* a_valid = valid_of(call, 0);
  std::uint8_t* out = call.result.data<std::uint8_t>();
  std::uint8_t* valid = call.result.valid();
  for_cheap_rows(call.batch, [&](std::uint32_t row) {
    const bool is = a_valid[row] != 0 && (a[row] != 0) == kTruth;
    out[row] = static_cast<std::uint8_t>(is != kNot);
    valid[row] = 1;
  });
}

Expected<Signature> boolean_types(std::span<const ExpressionPtr> arguments) {
  for (const ExpressionPtr& argument : arguments) {
    if (argument->type.id != TypeId::kBoolean && argument->type.id != TypeId::kNull &&
        !is_text_constant(*argument)) {
      return fail(ErrorCode::kInvalid, 2002, "expected BOOLEAN, found " + to_string(argument->type));
    }
  }
  return Signature{std::vector<Type>(arguments.size(), kBooleanType), kBooleanType};
}

Expected<Signature> any_types(std::span<const ExpressionPtr> arguments) {
  return Signature{{arguments[0]->type}, kBooleanType};
}

using Form = ScalarFunction::Form;
constexpr ScalarFunction kFunctions[] = {
    {"and", "BOOLEAN AND BOOLEAN", Form::kInfix, 2, 2, boolean_types, connective_kernel<false>},
    {"or", "BOOLEAN OR BOOLEAN", Form::kInfix, 2, 2, boolean_types, connective_kernel<true>},
    {"not", "NOT BOOLEAN", Form::kPrefix, 1, 1, boolean_types, not_kernel},
    {"is null", "value IS NULL", Form::kPostfix, 1, 1, any_types, null_kernel<true>},
    {"is not null", "value IS NOT NULL", Form::kPostfix, 1, 1, any_types, null_kernel<false>},
    {"is true", "BOOLEAN IS TRUE", Form::kPostfix, 1, 1, boolean_types, truth_kernel<true, false>},
    {"is not true", "BOOLEAN IS NOT TRUE", Form::kPostfix, 1, 1, boolean_types, truth_kernel<true, true>},
    {"is false", "BOOLEAN IS FALSE", Form::kPostfix, 1, 1, boolean_types, truth_kernel<false, false>},
    {"is not false", "BOOLEAN IS NOT FALSE", Form::kPostfix, 1, 1, boolean_types, truth_kernel<false, true>},
};

}  // namespace

std::span<const ScalarFunction> logic_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
