// The registry, and the making of bound calls: type resolution, casts, folding of constants.
#include "processor/vector/functions.h"

#include <algorithm>
#include <unordered_map>

#include "processor/vector/evaluate.h"
#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

struct Alias {
  std::string_view name;
  std::string_view function;
};
constexpr Alias kAliases[] = {{"ceiling", "ceil"},
                              {"pow", "power"},
                              {"^", "power"},
                              {"truncate", "trunc"},
                              {"substring", "substr"},
                              {"char_length", "length"},
                              {"character_length", "length"},
                              {"btrim", "trim"},
                              {"instr", "strpos"},
                              {"ifnull", "coalesce"},
                              {"regexp", "regexp_like"},
                              {"date_part", "extract"},
                              {"dayofmonth", "day"},
                              {"!=", "<>"}};

using Registry = std::unordered_map<std::string_view, const ScalarFunction*>;

const Registry& registry() {
  static const Registry functions = [] {
    Registry all;
    for (const auto family : {arithmetic_functions(), comparison_functions(), logic_functions(),
                              choice_functions(), cast_functions(), math_functions(),
                              trigonometry_functions(), text_functions(), compose_functions(),
                              split_functions(), like_functions(), regex_functions(), time_functions(),
                              json_functions()}) {
      for (const ScalarFunction& function : family) all.emplace(function.name, &function);
    }
    for (const Alias& alias : kAliases) all.emplace(alias.name, all.at(alias.function));
    return all;
  }();
  return functions;
}

bool all_constant(const std::vector<ExpressionPtr>& expressions) {
  return std::all_of(expressions.begin(), expressions.end(),
                     [](const ExpressionPtr& e) { return e->kind == ExpressionKind::kConstant; });
}

ExpressionPtr build_call(const ScalarFunction& function, Type type, std::vector<ExpressionPtr> arguments) {
  auto call = std::make_shared<Expression>();
  call->kind = ExpressionKind::kCall;
  call->type = type;
  call->function = &function;
  call->arguments = std::move(arguments);
  if (!all_constant(call->arguments)) return call;
  return make_constant(evaluate_constant(call));
}

std::unexpected<Error> type_error(std::string message, std::string hint = {}) {
  return fail(ErrorCode::kInvalid, 2002, std::move(message), std::move(hint));
}

}  // namespace

const ScalarFunction* find_function(std::string_view name) {
  const auto found = registry().find(name);
  return found == registry().end() ? nullptr : found->second;
}

std::vector<std::string> function_names() {
  std::vector<std::string> names;
  for (const auto& [name, function] : registry()) {
    if (function->form == ScalarFunction::Form::kCall) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::unexpected<Error> no_signature(std::string_view what, std::span<const ExpressionPtr> arguments) {
  std::string message(what);
  message += " does not take ";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0) message += i + 1 == arguments.size() ? " and " : ", ";
    message += to_string(arguments[i]->type);
  }
  const ScalarFunction* function = find_function(what);
  std::string hint;
  if (function != nullptr && !function->usage.empty()) hint = "usage: " + std::string(function->usage);
  return type_error(std::move(message), std::move(hint));
}

Expected<Signature> fixed_types(std::span<const ExpressionPtr> arguments, std::string_view letters,
                                Type result) {
  Signature signature;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Expression& argument = *arguments[i];
    Type type = kTextType;
    bool fits = false;
    switch (letters[i]) {
      case 'I': type = kBigintType; break;
      case 'B': type = kBooleanType; break;
      case 'S': type = kTimestampType; break;
      case 'V': type = kIntervalType; break;
      case 'D':
        type = kDoubleType;
        fits = is_numeric_type(argument.type.id);
        break;
      default: break;
    }
    if (!fits && argument.type.id != type.id && argument.type.id != TypeId::kNull &&
        !is_text_constant(argument)) {
      return type_error("argument " + std::to_string(i + 1) + " must be " +
                            (letters[i] == 'D' ? "a number" : to_string(type)) + ", found " +
                            to_string(argument.type),
                        can_cast(argument.type, type) ? "use CAST(... AS " + to_string(type) + ")" : "");
    }
    signature.arguments.push_back(type);
  }
  signature.result = result;
  return signature;
}

ExpressionPtr make_constant(Value value) {
  auto constant = std::make_shared<Expression>();
  constant->kind = ExpressionKind::kConstant;
  constant->type = value.type();
  constant->constant = std::move(value);
  return constant;
}

