// What kernels share: row loops, signatures and small type predicates. Internal to the kernels_*.cc.
//
// A kernel writes validity and data at every selected position. Loops over numbers may run over all
// rows (branch-free, the compiler vectorises them); loops that look at text only over selected ones,
// because text at other positions may be gone.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "processor/vector/functions.h"

namespace kappa::processor {

// body(row) at least for every selected row; all rows when most are selected.
template <class Body>
inline void for_cheap_rows(const ChangeBatch& batch, Body&& body) {
  if (batch.selection != nullptr && batch.selection->size() * 4 < batch.count) {
    for (const std::uint32_t row : *batch.selection) body(row);
  } else {
    for (std::uint32_t row = 0; row < batch.count; ++row) body(row);
  }
}

template <class T>
[[nodiscard]] inline const T* data_of(const KernelCall& call, std::size_t argument) {
  return call.arguments[argument]->data<T>();
}
[[nodiscard]] inline const std::uint8_t* valid_of(const KernelCall& call, std::size_t argument) {
  return call.arguments[argument]->valid();
}

// result[row] = compute(a[row]) where a is not NULL.
template <class R, class A, class Compute>
inline void unary(KernelCall& call, Compute&& compute) {
  const A* a = data_of<A>(call, 0);
  const std::uint8_t* valid = valid_of(call, 0);
  R* out = call.result.data<R>();
  std::uint8_t* out_valid = call.result.valid();
  for_cheap_rows(call.batch, [&](std::uint32_t row) {
    out[row] = compute(a[row]);
    out_valid[row] = valid[row];
  });
}

// out_valid[row] = compute(a[row], out[row]) where a is not NULL; only selected rows.
template <class R, class A, class Compute>
inline void unary_or_null(KernelCall& call, Compute&& compute) {
  const A* a = data_of<A>(call, 0);
  const std::uint8_t* valid = valid_of(call, 0);
  R* out = call.result.data<R>();
  std::uint8_t* out_valid = call.result.valid();
  for_each_row(call.batch, [&](std::uint32_t row) {
    out[row] = R{};
    out_valid[row] = valid[row] != 0 && compute(a[row], out[row]) ? 1 : 0;
  });
}

// The same with two arguments.
template <class R, class A, class B, class Compute>
inline void binary_or_null(KernelCall& call, Compute&& compute) {
  const A* a = data_of<A>(call, 0);
  const B* b = data_of<B>(call, 1);
  const std::uint8_t* a_valid = valid_of(call, 0);
  const std::uint8_t* b_valid = valid_of(call, 1);
  R* out = call.result.data<R>();
  std::uint8_t* out_valid = call.result.valid();
  for_each_row(call.batch, [&](std::uint32_t row) {
    out[row] = R{};
    out_valid[row] = (a_valid[row] & b_valid[row]) != 0 && compute(a[row], b[row], out[row]) ? 1 : 0;
  });
}

// The same with any number of arguments.
template <class R, class... A, class Compute>
inline void nary_or_null(KernelCall& call, Compute&& compute) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const std::tuple<const A*...> data{data_of<A>(call, I)...};
    const std::array<const std::uint8_t*, sizeof...(A)> valid{valid_of(call, I)...};
    R* out = call.result.data<R>();
    std::uint8_t* out_valid = call.result.valid();
    for_each_row(call.batch, [&](std::uint32_t row) {
      out[row] = R{};
      const bool all = (... & valid[I][row]) != 0;
      out_valid[row] = all && compute(std::get<I>(data)[row]..., out[row]) ? 1 : 0;
    });
  }(std::index_sequence_for<A...>{});
}

[[nodiscard]] inline bool is_numeric_type(TypeId id) {
  return id == TypeId::kBigint || id == TypeId::kDouble || id == TypeId::kNumeric;
}
// BIGINT as the NUMERIC that holds all of it.
inline constexpr Type kBigintAsNumeric{TypeId::kNumeric, 19, 0};
[[nodiscard]] inline Type as_numeric(Type type) {
  return type.id == TypeId::kNumeric ? type : kBigintAsNumeric;
}
[[nodiscard]] inline bool is_text_constant(const Expression& e) {
  return e.kind == ExpressionKind::kConstant && e.type.id == TypeId::kText && !e.constant.is_null();
}

[[nodiscard]] std::unexpected<Error> no_signature(std::string_view what,
                                                  std::span<const ExpressionPtr> arguments);

// Fixed argument types, one letter each: T TEXT, I BIGINT, D a number as DOUBLE, B BOOLEAN, S TIMESTAMP,
// V INTERVAL. NULL and text constants fit everywhere (the latter have to parse).
[[nodiscard]] Expected<Signature> fixed_types(std::span<const ExpressionPtr> arguments,
                                              std::string_view letters, Type result);

// The same as a type rule of a row of the registry: takes<"TTI", kTextType>.
template <std::size_t N>
struct Letters {
  consteval Letters(const char (&text)[N]) { std::copy_n(text, N, letters.begin()); }
  std::array<char, N> letters{};
};
template <Letters letters, Type result>
[[nodiscard]] Expected<Signature> takes(std::span<const ExpressionPtr> arguments) {
  return fixed_types(arguments, std::string_view(letters.letters.data(), letters.letters.size() - 1), result);
}

// The families.
[[nodiscard]] std::span<const ScalarFunction> arithmetic_functions();
[[nodiscard]] std::span<const ScalarFunction> comparison_functions();
[[nodiscard]] std::span<const ScalarFunction> logic_functions();
[[nodiscard]] std::span<const ScalarFunction> choice_functions();
[[nodiscard]] std::span<const ScalarFunction> cast_functions();
[[nodiscard]] std::span<const ScalarFunction> math_functions();
[[nodiscard]] std::span<const ScalarFunction> trigonometry_functions();
[[nodiscard]] std::span<const ScalarFunction> text_functions();
[[nodiscard]] std::span<const ScalarFunction> compose_functions();
[[nodiscard]] std::span<const ScalarFunction> split_functions();
[[nodiscard]] std::span<const ScalarFunction> like_functions();
[[nodiscard]] std::span<const ScalarFunction> regex_functions();
[[nodiscard]] std::span<const ScalarFunction> time_functions();
[[nodiscard]] std::span<const ScalarFunction> json_functions();

// Whether an explicit CAST exists.
[[nodiscard]] bool can_cast(Type from, Type to);

}  // namespace kappa::processor
