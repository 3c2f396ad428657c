// CAST between types. A value that cannot be converted is NULL.
//
// DOUBLE to BIGINT rounds half to even and NUMERIC rounds half away from zero, as in PostgreSQL; TEXT
// is trimmed of white space; BIGINT to TIMESTAMP reads milliseconds since 1970, as streams do.
#include <charconv>
#include <cmath>
#include <optional>

#include "processor/vector/json_text.h"
#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

std::optional<std::int64_t> text_to_bigint(std::string_view text) {
  text = json_trim(text);
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  std::int64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> text_to_double(std::string_view text) {
  text = json_trim(text);
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size() || !std::isfinite(number))
    return std::nullopt;
  return number;
}

std::optional<std::uint8_t> text_to_boolean(std::string_view text) {
  std::string lower;
  for (const char c : json_trim(text)) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (const std::string_view yes : {"true", "t", "yes", "y", "on", "1"}) {
    if (lower == yes) return std::uint8_t{1};
  }
  for (const std::string_view no : {"false", "f", "no", "n", "off", "0"}) {
    if (lower == no) return std::uint8_t{0};
  }
  return std::nullopt;
}

std::optional<std::int64_t> double_to_bigint(double v) {
  const double whole = std::nearbyint(v);
  if (!(whole >= -0x1p63 && whole < 0x1p63)) return std::nullopt;
  return static_cast<std::int64_t>(whole);
}

// To another scale, rounded half away from zero; nullopt past the precision.
std::optional<Int128> rescale(Int128 v, std::uint8_t from, Type to) {
  Int128 result = v;
  if (to.scale >= from) {
    if (__builtin_mul_overflow(v, power_of_ten(static_cast<std::uint8_t>(to.scale - from)), &result))
      return std::nullopt;
  } else {
    const Int128 unit = power_of_ten(static_cast<std::uint8_t>(from - to.scale));
    const Int128 rest = v % unit;
    result = v / unit;
    const Int128 size = rest < 0 ? -rest : rest;
    if (size >= unit - size) result += v < 0 ? -1 : 1;
  }
  const Int128 bound = power_of_ten(to.precision);
  if (result >= bound || result <= -bound) return std::nullopt;
  return result;
}

double numeric_to_double(Int128 v, std::uint8_t scale) {
  // Through text: rounded once, where the division of two rounded doubles would round three times.
  // The common case, both exact doubles, needs one rounding only.
  if (scale <= 22 && v > -(Int128{1} << 53) && v < (Int128{1} << 53)) {
    return static_cast<double>(v) / static_cast<double>(power_of_ten(scale));
  }
  return text_to_double(format_numeric(v, scale)).value_or(0);
}

template <class T>
bool store(std::optional<T> from, T& to) {
  if (from) to = *from;
  return from.has_value();
}

// --- by target ---

void to_boolean(KernelCall& call) {
  switch (call.arguments[0]->type().id) {
    case TypeId::kBigint:
      return unary<std::uint8_t, std::int64_t>(
          call, [](std::int64_t v) { return static_cast<std::uint8_t>(v != 0); });
    default:
      return unary_or_null<std::uint8_t, std::string_view>(
          call, [](std::string_view v, std::uint8_t& out) { return store(text_to_boolean(v), out); });
  }
}

void to_bigint(KernelCall& call) {
  const Type from = call.arguments[0]->type();
  switch (from.id) {
    case TypeId::kBoolean:
      return unary<std::int64_t, std::uint8_t>(call, [](std::uint8_t v) { return std::int64_t{v}; });
    case TypeId::kDouble:
      return unary_or_null<std::int64_t, double>(
          call, [](double v, std::int64_t& out) { return store(double_to_bigint(v), out); });
    case TypeId::kNumeric:
      return unary_or_null<std::int64_t, Int128>(call, [from](Int128 v, std::int64_t& out) {
        const auto whole = rescale(v, from.scale, kHugeintType);
        if (!whole || *whole > INT64_MAX || *whole < INT64_MIN) return false;
        out = static_cast<std::int64_t>(*whole);
        return true;
      });
    case TypeId::kJson:
      return unary_or_null<std::int64_t, std::string_view>(call, [](std::string_view v, std::int64_t& out) {
        if (const auto whole = text_to_bigint(v)) return store(whole, out);
        const auto real = text_to_double(v);
        return real && store(double_to_bigint(*real), out);
      });
    default:
      return unary_or_null<std::int64_t, std::string_view>(
          call, [](std::string_view v, std::int64_t& out) { return store(text_to_bigint(v), out); });
  }
}

