// Functions that choose among their arguments: CASE, COALESCE, NULLIF, greatest, least, IN.
//
// "case" has arguments condition, value, condition, value, ..., and a last value for ELSE (always
// present; the binder adds NULL). "in" has the value, then the list.
#include <algorithm>
#include <unordered_set>

#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

// Runs body.operator()<T>() for the C++ type of a physical type.
template <class Body>
void with_type(Physical physical, Body&& body) {
  switch (physical) {
    case Physical::kBool: return body.template operator()<std::uint8_t>();
    case Physical::kInt64: return body.template operator()<std::int64_t>();
    case Physical::kDouble: return body.template operator()<double>();
    case Physical::kInt128: return body.template operator()<Int128>();
    case Physical::kText: return body.template operator()<std::string_view>();
  }
}

void case_kernel(KernelCall& call) {
  const std::size_t branches = call.arguments.size() / 2;
  with_type(physical_of(call.expression.type.id), [&]<class T>() {
    T* out = call.result.data<T>();
    std::uint8_t* valid = call.result.valid();
    for_each_row(call.batch, [&](std::uint32_t row) {
      std::size_t chosen = branches * 2;  // ELSE.
      for (std::size_t i = 0; i < branches; ++i) {
        const Vector& condition = *call.arguments[2 * i];
        if ((condition.valid()[row] & condition.data<std::uint8_t>()[row]) != 0) {
          chosen = 2 * i + 1;
          break;
        }
      }
      const Vector& value = *call.arguments[chosen];
      valid[row] = value.valid()[row];
      out[row] = valid[row] != 0 ? value.data<T>()[row] : T{};
    });
  });
}

Expected<Signature> case_types(std::span<const ExpressionPtr> arguments) {
  std::vector<ExpressionPtr> values;
  for (std::size_t i = 1; i < arguments.size(); i += 2) values.push_back(arguments[i]);
  values.push_back(arguments.back());
  auto common = common_type(values);
  if (!common) {
    Error error = common.error();
    error.message = "the branches of CASE differ: " + error.message;
    return std::unexpected(std::move(error));
  }
  Signature signature;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    signature.arguments.push_back(kBooleanType);
    signature.arguments.push_back(*common);
  }
  signature.arguments.push_back(*common);
  signature.result = *common;
  return signature;
}

void coalesce_kernel(KernelCall& call) {
  with_type(physical_of(call.expression.type.id), [&]<class T>() {
    T* out = call.result.data<T>();
    std::uint8_t* valid = call.result.valid();
    for_each_row(call.batch, [&](std::uint32_t row) {
      valid[row] = 0;
      out[row] = T{};
      for (const Vector* argument : call.arguments) {
        if (argument->valid()[row] == 0) continue;
        valid[row] = 1;
        out[row] = argument->data<T>()[row];
        break;
      }
    });
  });
}

// NULLs are left out, as in PostgreSQL; NULL only when all are.
template <bool kGreatest>
void extreme_kernel(KernelCall& call) {
  with_type(physical_of(call.expression.type.id), [&]<class T>() {
    T* out = call.result.data<T>();
    std::uint8_t* valid = call.result.valid();
    for_each_row(call.batch, [&](std::uint32_t row) {
      valid[row] = 0;
      out[row] = T{};
      for (const Vector* argument : call.arguments) {
        if (argument->valid()[row] == 0) continue;
        const T value = argument->data<T>()[row];
        if (valid[row] == 0 || (kGreatest ? out[row] < value : value < out[row])) out[row] = value;
        valid[row] = 1;
      }
    });
  });
}

Expected<Signature> same_types(std::span<const ExpressionPtr> arguments) {
  KAPPA_TRY(const Type common, common_type(arguments));
  return Signature{std::vector<Type>(arguments.size(), common), common};
}

// --- IN ---

// The constants of an IN list, when all of them are.
struct ConstantList {
  std::vector<std::uint8_t> bools;
  std::unordered_set<std::int64_t> int64s;
  std::unordered_set<double> doubles;
  std::vector<Int128> int128s;  // Sorted.
  std::unordered_set<std::string_view> texts;
  bool has_null = false;

