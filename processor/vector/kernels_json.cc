// Opening JSON: -> gives JSON, ->> gives TEXT (strings without their quotes). The right side is a
// member's name or an array index. A missing place and a JSON null are NULL.
#include "processor/vector/json_text.h"
#include "processor/vector/kernel.h"

namespace kappa::processor {
namespace {

template <bool kAsText>
bool give(std::optional<std::string_view> found, Arena& arena, std::string_view& out) {
  if (!found || json_is_null(*found)) return false;
  out = *found;
  if constexpr (kAsText) {
    if (out.front() != '"') return true;
    if (out.find('\\') == std::string_view::npos) {
      out = out.substr(1, out.size() - 2);
      return true;
    }
    const auto text = json_unquote(out);
    if (!text) return false;
    out = arena.copy(*text);
  }
  return true;
}

template <bool kAsText>
void open_kernel(KernelCall& call) {
  if (call.arguments[1]->type().id == TypeId::kBigint) {
    return binary_or_null<std::string_view, std::string_view, std::int64_t>(
        call, [&](std::string_view json, std::int64_t index, std::string_view& out) {
          return give<kAsText>(json_element(json, index), call.arena, out);
        });
  }
  binary_or_null<std::string_view, std::string_view, std::string_view>(
      call, [&](std::string_view json, std::string_view name, std::string_view& out) {
        return give<kAsText>(json_member(json, name), call.arena, out);
      });
}

template <bool kAsText>
Expected<Signature> open_types(std::span<const ExpressionPtr> arguments) {
  const TypeId left = arguments[0]->type.id;
  const TypeId right = arguments[1]->type.id;
  const bool opens = left == TypeId::kJson || left == TypeId::kNull || is_text_constant(*arguments[0]);
  if (!opens || (right != TypeId::kText && right != TypeId::kBigint && right != TypeId::kNull)) {
    return no_signature(kAsText ? "->>" : "->", arguments);
  }
  return Signature{{kJsonType, right == TypeId::kBigint ? kBigintType : kTextType},
                   kAsText ? kTextType : kJsonType};
}

using Form = ScalarFunction::Form;
constexpr ScalarFunction kFunctions[] = {
    {"->", "JSON -> TEXT, JSON -> BIGINT", Form::kInfix, 2, 2, open_types<false>, open_kernel<false>},
    {"->>", "JSON ->> TEXT, JSON ->> BIGINT", Form::kInfix, 2, 2, open_types<true>, open_kernel<true>},
};

}  // namespace

std::span<const ScalarFunction> json_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