void to_double(KernelCall& call) {
  const Type from = call.arguments[0]->type();
  switch (from.id) {
    case TypeId::kBigint:
      return unary<double, std::int64_t>(call, [](std::int64_t v) { return static_cast<double>(v); });
    case TypeId::kNumeric:
      return unary_or_null<double, Int128>(call, [from](Int128 v, double& out) {
        out = numeric_to_double(v, from.scale);
        return true;
      });
    default:
      return unary_or_null<double, std::string_view>(
          call, [](std::string_view v, double& out) { return store(text_to_double(v), out); });
  }
}

void to_numeric(KernelCall& call) {
  const Type from = call.arguments[0]->type();
  const Type to = call.expression.type;
  switch (from.id) {
    case TypeId::kBigint:
      return unary_or_null<Int128, std::int64_t>(
          call, [to](std::int64_t v, Int128& out) { return store(rescale(v, 0, to), out); });
    case TypeId::kDouble:
      return unary_or_null<Int128, double>(call, [to](double v, Int128& out) {
        return store(parse_numeric(format_double(v), to.precision, to.scale), out);
      });
    case TypeId::kNumeric:
      return unary_or_null<Int128, Int128>(
          call, [from, to](Int128 v, Int128& out) { return store(rescale(v, from.scale, to), out); });
    default:
      return unary_or_null<Int128, std::string_view>(call, [to](std::string_view v, Int128& out) {
        return store(parse_numeric(json_trim(v), to.precision, to.scale), out);
      });
  }
}

void to_text(KernelCall& call) {
  const Type from = call.arguments[0]->type();
  if (physical_of(from.id) == Physical::kText) {
    return unary_or_null<std::string_view, std::string_view>(call,
                                                             [](std::string_view v, std::string_view& out) {
                                                               out = v;
                                                               return true;
                                                             });
  }
  const Vector& value = *call.arguments[0];
  std::string_view* out = call.result.data<std::string_view>();
  std::uint8_t* valid = call.result.valid();
  for_each_row(call.batch, [&](std::uint32_t row) {
    valid[row] = value.valid()[row];
    out[row] = valid[row] != 0 ? call.arena.copy(display(value.value(row))) : std::string_view();
  });
}

void to_timestamp(KernelCall& call) {
  if (call.arguments[0]->type().id == TypeId::kBigint) {
    return unary_or_null<std::int64_t, std::int64_t>(call, [](std::int64_t v, std::int64_t& out) {
      return !__builtin_mul_overflow(v, std::int64_t{1000}, &out);
    });
  }
  unary_or_null<std::int64_t, std::string_view>(call, [](std::string_view v, std::int64_t& out) {
    return store(parse_timestamp(json_trim(v), false), out);
  });
}

void to_interval(KernelCall& call) {
  unary_or_null<std::int64_t, std::string_view>(
      call, [](std::string_view v, std::int64_t& out) { return store(parse_interval(v), out); });
}

void to_json(KernelCall& call) {
  if (call.arguments[0]->type().id != TypeId::kText) return to_text(call);
  unary_or_null<std::string_view, std::string_view>(call, [](std::string_view v, std::string_view& out) {
    out = v;
    return json_valid(v);
  });
}

void cast_kernel(KernelCall& call) {
  switch (call.expression.type.id) {
    case TypeId::kBoolean: return to_boolean(call);
    case TypeId::kBigint: return to_bigint(call);
    case TypeId::kDouble: return to_double(call);
    case TypeId::kNumeric: return to_numeric(call);
    case TypeId::kText: return to_text(call);
    case TypeId::kTimestamp: return to_timestamp(call);
    case TypeId::kInterval: return to_interval(call);
    case TypeId::kJson: return to_json(call);
    case TypeId::kNull: break;
  }
}

// Casts are made by make_cast, which knows the target; as a plain call there is none.
Expected<Signature> cast_types(std::span<const ExpressionPtr> arguments) {
  return Signature{{arguments[0]->type}, arguments[0]->type};
}

constexpr ScalarFunction kFunctions[] = {
    {"cast", "CAST(value AS type)", ScalarFunction::Form::kSpecial, 1, 1, cast_types, cast_kernel, nullptr,
     true},
};

}  // namespace

bool can_cast(Type from, Type to) {
  if (from.id == to.id || from.id == TypeId::kNull || from.id == TypeId::kText || to.id == TypeId::kText)
    return true;
  const bool number = is_numeric_type(from.id);
  switch (to.id) {
    case TypeId::kBoolean: return from.id == TypeId::kBigint || from.id == TypeId::kJson;
    case TypeId::kBigint: return number || from.id == TypeId::kBoolean || from.id == TypeId::kJson;
    case TypeId::kDouble:
    case TypeId::kNumeric: return number || from.id == TypeId::kJson;
    case TypeId::kTimestamp: return from.id == TypeId::kBigint;
    case TypeId::kJson: return number || from.id == TypeId::kBoolean;
    case TypeId::kInterval:
    case TypeId::kNull:
    case TypeId::kText: break;
  }
  return false;
}

std::span<const ScalarFunction> cast_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