ExpressionPtr make_column(std::size_t column, Type type) {
  auto expression = std::make_shared<Expression>();
  expression->kind = ExpressionKind::kColumn;
  expression->type = type;
  expression->column = column;
  return expression;
}

Expected<ExpressionPtr> make_call(const ScalarFunction& function, std::vector<ExpressionPtr> arguments) {
  if (arguments.size() < function.arguments_min || arguments.size() > function.arguments_max) {
    return type_error(std::string(function.name) + " does not take " + std::to_string(arguments.size()) +
                          (arguments.size() == 1 ? " argument" : " arguments"),
                      "usage: " + std::string(function.usage));
  }
  KAPPA_TRY(const Signature signature, function.types(arguments));
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    KAPPA_TRY(arguments[i], coerce(std::move(arguments[i]), signature.arguments[i]));
  }
  return build_call(function, signature.result, std::move(arguments));
}

Expected<ExpressionPtr> make_call(std::string_view name, std::vector<ExpressionPtr> arguments) {
  const ScalarFunction* function = find_function(name);
  KAPPA_CHECK(function != nullptr, "a built-in function is missing");
  return make_call(*function, std::move(arguments));
}

Expected<ExpressionPtr> make_cast(ExpressionPtr argument, Type target) {
  if (argument->type == target) return argument;
  if (argument->type.id == TypeId::kNull) return make_constant(Value::null(target));
  if (!can_cast(argument->type, target)) {
    std::string hint;
    if (argument->type.id == TypeId::kTimestamp && is_numeric_type(target.id)) {
      hint = "epoch_ms(ts) gives milliseconds since 1970";
    }
    return type_error("cannot cast " + to_string(argument->type) + " to " + to_string(target),
                      std::move(hint));
  }
  const ScalarFunction* function = find_function("cast");
  return build_call(*function, target, {std::move(argument)});
}

Expected<ExpressionPtr> coerce(ExpressionPtr argument, Type target) {
  const Type from = argument->type;
  if (from == target) return argument;
  if (from.id == TypeId::kNull) return make_constant(Value::null(target));
  if (is_text_constant(*argument) && target.id != TypeId::kText) {
    const std::string text = argument->constant.as_text();
    KAPPA_TRY(ExpressionPtr cast, make_cast(std::move(argument), target));
    if (cast->constant.is_null()) {
      return type_error("'" + text + "' is not a valid " + to_string(target));
    }
    return cast;
  }
  const bool widening =
      (from.id == TypeId::kBigint && (target.id == TypeId::kNumeric || target.id == TypeId::kDouble)) ||
      (from.id == TypeId::kNumeric && target.id == TypeId::kDouble) ||
      (from.id == TypeId::kNumeric && target.id == TypeId::kNumeric);
  if (!widening) {
    return type_error("expected " + to_string(target) + ", found " + to_string(from),
                      can_cast(from, target) ? "use CAST(... AS " + to_string(target) + ")" : "");
  }
  return make_cast(std::move(argument), target);
}

namespace {

// Of two types that are not NULL and not text constants; nullopt if they do not meet.
std::optional<Type> meet(Type a, Type b) {
  if (a == b) return a;
  if (!is_numeric_type(a.id) || !is_numeric_type(b.id)) return std::nullopt;
  if (a.id == TypeId::kDouble || b.id == TypeId::kDouble) return kDoubleType;
  const Type x = as_numeric(a);
  const Type y = as_numeric(b);
  const int scale = std::max(x.scale, y.scale);
  const int whole = std::max(x.precision - x.scale, y.precision - y.scale);
  return Type{TypeId::kNumeric, static_cast<std::uint8_t>(std::min(38, whole + scale)),
              static_cast<std::uint8_t>(scale)};
}

}  // namespace

Expected<Type> common_type(std::span<const ExpressionPtr> expressions) {
  std::optional<Type> common;
  for (const ExpressionPtr& e : expressions) {
    if (e->type.id == TypeId::kNull || is_text_constant(*e)) continue;
    if (!common) {
      common = e->type;
      continue;
    }
    const auto met = meet(*common, e->type);
    if (!met)
      return type_error("types " + to_string(*common) + " and " + to_string(e->type) + " do not match");
    common = met;
  }
  if (common) return *common;
  for (const ExpressionPtr& e : expressions) {
    if (e->type.id == TypeId::kText) return kTextType;
  }
  return Type{};
}

}  // namespace kappa::processor