  [[nodiscard]] bool contains(std::uint8_t v) const {
    return std::find(bools.begin(), bools.end(), v) != bools.end();
  }
  [[nodiscard]] bool contains(std::int64_t v) const { return int64s.contains(v); }
  [[nodiscard]] bool contains(double v) const { return doubles.contains(v); }
  [[nodiscard]] bool contains(Int128 v) const {
    return std::binary_search(int128s.begin(), int128s.end(), v);
  }
  [[nodiscard]] bool contains(std::string_view v) const { return texts.contains(v); }
};

std::shared_ptr<const void> prepare_in(const Expression& call) {
  auto list = std::make_shared<ConstantList>();
  for (std::size_t i = 1; i < call.arguments.size(); ++i) {
    const Expression& element = *call.arguments[i];
    if (element.kind != ExpressionKind::kConstant) return nullptr;
    if (element.constant.is_null()) {
      list->has_null = true;
      continue;
    }
    switch (physical_of(element.type.id)) {
      case Physical::kBool: list->bools.push_back(element.constant.as_bool() ? 1 : 0); break;
      case Physical::kInt64: list->int64s.insert(element.constant.as_int64()); break;
      case Physical::kDouble: list->doubles.insert(element.constant.as_double()); break;
      case Physical::kInt128: list->int128s.push_back(element.constant.as_int128()); break;
      case Physical::kText: list->texts.insert(element.constant.as_text()); break;
    }
  }
  std::sort(list->int128s.begin(), list->int128s.end());
  return list;
}

void in_kernel(KernelCall& call) {
  const auto* list = static_cast<const ConstantList*>(call.state);
  const Vector& value = *call.arguments[0];
  std::uint8_t* out = call.result.data<std::uint8_t>();
  std::uint8_t* valid = call.result.valid();
  with_type(physical_of(value.type().id), [&]<class T>() {
    for_each_row(call.batch, [&](std::uint32_t row) {
      out[row] = 0;
      valid[row] = 0;
      if (value.valid()[row] == 0) return;
      const T v = value.data<T>()[row];
      bool found = false;
      bool has_null = false;
      if (list != nullptr) {
        found = list->contains(v);
        has_null = list->has_null;
      } else {
        for (std::size_t i = 1; i < call.arguments.size() && !found; ++i) {
          const Vector& element = *call.arguments[i];
          if (element.valid()[row] == 0) {
            has_null = true;
          } else {
            found = element.data<T>()[row] == v;
          }
        }
      }
      out[row] = static_cast<std::uint8_t>(found);
      valid[row] = static_cast<std::uint8_t>(found || !has_null);
    });
  });
}

Expected<Signature> in_types(std::span<const ExpressionPtr> arguments) {
  auto common = common_type(arguments);
  if (!common) {
    Error error = common.error();
    error.message = "the list of IN does not match: " + error.message;
    return std::unexpected(std::move(error));
  }
  return Signature{std::vector<Type>(arguments.size(), *common), kBooleanType};
}

using Form = ScalarFunction::Form;
constexpr std::size_t kAny = SIZE_MAX;
constexpr ScalarFunction kFunctions[] = {
    {"case", "CASE WHEN BOOLEAN THEN value ... [ELSE value] END", Form::kSpecial, 3, kAny, case_types,
     case_kernel},
    {"coalesce", "coalesce(value, ...)", Form::kCall, 1, kAny, same_types, coalesce_kernel},
    {"greatest", "greatest(value, ...)", Form::kCall, 1, kAny, same_types, extreme_kernel<true>},
    {"least", "least(value, ...)", Form::kCall, 1, kAny, same_types, extreme_kernel<false>},
    {"in", "value IN (value, ...)", Form::kSpecial, 2, kAny, in_types, in_kernel, prepare_in, false, 1},
};

}  // namespace

std::span<const ScalarFunction> choice_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
