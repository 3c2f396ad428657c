// LIKE and ILIKE, with or without ESCAPE. A constant pattern is compiled once.
#include <optional>

#include "processor/vector/kernel.h"
#include "processor/vector/like.h"

namespace kappa::processor {
namespace {

template <bool kIgnoreCase>
std::shared_ptr<const void> prepare_like(const Expression& call) {
  for (std::size_t i = 1; i < call.arguments.size(); ++i) {
    if (call.arguments[i]->kind != ExpressionKind::kConstant || call.arguments[i]->constant.is_null())
      return nullptr;
  }
  const std::string_view escape =
      call.arguments.size() == 3 ? call.arguments[2]->constant.as_text() : std::string_view();
  auto pattern = LikePattern::compile(call.arguments[1]->constant.as_text(), escape, kIgnoreCase);
  if (!pattern) return nullptr;
  return std::make_shared<const LikePattern>(std::move(*pattern));
}

template <bool kIgnoreCase>
void like_kernel(KernelCall& call) {
  if (const auto* pattern = static_cast<const LikePattern*>(call.state)) {
    return unary_or_null<std::uint8_t, std::string_view>(call,
                                                         [pattern](std::string_view text, std::uint8_t& out) {
                                                           out = pattern->matches(text) ? 1 : 0;
                                                           return true;
                                                         });
  }
  // Patterns from rows: one is compiled again only where it differs from the row before.
  const bool escaped = call.arguments.size() == 3;
  const std::string_view* text = data_of<std::string_view>(call, 0);
  const std::string_view* patterns = data_of<std::string_view>(call, 1);
  const std::string_view* escapes = escaped ? data_of<std::string_view>(call, 2) : nullptr;
  std::uint8_t* out = call.result.data<std::uint8_t>();
  std::uint8_t* valid = call.result.valid();
  std::optional<LikePattern> pattern;
  std::optional<std::pair<std::string_view, std::string_view>> compiled;
  for_each_row(call.batch, [&](std::uint32_t row) {
    out[row] = 0;
    valid[row] = static_cast<std::uint8_t>(valid_of(call, 0)[row] & valid_of(call, 1)[row]);
    if (escaped) valid[row] = static_cast<std::uint8_t>(valid[row] & valid_of(call, 2)[row]);
    if (valid[row] == 0) return;
    const std::pair wanted(patterns[row], escaped ? escapes[row] : std::string_view());
    if (compiled != wanted) {
      pattern = LikePattern::compile(wanted.first, wanted.second, kIgnoreCase);
      compiled = wanted;
    }
    valid[row] = static_cast<std::uint8_t>(pattern.has_value());
    if (pattern) out[row] = pattern->matches(text[row]) ? 1 : 0;
  });
}

Expected<Signature> like_types(std::span<const ExpressionPtr> arguments) {
  return fixed_types(arguments, "TTT", kBooleanType);
}

using Form = ScalarFunction::Form;
constexpr ScalarFunction kFunctions[] = {
    {"like", "TEXT LIKE TEXT [ESCAPE TEXT]", Form::kInfix, 2, 3, like_types, like_kernel<false>,
     prepare_like<false>, true, 1},
    {"ilike", "TEXT ILIKE TEXT [ESCAPE TEXT]", Form::kInfix, 2, 3, like_types, like_kernel<true>,
     prepare_like<true>, true, 1},
};

}  // namespace

std::span<const ScalarFunction> like_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
